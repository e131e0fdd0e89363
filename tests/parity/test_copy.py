"""COPY: what the server waits for, ignores and fails on, with plain and with protected columns."""

from __future__ import annotations

import struct

import pytest

from pgcrypt_proxy.wire.frontend import COPY_DONE, FLUSH, SYNC, copy_fail
from tests.helpers.raw_peers import CLOSED, Pair, errors, kinds
from tests.session.conversations import bind, describe, execute, parse, query

ITEMS = "COPY items FROM STDIN"
PEOPLE = "COPY people (id, email, ssn, score) FROM STDIN"
LINES = {ITEMS: b"100\tx\t1\n101\ty\\t\\\\\t\\N\n", PEOPLE: b"100\tplanted-x\t1-1\t1.5\n101\t\\N\t\\N\t\\N\n"}
BAD = {ITEMS: b"no number\tx\t1\n", PEOPLE: b"no number\tplanted-y\t1-1\t1.5\n"}
BOTH = pytest.mark.parametrize("sql", [ITEMS, PEOPLE], ids=["plain", "protected"])


def data(*chunks: bytes) -> bytes:
    return b"".join(b"d" + struct.pack("!i", len(chunk) + 4) + chunk for chunk in chunks)


def rows_after(pair: Pair) -> None:
    pair.ask(query("SELECT * FROM items ORDER BY id; SELECT * FROM people ORDER BY id"))


@BOTH
class TestIn:
    def test_one_segment(self, pair: Pair, sql: str) -> None:
        assert kinds(pair.ask(query(sql), data(LINES[sql]), COPY_DONE)) == "GCZ"
        rows_after(pair)

    def test_cut_at_every_byte(self, pair: Pair, sql: str) -> None:
        pair.ask(query(sql), *(data(bytes([byte])) for byte in LINES[sql]), data(b""), COPY_DONE)
        rows_after(pair)

    def test_client_fails_it(self, pair: Pair, sql: str) -> None:
        pair.ignored = frozenset("FLR")
        heard = pair.ask(query(sql), data(LINES[sql]), copy_fail(b"of a reason"))
        assert errors(heard) == [("57014", "COPY from stdin failed: of a reason")]
        rows_after(pair)

    def test_the_server_fails_it_while_data_come(self, pair: Pair, sql: str) -> None:
        pair.ignored = frozenset("FLRWD") | (frozenset("M") if sql is PEOPLE else frozenset())
        bad = data(b"1\tagain\t1\n") if sql is ITEMS else data(b"1\tplanted-x\t1\t1\n")
        many = [data(LINES[sql][: LINES[sql].index(b"\n") + 1].replace(b"100", b"%d" % n)) for n in range(200, 300)]
        heard = pair.ask(query(sql), bad, *many, COPY_DONE)
        assert errors(heard)[0][0] == "23505"
        heard = pair.ask(query(sql), data(b"no number\tx\t1\t1\n"), *many, COPY_DONE)
        assert len(errors(heard)) == 1
        rows_after(pair)

    def test_sync_and_flush_are_ignored_in_it(self, pair: Pair, sql: str) -> None:
        pair.ask(query(sql), FLUSH, SYNC, data(LINES[sql]), SYNC, FLUSH, COPY_DONE)
        pair.ask(SYNC)
        rows_after(pair)

    def test_a_query_in_it_loses_the_protocol(self, pair: Pair, sql: str) -> None:
        pair.ignored = frozenset("FLRW")
        pair.say(query(sql))
        pair.hear("G")
        heard = pair.ask(data(LINES[sql]), query("SELECT 1"))
        assert [code for code, _ in errors(heard)] == ["08P01", "08P01"]
        assert heard[-1] == CLOSED

    @pytest.mark.parametrize("order", ["sync last", "sync first", "sync both", "none"])
    def test_extended(self, pair: Pair, sql: str, order: str) -> None:
        pair.say(parse(sql), describe("S"), bind(), describe(), execute())
        if order in ("sync first", "sync both"):
            pair.say(SYNC)
        pair.say(data(LINES[sql]), COPY_DONE)
        if order == "none":
            pair.say(FLUSH)
            pair.hear("C")
        heard = pair.ask(SYNC)
        assert kinds(heard).endswith("CZ") or order == "none"
        rows_after(pair)

    def test_extended_and_failed(self, pair: Pair, sql: str) -> None:
        pair.ignored = frozenset("FLRW")
        pair.say(
            parse(sql), bind(), execute(), data(LINES[sql]), copy_fail(b"why"), parse("SELECT 1"), bind(), execute()
        )
        assert kinds(pair.ask(SYNC)) == "12GEZ"
        pair.say(parse(sql), bind(), execute(), FLUSH)
        assert kinds(pair.hear("G")) == "12G"
        pair.say(data(LINES[sql].replace(b"100", b"x")), COPY_DONE, SYNC)
        pair.hear()
        rows_after(pair)

    def test_in_the_middle_of_a_text(self, pair: Pair, sql: str) -> None:
        heard = pair.ask(query(f"SELECT 1; {sql}; SELECT 2"), data(LINES[sql]), COPY_DONE)
        assert kinds(heard) == "TDCGCTDCZ"
        heard = pair.ask(
            query(f"DELETE FROM items; DELETE FROM people; {sql}; {sql}"),
            data(LINES[sql]),
            COPY_DONE,
            data(b""),
            COPY_DONE,
        )
        assert kinds(heard) == "CCGCGCZ"
        rows_after(pair)

    def test_the_end_marker(self, pair: Pair, sql: str) -> None:
        pair.ask(query(sql), data(LINES[sql] + b"\\.\n"), COPY_DONE)
        rows_after(pair)

    def test_malformed_ends(self, pair: Pair, sql: str) -> None:
        pair.ignored = frozenset("FLRW")
        for end in (b"f\0\0\0\4", b"f\0\0\0\x06ab"):
            heard = pair.ask(query(sql), data(LINES[sql]), end)
            assert len(errors(heard)) == 1
        rows_after(pair)


def test_stray_messages_are_ignored(pair: Pair) -> None:
    pair.ask(data(b"x"), COPY_DONE, copy_fail(b"y"), query("SELECT 1"), data(b"z"), COPY_DONE)
    assert kinds(pair.ask(SYNC)) == "Z"
    pair.ask(parse("SELECT 1"), data(b"x"), COPY_DONE, bind(), execute(), data(b""), SYNC)


@pytest.mark.parametrize(
    "text",
    [
        "COPY items TO STDOUT",
        "COPY people TO STDOUT",
        "COPY people (score, email) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)",
        "COPY items (name, id) TO STDOUT (FORMAT binary)",
        "COPY people (email, id) TO STDOUT (FORMAT binary)",
        "COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT (FORMAT csv)",
        "SELECT 1; COPY people (id, email) TO STDOUT; SELECT 2",
        "COPY (SELECT 1/(id - 2) FROM items ORDER BY id) TO STDOUT",
        "COPY nosuch TO STDOUT",
        "COPY items TO STDOUT (FORMAT nosuch)",
        "COPY items FROM STDIN (NOSUCH)",
    ],
)
def test_out(pair: Pair, text: str) -> None:
    pair.ask(query(text))
    if "; " not in text:
        pair.ask(parse(text), describe("S"), bind(), describe(), execute(), SYNC)


def test_binary_in(pair: Pair) -> None:
    def field(value: bytes | None) -> bytes:
        return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value

    row = struct.pack("!h", 2) + field(struct.pack("!i", 300)) + field(b"planted-x")
    whole = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0) + row + struct.pack("!h", -1)
    for text in ("COPY items (id, name) FROM STDIN (FORMAT binary)", "COPY people (id, email) FROM STDIN BINARY"):
        pair.ask(query(text), data(*(whole[at : at + 3] for at in range(0, len(whole), 3))), COPY_DONE)
    rows_after(pair)


@BOTH
class TestSyncAmongDataThatFail:
    """The server ignores a Sync while the COPY lives, and answers it once the COPY has failed."""

    @pytest.mark.parametrize("places", ["before", "behind", "around", "many"])
    @pytest.mark.parametrize("end", [COPY_DONE, b""], ids=["done", "open"])
    def test_simple(self, pair: Pair, sql: str, places: str, end: bytes) -> None:
        pair.ignored = frozenset("FLRW")
        good, bad = data(LINES[sql]), data(BAD[sql])
        before = SYNC if places in ("before", "around") else b""
        behind = {"before": b"", "behind": SYNC, "around": SYNC, "many": SYNC + good + SYNC + SYNC}[places]
        self.check(pair, query(sql), before + good + bad + behind + good + end)

    @pytest.mark.parametrize("behind", [1, 2])
    def test_extended(self, pair: Pair, sql: str, behind: int) -> None:
        pair.ignored = frozenset("FLRW")
        good, bad = data(LINES[sql]), data(BAD[sql])
        start = parse(sql) + bind() + execute() + SYNC
        self.check(pair, start, good + bad + SYNC * behind + good + COPY_DONE + SYNC)

    def test_a_protected_value(self, pair: Pair, sql: str) -> None:
        """The proxy stops it, and the server goes on to ignore what is behind."""
        pair.ignored = frozenset("FLRWM")
        bad = LINES[sql].replace(b"1.5", b"no number").replace(b"x\t1\n", b"x\tno number\n")
        self.check(pair, query(sql), data(bad) + SYNC + data(bad) + SYNC + COPY_DONE)

    def test_with_a_query_behind(self, pair: Pair, sql: str) -> None:
        pair.ignored = frozenset("FLRW")
        bad = data(BAD[sql])
        pair.say(query(sql))
        pair.hear("G")
        pair.say(data(LINES[sql]), SYNC, bad, SYNC, SYNC, COPY_DONE, query("SELECT email FROM people"), SYNC)
        pair.hear("D")
        pair.hear_quiet()
        pair.ask(query("SELECT 1"))

    def check(self, pair: Pair, start: bytes, rest: bytes) -> None:
        pair.say(start)
        pair.hear("G")
        pair.say(rest)
        pair.hear_quiet()
        for text in ("SELECT 1", "SELECT email FROM people ORDER BY id"):
            assert kinds(pair.ask(query(text))).startswith("T")
        pair.ask(parse("SELECT 1"), bind(), execute(), SYNC)
