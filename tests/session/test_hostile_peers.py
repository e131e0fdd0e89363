"""Peers that break the protocol once the connection is ready: it ends or answers, and nothing else happens."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.session.commands import CloseConnection
from pgcrypt_proxy.session.events import BackendOpened, Side
from pgcrypt_proxy.wire import writer
from pgcrypt_proxy.wire.frontend import COPY_DONE, FLUSH, SYNC, Bind
from tests.helpers.playbook import backend, frontend, to_backend
from tests.helpers.session_doubles import EMAIL
from tests.session.conversations import (
    AUTHENTICATED,
    BOUND,
    ID,
    PARSED,
    SEALED_EMAIL,
    SHOWN_EMAIL,
    STARTUP,
    Talk,
    bind,
    bytea,
    describe,
    described,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    reading,
    ready,
    row,
    status,
    storing,
    talk,
)

SELECT = "SELECT id, email FROM users"
INSERT = "INSERT INTO users(email) VALUES ($1)"
PLANS = {SELECT: reading(SELECT, None, EMAIL), INSERT: storing()}
A = b"<1||a@b.c>"


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode("latin-1") + struct.pack("!i", len(body) + 4) + body


def ends(play: Talk) -> str:
    """The SQLSTATE with which both legs close."""
    state = fields_of(play.sent(Side.FRONTEND)[-1])["C"]
    assert list(play.said) == [CloseConnection(Side.FRONTEND), CloseConnection(Side.BACKEND)]
    assert play.session.is_closed
    return state


@pytest.mark.parametrize(
    "bad",
    [
        message("D", struct.pack("!hi", 2, -2)),
        message("D", struct.pack("!hiii", 2, -1, -5, 0)),
        message("D", struct.pack("!hi", 2, 0x7FFFFFFF) + b"x"),
        message("D", struct.pack("!h", -1)),
        message("D"),
        message("D", row(b"1", bytea(A))[5:] + b"more"),
        message("T", struct.pack("!h", 2) + b"no end"),
        message("T", struct.pack("!h", -1)),
        message("T"),
        message("Z", b"X"),
        message("Z"),
        message("C", b"no end"),
        message("1", b"body"),
        message("S", b"TimeZone\0no end"),
        message("S", b""),
        message("E", b"Sno end"),
        message("E", b"SERROR\0"),
        message("N"),
        b"D\xff\xff\xff\xff",
        b"D\0\0\0\3",
        b"D\x7f\xff\xff\xff",
    ],
)
def test_malformed_answers_end_the_connection(bad: bytes) -> None:
    play = talk(PLANS) >> frontend(query(SELECT)) << to_backend(query(SELECT))
    play >> backend(described(ID, SEALED_EMAIL))
    play.sent(Side.FRONTEND)
    play >> backend(bad)
    assert ends(play) in ("08P01", "XX001")


def test_an_error_without_a_code_passes() -> None:
    play = talk() >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    nameless = message("E", b"SERROR\0Mno code\0\0")
    play >> backend(nameless, ready())
    assert play.sent(Side.FRONTEND) == [nameless, ready()]


@pytest.mark.parametrize("length", [0, 3, 257, 5000])
def test_cancel_keys_have_a_length(length: int) -> None:
    play = Talk()
    play >> frontend(STARTUP)
    play.said.clear()
    play >> BackendOpened()
    play.said.clear()
    play >> backend(AUTHENTICATED, message("K", b"\0\0\0\1" + b"k" * length))
    assert ends(play) == "08P01"


class TestGrowth:
    """Sealed values are longer than plain ones; a message never gets a length that is not its own."""

    def test_a_message_that_grows_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writer, "MAX_MESSAGE_LENGTH", 150)
        play = talk(PLANS) >> frontend(parse(INSERT))
        play.said.clear()
        play >> frontend(bind(b"x" * 130), SYNC)
        monkeypatch.undo()
        assert play.sent(Side.BACKEND)[-1] == SYNC
        play >> backend(PARSED, error("26000"), ready())
        said = play.sent(Side.FRONTEND)
        assert fields_of(said[1])["C"] == "54000"

    @given(st.binary(max_size=80))
    def test_values_that_look_like_messages(self, rest: bytes) -> None:
        """What is sent to the server has the boundaries of what was meant, whatever is in the values."""
        smuggled = query("DROP TABLE users") + SYNC + rest
        play = talk(PLANS)
        for sql, value in (
            (INSERT, smuggled.replace(b"\0", b"\x04").decode("latin-1").encode()),
            ("SELECT $1", smuggled),
        ):
            play >> frontend(parse(sql), bind(value, codes=(1,)), execute(), SYNC)
            sent = play.sent(Side.BACKEND)
            assert [m[:1] for m in sent] == [b"P", b"B", b"E", b"S"]
            assert value in Bind.decode(sent[1]).parameters[0]
            play >> backend(PARSED, BOUND, done("INSERT 0 1"), ready())
            play.said.clear()


FRONTEND_STARTS = [
    query(SELECT),
    query("SELECT 1"),
    query("COPY t FROM STDIN"),
    parse(SELECT),
    parse(INSERT, "s"),
    bind(b"x", statement="s"),
    bind(),
    describe("S", "s"),
    describe(),
    execute(),
    execute("p", 2),
    message("C", b"Ss\0"),
    message("d", b"data"),
    COPY_DONE,
    message("f", b"why\0"),
    message("F", struct.pack("!Ihhh", 177, 0, 0, 0)),
    SYNC,
    FLUSH,
]
BACKEND_STARTS = [
    PARSED,
    BOUND,
    described(ID, SEALED_EMAIL),
    described(ID),
    row(b"1", bytea(A)),
    row(b"1"),
    done("SELECT 1"),
    ready(),
    ready("E"),
    error("42601"),
    error("57P01", severity="FATAL"),
    status("client_encoding", "LATIN1"),
    status("TimeZone", "Asia/Tokyo"),
    message("G", b"\0\0\0"),
    message("H", b"\0\0\0"),
    message("V", struct.pack("!i", -1)),
    message("t", b"\0\0"),
    message("n"),
    message("s"),
    message("I"),
    message("3"),
    message("N", b"SNOTICE\0\0"),
    message("A", b"\0\0\0\1a\0b\0"),
]


@st.composite
def mutated(draw: Any, starts: list[bytes]) -> bytes:
    """A message as it should be, or with bytes changed, cut off or added, its length right again or not."""
    raw = bytearray(draw(st.sampled_from(starts)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, raw[at] ^ 1]))
    body = bytes(raw[5:])[: draw(st.integers(0, 40)) if draw(st.booleans()) else None]
    if draw(st.integers(0, 9)):
        raw[1:5] = struct.pack("!i", len(body) + 4)
    return bytes(raw[:5]) + body


sides = st.lists(
    st.one_of(
        st.tuples(st.just(Side.FRONTEND), mutated(FRONTEND_STARTS)),
        st.tuples(st.just(Side.BACKEND), mutated(BACKEND_STARTS)),
    ),
    max_size=25,
)


@given(sides)
def test_nothing_that_either_side_says_is_more_than_an_error(said: list[tuple[Side, bytes]]) -> None:
    """No exception leaves the session: it answers, ends, or waits."""
    play = talk(PLANS)
    for side, raw in said:
        play.session.handle((frontend if side is Side.FRONTEND else backend)(raw))
        if play.session.is_closed:
            break


def test_what_is_shown_is_what_was_sealed() -> None:
    play = talk(PLANS) >> frontend(query(SELECT)) << to_backend(query(SELECT))
    play >> backend(described(ID, SEALED_EMAIL), row(b"1", bytea(A)))
    assert play.sent(Side.FRONTEND) == [described(ID, SHOWN_EMAIL), row(b"1", b"a@b.c")]


def test_fields_that_nobody_knows_yet_pass() -> None:
    play = talk() >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    odd = error("42601", "no", Z="of a later protocol", z="another")
    play >> backend(odd, ready())
    assert play.sent(Side.FRONTEND) == [odd, ready()]
