"""Bytes become complete messages: nothing is decoded beyond type and length.

A buffer takes any split of the stream. A length is judged before anything is
kept for it, so a lying header costs no memory. Limits are PostgreSQL's own
(SocketBackend in postgres.c); manual: protocol-overview.html.
"""

from __future__ import annotations

import struct
from typing import Literal

from pgcrypt_proxy.errors import BackendProtocolError, FrontendProtocolError, ProtocolError
from pgcrypt_proxy.wire import codes

HEADER_LENGTH = 5
_LENGTH = struct.Struct("!i")
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


class FrameBuffer:
    """The unread bytes of one leg. `max_message_bytes` bounds every message's length field."""

    def __init__(self, side: Literal["frontend", "backend"], max_message_bytes: int = codes.MAX_MESSAGE_LENGTH) -> None:
        self._side = side
        self._max = min(max_message_bytes, codes.MAX_MESSAGE_LENGTH)
        self._data = bytearray()
        self._at = 0

    @property
    def pending(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._data) - self._at

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
        data, size = self._data, len(self._data)
        at, count = self._at, 0
        unpack = _LENGTH.unpack_from
        limit = self._max
        while at + HEADER_LENGTH <= size and data[at] in kinds:
            length = unpack(data, at + 1)[0]
            if length < 4 or length > limit:
                self._next_length(at)
            end = at + 1 + length
            if end > size:
                break
            at = end
            count += 1
        run = bytes(memoryview(data)[self._at : at])
        self._at = at
        return run, count

    def take_startup(self) -> bytes | None:
        """The next packet without a type byte (startup phase), or None.

        Raises FrontendProtocolError when its length is none a server would read.
        """
        if self.pending < 4:
            return None
        length: int = _LENGTH.unpack_from(self._data, self._at)[0]
        if length < 8 or length > codes.MAX_STARTUP_PACKET_LENGTH:
            raise FrontendProtocolError("invalid length of startup packet")
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
        limit = self._max
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
