"""The shared world follows the database and the rule files, and fails closed when they disagree."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from pgcrypt_proxy.ops import catalog_loader, catalog_lookup
from pgcrypt_proxy.server.key_keeper import SEALS_AT_ONCE
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text, name text)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as made:
        yield made


def eventually(check: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def refusal_of(connection: psycopg.Connection, sql: str) -> str:
    try:
        connection.execute(sql)  # type: ignore[arg-type]
    except psycopg.Error as error:
        return error.sqlstate or ""
    return ""


def test_a_view_made_on_a_direct_connection_is_noticed(db: ProtectedDatabase) -> None:
    with db.connect() as connection, db.direct() as direct:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
        direct.execute("CREATE VIEW mail AS SELECT email FROM users ORDER BY email")
        eventually(lambda: refusal_of(connection, "SELECT * FROM mail") == "0A000")


def test_a_renamed_column_stays_protected(db: ProtectedDatabase) -> None:
    def answer(sql: str) -> str:
        with db.connect() as connection:
            code = refusal_of(connection, sql)
            # a result that contradicts the catalog ends the connection: never ciphertext
            return "08P01" if connection.closed and not code else code

    with db.connect() as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
    with db.direct() as direct:
        direct.execute("ALTER TABLE users RENAME COLUMN email TO mail")
        # the rule names a column that is not there any more: nothing passes until the rules agree
        eventually(lambda: answer("SELECT mail FROM users") == "55000")
        assert answer("SELECT 1") == "55000"
        direct.execute("ALTER TABLE users RENAME COLUMN mail TO email")
        eventually(lambda: answer("SELECT email FROM users") == "")
    with db.connect() as connection:
        assert connection.execute("SELECT email FROM users").fetchall() == [("a@x",)]


def test_rules_are_reloaded_or_stay_as_they_were(db: ProtectedDatabase) -> None:
    world = db.running.proxy.world

    def reload() -> None:
        asyncio.run_coroutine_threadsafe(db.running.proxy.reload(), db.running._loop).result(timeout=10)

    good = db.rules.read_text()
    before = world.planner
    db.rules.write_text(good + "  - {table: users, column: nam, type: text}\n")
    reload()
    assert world.planner is before
    db.rules.write_text("nonsense")
    reload()
    assert world.planner is before
    db.rules.write_text(good)
    reload()
    assert world.planner is not before
    with db.connect() as connection:
        connection.execute("INSERT INTO users VALUES (2, 'b@x', 'B')")
        assert connection.execute("SELECT email FROM users WHERE email = 'b@x'").fetchall() == [("b@x",)]


def test_keys_past_their_time_fail_sealed_statements_only(postgres: PostgresServer, tmp_path: Path) -> None:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db, db.connect() as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
        keyring = db.running.proxy.world.keyring
        held = keyring.expires_at
        keyring.expires_at = 0.0
        # upkeep renews the keys at once; until then sealed statements say 58030
        code = refusal_of(connection, "SELECT email FROM users WHERE email = 'a@x'")
        assert code in ("", "58030")
        assert refusal_of(connection, "SELECT name FROM users") == ""
        eventually(lambda: refusal_of(connection, "SELECT email FROM users") == "")
        assert db.running.proxy.world.keyring is not keyring
        assert held > 0


def test_grants_are_renewed_before_they_run_out(db: ProtectedDatabase) -> None:
    world = db.running.proxy.world
    dek = next(iter(world.keyring._active.values()))
    dek.granted = 3
    with db.connect() as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
        eventually(lambda: world.keyring.remaining_seals("default") > 1000)
        connection.execute("INSERT INTO users VALUES (2, 'b@x', 'B')")
    with db.direct() as direct:
        row = direct.execute("SELECT seals FROM pgcrypt.keyring WHERE kind = 'dek'").fetchone()
        assert row is not None
        assert row[0] >= 2 * SEALS_AT_ONCE


def test_the_proxy_comes_back_after_its_own_connection_is_lost(db: ProtectedDatabase) -> None:
    with db.direct() as direct, db.connect() as connection:
        direct.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgcrypt-proxy'"
            " AND datname = current_database()"
        )
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
        direct.execute("CREATE VIEW later AS SELECT email FROM users ORDER BY email")
        eventually(lambda: refusal_of(connection, "SELECT * FROM later") == "0A000", 10)


def test_a_connection_lost_in_the_middle_of_a_load_is_told_not_raised(
    db: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = db.running.proxy.world
    load = catalog_loader.load
    lost = []

    def lose(connection: psycopg.Connection, *arguments: object, **keywords: object) -> object:
        if not lost:
            lost.append(connection.info.backend_pid)
            with db.direct() as direct:
                direct.execute("SELECT pg_terminate_backend(%s)", [lost[0]])
            connection.execute("SELECT 1")  # raises AdminShutdown
        return load(connection, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(catalog_loader, "load", lose)

    def refresh() -> str | None:
        return asyncio.run_coroutine_threadsafe(world.refresh_catalog(), db.running._loop).result(timeout=10)

    assert refresh() == "the catalog could not be read"
    assert refresh() is None
    assert lost
    with db.connect() as connection:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")


def test_who_asks_when_a_load_is_just_done_gets_the_next_one(db: ProtectedDatabase) -> None:
    world = db.running.proxy.world

    async def ask() -> tuple[int, int]:
        await world.refresh_catalog()
        first = asyncio.ensure_future(world.refresh_catalog())
        await asyncio.sleep(0)
        loading = world._refreshing
        assert loading is not None
        while not loading.done():  # noqa: ASYNC110 - an Event would be heard of too late
            await asyncio.sleep(0)
        before = world._version
        await world.refresh_catalog()
        await first
        return before, world._version

    before, after = asyncio.run_coroutine_threadsafe(ask(), db.running._loop).result(timeout=10)
    assert after > before


def test_a_reload_that_fails_late_leaves_nothing_behind(db: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """DDL in the middle of it makes sessions load the catalog: by the rules in force, not by those to come."""
    world, seen = db.running.proxy.world, []
    with db.direct() as direct:
        direct.execute("CREATE FUNCTION tally() RETURNS bigint LANGUAGE sql AS 'SELECT count(email) FROM users'")

    async def refresh_then_fail(*_: object) -> object:
        seen.append(await world.refresh_catalog())
        raise KeyUnavailable("down")

    monkeypatch.setattr(world.keys, "make", refresh_then_fail)
    db.rules.write_text(db.rules.read_text() + "safe_functions: [public.tally]\n")
    reloading = asyncio.run_coroutine_threadsafe(db.running.proxy.reload(), db.running._loop)
    assert reloading.result(timeout=10) is False
    assert seen == [None]
    with db.connect() as connection:
        assert refusal_of(connection, "SELECT tally()") == "0A000"


def test_a_catalog_that_was_being_loaded_when_the_rules_changed_is_loaded_anew(
    db: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, proxy = db.running.proxy.world, db.running.proxy
    with db.direct() as direct:
        direct.execute("CREATE FUNCTION tally() RETURNS bigint LANGUAGE sql AS 'SELECT count(email) FROM users'")
    db.rules.write_text(db.rules.read_text() + "safe_functions: [public.tally]\n")

    async def change() -> None:
        prepared = await proxy.prepare(proxy.settings)
        loading = asyncio.ensure_future(world.refresh_catalog())
        await asyncio.sleep(0)  # it has the old rules now
        proxy.put(prepared)
        await loading

    asyncio.run_coroutine_threadsafe(change(), db.running._loop).result(timeout=10)
    with db.connect() as connection:
        assert refusal_of(connection, "SELECT tally()") == ""


@pytest.fixture
def held_loads(db: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No load of the catalog gets on until the event is set."""
    load, may_load = catalog_loader.load, threading.Event()

    def wait(*arguments: object, **keywords: object) -> object:
        assert may_load.wait(timeout=60)
        return load(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(catalog_loader, "load", wait)
    yield may_load
    may_load.set()


def test_plain_tables_do_not_wait_for_a_load(db: ProtectedDatabase, held_loads: threading.Event) -> None:
    with db.connect() as connection:
        connection.execute("CREATE TABLE plain (id int PRIMARY KEY, email text)")
        connection.execute("INSERT INTO plain VALUES (1, 'a@x')")
        assert connection.execute("SELECT email FROM plain").fetchall() == [("a@x",)]
        assert refusal_of(connection, "SELECT * FROM nothing") == "42P01"


def test_a_new_view_waits_for_a_load(db: ProtectedDatabase, held_loads: threading.Event) -> None:
    with db.connect() as connection, db.direct() as direct, ThreadPoolExecutor(1) as thread:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
        direct.execute("CREATE VIEW mail AS SELECT email FROM users ORDER BY email")
        answer = thread.submit(refusal_of, connection, "SELECT * FROM mail")
        with pytest.raises(TimeoutError):
            answer.result(timeout=1)
        held_loads.set()
        assert answer.result(timeout=10) == "0A000"


def test_a_lookup_that_fails_loads_the_catalog(db: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise ConfigError("the server is gone")

    monkeypatch.setattr(catalog_lookup, "matters", fail)
    with db.connect() as connection, db.direct() as direct:
        before = db.running.proxy.world._version
        direct.execute("SET session_replication_role TO replica")  # no event trigger tells of the view
        direct.execute("CREATE VIEW mail AS SELECT email FROM users ORDER BY email")
        assert refusal_of(connection, "SELECT * FROM mail") == "0A000"
        assert db.running.proxy.world._version > before


def test_a_long_text_never_rides_on_an_old_catalog(db: ProtectedDatabase) -> None:
    filler = "/*" + "x" * (1 << 20) + "*/"
    with db.connect() as connection, db.direct() as direct:
        connection.execute("INSERT INTO users VALUES (1, 'a@x', 'A')")
        direct.execute("SET session_replication_role TO replica")  # no event trigger tells of the view
        assert refusal_of(connection, f"SELECT 1 {filler}") == ""
        direct.execute("CREATE VIEW mail AS SELECT email FROM users")
        assert refusal_of(connection, f"SELECT * FROM mail {filler}") == "54001"


def test_loads_that_nobody_waits_for_are_one(db: ProtectedDatabase) -> None:
    world = db.running.proxy.world

    async def want() -> tuple[int, int]:
        await world.want_catalog()
        before = world._version
        wanted = {world.want_catalog() for _ in range(20)}
        await asyncio.gather(*wanted)
        return len(wanted), world._version - before

    wanted, loads = asyncio.run_coroutine_threadsafe(want(), db.running._loop).result(timeout=10)
    assert wanted == 1
    assert loads in (1, 2)  # upkeep may have heard of something meanwhile


def test_what_is_wanted_in_the_middle_of_a_load_gets_the_next_one(
    db: ProtectedDatabase, held_loads: threading.Event
) -> None:
    world = db.running.proxy.world

    async def want() -> tuple[int, int]:
        first = world.want_catalog()
        while world._refreshing is None or world._refreshing.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        second = world.want_catalog()
        held_loads.set()
        await first
        before = world._version
        await second
        return before, world._version

    before, after = asyncio.run_coroutine_threadsafe(want(), db.running._loop).result(timeout=10)
    assert after > before
