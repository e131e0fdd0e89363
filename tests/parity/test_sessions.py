"""What one session knows of others, and of itself: settings by role and database, isolation, prepared names, DDL."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator

import pytest

from pgcrypt_proxy.server.run import start
from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.proxies import settings_for
from tests.helpers.raw_peers import CLOSED, Pair, Peer, errors, kinds, rows
from tests.parity.conftest import Twins
from tests.session.conversations import bind, describe, execute, parse, query

Open = Callable[[], Pair]
PEOPLE = "SELECT id, email FROM people ORDER BY id"


def on_both(twins: Twins, *texts: str) -> None:
    for connect in (twins.plain, twins.sealed.direct):
        with connect() as connection:
            for text in texts:
                connection.execute(text.encode())


@pytest.fixture
def role(twins: Twins) -> Iterator[str]:
    on_both(
        twins,
        "DROP ROLE IF EXISTS somebody",
        "CREATE ROLE somebody LOGIN SUPERUSER",
        "CREATE SCHEMA somebody AUTHORIZATION somebody",
        "CREATE TABLE somebody.people (id int, email text)",
        "INSERT INTO somebody.people VALUES (7, 'plain')",
    )
    twins.sealed.running.refresh_catalog()
    yield "somebody"
    on_both(
        twins,
        f"ALTER DATABASE {twins.sealed.name} RESET ALL",
        "DROP SCHEMA somebody CASCADE",
        "DROP ROLE somebody",
    )
    twins.sealed.running.refresh_catalog()


class TestSettingsFromElsewhere:
    """The server applies them; what a name means follows."""

    @pytest.mark.parametrize("path", ["somebody", "public, somebody", "nosuch, public"])
    @pytest.mark.parametrize("owner", ["ROLE somebody", "DATABASE"])
    def test_search_path(self, twins: Twins, opened: Open, role: str, path: str, owner: str) -> None:
        name = owner if "ROLE" in owner else f"DATABASE {twins.sealed.name}"
        on_both(twins, f"ALTER {name} SET search_path = {path}")
        pair = opened()
        pair.start(user=role)
        for text in (PEOPLE, "SHOW search_path", "BEGIN; SET LOCAL search_path = public", PEOPLE, "ROLLBACK", PEOPLE):
            pair.ask(query(text))

    def test_the_users_own_schema(self, opened: Open, role: str) -> None:
        """By default the path begins with "$user"."""
        pair = opened()
        pair.start(user=role)
        for text in (
            PEOPLE,
            "SET ROLE postgres",
            PEOPLE,
            "BEGIN; SAVEPOINT a",
            "SET LOCAL ROLE somebody",
            PEOPLE,
            "ROLLBACK TO a",
            PEOPLE,
            "COMMIT",
            "RESET ROLE",
            PEOPLE,
            "SET SESSION AUTHORIZATION postgres",
            PEOPLE,
            "RESET SESSION AUTHORIZATION",
            PEOPLE,
            "DISCARD ALL",
            PEOPLE,
        ):
            pair.ask(query(text))

    def test_a_prepared_statement_follows(self, opened: Open, role: str) -> None:
        pair = opened()
        pair.start(user=role)
        pair.ask(parse("SELECT id FROM public.people ORDER BY id", "s"), bind(statement="s"), execute(), SYNC)
        pair.ask(query("SET search_path = public"))
        pair.ask(parse("SELECT id FROM people ORDER BY id", "p"), bind(statement="p"), execute(), SYNC)
        pair.ask(query("SET search_path = somebody"))
        pair.ask(bind(statement="p"), execute(), SYNC)

    def test_a_functions_own_path(self, twins: Twins, opened: Open, role: str) -> None:
        on_both(
            twins,
            "CREATE FUNCTION somebody.seen() RETURNS bigint LANGUAGE sql SET search_path = somebody"
            " AS 'SELECT count(*) FROM people'",
        )
        twins.sealed.running.refresh_catalog()
        pair = opened()
        pair.start()
        pair.say(query("SELECT somebody.seen()"))
        direct, proxied = (peer.hear() for peer in pair.peers)
        assert proxied == direct or [code for code, _ in errors(proxied)] == ["0A000"]
        pair.ask(query(PEOPLE))

    def test_warnings_before_the_connection_is_ready(self, twins: Twins, opened: Open, role: str) -> None:
        on_both(twins, "SET client_min_messages = error; ALTER ROLE somebody SET default_tablespace = 'nosuch'")
        pair = opened()
        heard = pair.start(user=role)
        assert "N" in kinds(heard)
        pair.ask(query("SELECT 1"))

    def test_a_login_trigger_speaks(self, twins: Twins, opened: Open) -> None:
        if twins.sealed.server.major_version < 17:
            pytest.skip("not applicable: login triggers came with PostgreSQL 17")
        on_both(
            twins,
            "CREATE FUNCTION hello() RETURNS event_trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE NOTICE 'hello %', session_user; END $$",
            "CREATE EVENT TRIGGER hello ON login EXECUTE FUNCTION hello()",
        )
        try:
            assert "N" in kinds(opened().start())
        finally:
            on_both(twins, "DROP EVENT TRIGGER hello", "DROP FUNCTION hello")


class TestIsolation:
    def two(self, opened: Open) -> tuple[Pair, Pair]:
        one, other = opened(), opened()
        for pair in (one, other):
            pair.start()
        return one, other

    def test_serialization_failures(self, opened: Open) -> None:
        one, other = self.two(opened)
        for pair in (one, other):
            pair.ask(query("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM people WHERE email IS NULL"))
        one.ask(query("INSERT INTO people (id, email) VALUES (600, 'planted-one'); COMMIT"))
        heard = other.ask(query("UPDATE people SET email = 'planted-other' WHERE email IS NULL; COMMIT"))
        heard = heard if errors(heard) else other.ask(query("SELECT 1"))
        repeat = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM people"
        other.ask(query("ROLLBACK"))
        other.ask(query(repeat))
        one.ask(query("UPDATE people SET name = 'x' WHERE id = 1"))
        heard = other.ask(query("UPDATE people SET email = 'planted-z' WHERE email = 'planted-ann'"))
        assert errors(heard)[0][0] == "40001"
        other.ask(query("ROLLBACK"))

    def test_deadlocks(self, opened: Open) -> None:
        one, other = self.two(opened)
        update = "UPDATE people SET email = 'planted-dead' || '' WHERE id = {}".replace(" || ''", "")
        one.ignored = other.ignored = frozenset("FLRDW")  # process ids
        one.ask(query("SET deadlock_timeout = '10s'; BEGIN; " + update.format(1)))
        other.ask(query("SET deadlock_timeout = '50ms'; BEGIN; UPDATE people SET name = 'y' WHERE id = 2"))
        one.say(query("UPDATE people SET name = 'y' WHERE id = 2"))
        heard = other.ask(query("UPDATE people SET email = NULL WHERE id = 1"))
        assert errors(heard)[0][0] == "40P01"
        one.hear()
        for pair in (one, other):
            pair.ask(query("ROLLBACK"))

    def test_locks_are_waited_for(self, opened: Open) -> None:
        one, other = self.two(opened)
        one.ask(query("BEGIN; SELECT email FROM people WHERE email = 'planted-ann' FOR UPDATE"))
        heard = other.ask(query("SELECT email FROM people WHERE id = 1 FOR UPDATE NOWAIT"))
        assert errors(heard)[0][0] == "55P03"
        other.ask(query("SELECT email FROM people ORDER BY id FOR UPDATE SKIP LOCKED"))
        one.ask(query("COMMIT"))


def test_prepared_statements_outlive_a_rollback(pair: Pair) -> None:
    pair.ask(query("BEGIN"))
    pair.ask(parse("SELECT email FROM people WHERE id = $1", "kept"), SYNC)
    pair.ask(query("PREPARE also(int) AS SELECT email FROM people WHERE id = $1; SELECT 1/0"))
    pair.ask(parse("SELECT 1", "never"), SYNC)
    pair.ask(query("ROLLBACK"))
    pair.ask(bind(b"1", statement="kept"), execute(), bind(b"2", statement="also"), describe(), execute(), SYNC)
    pair.ask(query("EXECUTE also(1); DEALLOCATE also; DEALLOCATE kept"))
    pair.ask(query("PREPARE also(text) AS SELECT id FROM people WHERE email = $1; EXECUTE also('planted-ann')"))
    pair.ask(
        parse("SELECT id FROM people WHERE email = $1", "kept"), bind(b"planted-bob", statement="kept"), execute(), SYNC
    )


def test_nobody_listens_upstream(twins: Twins) -> None:
    """The proxy runs, and its server does not take clients: an error that libpq can read, and the end."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        running = start(settings_for(twins.sealed.server, twins.sealed.name, twins.sealed.rules))
        try:
            upstream = running.proxy.listener._upstream
            upstream.address = dataclasses.replace(upstream.address, host="127.0.0.1", port=taken.getsockname()[1])
            peer = Peer(dataclasses.replace(twins.proxied, address=("127.0.0.1", running.port)))
            heard = peer.start()
            assert errors(heard)[0][0] == "08006"
            assert heard[-1] == CLOSED
            peer.close()
        finally:
            running.stop()


def test_a_name_prepared_again_with_other_types(pair: Pair) -> None:
    for table, value in (("people", "planted-ann"), ("items", "one")):
        column = "email" if table == "people" else "name"
        text = f"SELECT {column} FROM {table} WHERE {column} = $1"
        pair.ask(query(f"PREPARE again(text) AS {text}; EXECUTE again('{value}')"))
        pair.ask(bind(value.encode(), statement="again"), describe(), execute(), SYNC)
        pair.ask(query(f"DEALLOCATE again; PREPARE again(int) AS SELECT id FROM {table} WHERE id = $1"))
        pair.ask(bind(b"2", statement="again"), describe(), execute(), SYNC)
        pair.ask(query("EXECUTE again(1); DEALLOCATE again"))


def test_a_cursor_that_a_function_opened_shows_no_envelope(twins: Twins, pair: Pair) -> None:
    on_both(
        twins,
        "CREATE OR REPLACE FUNCTION opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS"
        " $$ BEGIN OPEN c FOR SELECT email FROM people ORDER BY id; RETURN c; END $$",
    )
    twins.sealed.running.refresh_catalog()
    try:
        pair.ask(query("BEGIN"))
        pair.say(query("SELECT opened('c')"), query("FETCH ALL FROM c"), query("ROLLBACK"))
        direct, proxied = (peer.hear(count=3) for peer in pair.peers)
        assert rows(direct)[1:] == [[b"planted-ann"], [b"planted-bob"], [None]]
        assert proxied == direct or errors(proxied)[0][0] == "0A000"
        pair.ask(query(PEOPLE))
    finally:
        on_both(twins, "DROP FUNCTION opened")
        twins.sealed.running.refresh_catalog()
