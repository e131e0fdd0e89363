"""Parse to Sync: formats, row limits, names, errors in pipelines, with plain and with protected columns."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Close, Query
from tests.helpers.raw_peers import Pair, errors, kinds, rows
from tests.session.conversations import bind, describe, execute, parse, query

PEOPLE = "SELECT id, email, ssn, score FROM people ORDER BY id"
BY_EMAIL = "SELECT id, email FROM people WHERE email = $1"
INSERT = "INSERT INTO people (id, email, ssn, score) VALUES ($1, $2, $3, $4) RETURNING *"


def close(kind: str, name: str = "") -> bytes:
    return Close(ord(kind), name.encode()).encode()


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


class TestShapes:
    @pytest.mark.parametrize("sql", ["SELECT 1", "SELECT * FROM items ORDER BY id", PEOPLE, "SET work_mem = '1MB'", ""])
    def test_all_at_once(self, pair: Pair, sql: str) -> None:
        pair.ask(parse(sql), describe("S"), bind(), describe("P"), execute(), SYNC)
        pair.ask(parse(sql, "named"), bind(statement="named", portal="p"), execute("p"), SYNC)
        pair.ask(bind(statement="named"), describe(), execute(), SYNC)
        pair.ask(parse(sql), bind(), execute(), close("P"), close("S"), SYNC)

    @pytest.mark.parametrize("codes", [(), (0,), (1,), (0, 1, 0, 1), (1, 0, 1, 1)])
    def test_result_formats(self, pair: Pair, codes: tuple[int, ...]) -> None:
        for sql in (PEOPLE, "SELECT id, name, kind, 1.5 FROM items ORDER BY id"):
            pair.ask(parse(sql), describe("S"), bind(results=codes), describe(), execute(), SYNC)
            pair.ask(parse(sql), bind(results=codes), execute(), SYNC)
            pair.ask(parse(sql), describe("S"), SYNC)
            pair.ask(bind(results=codes), execute(), SYNC)

    @pytest.mark.parametrize("oids", [(), (0,), (25,), (705,), (1043,), (25, 25)])
    def test_declared_types(self, pair: Pair, oids: tuple[int, ...]) -> None:
        for sql in ("SELECT id FROM items WHERE name = $1", BY_EMAIL):
            extra = (b"spare",) if len(oids) > 1 else ()
            heard = pair.ask(parse(sql, oids=oids), describe("S"), SYNC)
            if not errors(heard):
                pair.ask(bind(b"planted-ann", *extra), execute(), SYNC)

    @pytest.mark.parametrize("codes", [(), (0,), (1,), (1, 0, 0, 1)])
    def test_parameter_formats(self, pair: Pair, codes: tuple[int, ...]) -> None:
        is_binary = [bool((codes or (0,))[i if len(codes) > 1 else 0]) for i in range(4)]
        values = (
            struct.pack("!i", 77) if is_binary[0] else b"77",
            b"planted-new",
            b"",
            struct.pack("!HhHHHH", 2, 0, 0, 2, 12, 3400) if is_binary[3] else b"12.34",
        )
        pair.ask(parse(INSERT), describe("S"), bind(*values, codes=codes), execute(), SYNC)
        pair.ask(parse(PEOPLE), bind(), execute(), SYNC)

    @pytest.mark.parametrize("codes", [(0,), (1,)])
    def test_null_and_empty(self, pair: Pair, codes: tuple[int, ...]) -> None:
        number = struct.pack("!i", 78) if codes[0] else b"78"
        pair.ask(parse(INSERT), bind(number, None, b"", None, codes=codes, results=codes), execute(), SYNC)
        pair.ask(parse("SELECT $1::text, $2::text IS NULL, $3::bytea"), bind(b"", None, b""), execute(), SYNC)

    def test_arrays_of_values(self, pair: Pair) -> None:
        sql = "SELECT id, email FROM people WHERE email = ANY($1) ORDER BY id"
        pair.ask(parse(sql), describe("S"), bind(b"{planted-ann,NULL,planted-bob}"), execute(), SYNC)

    def test_most_parameters_and_columns(self, pair: Pair) -> None:
        sql = "SELECT " + ",".join(f"${n}::text" for n in range(1, 1601))
        pair.ask(parse(sql), describe("S"), bind(*[b"x"] * 1600), describe(), execute(), SYNC)
        pair.ask(parse("SELECT 1", oids=(25,) * 65535), bind(*[b""] * 65535), execute(), SYNC)
        pair.ask(query("SELECT " + ",".join(["1"] * 1665)))


class TestBindErrors:
    @pytest.mark.parametrize(
        ("sql", "made"),
        [
            ("SELECT $1::int", {"parameters": (b"1",), "codes": (0, 0)}),
            ("SELECT $1::int", {"parameters": (b"1",), "results": (0, 0)}),
            ("SELECT $1::int", {"parameters": ()}),
            ("SELECT $1::int", {"parameters": (b"1", b"2")}),
            ("SELECT $1::text", {"parameters": (b"a\0b",)}),
            ("SELECT $1::text", {"parameters": (b"\xff",)}),
            ("SELECT $1::int", {"parameters": (b"x",)}),
            ("SELECT $1::int", {"parameters": (b"\0\0\0",), "codes": (1,)}),
            ("SELECT $1::int", {"parameters": (b"1",), "codes": (7,)}),
            ("SELECT $1::int", {"parameters": (b"1",), "results": (7,)}),
            (BY_EMAIL, {"parameters": (b"x",), "codes": (0, 0)}),
            (BY_EMAIL, {"parameters": ()}),
            (BY_EMAIL, {"parameters": (b"x", b"y")}),
            (BY_EMAIL, {"parameters": (b"x",), "results": (0, 0, 0)}),
            (BY_EMAIL, {"parameters": (b"a\0b",)}),
            (BY_EMAIL, {"parameters": (b"\xff",)}),
            (BY_EMAIL, {"parameters": (b"x",), "codes": (7,)}),
            (BY_EMAIL, {"parameters": (b"planted-ann",), "results": (7,)}),
            (INSERT, {"parameters": (b"79", b"x", b"far too long for it", b"1")}),
            (INSERT, {"parameters": (b"79", b"x", b"y", b"no number")}),
        ],
    )
    def test_they_are_the_servers(self, pair: Pair, sql: str, made: dict[str, Any]) -> None:
        pair.ignored = frozenset("FLRWDM") if "people" in sql else frozenset()
        parameters = made.pop("parameters")
        heard = pair.ask(parse(sql), bind(*parameters, **made), describe(), execute(), SYNC)
        assert len(errors(heard)) == 1
        pair.ask(query("SELECT 1"))

    @pytest.mark.parametrize("sql", ["SELECT $1::text", BY_EMAIL])
    @pytest.mark.parametrize(
        "tail",
        [
            struct.pack("!hhi", 0, 1, -2),
            struct.pack("!hhi", 0, 1, 100) + b"short",
            struct.pack("!hh", 0, 1),
            struct.pack("!hhih", 0, 1, -1, 0) + b"more",
            struct.pack("!hhi", 0, 1, -1),
            b"",
        ],
        ids=["minus two", "beyond", "cut", "trailing", "no results", "empty"],
    )
    def test_malformed(self, pair: Pair, sql: str, tail: bytes) -> None:
        pair.ignored = frozenset("FLRW")
        heard = pair.ask(parse(sql), message("B", b"\0\0" + tail), execute(), SYNC)
        assert errors(heard)[0][0] == "08P01"
        pair.ask(query("SELECT 1"))


class TestRowLimits:
    @pytest.mark.parametrize(
        "sql", [PEOPLE, "SELECT * FROM items ORDER BY id", "UPDATE items SET kind = 1 RETURNING *"]
    )
    @pytest.mark.parametrize("limit", [1, 2, 3, 4, -1])
    def test_suspended_and_resumed(self, pair: Pair, sql: str, limit: int) -> None:
        again = [execute("p", limit) for _ in range(4)]
        pair.ask(query("BEGIN"))
        pair.ask(parse(sql), bind(portal="p"), describe("P", "p"), *again, SYNC)
        pair.ask(execute("p", 1), SYNC)
        pair.ask(query("ROLLBACK"))

    def test_interleaved_portals(self, pair: Pair) -> None:
        pair.say(parse(PEOPLE, "a"), bind(statement="a", portal="pa"), bind(statement="a", portal="pb", results=(1,)))
        pair.say(parse("SELECT name FROM items", "b"), bind(statement="b", portal="pc"))
        pair.ask(
            execute("pa", 1), execute("pc", 2), execute("pb", 2), execute("pa", 5), execute("pc"), execute("pb"), SYNC
        )
        heard = pair.ask(execute("pa", 1), SYNC)
        assert errors(heard)[0][0] == "34000"

    def test_a_portal_lives_on_in_a_transaction(self, pair: Pair) -> None:
        pair.ask(query("BEGIN"))
        pair.ask(parse(PEOPLE), bind(portal="p"), execute("p", 1), SYNC)
        pair.ask(execute("p", 1), SYNC)
        pair.ask(query("FETCH 1 FROM p"))
        pair.ask(query("COMMIT"))
        pair.ask(execute("p", 1), SYNC)

    def test_cursors_through_the_protocol(self, pair: Pair) -> None:
        pair.ask(query("BEGIN; DECLARE c SCROLL CURSOR FOR " + PEOPLE))
        pair.ask(parse("FETCH 2 FROM c"), bind(), describe(), execute(), SYNC)
        pair.ask(parse("FETCH BACKWARD 1 FROM c"), bind(), execute(), SYNC)
        pair.ask(describe("P", "c"), execute("c", 1), SYNC)
        pair.ask(query("MOVE 1 FROM c; CLOSE c; COMMIT"))


class TestNames:
    def test_duplicates_and_replacement(self, pair: Pair) -> None:
        for sql, other in (("SELECT 1", "SELECT 2"), (PEOPLE, BY_EMAIL)):
            pair.ask(parse(sql), parse(other), parse(sql), bind(), bind(), execute(), SYNC)
            assert errors(pair.ask(parse(sql, "n"), parse(other, "n"), SYNC))[0][0] == "42P05"
            pair.ask(query("BEGIN"))
            heard = pair.ask(parse(sql, "m"), bind(statement="m", portal="p"), bind(statement="m", portal="p"), SYNC)
            assert errors(heard)[0][0] == "42P03"
            pair.ask(query("ROLLBACK"))
            pair.ask(parse("nonsense", "n"), SYNC)
            pair.ask(describe("S", "n"), close("S", "n"), close("S", "m"), SYNC)

    def test_unknown_ones(self, pair: Pair) -> None:
        pair.ask(close("S", "no"), close("P", "no"), SYNC)
        pair.ignored = frozenset("FLR")
        for one in (
            bind(statement="no"),
            describe("S", "no"),
            describe("P", "no"),
            execute("no"),
            describe("S"),
            bind(),
        ):
            assert errors(pair.ask(one, SYNC))[0][0] in ("26000", "34000")

    @pytest.mark.parametrize("name", ["x" * 63, "x" * 200, "näme ünd 'quotes\"", " ", "\x01"])
    def test_spellings(self, pair: Pair, name: str) -> None:
        pair.ask(parse(PEOPLE, name), bind(statement=name, portal=name), describe("P", name), execute(name), SYNC)
        pair.ask(describe("S", name), close("S", name), SYNC)

    def test_sql_and_protocol_share_them(self, pair: Pair) -> None:
        pair.ignored = frozenset("FLR")
        pair.ask(query("PREPARE one(text) AS " + BY_EMAIL))
        pair.ask(bind(b"planted-ann", statement="one"), describe(), execute(), SYNC)
        pair.ask(query("EXECUTE one('planted-bob'); DEALLOCATE one"))
        pair.ask(bind(b"planted-ann", statement="one"), execute(), SYNC)
        pair.ask(parse(BY_EMAIL, "two", (25,)), SYNC)
        pair.ask(query("EXECUTE two('planted-bob'); DEALLOCATE ALL; EXECUTE two('planted-bob')"))
        pair.ask(parse(BY_EMAIL, "two"), SYNC)
        pair.ask(query("DISCARD ALL"))
        pair.ask(bind(b"x", statement="two"), SYNC)

    def test_close_of_a_statement_and_its_portals(self, pair: Pair) -> None:
        pair.ask(query("BEGIN"))
        pair.ask(parse(PEOPLE, "s"), bind(statement="s", portal="p"), close("S", "s"), execute("p", 1), SYNC)
        pair.ask(query("ROLLBACK"))

    def test_ddl_changes_a_result(self, pair: Pair) -> None:
        pair.ask(query("CREATE TEMP TABLE t (a int)"))
        pair.ask(parse("SELECT * FROM t", "s"), describe("S", "s"), bind(statement="s"), execute(), SYNC)
        pair.ask(query("ALTER TABLE t ADD b text"))
        assert errors(pair.ask(bind(statement="s"), execute(), SYNC))[0][0] == "0A000"
        pair.ask(close("S", "s"), parse("SELECT * FROM t", "s"), describe("S", "s"), SYNC)

    def test_generic_plans(self, pair: Pair) -> None:
        pair.ask(parse(BY_EMAIL, "s"), SYNC)
        for _ in range(8):
            pair.ask(bind(b"planted-ann", statement="s"), execute(), SYNC)


class TestErrors:
    def test_everything_is_skipped_up_to_sync(self, pair: Pair) -> None:
        for good in ("SELECT 1", PEOPLE):
            pair.say(parse("SELECT nosuch"), parse(good), bind(), describe(), execute(), query("SELECT 2"), FLUSH)
            assert kinds(pair.hear("E")) == "E"
            assert pair.hear_quiet() == []
            assert kinds(pair.ask(close("S"), execute(), SYNC)) == "Z"
            pair.ask(
                parse(good), bind(), execute(), parse("SELECT 1/0"), bind(), execute(), parse(good), SYNC, SYNC, count=2
            )

    def test_several_syncs_in_flight(self, pair: Pair) -> None:
        one = [parse("INSERT INTO items VALUES (100, 'x')"), bind(), execute()]
        bad = [parse("INSERT INTO items VALUES (1, 'x')"), bind(), execute()]
        pair.ask(
            *one, *bad, SYNC, parse("SELECT count(*) FROM items"), bind(), execute(), SYNC, *bad, SYNC, SYNC, count=4
        )
        pair.ask(*one, SYNC, *bad, *bad, SYNC, parse(PEOPLE), bind(), execute(), SYNC, count=3)

    def test_several_statements(self, pair: Pair) -> None:
        pair.ignored = frozenset("FLR")
        for text in ("SELECT 1; SELECT 2", "SELECT 1; " + PEOPLE):
            assert errors(pair.ask(parse(text), bind(), execute(), SYNC))[0][0] == "42601"

    def test_sync_and_transactions(self, pair: Pair) -> None:
        pair.ask(parse("BEGIN"), bind(), execute(), SYNC)
        pair.ask(parse("INSERT INTO items VALUES (100, 'x')"), bind(), execute(), SYNC)
        pair.ask(parse("SELECT 1/0"), bind(), execute(), SYNC)
        pair.ask(parse("SELECT 1"), bind(), execute(), SYNC)
        pair.ask(parse("ROLLBACK"), bind(), execute(), SYNC)
        pair.ask(parse("INSERT INTO items VALUES (101, 'x')"), bind(), execute(), query("SELECT 1/0"), SYNC, count=2)
        pair.ask(query("SELECT id FROM items ORDER BY id"))

    @pytest.mark.parametrize(
        "raw",
        [
            message("P", b"no end"),
            message("P", b"\0SELECT 1\0"),
            message("P", b"\0SELECT 1\0\0\0more"),
            message("P", b"\0SELECT 1\0\0\2\0\0\0\x17"),
            message("P"),
            message("B", b"no end"),
            message("B"),
            message("D", b"S"),
            message("D", b"Sno end"),
            message("D", b"Sx\0more"),
            message("D", b"Xname\0"),
            message("D"),
            message("E", b"no end"),
            message("E", b"p\0"),
            message("E", b"\0\0\0\0\0more"),
            message("E"),
            message("C", b"S"),
            message("C", b"Xname\0"),
            message("C", b"Sx\0more"),
            message("C"),
            message("H", b"more"),
        ],
    )
    def test_malformed_messages(self, pair: Pair, raw: bytes) -> None:
        pair.ignored = frozenset("FLR")
        heard = pair.ask(parse("SELECT 1"), bind(), raw, execute(), SYNC)
        assert errors(heard)[0][0] == "08P01"
        pair.ask(query("SELECT 1"))

    @pytest.mark.parametrize(
        "raw", [message("Q", b"SELECT 1"), message("Q", b"SELECT 1\0more"), message("Q"), message("S", b"more")]
    )
    def test_malformed_messages_outside_of_batches(self, pair: Pair, raw: bytes) -> None:
        pair.ignored = frozenset("FLR")
        heard = pair.ask(raw)
        assert errors(heard)[0][0] == "08P01"
        pair.ask(query("SELECT 1"))
        pair.ask(parse("SELECT 1"), bind(), execute(), raw, SYNC, count=2)


class TestPipelines:
    def test_flush_brings_what_there_is(self, pair: Pair) -> None:
        pair.say(parse(PEOPLE), FLUSH)
        assert kinds(pair.hear("1")) == "1"
        pair.say(bind(), describe(), FLUSH)
        pair.hear("T")
        pair.say(execute("", 1), FLUSH)
        pair.hear("s")
        pair.say(execute(), FLUSH)
        pair.hear("C")
        pair.ask(SYNC)

    @pytest.mark.parametrize("sql", ["SELECT $1::text", BY_EMAIL])
    def test_thousands_behind_one_sync(self, pair: Pair, sql: str) -> None:
        batch = [parse(sql), bind(b"planted-ann"), describe(), execute()] * 1500
        assert kinds(pair.ask(*batch, SYNC)).count("C") == 1500

    def test_simple_and_extended_mixed(self, pair: Pair) -> None:
        pair.ask(parse(PEOPLE, "s"), query(PEOPLE), bind(statement="s"), execute(), SYNC, query("SELECT 1"), count=3)

    def test_much_written_before_anything_is_read(self, pair: Pair) -> None:
        wide = parse("SELECT repeat('x', 20000)"), bind(), execute()
        pair.ask(*wide * 600, SYNC)


class TestFunctionCall:
    def call(self, oid: int, *arguments: bytes | None, formats: tuple[int, ...] = (1,), result: int = 1) -> bytes:
        body = struct.pack("!Ih", oid, len(formats)) + b"".join(struct.pack("!h", f) for f in formats)
        body += struct.pack("!h", len(arguments))
        for one in arguments:
            body += struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one
        return message("F", body + struct.pack("!h", result))

    def test_answers(self, pair: Pair) -> None:
        int4pl, upper = 177, 871
        two = struct.pack("!i", 2)
        assert kinds(pair.ask(self.call(int4pl, two, two))) == "VZ"
        pair.ask(self.call(int4pl, b"2", b"40", formats=(0,), result=0))
        pair.ask(self.call(upper, b"abc"))
        pair.ask(self.call(int4pl, two, None))
        for bad in (self.call(int4pl, two), self.call(0), self.call(9999), self.call(int4pl, b"x", b"y", formats=(0,))):
            assert kinds(pair.ask(bad)) == "EZ"
        pair.ask(query("BEGIN"))
        pair.ask(self.call(int4pl, two))
        assert errors(pair.ask(self.call(int4pl, two, two)))[0][0] == "25P02"
        pair.ask(query("ROLLBACK"))
        for cut in (message("F"), message("F", b"\0\0"), message("F", struct.pack("!Ih", int4pl, 9))):
            assert errors(pair.ask(cut))[0][0] == "08P01"

    def test_functions_of_the_database_are_refused_and_the_connection_goes_on(self, pair: Pair) -> None:
        pair.proxied.say(query("BEGIN"), self.call(4_000_000), query("SELECT 1"), query("ROLLBACK"))
        heard = pair.proxied.hear(count=4)
        assert [code for code, _ in errors(heard)] == ["0A000", "25P02"]
        assert heard[-1] == ("Z", b"I")

    def test_large_objects(self, pair: Pair) -> None:
        lo_open, lowrite, loread, lo_close, lo_lseek = 952, 955, 954, 953, 956
        pair.ask(query("BEGIN"))
        heard = pair.ask(query("SELECT lo_create(4711)"))
        assert rows(heard) == [[b"4711"]]
        number = struct.pack("!i", 4711)
        for one in (
            self.call(lo_open, number, struct.pack("!i", 0x60000)),
            self.call(lowrite, struct.pack("!i", 0), b"\0\1\2data"),
            self.call(lo_lseek, struct.pack("!i", 0), struct.pack("!i", 0), struct.pack("!i", 0)),
            self.call(loread, struct.pack("!i", 0), struct.pack("!i", 100)),
            self.call(lo_close, struct.pack("!i", 0)),
        ):
            assert kinds(pair.ask(one)) == "VZ"
        pair.ask(query("ROLLBACK"))


def test_a_statement_without_columns_or_text(pair: Pair) -> None:
    pair.ask(parse(""), describe("S"), bind(), describe("P"), execute(), SYNC)
    pair.ask(parse("SELECT FROM items"), describe("S"), bind(), describe(), execute(), SYNC)
    pair.ask(parse("-- nothing"), bind(), execute(), SYNC)


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SJIS"])
def test_parameters_in_other_encodings(pair: Pair, encoding: str) -> None:
    pair.ask(query(f"SET client_encoding = {encoding}"))
    value = b"\x83\x5c" if encoding == "SJIS" else b"\xe4\xf6"
    pair.ask(parse("SELECT $1::text"), bind(value), execute(), SYNC)
    pair.ask(Query(b"SELECT '" + value + b"'").encode())
    if encoding != "SJIS":
        pair.ask(parse(INSERT), bind(b"80", value, None, None), execute(), SYNC)


@pytest.mark.parametrize("sql", ["SELECT id FROM people ORDER BY id", "SELECT count(*) FROM people WHERE email = 'x'"])
def test_plain_columns_of_a_protected_table_without_describe(pair: Pair, sql: str) -> None:
    assert "D" in kinds(pair.ask(parse(sql, "s"), bind(statement="s"), execute(), SYNC))
    pair.ask(bind(statement="s", results=(1,)), execute("", 1), execute(), SYNC)
    pair.ask(parse(sql), bind(portal="p"), execute("p"), SYNC)
