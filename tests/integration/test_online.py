"""Columns of live tables are sealed, and made plain, while applications read and write through two proxies."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.demo import scenario
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.install import install
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.ops.online import engine
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.server.run import Running, start
from tests.helpers.proxies import settings_for, write_rules
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


@dataclass(slots=True)
class Live:
    """A database with plain columns behind two proxies whose rules let them be plain for now."""

    server: PostgresServer
    name: str
    rules: Path
    proxies: list[Running]

    def connect(self, which: int = 0, **keywords: Any) -> psycopg.Connection:
        port = self.proxies[which].port
        return psycopg.connect(
            f"postgresql://postgres@127.0.0.1:{port}/{self.name}?sslmode=disable",
            **{"autocommit": True, **keywords},
        )

    def direct(self) -> psycopg.Connection:
        return self.server.connect(self.name)

    def move(self, column: str, *, is_sealing: bool = True, **keywords: Any) -> engine.Outcome:
        """Run the engine to its end."""
        policy = load([self.rules])
        (rule,) = (rule for rule in policy.rules if rule.column == column)
        with (
            contextlib.closing(connect(self.server.dsn(self.name))) as connection,
            contextlib.closing(connect(self.server.dsn(self.name))) as own,
        ):
            store = KeyringStore(own, make_providers(policy.keyring).current)
            return engine.Run(connection, store, Target(rule, is_sealing), **keywords).to_the_end()


@pytest.fixture(params=["sealing"])
def live(postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The parameter is the phase of the rules: `opening` begins with sealed columns."""
    rules, _ = write_rules(tmp_path, COLUMNS.format(phase=request.param))
    with postgres.database() as name, contextlib.ExitStack() as stack:
        with connect(postgres.dsn(name)) as connection:
            install(connection)
        with postgres.connect(name) as connection:
            connection.execute(SCHEMA.encode())
        if request.param == "opening":
            scenario.seal_columns(postgres, name, rules)
        proxies = []
        for _ in range(2):
            proxies.append(start(settings_for(postgres, name, rules)))
            stack.callback(proxies[-1].stop)
        yield Live(postgres, name, rules, proxies)


@dataclass(slots=True)
class Load:
    """Clients in threads, each with rows of its own, which it knows: what it reads must be what it wrote."""

    live: Live
    seconds_blocked: float = 0.0
    operations: int = 0
    errors: list[str] = field(default_factory=list)
    expected: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self, clients: int = 4) -> Iterator[None]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.5)
            yield
            time.sleep(0.5)
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join()

    def _client(self, number: int) -> None:
        dice, mine = random.Random(number), range(number * 500 + 1, number * 500 + 501)
        known = {i: (f"sown{i}@example.com", f"sown note {i}" if i % 3 else None) for i in mine}
        try:
            # half of them prepare their statements, half send literals
            with self.live.connect(number % 2, prepare_threshold=0 if number % 4 < 2 else None) as connection:
                cursor = psycopg.ClientCursor(connection) if number % 4 >= 2 else connection.cursor()
                while not self.is_over.is_set():
                    started = time.monotonic()
                    self._step(dice, connection, cursor, known, 100_000 * (number + 1))
                    self.seconds_blocked = max(self.seconds_blocked, time.monotonic() - started)
                    self.operations += 1
        except Exception as error:
            self.errors.append(f"client {number}: {type(error).__name__} {error}")
        self.expected |= known

    def _step(
        self,
        dice: random.Random,
        connection: psycopg.Connection,
        cursor: psycopg.Cursor[Any],
        known: dict[int, tuple[str, str | None]],
        first: int,
    ) -> None:
        key = dice.choice([*known])
        email, note = known[key]
        kind = dice.randrange(7)
        if kind == 0:
            cursor.execute("SELECT email, note FROM users WHERE id = %s", [key])
            assert cursor.fetchone() == (email, note), "read by id"
        elif kind == 1:
            cursor.execute("SELECT id, note FROM users WHERE email = %s", [email])
            assert cursor.fetchall() == [(key, note)], "search"
        elif kind == 2:
            changed = f"sown changed {dice.random()}" if dice.random() < 0.8 else None
            cursor.execute("UPDATE users SET note = %s, visits = visits + 1 WHERE id = %s", [changed, key])
            known[key] = (email, changed)
        elif kind == 3:
            changed = f"sown{dice.random()}@example.com"
            cursor.execute("UPDATE users SET email = %s WHERE id = %s RETURNING note", [changed, key])
            assert cursor.fetchone() == (note,), "returning"
            known[key] = (changed, note)
        elif kind == 4:
            new = first + len(known) + dice.randrange(50_000)
            if new not in known:
                cursor.execute("INSERT INTO users (id, email, note) VALUES (%s, %s, %s)", [new, f"sown{new}x", "n"])
                known[new] = (f"sown{new}x", "n")
        elif kind == 5 and len(known) > 100:
            cursor.execute("DELETE FROM users WHERE email = %s", [email])
            assert cursor.rowcount == 1, "delete"
            del known[key]
        else:
            with connection.transaction():
                cursor.execute("SELECT visits FROM users WHERE id = %s FOR UPDATE", [key])
                cursor.execute("UPDATE users SET visits = visits + 1 WHERE id = %s", [key])
                cursor.execute("SELECT note, email FROM users WHERE id = %s", [key])
                assert cursor.fetchone() == (note, email), "in a transaction"


def stored(live: Live, column: str) -> list[bytes]:
    with live.direct() as direct:
        direct.execute("SET search_path = pg_catalog, public")
        rows = direct.execute(f"SELECT {column}::bytea FROM users WHERE {column} IS NOT NULL").fetchall()
    return [bytes(value) for (value,) in rows]


def as_read(live: Live, which: int = 0) -> dict[int, tuple[str, str | None]]:
    with live.connect(which) as connection:
        return {i: (email, note) for i, email, note in connection.execute("SELECT id, email, note FROM users")}


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


def await_state(live: Live, wanted: str | None) -> None:
    deadline = time.monotonic() + 30
    with live.direct() as direct:
        while True:
            row = direct.execute("SELECT state FROM pgcrypt.moves").fetchone()
            if (row and row[0]) == wanted:
                return
            assert time.monotonic() < deadline
            time.sleep(0.005)


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
