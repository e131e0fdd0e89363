"""A protected table by every name, in every statement that could take it for another: answered as plain, or refused.

What is refused has changed nothing, and none of it is anywhere on the server.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgcrypt_proxy.wire.frontend import SYNC, Query
from tests.helpers import servers
from tests.helpers.leaks import traces
from tests.helpers.proxies import protected
from tests.helpers.raw_peers import Pair, errors, kinds
from tests.parity.conftest import Twins, places
from tests.session.conversations import bind, describe, execute, parse, query

pytestmark = pytest.mark.integration

LONG = "a_name_of_sixty_three_bytes_" + "x" * 35
assert len(LONG) == 63
SCHEMA = f"""
CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, name text, "é" text, {LONG} text);
CREATE TABLE "People" (id int, "Email" text);
CREATE SCHEMA other;
CREATE TABLE other.people (id int, email text);
CREATE ROLE nobody_reads;
GRANT USAGE ON SCHEMA other TO nobody_reads;
"""
COLUMNS = f"""
{{table: people, column: email, type: text, search: [equality]}}
{{table: people, column: "é", type: text}}
{{table: people, column: {LONG}, type: text, search: [equality]}}
"""
FILL = "INSERT INTO people VALUES (1, 'secret-ann', 'Ann', 'secret-e', 'secret-long'), (2, NULL, 'Bob', '', NULL)"
TWO_PHASE = {"max_prepared_transactions": "5"}
STATE = 'SELECT * FROM public.people ORDER BY id; SELECT * FROM other.people; SELECT * FROM "People"'


@pytest.fixture(scope="module")
def shared_twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """On servers of their own, so that the whole of one can be searched for what was planted."""
    folder, flavour = tmp_path_factory.mktemp("spellings"), servers.chosen_flavour()
    with (
        servers.running(flavour, TWO_PHASE) as sealed_server,
        servers.running(flavour, TWO_PHASE) as plain_server,
        protected(sealed_server, folder, SCHEMA, COLUMNS) as sealed,
    ):
        with plain_server.connect() as connection:
            connection.execute(f"CREATE DATABASE {sealed.name}".encode())
        with plain_server.connect(sealed.name) as connection:
            connection.execute(SCHEMA.encode())
        yield Twins(sealed, plain_server, *places(sealed, plain_server))
        assert traces(sealed_server, "secret-") == []


@pytest.fixture
def twins(shared_twins: Twins) -> Twins:
    for connect in (shared_twins.sealed.connect, shared_twins.plain):
        with connect() as connection:
            connection.execute(b'TRUNCATE people; TRUNCATE other.people; TRUNCATE "People"; ' + FILL.encode())
    return shared_twins


def same_or_refused(pair: Pair, text: str | bytes) -> bool:
    """Whether it was answered, as the plain twin did; else it was refused, and all is as it was."""
    pair.ask(query(STATE))
    before = pair.proxied.raw[-50:]
    raw = Query(text if isinstance(text, bytes) else text.encode()).encode()
    pair.say(raw)
    direct, proxied = (peer.hear() for peer in pair.peers)
    if [code for code, _ in errors(proxied)] != ["0A000"] or errors(direct) == errors(proxied):
        is_unparsable = any(code == "42601" for code, _ in errors(proxied))
        pair.ignored = frozenset("FLRDPMH" if is_unparsable else "FLRDP")
        pair.same(direct, proxied)
        pair.ask(query("RESET ALL"))
        pair.ask(query(STATE))
        return True
    pair.proxied.say(query("ROLLBACK"))
    pair.proxied.hear()
    pair.proxied.raw.clear()
    pair.proxied.say(query(STATE))
    pair.proxied.hear()
    assert pair.proxied.raw == before[-len(pair.proxied.raw) :]
    return False


NAMES = [
    'SELECT "email" FROM "people" ORDER BY id',
    "SELECT EMAIL, People.Email, pUBLIC . PEOPLE . eMAIL FROM PEOPLE ORDER BY ID",
    "SELECT\temail\fFROM\vpeople\rORDER\nBY id",
    "SELECT email/**/FROM/**/people/**/ORDER/**/BY id",
    'SELECT "EMAIL" FROM people',
    'SELECT "email " FROM people',
    'SELECT "Email" FROM "People"',
    'INSERT INTO "People" ("Email") VALUES (\'plain\')',
    "INSERT INTO PEOPLE (ID, \"email\") VALUES (5, 'secret-5')",
    f"SELECT {LONG}_and_more FROM people ORDER BY id",
    f"INSERT INTO people (id, {LONG}yyy) VALUES (5, 'secret-5') RETURNING {LONG}zz",
    f"SELECT id FROM people WHERE {LONG}yyy = 'secret-long'",
    f"SELECT {'p' * 63}.email FROM people AS {'p' * 80} ORDER BY id",
    f'SELECT "{LONG}é" FROM people ORDER BY id',
    'SELECT U&"\\0065mail" FROM U&"p\\0065ople" ORDER BY id',
    "SELECT U&\"!0065mail\" UESCAPE '!' FROM people ORDER BY id",
    'UPDATE U&"\\+000070eople" SET U&"\\0065mail" = \'secret-u\' WHERE id = 1',
    'SELECT "é", é FROM people ORDER BY id',
    'SELECT "e\u0301" FROM people',
    "SELECT É FROM people",
    "SELECT EMA\u0130L FROM people",
    "SELECT ema\u0131l FROM people",
    "SELECT email FROM public.people ORDER BY id",
    "SELECT email FROM nosuch.public.people",
    "SELECT email FROM other.people",
    "INSERT INTO other.people VALUES (1, 'plain')",
    "SELECT email FROM ONLY people ORDER BY id",
    "SELECT email FROM ONLY (people) ORDER BY id",
    "SELECT email FROM people * ORDER BY id",
    "TABLE people ORDER BY id",
    "TABLE ONLY people ORDER BY id",
    "UPDATE ONLY people SET email = 'secret-only' WHERE id = 1 RETURNING *",
    "DELETE FROM people * WHERE email = 'secret-ann'",
    "SELECT email FROM people p(a, b, c) WHERE b = 'secret-ann'",
    "SELECT b FROM people p(a, b, c) WHERE b = 'secret-ann'",
]


@pytest.mark.parametrize("text", NAMES)
def test_names(pair: Pair, text: str) -> None:
    same_or_refused(pair, text)
    pair.ignored = frozenset("FLRDP")
    pair.say(parse(text), describe("S"), bind(), execute(), SYNC)
    direct, proxied = (peer.hear() for peer in pair.peers)
    assert kinds(proxied) == kinds(direct) or [code for code, _ in errors(proxied)] == ["0A000"]


PATHS = [
    "SET search_path = other; SELECT email FROM people",
    "SET search_path = other, public; INSERT INTO people VALUES (7, 'plain')",
    "SET search_path = nosuch, public; INSERT INTO people VALUES (7, 'secret-7')",
    "BEGIN; SET LOCAL search_path = other; INSERT INTO people VALUES (7, 'plain'); COMMIT",
    "SELECT set_config('search_path', 'other', false); INSERT INTO people VALUES (7, 'secret-7')",
    "WITH s AS MATERIALIZED (SELECT set_config('search_path', 'other', false)) SELECT email FROM people, s ORDER BY id",
    "CREATE TEMP TABLE people (id int, email text); INSERT INTO people VALUES (1, 'secret-temp'); DROP TABLE people",
    "CREATE TEMP TABLE people (id int, email text)",
    "ALTER SCHEMA other RENAME TO was_other",
]


@pytest.mark.parametrize("text", PATHS)
def test_paths(pair: Pair, text: str) -> None:
    pair.ask(query("BEGIN"))
    pair.ignored = frozenset("FLRDP")
    pair.say(query(text))
    direct, proxied = (peer.hear() for peer in pair.peers)
    refused = [code for code, _ in errors(proxied)] == ["0A000"]
    if not refused:
        pair.same(direct, proxied)
        pair.ask(query("SELECT * FROM people"))
        pair.ask(query("SELECT email FROM public.people ORDER BY id; SELECT * FROM pg_temp.people"))
    for peer in pair.peers:
        peer.say(query("ROLLBACK"), query("RESET ALL"), query("DISCARD TEMP"))
        peer.hear(count=3)
    pair.ask(query("SELECT * FROM people ORDER BY id"))


@pytest.mark.parametrize("way", ["queries", "one batch", "batches"])
def test_a_path_that_changes_in_a_pipeline(pair: Pair, way: str) -> None:
    """Nobody waits for an answer: what the name means is asked where it will be looked up."""
    texts = [
        "SET search_path = other",
        "INSERT INTO people VALUES (7, 'plain')",
        "SET search_path = public, other",
        "INSERT INTO people (id, email) VALUES (7, 'secret-7')",
        "SELECT id, email FROM people ORDER BY id",
        "SELECT set_config('search_path', 'other', false)",
        "SELECT id, email FROM people ORDER BY id",
    ]
    if way == "queries":
        pair.ask(*map(query, texts), count=len(texts))
    else:
        end = SYNC if way == "batches" else b""
        parts = [parse(text) + bind() + describe() + execute() + end for text in texts]
        pair.ask(*parts, b"" if end else SYNC, count=len(texts) if end else 1)
    pair.ask(query("RESET search_path"))
    pair.ask(query(STATE))


def test_a_temporary_table_of_the_name_is_not_made(pair: Pair) -> None:
    """From then on the name would mean another table, in this session only."""
    for text in (
        "CREATE TEMP TABLE people (id int, email text)",
        "CREATE TEMP TABLE people AS SELECT 1 AS id, 'plain' AS email",
        "SELECT 1 AS id INTO TEMP people",
        "CREATE TEMP VIEW people AS SELECT 1 AS id",
    ):
        pair.proxied.say(query(text))
        assert [code for code, _ in errors(pair.proxied.hear())] == ["0A000"], text
    pair.ask(query("SELECT email FROM people ORDER BY id"))


WRITES = [
    "INSERT INTO people (id, email) SELECT 8, 'secret-8'",
    "INSERT INTO people (id, email) SELECT id + 10, name FROM people",
    "INSERT INTO people (id, name) SELECT id + 10, email FROM people",
    "INSERT INTO other.people (id, email) SELECT id, email FROM people",
    "UPDATE people SET email = name",
    "UPDATE people SET name = email",
    "UPDATE people SET email = email || 'secret'",
    "UPDATE people SET (email, name) = ('secret-2', 'x') WHERE id = 1",
    "UPDATE people SET (email, name) = ROW('secret-2', 'x') WHERE id = 1",
    "UPDATE people SET (email, name) = (SELECT 'secret-2', 'x') WHERE id = 1",
    "UPDATE people SET (email, name) = (SELECT name, email FROM people q WHERE q.id = 1) WHERE id = 1",
    "MERGE INTO people USING (VALUES (1, 'secret-m'), (9, 'secret-n')) v(i, e) ON id = i"
    " WHEN MATCHED THEN UPDATE SET email = e WHEN NOT MATCHED THEN INSERT (id, email) VALUES (i, e)",
    "WITH n AS (INSERT INTO people (id, email) VALUES (9, 'secret-w') RETURNING email) SELECT * FROM n",
    "INSERT INTO people (id, email) VALUES (1, 'secret-c') ON CONFLICT (id) DO UPDATE SET email = excluded.email"
    " RETURNING email",
    "INSERT INTO people (id, email) VALUES (3, 'secret-ann') ON CONFLICT (email) DO NOTHING",
    "SELECT 1; UPDATE people SET email = 'secret-44' WHERE id = 1; SELECT 2",
    "DO $$ BEGIN INSERT INTO public.people (id, email) VALUES (77, 'secret-do'); END $$",
    "DO 'BEGIN INSERT INTO U&\"p\\0065ople\" (id, email) VALUES (77, ''secret-do''); END'",
    "INSERT INTO people (id, email) VALUES (9, 'secret-a\\'), (10, 'secret-b')",
    "SELECT $a$ people $b$ $a$, /* /* people */ email */ email FROM people -- ' people\r ORDER BY id",
    "SELECT email FROM people -- ORDER BY nosuch\r WHERE false\n ORDER BY id",
    "SET standard_conforming_strings = off; INSERT INTO people (id, email) VALUES (9, 'secret-\\'), (10, ''')",
    "SELECT people FROM people",
    "SELECT row_to_json(people) FROM people",
    "SELECT to_jsonb(p), p.* FROM people p",
    "SELECT array_agg(p ORDER BY id) FROM people p",
    "SELECT string_agg(email, ',' ORDER BY id) FROM people",
    "SELECT xmlforest(email) FROM people",
    "SELECT (people).email, (people).* FROM people ORDER BY id",
    "UPDATE people SET email = 'secret-r' WHERE id = 1 RETURNING people",
    "UPDATE people SET email = 'secret-r' WHERE id = 1 RETURNING *, email || ''",
    "DELETE FROM people WHERE id = 1 RETURNING *",
    "COPY (FETCH 1 FROM c) TO STDOUT",
    "SELECT email FROM people UNION ALL SELECT name FROM people ORDER BY 1",
    "SELECT CASE WHEN id = 1 THEN email ELSE name END FROM people",
    "SELECT email FROM people NATURAL JOIN other.people",
    "SELECT p.email FROM people p JOIN other.people o USING (email)",
    "SELECT email FROM (SELECT 'plain' AS email) people",
    "WITH people AS (SELECT 'plain' AS email) SELECT email FROM people WHERE email = 'plain'",
    "SET ROLE nobody_reads; SELECT email FROM people",
    "SET ROLE nobody_reads; UPDATE people SET email = 'secret-role'",
]


@pytest.mark.parametrize("text", WRITES)
def test_statements(pair: Pair, text: str) -> None:
    same_or_refused(pair, text)
    pair.ask(query("RESET ROLE; SELECT 1"))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfSELECT email FROM people",
        b"SELECT email FROM people WHERE email = '\xc0\xa7'",
        b"SELECT email FROM people WHERE email = '\xed\xa0\x80'",
        b"SELECT email FROM people WHERE email = 'secret-\xff'",
        b"INSERT INTO peopl\xc3 VALUES (1)",
        b"SELECT '\xbf\x27; SELECT email FROM people --'",
        b"SELECT '\xf8\x88\x80\x80\x80' FROM people",
        b"SELECT email\xc2\xa0FROM people",
        b"SELECT email FROM people \xe3\x80\x80",
    ],
)
def test_bytes_that_two_readers_could_read_differently(pair: Pair, text: bytes) -> None:
    pair.ignored = frozenset("FLRDPMH")
    pair.ask(Query(text).encode())


def test_long_comments(pair: Pair) -> None:
    """They are read as far as statements may be long; behind that, nothing of the statement is sent."""
    insert = "INSERT INTO people (id, email) VALUES ({}, 'secret-comment')"
    assert kinds(pair.ask(query(f"/*{'x' * 1_000_000}*/ {insert.format(20)} ON CONFLICT DO NOTHING"))) == "CZ"
    pair.proxied.say(query(f"/*{'x' * (1 << 20)}*/ {insert.format(21)}"))
    assert [code for code, _ in errors(pair.proxied.hear())] == ["54001"]
    pair.ask(query("SELECT id, email FROM people ORDER BY id"))


def test_two_phases(pair: Pair, opened: object, twins: Twins) -> None:
    pair.ask(query("BEGIN; INSERT INTO people (id, email) VALUES (30, 'secret-two'); PREPARE TRANSACTION 'both'"))
    pair.ask(query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"))
    other = twins.pair()
    other.start()
    assert kinds(other.ask(query("COMMIT PREPARED 'both'"))) == "CZ"
    other.ask(query("SELECT email FROM people WHERE email = 'secret-two'"))
    other.ask(query("BEGIN; DELETE FROM people WHERE email = 'secret-two'; PREPARE TRANSACTION 'gone'"))
    other.close()
    assert kinds(pair.ask(query("ROLLBACK PREPARED 'gone'"))) == "CZ"
    pair.ask(query("SELECT email FROM people WHERE email = 'secret-two'"))


def test_code_that_builds_its_statements_is_refused(pair: Pair) -> None:
    text = "DO $$ BEGIN EXECUTE 'INSERT INTO peo' || 'ple (id, email) VALUES (90, ''secret-built'')'; END $$"
    pair.proxied.say(query(text))
    assert [code for code, _ in errors(pair.proxied.hear())] == ["0A000"]


def test_explain_shows_envelopes_only(pair: Pair) -> None:
    for text in (
        "SELECT * FROM people WHERE email = 'secret-explained'",
        "UPDATE people SET email = 'secret-explained' WHERE email = 'secret-other'",
        "INSERT INTO people (id, email) VALUES (91, 'secret-explained')",
    ):
        pair.proxied.raw.clear()
        pair.proxied.say(query(f"BEGIN; EXPLAIN (ANALYZE, VERBOSE) {text}"))
        pair.proxied.say(query("ROLLBACK"))
        assert errors(pair.proxied.hear(count=2)) == []
        assert b"secret-" not in b"".join(pair.proxied.raw)
