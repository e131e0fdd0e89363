"""Keys are kept good off the query path: outages of the provider, rotations under running proxies, leases."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S
from pgcrypt_proxy.crypto.providers import KekProvider, make_provider
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.errors import KeyUnavailable
from pgcrypt_proxy.ops import key_rotation
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_deks, rotate_index_key, rotate_kek
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.server.run import Running, start
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text, name text)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
TTL_S = 300.0


class Clock:
    """Real time, and what the test adds to it."""

    added = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.added


class Switched:
    """The provider that the rules name, behind a switch."""

    def __init__(self) -> None:
        self.is_off = False
        self.calls = 0
        self.threads: set[str] = set()

    def make(self, name: str, options: Mapping[str, str]) -> KekProvider:
        inner, switch = make_provider(name, options), self

        class Provider:
            name, kek_id = inner.name, inner.kek_id

            def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
                switch.ask()
                return inner.wrap(key, context)

            def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
                switch.ask()
                return inner.unwrap(wrapped, context)

        return Provider()

    def ask(self) -> None:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if self.is_off:
            raise KeyUnavailable("switched off")


def eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def code_of(connection: psycopg.Connection, sql: str) -> str:
    try:
        connection.execute(sql.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""


SELECT, SEARCH = "SELECT email FROM users", "SELECT id FROM users WHERE email = 'planted-a'"
INSERT = "INSERT INTO users (id, email) VALUES ((random() * 1e9)::int, 'planted-b')"
PLAIN = "SELECT name FROM users"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def switch() -> Switched:
    return Switched()


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: Path, clock: Clock, switch: Switched) -> Iterator[ProtectedDatabase]:
    world = {"clock": clock, "make_provider": switch.make}
    with protected(postgres, tmp_path, SCHEMA, COLUMNS, world) as made:
        with made.connect() as connection:
            connection.execute("INSERT INTO users VALUES (1, 'planted-a', 'A')")
        yield made


class TestOutage:
    def test_within_the_keys_time_nobody_sees_it(self, db: ProtectedDatabase, clock: Clock, switch: Switched) -> None:
        switch.is_off, before = True, switch.calls
        clock.added += TTL_S * 0.8
        with db.connect() as connection:
            eventually(lambda: switch.calls > before)  # a renewal was tried
            eventually(lambda: code_of(connection, INSERT) == "")  # the lease was renewed without the provider
            for sql in (SELECT, SEARCH, INSERT, PLAIN):
                assert code_of(connection, sql) == ""

    def test_after_it_sealed_statements_fail_clearly_and_others_go_on(
        self, db: ProtectedDatabase, clock: Clock, switch: Switched
    ) -> None:
        switch.is_off = True
        clock.added += TTL_S + 1
        with db.connect() as connection:
            for sql in (SELECT, SEARCH, INSERT):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(sql.encode())
                assert caught.value.sqlstate == "58030"
                assert "keys are not available" in str(caught.value)
                assert "tried again later" in str(caught.value.diag.message_hint)
            assert code_of(connection, PLAIN) == ""
            assert code_of(connection, "BEGIN; INSERT INTO users (id, name) VALUES (9, 'x'); COMMIT") == ""
            # and comes back by itself, on the same connection
            switch.is_off = False
            clock.added += 5  # past the pause between two attempts
            eventually(lambda: code_of(connection, SELECT) == "")
            eventually(lambda: code_of(connection, INSERT) == "")
            assert connection.execute(SEARCH.encode()).fetchall() == [(1,)]

    def test_attempts_have_pauses(self, db: ProtectedDatabase, clock: Clock, switch: Switched) -> None:
        switch.is_off = True
        clock.added += TTL_S
        eventually(lambda: db.running.proxy.world.keys._failures >= 3)
        keeper = db.running.proxy.world.keys
        assert keeper._try_at <= clock() + 5.1

    def test_the_provider_is_asked_in_a_thread_of_its_own(
        self, db: ProtectedDatabase, clock: Clock, switch: Switched
    ) -> None:
        switch.threads.clear()
        old = db.running.proxy.world.keyring
        clock.added += TTL_S * 0.6
        eventually(lambda: db.running.proxy.world.keyring is not old)
        assert {name.split("_")[0] for name in switch.threads} == {"keys"}
        with urllib.request.urlopen(f"http://127.0.0.1:{db.running.metrics_port}/metrics") as answer:
            text = answer.read().decode()
        assert 'pgcrypt_kms_calls_total{operation="unwrap",status="ok"} 4.0' in text  # dek and index key, twice

    def test_a_slow_provider_does_not_end_the_lease(
        self, db: ProtectedDatabase, clock: Clock, switch: Switched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hanging = threading.Event()
        monkeypatch.setattr(switch, "ask", lambda: hanging.wait(20))
        clock.added += TTL_S * 0.6
        with db.connect() as connection:
            for _ in range(3):
                clock.added += SEAL_LEASE_S * 0.9
                time.sleep(1.1)  # two ticks
                assert code_of(connection, INSERT) == ""
        hanging.set()


def test_without_the_database_nothing_is_sealed_past_the_lease(db: ProtectedDatabase, clock: Clock) -> None:
    world = db.running.proxy.world
    with db.direct() as direct, db.connect() as connection, direct.transaction():
        # the proxy's look at the keyring waits here, as if the database were far away
        direct.execute("LOCK TABLE pgcrypt.keyring IN ACCESS EXCLUSIVE MODE")
        time.sleep(0.7)
        assert code_of(connection, INSERT) == ""
        clock.added += SEAL_LEASE_S
        assert code_of(connection, INSERT) == "58030"
        assert code_of(connection, SELECT) == ""
    with db.connect() as connection:
        eventually(lambda: code_of(connection, INSERT) == "")
    assert not world.keyring.is_expired


@contextlib.contextmanager
def three_proxies(db: ProtectedDatabase) -> Iterator[list[Running]]:
    more = [start(settings_for(db.server, db.name, db.rules)) for _ in range(2)]
    try:
        yield [db.running, *more]
    finally:
        for running in more:
            running.stop()


def store_of(db: ProtectedDatabase, connection: psycopg.Connection) -> KeyringStore:
    return KeyringStore(connection, FileProvider(db.kek))


def test_rotation_under_three_writing_proxies(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write fails; all proxies follow within a second; after the lease none seals under the old key."""
    columns = "{table: users, column: email, type: text}"
    schema = "CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, proxy int, email text)"
    with protected(postgres, tmp_path, schema, columns) as db, three_proxies(db) as proxies:
        stop, failures = threading.Event(), []

        def write(number: int, running: Running) -> None:
            try:
                dsn = f"postgresql://postgres@127.0.0.1:{running.port}/{db.name}?sslmode=disable"
                with psycopg.connect(dsn, autocommit=True) as connection:
                    while not stop.is_set():
                        connection.execute(
                            "INSERT INTO users (at, proxy, email) VALUES (clock_timestamp(), %s, %s)",
                            [number, "planted-w"],
                        )
                        time.sleep(0.005)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=item) for item in enumerate(proxies)]
        for thread in threads:
            thread.start()
        committed: list[float] = []
        with connect(postgres.dsn(db.name)) as own, db.direct() as direct:
            eventually(lambda: direct.execute("SELECT count(DISTINCT proxy) FROM users").fetchone() == (3,))
            started = time.monotonic()
            (rotated,) = rotate_deks(store_of(db, own), on_committed=lambda _: committed.append(time.monotonic()))
            assert SEAL_LEASE_S < time.monotonic() - started < SEAL_LEASE_S + 5
            row = direct.execute(
                "SELECT clock_timestamp(), retired_at FROM pgcrypt.keyring WHERE id = %s", [rotated.old_id]
            ).fetchone()
            assert row is not None
            returned_at, retired_at = row
            time.sleep(0.5)
            stop.set()
            for thread in threads:
                thread.join(10)
            assert failures == []
            key = "get_byte(email::bytea, 5)"
            late = direct.execute(
                f"SELECT count(*) FROM users WHERE {key} = %s AND at > %s", [rotated.old_id, returned_at]
            ).fetchone()
            assert late == (0,)
            followed = direct.execute(
                f"SELECT proxy, extract(epoch FROM min(at) FILTER (WHERE {key} = %s) - %s)::float,"
                f" extract(epoch FROM max(at) FILTER (WHERE {key} = %s) - %s)::float FROM users GROUP BY 1",
                [rotated.new_id, retired_at, rotated.old_id, retired_at],
            ).fetchall()
            assert len(followed) == 3
            for _, first_new, last_old in followed:
                assert last_old <= first_new < 2.0  # about a second; twice that on a loaded machine
        with db.connect() as connection:
            values = set(connection.execute("SELECT email FROM users").fetchall())
        assert values == {("planted-w",)}


def test_a_proxy_that_heard_nothing_stops_at_its_lease(db: ProtectedDatabase, clock: Clock) -> None:
    """Whatever keeps it from the database: rotation waits as long as the lease is, and then it does not seal."""
    with connect(db.server.dsn(db.name)) as own, db.direct() as direct, db.connect() as connection:
        world = db.running.proxy.world
        release = threading.Event()
        blocked = threading.Thread(
            target=lambda: world._database._thread.submit(release.wait, 30).result(), daemon=True
        )
        blocked.start()
        time.sleep(0.1)
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            assert code_of(connection, INSERT) == ""  # still under the old key, and allowed to
            slept.append(seconds)
            clock.added += seconds

        (rotated,) = rotate_deks(store_of(db, own), sleep=sleep)
        assert slept == [key_rotation.LET_GO_S]
        assert code_of(connection, INSERT) == "58030"
        release.set()
        blocked.join()
        eventually(lambda: code_of(connection, INSERT) == "")
        keys = direct.execute("SELECT get_byte(email::bytea, 5), count(*) FROM users GROUP BY 1").fetchall()
        assert dict(keys) == {rotated.old_id: 2, rotated.new_id: 1}


def keys_of_values(db: ProtectedDatabase) -> list[int]:
    """Key ids of the stored emails, by id; the rows are gone behind it."""
    with db.direct() as direct:
        direct.execute("SET search_path = pg_catalog, public")
        return [key for (key,) in direct.execute("SELECT get_byte(email::bytea, 5) FROM users ORDER BY id")]


class TestPreparedStatementsWithValues:
    """The envelope of a value in the text was made when the statement was prepared."""

    SQL = "INSERT INTO users (id, email) VALUES (%s, 'planted-b')"

    def test_they_are_prepared_anew_after_a_rotation(self, db: ProtectedDatabase) -> None:
        before = db.running.proxy.world.keyring
        with connect(db.server.dsn(db.name)) as own, db.connect(prepare_threshold=0) as connection:
            for number in (2, 3):
                connection.execute(self.SQL, [number])
            (rotated,) = rotate_deks(store_of(db, own), sleep=lambda _: None)
            eventually(lambda: db.running.proxy.world.keyring is not before)
            connection.execute(self.SQL, [4])
            with connection.transaction():
                connection.execute(self.SQL, [5])
            assert len(connection.execute("SELECT FROM users WHERE email = 'planted-b'").fetchall()) == 4
        old, new = rotated.old_id, rotated.new_id
        assert keys_of_values(db) == [old, old, old, new, new]

    def test_within_a_batch_and_in_a_failed_transaction(self, db: ProtectedDatabase) -> None:
        before = db.running.proxy.world.keyring
        with connect(db.server.dsn(db.name)) as own, db.connect(prepare_threshold=0) as connection:
            connection.execute(self.SQL, [2])
            (rotated,) = rotate_deks(store_of(db, own), sleep=lambda _: None)
            eventually(lambda: db.running.proxy.world.keyring is not before)
            connection.execute("BEGIN")
            assert code_of(connection, "SELECT 1/0") == "22012"
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                connection.execute(self.SQL, [3])
            connection.execute("ROLLBACK")
            with connection.pipeline():
                for number in (4, 5):
                    connection.execute(self.SQL, [number])
        assert keys_of_values(db) == [rotated.old_id, rotated.old_id, rotated.new_id, rotated.new_id]

    def test_sql_s_own_say_so(self, db: ProtectedDatabase) -> None:
        before = db.running.proxy.world.keyring
        with connect(db.server.dsn(db.name)) as own, db.connect(prepare_threshold=None) as connection:
            connection.execute("PREPARE p (int) AS INSERT INTO users (id, email) VALUES ($1, 'planted-b')")
            connection.execute("EXECUTE p (2)")
            (rotated,) = rotate_deks(store_of(db, own), sleep=lambda _: None)
            eventually(lambda: db.running.proxy.world.keyring is not before)
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="under another key"):
                connection.execute("EXECUTE p (3)")
        assert keys_of_values(db) == [rotated.old_id, rotated.old_id]

    def test_without_keys_they_fail(self, db: ProtectedDatabase, clock: Clock, switch: Switched) -> None:
        with db.connect(prepare_threshold=0) as connection:
            connection.execute(self.SQL, [2])
            switch.is_off = True
            clock.added += TTL_S + 1
            for _ in range(2):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(self.SQL, [3])
                assert caught.value.sqlstate == "58030"
            switch.is_off = False
            clock.added += 5
            eventually(lambda: code_of(connection, SELECT) == "")
            connection.execute(self.SQL, [4])


def test_a_new_kek_under_a_running_proxy(db: ProtectedDatabase, clock: Clock, tmp_path: Path) -> None:
    """Rules that name both first, then `rotate kek`, then rules that name the new one only: nothing is noticed."""
    FileProvider.create(tmp_path / "new.kek")
    world, text = db.running.proxy.world, db.rules.read_text()
    both = re.sub(
        "keyring: .*",
        "keyring: {provider: file, path: new.kek, previous: [{provider: file, path: keyring.kek}]}",
        text,
    )

    def reload(rules: str) -> None:
        db.rules.write_text(rules)
        before = world.keyring
        asyncio.run_coroutine_threadsafe(db.running.proxy.reload(), db.running._loop).result(timeout=10)
        assert world.keyring is not before

    with db.connect() as connection, connect(db.server.dsn(db.name)) as own:
        reload(both)
        before = world.keyring
        assert rotate_kek(KeyringStore(own, FileProvider(tmp_path / "new.kek"), [FileProvider(db.kek)])) == 2
        eventually(lambda: world.keyring is not before)
        db.kek.unlink()
        reload(re.sub("keyring: .*", "keyring: {provider: file, path: new.kek}", text))
        assert connection.execute(SELECT.encode()).fetchall() == [("planted-a",)]
        assert code_of(connection, INSERT) == ""


def test_a_search_by_an_index_key_that_is_not_here_fails_and_does_not_miss(
    db: ProtectedDatabase, switch: Switched
) -> None:
    switch.is_off = True
    with connect(db.server.dsn(db.name)) as own, db.connect(prepare_threshold=None) as connection:
        rotate_index_key(KeyringStore(own, FileProvider(db.kek)))
        assert connection.execute(SEARCH.encode()).fetchall() == [(1,)]  # the column's terms are under the old one
        own.execute("UPDATE pgcrypt.columns SET index_generation = 2")
        own.execute("NOTIFY pgcrypt_catalog")
        eventually(lambda: code_of(connection, SEARCH) == "58030")
        assert code_of(connection, INSERT) == "58030"
        assert code_of(connection, SELECT) == ""
        switch.is_off = False
        eventually(lambda: code_of(connection, SEARCH) == "")
        assert code_of(connection, INSERT) == "23514"  # terms that the column's type does not take
