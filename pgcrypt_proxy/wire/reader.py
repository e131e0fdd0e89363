"""Primitive fields of a message body, each read with its bounds checked first.

Manual: protocol-message-types.html (Int8, Int16, Int32, String, Byten).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from pgcrypt_proxy.errors import ProtocolError

_INT16 = struct.Struct("!H")
_INT32 = struct.Struct("!i")
_OID = struct.Struct("!I")
_TOO_SHORT = "insufficient data left in message"


class MalformedMessage(ProtocolError):
    """A message's body is not of its form. PostgreSQL answers with ERROR and goes on, so this is not fatal."""

    severity = "ERROR"


class Reader:
    """Reads a body from its start. Raises MalformedMessage with PostgreSQL's wording (pqformat.c)."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, start: int = 5) -> None:
        self._data = data
        self._at = start
        self._end = len(data)

    def _need(self, count: int) -> int:
        at = self._at
        if count < 0 or at + count > self._end:
            raise MalformedMessage(_TOO_SHORT)
        self._at = at + count
        return at

    def byte(self) -> int:
        if self._at == self._end:
            raise MalformedMessage("no data left in message")
        return self._data[self._need(1)]

    def int16(self) -> int:
        """An unsigned Int16: counts of up to 65,535."""
        value: int = _INT16.unpack_from(self._data, self._need(2))[0]
        return value

    def int32(self) -> int:
        value: int = _INT32.unpack_from(self._data, self._need(4))[0]
        return value

    def oid(self) -> int:
        """An Int32 read without sign."""
        value: int = _OID.unpack_from(self._data, self._need(4))[0]
        return value

    def string(self) -> bytes:
        """A String without its terminator."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise MalformedMessage("invalid string in message")
        value = self._data[self._at : end]
        self._at = end + 1
        return value

    def value(self) -> bytes | None:
        """An Int32 length and that many bytes; -1, the only negative length, is NULL."""
        length = self.int32()
        if length == -1:
            return None
        at = self._need(length)
        return self._data[at : at + length]

    def values(self) -> tuple[bytes | None, ...]:
        """An Int16 count and that many `value`s, read at once."""
        count, data, at, end = self.int16(), self._data, self._at, self._end
        unpack = _INT32.unpack_from
        made: list[bytes | None] = []
        for _ in range(count):
            start = at + 4
            if start > end:
                raise MalformedMessage(_TOO_SHORT)
            length: int = unpack(data, at)[0]
            at = start
            if length == -1:
                made.append(None)
                continue
            at += length
            if length < 0 or at > end:
                raise MalformedMessage(_TOO_SHORT)
            made.append(data[start:at])
        self._at = at
        return tuple(made)

    def rest(self) -> bytes:
        value = self._data[self._at :]
        self._at = self._end
        return value

    def array(self, read: Callable[[], int]) -> tuple[int, ...]:
        """An Int16 count and that many items."""
        return tuple(read() for _ in range(self.int16()))

    def int16s(self) -> tuple[int, ...]:
        """An Int16 count and that many unsigned Int16, read at once."""
        count = self.int16()
        return struct.unpack_from(f"!{count}H", self._data, self._need(2 * count)) if count else ()

    def end(self) -> None:
        """The body must be read up."""
        if self._at != self._end:
            raise MalformedMessage("invalid message format")
