"""Columns of live tables are sealed, and made plain, while applications read and write through two proxies."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy import fast
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.ops.online import engine
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK
from pgcrypt_proxy.policy.load import load
from tests.helpers.live import Live, Load, await_state, two_proxies
from tests.helpers.raw_peers import eventually
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE NOT NULL, note text, visits int NOT NULL DEFAULT 0);
CREATE TABLE others (id int PRIMARY KEY, text text);
INSERT INTO users SELECT i, 'sown' || i || '@example.com', CASE WHEN i % 3 > 0 THEN 'sown note ' || i END
FROM generate_series(1, 2000) i;
"""
COLUMNS = """
{{table: users, column: email, type: text, search: [equality], phase: {phase}}}
{{table: users, column: note, type: text, phase: {phase}}}
"""


@pytest.fixture(params=["sealing"])
def live(postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The parameter is the phase of the rules: `opening` begins with sealed columns."""
    columns, is_sealed = COLUMNS.format(phase=request.param), request.param == "opening"
    with two_proxies(postgres, tmp_path, SCHEMA, columns, is_sealed=is_sealed) as live:
        yield live


def stored(live: Live, column: str) -> list[bytes]:
    with live.direct() as direct:
        direct.execute("SET search_path = pg_catalog, public")
        rows = direct.execute(f"SELECT {column}::bytea FROM users WHERE {column} IS NOT NULL").fetchall()
    return [bytes(value) for (value,) in rows]


def as_read(live: Live, which: int = 0) -> dict[int, tuple[str, str | None]]:
    with live.connect(which) as connection:
        return {i: (email, note) for i, email, note in connection.execute("SELECT id, email, note FROM users")}


@pytest.mark.skipif(fast.native is None, reason="not applicable: there is no compiled code")
def test_statements_on_other_tables_stay_with_compiled_code(live: Live, pieces: list[bytes]) -> None:
    with live.connect(prepare_threshold=0) as connection:

        def come_to_python(text: str) -> int:
            """How many pieces of both sides, of three rounds, when there were three before."""
            for round_ in range(6):
                if round_ == 3:
                    pieces.clear()
                connection.execute(text)
            return len(pieces)

        # when a busy proxy renews its watch late, everything is Python's for a moment
        eventually(lambda: come_to_python("SELECT count(*) FROM others") == 0)
        assert come_to_python("SELECT visits FROM users WHERE id = 7") >= 6
        assert come_to_python("COMMIT") >= 6


def test_columns_are_sealed_under_load_and_nobody_notices(live: Live) -> None:
    load = Load(live)
    with load.running():
        live.move("email")
        live.move("note")
    assert load.errors == []
    assert load.operations > 100
    assert as_read(live) == as_read(live, 1) == load.expected
    for column in ("email", "note"):
        values = stored(live, column)
        assert values
        assert not [value for value in values if b"sown" in value]


@pytest.mark.parametrize("live", ["opening"], indirect=True)
def test_columns_are_made_plain_under_load_and_nobody_notices(live: Live) -> None:
    load = Load(live)
    with load.running():
        live.move("email", is_sealing=False)
        live.move("note", is_sealing=False)
    assert load.errors == []
    assert load.operations > 100
    assert as_read(live) == as_read(live, 1) == load.expected
    with live.direct() as direct:
        rows = direct.execute("SELECT id, email, note FROM users").fetchall()
    assert {i: (email, note) for i, email, note in rows} == load.expected


@contextlib.contextmanager
def moving(live: Live, column: str) -> Iterator[Move]:
    """The engine in a thread of its own, stopped before the columns change places; it must come to its end in time."""
    made = Move(live, column)
    made.thread.start()
    try:
        assert made.is_before_swap.wait(30)
        yield made
    finally:
        made.may_swap.set()
        made.thread.join(60)
    assert not made.thread.is_alive()
    assert made.errors == []


class Move:
    def __init__(self, live: Live, column: str) -> None:
        self._live, self._column = live, column
        self.is_before_swap, self.may_swap = threading.Event(), threading.Event()
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._live.move(self._column, progress=self._on_progress)
        except BaseException as error:
            self.errors.append(error)

    def _on_progress(self, phase: str, done: int, total: int) -> None:
        if phase == "indexes":
            self.is_before_swap.set()
            assert self.may_swap.wait(30)


def test_a_transaction_that_has_used_the_table_goes_on_to_its_end(live: Live) -> None:
    with live.connect(autocommit=False) as busy, moving(live, "note") as move:
        busy.execute("UPDATE users SET note = 'sown mine' WHERE id = 7")
        move.may_swap.set()
        await_state(live, "switching")
        for _ in range(5):
            assert busy.execute("SELECT note FROM users WHERE id = 7").fetchone() == ("sown mine",)
            time.sleep(0.1)
        busy.commit()
        move.thread.join(60)
        assert busy.execute("SELECT note FROM users WHERE id = 7").fetchone() == ("sown mine",)
    assert b"sown mine" not in b"".join(stored(live, "note"))


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_from_before_shows_nothing_wrong(live: Live, isolation: str) -> None:
    with live.connect() as client, live.direct() as writer:
        with moving(live, "note") as move:
            client.execute(f"BEGIN ISOLATION LEVEL {isolation}")
            assert client.execute("SELECT count(*) FROM others").fetchone() == (0,)
            # such a row has no envelope that this snapshot sees
            writer.execute("UPDATE users SET note = 'sown late' WHERE id = 7")
            move.may_swap.set()
            await_state(live, None)
        if isolation == "READ COMMITTED":
            assert client.execute("SELECT note FROM users WHERE id = 7").fetchone() == ("sown late",)
            client.execute("COMMIT")
        else:
            with pytest.raises(psycopg.errors.SerializationFailure, match="was sealed"):
                client.execute("SELECT note FROM users WHERE id = 7")
            client.execute("ROLLBACK")
        assert client.execute("SELECT note FROM users WHERE id = 7").fetchone() == ("sown late",)


def run_move(dsn: str, rules: Path, column: str) -> None:
    """The engine, for a process of its own."""
    policy = load([rules])
    (rule,) = (rule for rule in policy.rules if rule.column == column)
    with contextlib.closing(connect(dsn)) as connection, contextlib.closing(connect(dsn)) as own:
        store = KeyringStore(own, make_providers(policy.keyring).current)
        engine.Run(connection, store, Target(rule, is_sealing=True)).to_the_end()


def test_an_engine_that_was_killed_holds_nobody_up(live: Live) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=run_move, args=(live.server.dsn(live.name), live.rules, "note")
    )
    with live.connect() as client, live.direct() as other:
        process.start()
        await_state(live, "filling")
        with other.transaction():
            other.execute("LOCK TABLE others IN ACCESS EXCLUSIVE MODE")  # never mind: it is not that table
            other.execute("SELECT FROM users LIMIT 1")
            await_state(live, "switching")
            process.kill()
            process.join()
            await_state(live, "switching")
            assert client.execute("SELECT note FROM users WHERE id = 7").fetchone() == ("sown note 7",)
            client.execute("UPDATE users SET note = 'sown anew' WHERE id = 7")
    live.move("note")
    assert as_read(live)[7][1] == "sown anew"


_HOLDERS = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s AND objid = 'users'::regclass AND mode = 'ShareLock' AND granted
"""


def test_a_proxy_that_lost_its_own_connection_makes_no_mistake(live: Live) -> None:
    load = Load(live)
    with load.running(), live.direct() as killer:
        for column in ("email", "note"):
            with moving(live, column) as move:
                while len(held := killer.execute(_HOLDERS, [PLANNING_LOCK]).fetchall()) < 2:
                    time.sleep(0.01)
                for (pid,) in held:
                    killer.execute("SELECT pg_terminate_backend(%s)", [pid])
                move.may_swap.set()
    assert load.errors == []
    assert as_read(live) == as_read(live, 1) == load.expected


def test_a_prepared_statement_that_a_sealed_column_cannot_answer_is_refused(live: Live) -> None:
    query = "SELECT id FROM users WHERE id < %s ORDER BY note"
    with live.connect(prepare_threshold=0) as client:
        before = client.execute(query, [9]).fetchall()
        assert len(before) == 8
        with moving(live, "note") as move:
            move.may_swap.set()
        for _ in range(3):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="ORDER BY"):
                client.execute(query, [9])
        assert client.execute("SELECT note FROM users WHERE id = 7").fetchone() == ("sown note 7",)


@pytest.mark.parametrize("live", ["sealing", "opening"], indirect=True)
def test_a_statement_that_was_prepared_before_works_when_the_rules_have_no_phase_any_more(live: Live) -> None:
    is_sealing = "sealing" in live.rules.read_text()
    query = "SELECT email, note FROM users WHERE email = %s"
    with live.connect(prepare_threshold=0) as client:
        found = client.execute(query, ["sown7@example.com"]).fetchall()
        assert found == [("sown7@example.com", "sown note 7")]
        for column in ("email", "note"):
            live.move(column, is_sealing=is_sealing)
        live.use_rules(COLUMNS.format(phase="sealed") if is_sealing else "")
        for _ in range(2):
            assert client.execute(query, ["sown7@example.com"]).fetchall() == found
