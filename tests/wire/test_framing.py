"""Any split of the stream gives the same messages; impossible lengths are refused before anything is kept."""

from __future__ import annotations

import struct

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import BackendProtocolError, FrontendProtocolError
from pgcrypt_proxy.wire import codes
from pgcrypt_proxy.wire.framing import LONG_MESSAGE_BYTES, FrameBuffer

DATA_ROWS = frozenset({codes.DATA_ROW})


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("!Bi", kind, len(body) + 4) + body


bodies = st.binary(max_size=300)
backend_messages = st.lists(st.tuples(st.sampled_from(b"DCZTS12"), bodies), max_size=30)


@given(backend_messages, st.lists(st.integers(0, 400), max_size=20))
def test_any_split_gives_the_same_messages(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    sent = [message(kind, body) for kind, body in messages]
    stream = b"".join(sent)
    buffer = FrameBuffer("backend")
    taken = []
    at = 0
    for cut in [*cuts, len(stream)]:
        buffer.feed(stream[at : at + cut])
        at += cut
        while (raw := buffer.take()) is not None:
            taken.append(raw)
    assert taken == sent
    assert buffer.pending == 0


@given(backend_messages, st.integers(1, 50))
def test_runs_hold_whole_messages_only(messages: list[tuple[int, bytes]], step: int) -> None:
    sent = [message(kind, body) for kind, body in messages]
    stream = b"".join(sent)
    buffer = FrameBuffer("backend")
    taken = b""
    count = 0
    for at in range(0, len(stream), step):
        buffer.feed(stream[at : at + step])
        while True:
            run, number = buffer.take_run(DATA_ROWS)
            taken, count = taken + run, count + number
            other = buffer.take()
            if other is None and not number:
                break
            if other is not None:
                count += other[0] == codes.DATA_ROW
                taken += other
    assert taken == stream
    assert count == sum(kind == codes.DATA_ROW for kind, _ in messages)


@pytest.mark.parametrize("length", [0, 3, -1, -(2**31), 2**31 - 1, 0x40000000])
def test_impossible_lengths_are_refused_at_the_header(length: int) -> None:
    frontend = FrameBuffer("frontend")
    frontend.feed(struct.pack("!Bi", codes.QUERY, length))
    with pytest.raises(FrontendProtocolError):
        frontend.take()
    backend = FrameBuffer("backend")
    backend.feed(struct.pack("!Bi", codes.DATA_ROW, length))
    with pytest.raises(BackendProtocolError):
        backend.take_run(DATA_ROWS)


@pytest.mark.parametrize("kind", b"CDEHSXcf")
def test_small_messages_have_the_servers_limit(kind: int) -> None:
    buffer = FrameBuffer("frontend")
    buffer.feed(struct.pack("!Bi", kind, 10_001))
    with pytest.raises(FrontendProtocolError):
        buffer.take()


def test_authentication_messages_have_the_servers_limit() -> None:
    buffer = FrameBuffer("frontend")
    buffer.feed(struct.pack("!Bi", codes.PASSWORD, codes.MAX_AUTH_TOKEN_LENGTH))
    assert buffer.take() is None  # it may come
    buffer = FrameBuffer("frontend")
    buffer.feed(struct.pack("!Bi", codes.PASSWORD, codes.MAX_AUTH_TOKEN_LENGTH + 1))
    with pytest.raises(FrontendProtocolError):
        buffer.take()


def test_an_unknown_type_is_refused_with_its_number() -> None:
    buffer = FrameBuffer("frontend")
    buffer.feed(b"\x07\0\0\0\x04")
    with pytest.raises(FrontendProtocolError, match="invalid frontend message type 7"):
        buffer.take()


def test_a_configured_limit_holds() -> None:
    buffer = FrameBuffer("frontend", 100)
    buffer.feed(message(codes.QUERY, b"x" * 96))
    assert buffer.take() is not None
    buffer.feed(message(codes.QUERY, b"x" * 97))
    with pytest.raises(FrontendProtocolError):
        buffer.take()


@pytest.mark.parametrize("length", [0, 7, 10_005, -1])
def test_startup_packets_have_the_servers_limits(length: int) -> None:
    buffer = FrameBuffer("frontend")
    buffer.feed(struct.pack("!i", length) + bytes(8))
    with pytest.raises(FrontendProtocolError):
        buffer.take_startup()


def test_a_startup_packet_byte_by_byte() -> None:
    packet = struct.pack("!iI", 13, 3 << 16) + b"user\0"
    buffer = FrameBuffer("frontend")
    for number in range(len(packet)):
        assert buffer.take_startup() is None
        buffer.feed(packet[number : number + 1])
    assert buffer.take_startup() == packet


def test_drain_empties_the_buffer() -> None:
    buffer = FrameBuffer("frontend")
    buffer.feed(b"abc")
    assert buffer.drain() == b"abc"
    assert buffer.pending == 0


def test_a_big_stream_is_not_moved_again_and_again() -> None:
    buffer = FrameBuffer("backend")
    row = message(codes.DATA_ROW, bytes(100))
    for _ in range(50):
        buffer.feed(row * 2_000 + row[:50])
        run, count = buffer.take_run(DATA_ROWS)
        assert count == 2_000
        assert len(run) == 2_000 * len(row)
        assert buffer.drain() == row[:50]


@given(st.lists(st.binary(min_size=1, max_size=400_000), min_size=1, max_size=8))
def test_a_long_message_in_parts(chunks: list[bytes]) -> None:
    body = bytes(LONG_MESSAGE_BYTES) + b"".join(chunks)
    sent = message(codes.COPY_DATA, body)
    buffer = FrameBuffer("frontend")
    buffer.feed(sent[:5])
    assert buffer.long_head() == (codes.COPY_DATA, len(sent))
    assert buffer.take() is None
    buffer.start_parts(with_header=False)
    parts, at = b"", 5
    for chunk in [*chunks, b"x" * len(sent)]:
        buffer.feed(sent[at : at + len(chunk)])
        at += len(chunk)
        parts += buffer.take_part()
    assert parts == body
    assert not buffer.is_in_parts
    buffer.feed(message(codes.SYNC, b""))
    assert buffer.take() == message(codes.SYNC, b"")
