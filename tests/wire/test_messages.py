"""Every message survives encoding and decoding; every malformed body is refused, in PostgreSQL's words."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import ProtocolError, Refusal
from pgcrypt_proxy.wire import backend, codes, frontend, writer
from pgcrypt_proxy.wire.reader import MalformedMessage, Reader
from pgcrypt_proxy.wire.startup import (
    CancelRequest,
    GssEncRequest,
    NoUser,
    SslRequest,
    StartupMessage,
    UnsupportedProtocol,
    decode,
)

strings = st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"x"))
oids = st.integers(0, 2**32 - 1)
formats = st.lists(st.integers(0, 65_535), max_size=5).map(tuple)
values = st.lists(st.none() | st.binary(max_size=60), max_size=6).map(tuple)

MESSAGES: list[st.SearchStrategy[Any]] = [
    st.builds(frontend.Query, strings),
    st.builds(frontend.Parse, strings, strings, st.lists(oids, max_size=5).map(tuple)),
    st.builds(frontend.Bind, strings, strings, formats, values, formats),
    st.builds(frontend.Describe, st.sampled_from(b"SP"), strings),
    st.builds(frontend.Close, st.sampled_from(b"SP"), strings),
    st.builds(frontend.Execute, strings, st.integers(-(2**31), 2**31 - 1)),
    st.builds(
        backend.RowDescription,
        st.lists(
            st.builds(
                backend.FieldDescription,
                strings,
                oids,
                st.integers(-(2**15), 2**15 - 1),
                oids,
                st.integers(-(2**15), 2**15 - 1),
                st.integers(-(2**31), 2**31 - 1),
                st.integers(0, 1),
            ),
            max_size=4,
        ).map(tuple),
    ),
    st.builds(backend.ParameterDescription, st.lists(oids, max_size=5).map(tuple)),
    st.builds(backend.ErrorResponse, st.lists(st.tuples(st.integers(1, 255), strings), max_size=6).map(tuple)),
    st.builds(backend.NoticeResponse, st.lists(st.tuples(st.integers(1, 255), strings), max_size=6).map(tuple)),
    st.builds(backend.ReadyForQuery, st.sampled_from(b"ITE")),
    st.builds(backend.ParameterStatus, strings, strings),
    st.builds(backend.CommandComplete, strings),
    st.builds(backend.Authentication, st.integers(0, 12), st.binary(max_size=30)),
    st.builds(backend.BackendKeyData, st.integers(0, 2**31 - 1), st.binary(min_size=4, max_size=256)),
]


@given(st.one_of(MESSAGES))
def test_round_trip(message: Any) -> None:
    raw = message.encode()
    assert struct.unpack_from("!i", raw, 1)[0] == len(raw) - 1
    assert type(message).decode(raw) == message


@given(st.one_of(MESSAGES), st.binary(max_size=8), st.data())
def test_damaged_bodies_raise_protocol_errors_only(message: Any, junk: bytes, data: st.DataObject) -> None:
    raw = bytearray(message.encode())
    if len(raw) > 5:
        at = data.draw(st.integers(5, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
        del raw[data.draw(st.integers(at, len(raw))) :]
    raw += junk
    with contextlib.suppress(ProtocolError):
        type(message).decode(bytes(raw))


@pytest.mark.parametrize(
    ("decode_", "raw", "text"),
    [
        (frontend.Query.decode, b"Q\0\0\0\x06ab", "invalid string in message"),
        (frontend.Query.decode, b"Q\0\0\0\x07a\0b", "invalid message format"),
        (frontend.Bind.decode, b"B\0\0\0\x0a\0\0\0\0\0\1", "insufficient data left in message"),
        (frontend.Bind.decode, b"B\0\0\0\0\0\0\0\0\0\1\xff\xff\xff\xfe\0\0", "insufficient data left in message"),
        (frontend.Bind.decode, b"B\0\0\0\0\0\0\0\0\0\1\0\0\0\x09ab\0\0", "insufficient data left in message"),
        (frontend.Execute.decode, b"E\0\0\0\x06\0\0", "insufficient data left in message"),
    ],
)
def test_malformed_messages_are_named_as_the_server_does(decode_: Any, raw: bytes, text: str) -> None:
    with pytest.raises(MalformedMessage, match=text) as caught:
        decode_(raw)
    assert caught.value.severity == "ERROR"  # the server goes on after these


@given(
    st.binary(max_size=60)
    | st.lists(st.none() | st.binary(max_size=9), max_size=6).map(
        lambda v: struct.pack("!H", len(v)) + writer.values(v)
    )
)
def test_values_at_once_are_the_values_one_by_one(body: bytes) -> None:
    def read(way: Callable[[Reader], tuple[bytes | None, ...]]) -> Any:
        reader = Reader(body, 0)
        try:
            return way(reader), reader.rest()
        except MalformedMessage as error:
            return error.message

    assert read(Reader.values) == read(lambda reader: tuple([reader.value() for _ in range(reader.int16())]))


def test_no_message_shows_its_values() -> None:
    bind = frontend.Bind(b"", b"", (), (b"planted",), ())
    parse = frontend.Parse(b"", b"SELECT 'planted'")
    for message in (bind, parse, frontend.Query(b"planted"), backend.ErrorResponse(((77, b"planted"),))):
        assert "planted" not in repr(message)


def test_error_response_has_the_errors_fields() -> None:
    raw = backend.error_response(Refusal("no", hint="do", detail="why", position=7))
    response = backend.ErrorResponse.decode(raw)
    assert {chr(c): v for c, v in response.fields} == {
        "S": b"ERROR",
        "V": b"ERROR",
        "C": b"0A000",
        "M": b"no",
        "D": b"why",
        "H": b"do",
        "P": b"7",
    }
    assert response.sqlstate == "0A000"
    assert backend.ErrorResponse(()).sqlstate == "XX000"


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!iI", 8 + len(body), code) + body


class TestStartup:
    def test_requests(self) -> None:
        assert decode(packet(codes.SSL_REQUEST_CODE)) == SslRequest()
        assert decode(packet(codes.GSSENC_REQUEST_CODE)) == GssEncRequest()
        cancel = packet(codes.CANCEL_REQUEST_CODE, bytes(8))
        assert decode(cancel) == CancelRequest(cancel)

    def test_parameters(self) -> None:
        made = decode(packet(3 << 16 | 2, b"user\0alice\0database\0d\0_pq_.x\0\0\0"))
        assert isinstance(made, StartupMessage)
        assert (made.protocol_major, made.protocol_minor) == (3, 2)
        assert made.parameters == {"user": "alice", "database": "d", "_pq_.x": ""}

    @pytest.mark.parametrize("body", [b"user\0alice\0", b"user\0alice", b"user", b"user\0a\0\0x"])
    def test_bad_layout(self, body: bytes) -> None:
        with pytest.raises(ProtocolError, match="invalid startup packet layout"):
            decode(packet(3 << 16, body))

    def test_no_user(self) -> None:
        with pytest.raises(NoUser) as caught:
            decode(packet(3 << 16, b"\0"))
        assert caught.value.code == "28000"

    @pytest.mark.parametrize(("code", "old"), [(2 << 16, True), (4 << 16, False)])
    def test_other_protocols(self, code: int, old: bool) -> None:
        with pytest.raises(UnsupportedProtocol) as caught:
            decode(packet(code, b"\0"))
        assert caught.value.is_protocol_2 is old
        assert caught.value.code == "0A000"
