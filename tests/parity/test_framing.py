"""Lengths, types and segments: what the server takes, refuses and closes on."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from pgcrypt_proxy.wire.frontend import SYNC, TERMINATE
from tests.helpers.raw_peers import CLOSED, Pair, errors, eventually, kinds
from tests.parity.conftest import Twins
from tests.session.conversations import bind, describe, execute, parse, query

Open = Callable[[], Pair]


def test_any_cut_and_any_joint(pair: Pair) -> None:
    conversation = b"".join(
        [
            query("SELECT id, email FROM people ORDER BY id"),
            parse("INSERT INTO people (id, email) VALUES ($1, $2) RETURNING email"),
            bind(b"40", b"planted-cut"),
            describe(),
            execute(),
            SYNC,
            query("DELETE FROM people WHERE email = 'planted-cut'"),
        ]
    )
    for step in (1, 2, 3, 7, 64, len(conversation)):
        pair.say_slowly(conversation, step)
        pair.hear(count=3)


@pytest.mark.parametrize("kind", "QPBEDCHSFdcfX")
@pytest.mark.parametrize("length", [0, 3, -1, -2147483648, 0x40000000, 0x7FFFFFFF])
def test_impossible_lengths_close(opened: Open, kind: str, length: int) -> None:
    """PostgreSQL closes without a word; the proxy says why, and closes."""
    pair = opened()
    pair.start()
    pair.say(kind.encode() + struct.pack("!i", length) + b"SELECT 1\0")
    assert pair.direct.hear() == [CLOSED]
    assert kinds(pair.proxied.hear()) == "E."


@pytest.mark.parametrize("kind", "EDCHSXcf")
def test_small_messages_are_small(opened: Open, kind: str) -> None:
    pair = opened()
    pair.start()
    pair.say(kind.encode() + struct.pack("!i", 10_001) + b"\0" * 9_997)
    assert pair.direct.hear()[-1] == CLOSED
    assert kinds(pair.proxied.hear()) == "E."


@pytest.mark.parametrize("kind", "ARZ1xpq\0\xff")
def test_unknown_types(opened: Open, kind: str) -> None:
    pair = opened()
    pair.start()
    pair.ignored = frozenset("FLR")
    heard = pair.ask(kind.encode("latin-1") + struct.pack("!i", 4))
    assert errors(heard) == [("08P01", f"invalid frontend message type {ord(kind)}")]
    assert heard[-1] == CLOSED


@pytest.mark.parametrize("raw", [TERMINATE, b"X\0\0\0\x08body"])
def test_terminate_closes(opened: Open, raw: bytes) -> None:
    pair = opened()
    pair.start()
    pair.ask(query("BEGIN"))
    pair.ask(query("INSERT INTO items VALUES (90, 'gone')"))
    assert pair.ask(raw) == [CLOSED]
    after = opened()
    after.start()
    after.ask(query("SELECT id FROM items WHERE id = 90"))


def test_messages_behind_terminate_are_nobodys(opened: Open) -> None:
    pair = opened()
    pair.start()
    assert kinds(pair.ask(query("SELECT 1"), TERMINATE, query("SELECT 2"), count=3)) == "TDCZ."


def test_a_client_that_ends_its_half_gets_what_it_asked_for(opened: Open) -> None:
    import socket

    for sql in ("SELECT id, email FROM people ORDER BY id", "SELECT pg_sleep(0.5), 'late'"):
        pair = opened()
        pair.start()
        pair.say(query(sql), parse(sql), bind(), execute(), SYNC)
        for peer in pair.peers:
            peer.sock.shutdown(socket.SHUT_WR)
        assert kinds(pair.hear(count=3))[-1] == "."


def test_a_client_that_ends_in_a_transaction_rolls_back(opened: Open, twins: Twins) -> None:
    pair = opened()
    pair.start()
    pair.ask(query("BEGIN; INSERT INTO people (id, email) VALUES (95, 'planted-gone')"))
    pair.close()
    with twins.sealed.direct() as direct:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"
        eventually(lambda: direct.execute(busy).fetchone() == (0,))
        assert direct.execute("SELECT count(*) FROM people WHERE id = 95").fetchone() == (0,)


class TestHuge:
    """Values of many megabytes, whose whole the proxy need not hold unless they are sealed."""

    SIZE = 64 << 20

    def test_rows_pass(self, pair: Pair) -> None:
        pair.ask(query(f"SELECT repeat('x', {self.SIZE // 4}), 1"))
        pair.ask(parse(f"SELECT repeat('x', {self.SIZE // 4}), 1"), bind(results=(1,)), execute(), SYNC)

    def test_parameters_pass(self, pair: Pair) -> None:
        pair.ask(parse("SELECT length($1::bytea)"), bind(b"x" * self.SIZE, codes=(1,)), describe(), execute(), SYNC)

    def test_copy_data_pass(self, pair: Pair) -> None:
        pair.say(query("COPY big FROM STDIN"))
        pair.hear("G")
        line = b"1\t" + b"x" * self.SIZE + b"\n"
        pair.say(b"d", struct.pack("!i", len(line) + 4), line, b"c\0\0\0\4")
        assert kinds(pair.hear()) == "CZ"
        pair.ask(query("SELECT id, length(data) FROM big"))
