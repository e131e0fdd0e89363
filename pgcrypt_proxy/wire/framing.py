"""Bytes become complete messages: nothing is decoded beyond type and length.

A buffer takes any split of the stream. A length is judged before anything is
kept for it, so a lying header costs no memory. Limits are PostgreSQL's own
(SocketBackend in postgres.c); manual: protocol-overview.html.
"""

from __future__ import annotations

import struct
from typing import Literal

from pgcrypt_proxy import fast
from pgcrypt_proxy.errors import BackendProtocolError, FrontendProtocolError, ProtocolError
from pgcrypt_proxy.wire import codes

HEADER_LENGTH = 5
_LENGTH = struct.Struct("!i")
#: A message that is longer and not complete may be taken in parts.
LONG_MESSAGE_BYTES = 1 << 20
#: Consumed bytes are dropped once they are this many, so that each byte moves once at most.
_COMPACT_AT = 1 << 16

_SMALL = frozenset(
    {
        codes.CLOSE,
        codes.DESCRIBE,
        codes.EXECUTE,
        codes.FLUSH,
        codes.SYNC,
        codes.TERMINATE,
        codes.COPY_DONE,
        codes.COPY_FAIL,
    }
)
_LARGE = frozenset({codes.QUERY, codes.PARSE, codes.BIND, codes.FUNCTION_CALL, codes.COPY_DATA})


class NoStartupPacket(FrontendProtocolError):
    """The first bytes are nobody's who speaks this protocol. PostgreSQL closes without a word."""


def run_of(data: bytes | bytearray, at: int, kinds: bytes, limit: int) -> tuple[int, int]:
    """Where the complete messages end that follow each other from `at` on and have a type in `kinds`; their number.

    Only headers are read. A length field that is impossible, or over `limit`, ends the run.
    """
    if fast.native is not None:
        end: tuple[int, int] = fast.native.run(data, at, kinds, limit)
        return end
    size, count = len(data), 0
    unpack = _LENGTH.unpack_from
    while at + HEADER_LENGTH <= size and data[at] in kinds:
        length = unpack(data, at + 1)[0]
        end_at = at + 1 + length
        if length < 4 or length > limit or end_at > size:
            break
        at = end_at
        count += 1
    return at, count


class FrameBuffer:
    """The unread bytes of one leg. `max_message_bytes` bounds every message's length field."""

    def __init__(self, side: Literal["frontend", "backend"], max_message_bytes: int = codes.MAX_MESSAGE_LENGTH) -> None:
        self._side = side
        self._usual_max = self.max_bytes = min(max_message_bytes, codes.MAX_MESSAGE_LENGTH)
        self._data = bytearray()
        self._at = 0
        self._rest = 0  # of the message that is taken in parts

    @property
    def pending(self) -> int:
        """How many bytes wait to be taken, or are still to come of the message that is taken in parts."""
        return len(self._data) - self._at + self._rest

    def limit(self, max_message_bytes: int | None) -> None:
        """From now on take no longer messages than that; None for the usual limit."""
        self.max_bytes = self._usual_max if max_message_bytes is None else min(max_message_bytes, self._usual_max)

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        if self._at == len(self._data):
            self._data = bytearray(data)
            self._at = 0
            return
        if self._at > _COMPACT_AT and self._at * 2 > len(self._data):
            del self._data[: self._at]
            self._at = 0
        self._data += data

    def take(self) -> bytes | None:
        """The next complete message with its header, or None. Raises ProtocolError for an impossible header."""
        if self._rest:
            return None
        total = self._next_length(self._at)
        if total is None or self._at + total > len(self._data):
            return None
        message = bytes(memoryview(self._data)[self._at : self._at + total])
        self._at += total
        return message

    def take_run(self, kinds: frozenset[int]) -> tuple[bytes, int]:
        """As many consecutive complete messages as have a type in `kinds`, joined, and their number.

        Only headers are read. Raises ProtocolError for an impossible header.
        """
        if self._rest:
            return b"", 0
        data = self._data
        at, count = run_of(data, self._at, bytes(kinds), self.max_bytes)
        if at + HEADER_LENGTH <= len(data) and data[at] in kinds:
            self._next_length(at)  # it is incomplete, or impossible
        run = bytes(memoryview(data)[self._at : at])
        self._at = at
        return run, count

    @property
    def is_in_parts(self) -> bool:
        """Whether a message is being taken in parts: no other one can be taken."""
        return self._rest > 0

    def long_head(self) -> tuple[int, int] | None:
        """Type and whole length of the next message if it is long and has not come whole."""
        if self._rest:
            return None
        total = self._next_length(self._at)
        if total is None or total <= LONG_MESSAGE_BYTES or self._at + total <= len(self._data):
            return None
        return self._data[self._at], total

    def peek(self, count: int) -> bytes:
        """The next bytes, as many as there are of `count`."""
        return bytes(memoryview(self._data)[self._at : self._at + count])

    def start_parts(self, *, with_header: bool) -> None:
        """Take the next message, which is a long one, by `take_part`."""
        total = self._next_length(self._at)
        assert total is not None
        skipped = 0 if with_header else HEADER_LENGTH
        self._at += skipped
        self._rest = total - skipped

    def take_part(self) -> bytes:
        """What has come of the message that is taken in parts; empty when nothing has."""
        part = self.peek(self._rest)
        self._at += len(part)
        self._rest -= len(part)
        return part

    def take_startup(self) -> bytes | None:
        """The next packet without a type byte (startup phase), or None.

        Raises NoStartupPacket when its length is none a server would read.
        """
        if self.pending < 4:
            return None
        length: int = _LENGTH.unpack_from(self._data, self._at)[0]
        if length < 8 or length - 4 > codes.MAX_STARTUP_PACKET_LENGTH:
            raise NoStartupPacket("invalid length of startup packet")
        if self.pending < length:
            return None
        packet = bytes(memoryview(self._data)[self._at : self._at + length])
        self._at += length
        return packet

    def drain(self) -> bytes:
        """All unread bytes, complete messages or not; the buffer is empty afterwards."""
        rest = bytes(memoryview(self._data)[self._at :])
        self._data, self._at = bytearray(), 0
        return rest

    def _next_length(self, at: int) -> int | None:
        """The whole length of the message at `at`, None while its header is incomplete."""
        available = len(self._data) - at
        if available < 1:
            return None
        kind = self._data[at]
        limit = self.max_bytes
        if self._side == "frontend":
            limit = min(limit, _frontend_limit(kind))
        if available < HEADER_LENGTH:
            return None
        length: int = _LENGTH.unpack_from(self._data, at + 1)[0]
        if length < 4 or length > limit:
            raise self._error("invalid message length")
        return 1 + length

    def _error(self, message: str) -> ProtocolError:
        return FrontendProtocolError(message) if self._side == "frontend" else BackendProtocolError(message)


def _frontend_limit(kind: int) -> int:
    """The longest length field that a server reads for this type. Raises FrontendProtocolError for no type."""
    if kind in _SMALL:
        return codes.SMALL_MESSAGE_LIMIT
    if kind in _LARGE:
        return codes.MAX_MESSAGE_LENGTH
    if kind == codes.PASSWORD:
        return codes.MAX_AUTH_TOKEN_LENGTH
    raise FrontendProtocolError(f"invalid frontend message type {kind}")
