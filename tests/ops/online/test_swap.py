"""The swap gives way to whoever is at the table or plans with the old column, and is tried again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import protect
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.online import engine, locking, moves, scrub, swap
from pgcrypt_proxy.ops.online.engine import Run
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK
from tests.helpers import servers
from tests.ops.online.test_engine import rows

LOCK = f"({PLANNING_LOCK}, 'public.t'::regclass::oid::int)"
PLAN = f"SELECT pg_advisory_lock_shared{LOCK}"
LET_GO = f"SELECT pg_advisory_unlock_shared{LOCK}"
TRY = f"SELECT pg_try_advisory_lock_shared{LOCK}"


@pytest.fixture
def users(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("CREATE TABLE public.t (id int PRIMARY KEY, v text NOT NULL UNIQUE, note text)")
    connection.execute("INSERT INTO public.t SELECT i, 'v' || i FROM generate_series(1, 2000) i")
    return connection


@pytest.fixture
def ruled(rule: Any) -> Any:
    return rule("public.t.v", "text", ("equality",))


def before_first_try(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    caught_up, begun = Run._caught_up, []

    def act(run: Run, *arguments: Any) -> None:
        caught_up(run, *arguments)
        if not begun:
            begun.append(1)
            action()

    monkeypatch.setattr(Run, "_caught_up", act)


@pytest.mark.parametrize(
    ("held", "let_go"),
    [
        ("BEGIN; UPDATE t SET note = 'x' WHERE id = 1", "COMMIT"),
        ("BEGIN; SELECT FROM t WHERE id = 1 FOR UPDATE", "COMMIT"),
        ("BEGIN; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'v-again')", "COMMIT"),
        ("BEGIN; SELECT v FROM t LIMIT 1", "COMMIT"),
        (PLAN, LET_GO),
    ],
)
def test_it_is_tried_again(
    postgres, database, users, sealing, verified, ruled, monkeypatch, held: str, let_go: str
) -> None:
    """Meanwhile others are answered, each within two seconds."""
    monkeypatch.setattr(swap, "PROXIES_TIMEOUT_MS", 300)
    stop, failures, answers = threading.Event(), [], []

    def ask() -> None:
        try:
            with postgres.connect(database) as connection:
                connection.execute("SET statement_timeout = '2s'")
                while not stop.is_set():
                    connection.execute("SELECT count(*) FROM t WHERE id = 7")
                    answers.append(1)
        except BaseException as error:
            failures.append(error)

    states, slept = [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        states.append([move.state for move in moves.every(users)])
        if len(slept) == 2:
            other.execute(let_go)

    asking = threading.Thread(target=ask)
    with postgres.connect(database) as other:
        before_first_try(monkeypatch, lambda: other.execute(held))
        asking.start()
        try:
            sealing(ruled, pace=Pace(sleep=sleep)).to_the_end()
        finally:
            stop.set()
            asking.join(10)
    assert failures == []
    assert len(answers) > 10
    assert states == [["filling"], ["filling"]]
    assert verified(ruled) == 2000


def test_what_is_in_the_way_is_named(postgres, database, users, sealing, verified, ruled, monkeypatch) -> None:
    monkeypatch.setattr(swap, "PROXIES_TIMEOUT_MS", 100)
    monkeypatch.setattr(locking, "TRIES", 3)
    with postgres.connect(database) as proxy, postgres.connect(database) as reader:
        proxy.execute(PLAN)
        before_first_try(monkeypatch, lambda: reader.execute("BEGIN; SELECT FROM t LIMIT 1"))
        with pytest.raises(ConfigError, match="could not change places in 3 tries") as caught:
            sealing(ruled, pace=Pace(sleep=lambda _: None)).to_the_end()
        for held in (proxy, reader):
            assert f"pid {held.info.backend_pid} " in str(caught.value.detail)
    assert [move.state for move in moves.every(users)] == ["filling"]
    sealing(ruled).to_the_end()
    assert verified(ruled) == 2000


def test_proxies_are_waited_for_before_the_table_is_touched(
    postgres, database, users, sealing, ruled, monkeypatch
) -> None:
    """`switching` is committed before the lock is asked for, and the lock is given back behind the commit."""
    seen = []
    real = swap.swap

    def look(*arguments: Any) -> None:
        with postgres.connect(database) as other:
            seen.append(rows(other, "SELECT state FROM pgcrypt.moves"))
            seen.append(rows(other, TRY))
            real(*arguments)
            seen.append(rows(other, "SELECT state FROM pgcrypt.moves"))
            seen.append(rows(other, TRY))

    monkeypatch.setattr(swap, "swap", look)
    sealing(ruled).to_the_end()
    assert seen == [[("switching",)], [(False,)], [("scrubbing",)], [(False,)]]
    with postgres.connect(database) as other:
        assert rows(other, TRY) == [(True,)]


def test_proxies_are_told(postgres, database, users, sealing, ruled) -> None:
    with postgres.connect(database) as other:
        other.execute("LISTEN pgcrypt_catalog")
        sealing(ruled).to_the_end()
        other.execute("SELECT 1")
        assert len([*other.notifies(timeout=0)]) >= 4


@pytest.mark.parametrize(
    ("ddl", "says"),
    [
        ("ALTER TABLE t DISABLE TRIGGER ALL; ALTER TABLE t ENABLE TRIGGER ALL", "were disabled or dropped"),
        ('ALTER TABLE t DISABLE TRIGGER "~pgcrypt_next_1_update"', "were disabled or dropped"),
        ("CREATE VIEW late AS SELECT v FROM t", "drop the view first"),
        ("CREATE INDEX late ON t (v text_pattern_ops)", "serves LIKE"),
    ],
)
def test_what_was_put_in_the_way_meanwhile_stops_it(
    postgres, database, users, sealing, ruled, monkeypatch, ddl, says
) -> None:
    with postgres.connect(database) as other:
        before_first_try(monkeypatch, lambda: other.execute(ddl))
        with pytest.raises(ConfigError, match=says):
            sealing(ruled).to_the_end()
    assert [move.state for move in moves.every(users)] == ["filling"]
    assert rows(users, "SELECT v FROM public.t WHERE id = 5") == [("v5",)]
    sealing(ruled).abandon()


def test_an_index_that_comes_late_comes_along(postgres, database, users, sealing, verified, ruled, monkeypatch) -> None:
    with postgres.connect(database) as other:
        before_first_try(monkeypatch, lambda: other.execute("CREATE INDEX late ON t (v, id); DROP INDEX IF EXISTS x"))
        sealing(ruled).to_the_end()
    (definition,) = rows(users, "SELECT indexdef FROM pg_indexes WHERE indexname = 'late'")[0]
    assert "(pgcrypt.eq((v)::bytea), id)" in definition
    assert verified(ruled) == 2000


def test_many_values_that_come_late_are_written_before_the_table_is_locked(
    postgres, database, users, sealing, verified, ruled, monkeypatch
) -> None:
    tries: list[int] = []
    real = swap._fill_rest

    def count(filler: Any) -> None:
        tries.append(filler.pending(5000))
        real(filler)

    monkeypatch.setattr(swap, "_fill_rest", count)
    with postgres.connect(database) as other:
        before_first_try(monkeypatch, lambda: other.execute("UPDATE t SET v = v || '!' WHERE id <= 1500"))
        sealing(ruled, pace=Pace(sleep=lambda _: None)).to_the_end()
    assert len(tries) == 1
    assert tries[0] <= swap.MAX_PENDING
    assert verified(ruled) == 2000


def test_too_many_values_are_no_part_of_the_swap(
    postgres, database, users, sealing, verified, ruled, monkeypatch
) -> None:
    tries: list[int] = []
    real = swap.locked

    @contextlib.contextmanager
    def late(connection: psycopg.Connection, table: str) -> Iterator[None]:
        if not tries:
            other.execute("UPDATE t SET v = v || '!' WHERE id <= 1500")
        tries.append(1)
        with real(connection, table):
            yield

    monkeypatch.setattr(swap, "locked", late)
    with postgres.connect(database) as other:
        sealing(ruled, pace=Pace(sleep=lambda _: None)).to_the_end()
    assert len(tries) == 2
    assert verified(ruled) == 2000


def test_some_values_that_come_late_are_written_in_the_swap(
    postgres, database, users, sealing, verified, ruled, monkeypatch
) -> None:
    with postgres.connect(database) as other:
        before_first_try(
            monkeypatch,
            lambda: other.execute("UPDATE t SET v = v || '!' WHERE id <= 190; INSERT INTO t VALUES (0, 'late')"),
        )
        sealing(ruled, pace=Pace(sleep=lambda _: None)).to_the_end()
    assert verified(ruled) == 2001


def test_the_hidden_column_is_nobodys_to_write(users, sealing, verified, ruled, monkeypatch) -> None:
    """Whoever writes whole rows that were read before does not bring old values back."""

    def write() -> None:
        users.execute("UPDATE public.t SET pgcrypt_next_1 = (SELECT pgcrypt_next_1 FROM public.t WHERE id = 2)")
        users.execute("INSERT INTO public.t SELECT 0, 'new', note, pgcrypt_next_1 FROM public.t WHERE id = 3")
        assert rows(users, "SELECT count(pgcrypt_next_1) FROM public.t") == [(0,)]

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_swapped", lambda *_: write())
        with pytest.raises(AssertionError):
            sealing(ruled).to_the_end()  # row 2 keeps its own
    assert rows(users, "SELECT id FROM public.t WHERE pgcrypt_next_1 IS NOT NULL") == [(2,)]
    sealing(ruled).to_the_end()
    assert verified(ruled) == 2001


STEPS = [
    (engine.indexes, "make_pending"),
    (Run, "_indexes_made"),
    (Run, "_caught_up"),
    (swap, "swap"),
    (scrub, "keep_not_null"),
    (scrub, "scrub"),
    (scrub, "vacuum"),
    (scrub, "prove_constraints"),
    (moves, "remove"),
]


@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize(("home", "step"), STEPS, ids=[step for _, step in STEPS])
def test_stopped_at_any_step_it_goes_on(users, sealing, verified, ruled, monkeypatch, home, step, is_behind) -> None:
    real = getattr(home, step)

    def stop(*arguments: Any) -> None:
        if is_behind:
            real(*arguments)
        raise ConfigError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(home, step, stop)
        with pytest.raises(ConfigError, match="stopped here"):
            sealing(ruled).to_the_end()
    assert len(moves.every(users)) == 1
    sealing(ruled).to_the_end()
    assert verified(ruled) == 2000
    assert moves.every(users) == []
    assert rows(
        users, "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'public.t'::regclass AND attname = 'v'"
    ) == [(True,)]
    assert {name for (name,) in rows(users, "SELECT indexname FROM pg_indexes WHERE tablename = 't'")} == {
        "t_pkey",
        "t_v_key",
    }


@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize(("home", "step"), [s for s in STEPS if s[1] not in ("scrub", "prove_constraints")])
def test_stopped_on_the_way_back_it_goes_on(users, store, opening, ruled, monkeypatch, home, step, is_behind) -> None:
    protect.protect(users, store, ruled, Options())
    real = getattr(home, step)

    def stop(*arguments: Any) -> None:
        if is_behind:
            real(*arguments)
        raise ConfigError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(home, step, stop)
        with pytest.raises(ConfigError, match="stopped here"):
            opening(ruled).to_the_end()
    assert len(moves.every(users)) == 1
    opening(ruled).to_the_end()
    assert rows(users, "SELECT count(*) FROM public.t WHERE v = 'v' || id") == [(2000,)]
    assert rows(users, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]
    assert {name for (name,) in rows(users, "SELECT indexname FROM pg_indexes WHERE tablename = 't'")} == {
        "t_pkey",
        "t_v_key",
    }


def test_switching_that_was_left_is_taken_back(users, sealing, verified, ruled, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Run, "_swapped", lambda *_: (_ for _ in ()).throw(ConfigError("stopped")))
        with pytest.raises(ConfigError, match="stopped"):
            sealing(ruled).to_the_end()
    users.execute("UPDATE pgcrypt.moves SET state = 'switching'")
    sealing(ruled).to_the_end()
    assert verified(ruled) == 2000


def test_one_run_at_a_time(postgres, database, users, sealing, ruled, monkeypatch) -> None:
    monkeypatch.setattr(moves, "ENGINE_WAIT_S", 0.2)
    with (
        postgres.connect(database) as other,
        moves.only_engine(other, "public", "t"),
        pytest.raises(ConfigError, match=r"another run is at work on public\.t"),
    ):
        sealing(ruled).to_the_end()
    sealing(ruled).to_the_end()


def test_an_index_that_was_left_unfinished_is_made_anew(
    postgres, database, users, sealing, verified, ruled, monkeypatch
) -> None:
    """A run that is killed while it makes one leaves it invalid."""
    users.execute("SET allow_system_table_mods = on")

    def break_index() -> None:
        users.execute(
            "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid IN (SELECT oid FROM pg_catalog.pg_class"
            " WHERE relname LIKE 'pgcrypt_next_1_%')"
        )

    before_first_try(monkeypatch, break_index)
    sealing(ruled, pace=Pace(sleep=lambda _: None)).to_the_end()
    assert verified(ruled) == 2000
    assert rows(users, "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'public.t'::regclass") == [(True,)]


def test_an_autovacuum_gives_way(rule, tmp_path) -> None:
    """It does so only to somebody who waits for longer than deadlock_timeout."""
    settings = {
        "deadlock_timeout": "1min",  # the engine has its own
        "autovacuum_naptime": "1s",
        "autovacuum_vacuum_cost_delay": "100ms",
        "autovacuum_vacuum_cost_limit": "1",
    }
    at_work = (
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%public.t%'"
    )
    with (
        servers.running(servers.chosen_flavour(), settings) as server,
        server.database() as name,
        connect(server.dsn(name)) as connection,
    ):
        connection.execute("CREATE TABLE public.t (v text) WITH (autovacuum_vacuum_threshold = 0, fillfactor = 10)")
        connection.execute("INSERT INTO public.t SELECT i FROM generate_series(1, 5000) i; DELETE FROM public.t")
        deadline = time.monotonic() + 60
        while rows(connection, at_work) == [(0,)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(3):
            with contextlib.suppress(psycopg.errors.LockNotAvailable), locking.locked(connection, "public.t"):
                break
        else:
            raise AssertionError("it did not give way")
