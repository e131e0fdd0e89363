"""Query messages: several statements, transactions, errors and their positions, results of every shape."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.wire.frontend import SYNC, Query
from tests.helpers.raw_peers import Pair, errors, kinds, rows
from tests.parity.conftest import Twins
from tests.session.conversations import bind, execute, parse, query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "IZ"),
        (";;", "IZ"),
        ("  -- nothing\n", "IZ"),
        ("/* nothing */;", "IZ"),
        ("SELECT 1; SELECT 2", "TDCTDCZ"),
        ("SELECT 1;; ; SELECT 2;", "TDCTDCZ"),
        ("SELECT 1; SELECT 1/0; SELECT 3", "TDCEZ"),
        ("SELECT FROM items", "TDDDCZ"),
        ("SELECT id FROM items WHERE false", "TCZ"),
        ("DO $$ BEGIN RAISE NOTICE 'said % %', 1, E'ä\\n'; END $$", "NCZ"),
        ("SELECT nosuch", "EZ"),
        ("SELEC 1", "EZ"),
        ("SELECT 'not ended", "EZ"),
        ("SELECT 'ä', nosuch", "EZ"),
        ("SELECT 1; SELECT 'ö' nosuch bad", "EZ"),
        ("INSERT INTO items VALUES (9, NULL)", "EZ"),
        ("INSERT INTO items VALUES (1, 'again')", "EZ"),
        ("INSERT INTO items VALUES (8, 'x'), (9, 'y') RETURNING *", "TDDCZ"),
        ("WITH n AS (UPDATE items SET name = name || '!' RETURNING *) SELECT count(*) FROM n", "TDCZ"),
        (
            "MERGE INTO items USING (VALUES (1), (7)) v(i) ON id = i WHEN MATCHED THEN DELETE"
            " WHEN NOT MATCHED THEN INSERT VALUES (i, 'new')",
            "CZ",
        ),
        ("EXPLAIN (COSTS OFF) SELECT * FROM items WHERE id = 1", "TDDCZ"),
        ("SHOW server_version; SET application_name = 'x'; SHOW application_name", "TDCCTDCSZ"),
        ("CREATE TEMP TABLE mine (a int); INSERT INTO mine VALUES (1); SELECT * FROM mine", "CCTDCZ"),
        ("VALUES (1::int8, 1.5::numeric(4,1), 'x'::varchar(9), '{1,2}'::int[], true, 'b'::bytea, NULL)", "TDCZ"),
        (
            "SELECT '{\"a\": 1}'::jsonb, '2024-01-01'::date, now() - now(),"
            " '00000000-0000-0000-0000-000000000001'::uuid, 'NaN'::float8, 'infinity'::timestamptz",
            "TDCZ",
        ),
        ("LISTEN here; NOTIFY here, 'payload ä'; UNLISTEN *", "CCCZ"),
    ],
)
def test_one_text(pair: Pair, text: str, expected: str) -> None:
    assert kinds(pair.ask(query(text))) == expected
    assert kinds(pair.ask(query("SELECT * FROM items ORDER BY id"))).endswith("Z")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, email, ssn, score FROM people ORDER BY id",
        "SELECT * FROM people p ORDER BY id",
        "SELECT email e, email, p.email FROM people p WHERE email = 'planted-ann'",
        "SELECT count(*), count(email) FROM people WHERE ssn IS NULL",
        "INSERT INTO people VALUES (8, 'planted-new', E'a\\'b', $$9-9$$, 12.3) RETURNING *",
        "INSERT INTO people (id, email) VALUES (9, 'planted-x'), (10, NULL), (11, '') RETURNING email, id",
        "UPDATE people SET email = 'planted-zoe', name = 'Zoë' WHERE email = 'planted-bob' RETURNING id, email",
        "DELETE FROM people WHERE email IN ('planted-ann', 'planted-none') RETURNING email",
        "SELECT 1; SELECT email FROM people WHERE id = 1; SELECT 2",
        "SELECT email FROM people WHERE id = 1; SELECT 1/0",
        "SELECT email FROM people WHERE false",
        "/* one */ SELECT email /* two */ FROM people -- three\n WHERE id = 2",
        "SELECT 'ä', nosuch, email FROM people WHERE email = 'planted-ann'",
        "SELECT email FROM people WHERE email = 'planted-ann' AND nosuch = 1",
        "SELECT p.email, q.email FROM people p JOIN people q USING (email) ORDER BY p.id",
        "SELECT email FROM people WHERE U&'planted\\002Dann' = email",
    ],
)
def test_protected_columns_answer_as_plain_ones(pair: Pair, text: str) -> None:
    pair.ignored = frozenset("FLRD")  # a made-up error has no source, and none shows a value
    pair.ask(query(text))
    pair.ask(query("SELECT * FROM people ORDER BY id"))


@pytest.mark.parametrize(
    ("values", "sqlstate"),
    [
        ("'planted-ok', 'n', 'much too long for it', 1", "22001"),
        ("'planted-ok', 'n', 'x', 'no number'", "22P02"),
        ("'planted-ok', 'n', 'x', 123456.78", "22003"),
    ],
)
def test_bad_values_fail_as_on_the_server_but_are_not_repeated(pair: Pair, values: str, sqlstate: str) -> None:
    pair.ignored = frozenset("FLRDPM")
    heard = pair.ask(query(f"INSERT INTO people VALUES (20, {values})"))
    assert errors(heard)[0][0] == sqlstate
    assert b"no number" not in b"".join(pair.proxied.raw)
    pair.ask(query("SELECT * FROM people ORDER BY id"))


def test_errors_leave_the_transaction_failed(pair: Pair) -> None:
    assert pair.ask(query("BEGIN"))[-1] == ("Z", b"T")
    assert pair.ask(query("INSERT INTO items VALUES (50, 'x'); SELECT nosuch; COMMIT"))[-1] == ("Z", b"E")
    assert errors(pair.ask(query("SELECT 1"))) == [
        ("25P02", "current transaction is aborted, commands ignored until end of transaction block")
    ]
    assert pair.ask(query("ROLLBACK"))[-1] == ("Z", b"I")
    assert rows(pair.ask(query("SELECT id FROM items WHERE id = 50"))) == []


def test_an_implicit_transaction_becomes_the_block(pair: Pair) -> None:
    assert pair.ask(query("INSERT INTO items VALUES (50, 'x'); BEGIN; SELECT 1"))[-1] == ("Z", b"T")
    pair.ask(query("ROLLBACK"))
    assert rows(pair.ask(query("SELECT id FROM items WHERE id = 50"))) == []
    pair.ask(query("INSERT INTO items VALUES (50, 'x'); SELECT 1/0; INSERT INTO items VALUES (51, 'x')"))
    assert rows(pair.ask(query("SELECT id FROM items WHERE id >= 50"))) == []


def test_savepoints_and_two_phases(pair: Pair) -> None:
    pair.ask(query("BEGIN; SAVEPOINT a; SELECT nosuch"))
    pair.ask(query("ROLLBACK TO a; INSERT INTO items VALUES (60, 'x'); RELEASE a; COMMIT"))
    assert rows(pair.ask(query("SELECT id FROM items WHERE id = 60"))) == [[b"60"]]
    pair.ask(query("BEGIN; PREPARE TRANSACTION 'two'"))  # switched off on the server
    pair.ask(query("ROLLBACK"))


def test_a_query_takes_the_unnamed_statement_and_portal_away(pair: Pair) -> None:
    pair.ignored = frozenset("FLR")  # the proxy asks for the portal's columns before it lets it run
    pair.say(parse("SELECT 1"), bind())
    heard = pair.ask(query("SELECT 2"), execute(), SYNC, count=2)
    assert errors(heard) == [("34000", 'portal "" does not exist')]


def test_literals_of_every_kind(pair: Pair) -> None:
    pair.ask(
        query(
            "SELECT E'a\\\\b\\'c', $$d$$, $x$ $$ $x$, U&'\\0061!0062' UESCAPE '!', N'n', B'101', X'1F', 'one'\n'two',"
            " 1_000, 0x1F /* nested /* comment */ ; */"
        )
    )
    pair.ask(query("SET standard_conforming_strings = off; SELECT 'a\\'; SELECT b'"))
    pair.ask(query("SELECT 'a\\\\b', 'c\\'d'"))
    pair.ask(query("SET standard_conforming_strings = on"))


@pytest.mark.parametrize("encoding", ["LATIN1", "SJIS", "GBK", "BIG5", "EUC_JP", "SQL_ASCII"])
def test_client_encodings_pass(pair: Pair, encoding: str) -> None:
    pair.ask(query(f"SET client_encoding = {encoding}"))
    pair.ask(query("SELECT 'plain', id FROM items"))
    body = {"SJIS": b"\x83\x5c\x83\x7b", "BIG5": b"\xa5\x5c", "GBK": b"\x81\x5c"}.get(encoding, b"\xa4\xa2")
    pair.ask(Query(b"SELECT '" + body + b"' x").encode())
    pair.ask(query("SELECT nosuch"))


def test_invalid_bytes(pair: Pair) -> None:
    assert errors(pair.ask(Query(b"SELECT '\xff'").encode()))[0][0] == "22021"
    pair.ask(query("SELECT 1"))


def test_session_state_stays_with_the_connection(pair: Pair) -> None:
    for text in (
        "SET search_path = pg_catalog",
        "SELECT * FROM items",
        "RESET search_path; SET LOCAL work_mem = '1MB'",
        "SELECT set_config('search_path', 'pg_catalog, public', false)",
        "CREATE TEMP TABLE items (t text); SELECT * FROM items",
        "SELECT pg_advisory_lock(4); SELECT pg_advisory_unlock(4), pg_advisory_unlock(4)",
        "DECLARE held CURSOR WITH HOLD FOR SELECT id FROM public.items ORDER BY id; FETCH 1 FROM held",
        "FETCH ALL FROM held; MOVE BACKWARD 2 FROM held; FETCH NEXT FROM held; CLOSE held; CLOSE held",
        "SET ROLE pg_monitor; SELECT current_user; RESET ROLE",
        "SET SESSION AUTHORIZATION pg_monitor; SELECT session_user; RESET SESSION AUTHORIZATION",
        "PREPARE p(int) AS SELECT $1 + 1; EXECUTE p(2)",
        "EXECUTE p(2); DEALLOCATE p; EXECUTE p(2)",
        "DISCARD PLANS; DISCARD TEMP",
        "DISCARD ALL",
        "SELECT * FROM items ORDER BY id",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SHOW transaction_isolation; INSERT INTO items VALUES (1, 'x')",
        "ROLLBACK; RESET ALL; SHOW search_path",
    ):
        pair.ask(query(text))


def test_ddl_is_followed(pair: Pair, twins: Twins) -> None:
    del twins
    for text in (
        "BEGIN; CREATE TABLE made (a int, b text); INSERT INTO made VALUES (1, 'x'); ALTER TABLE made RENAME b TO c",
        "SELECT c FROM made; ALTER TABLE made DROP COLUMN c; SELECT * FROM made",
        "DROP TABLE made; CREATE TABLE made (z date); SELECT * FROM made",
        "ROLLBACK; SELECT * FROM made",
    ):
        pair.ask(query(text))
