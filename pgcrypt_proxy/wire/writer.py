"""Fields become a message: the length is counted and bounded here only."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.wire.codes import MAX_MESSAGE_LENGTH

_HEADER = struct.Struct("!Bi")
_INT16 = struct.Struct("!H")
_INT32 = struct.Struct("!i")
_OID = struct.Struct("!I")
_NULL = b"\xff\xff\xff\xff"


class MessageTooLong(PgcryptError):
    """A message grew over what PostgreSQL reads, because sealed values are longer than plain ones."""

    sqlstate = "54000"
    kind = "limit"


def message(kind: int, *parts: bytes) -> bytes:
    """Type byte, length, and the joined parts. Raises MessageTooLong."""
    body = b"".join(parts)
    if len(body) + 4 > MAX_MESSAGE_LENGTH:
        raise MessageTooLong("the message is longer than 1 GB after sealing", hint="Send smaller values.")
    return _HEADER.pack(kind, len(body) + 4) + body


def int16(value: int) -> bytes:
    return _INT16.pack(value)


def int32(value: int) -> bytes:
    return _INT32.pack(value)


def oid(value: int) -> bytes:
    return _OID.pack(value)


def string(value: bytes) -> bytes:
    """A String with its terminator; `value` holds no NUL."""
    if b"\0" in value:
        raise ValueError("a String cannot hold NUL")
    return value + b"\0"


def array16(values: tuple[int, ...]) -> bytes:
    """An Int16 count and as many Int16."""
    return struct.pack(f"!H{len(values)}H", len(values), *values)


def oids(values: tuple[int, ...]) -> bytes:
    """An Int16 count and as many OIDs."""
    return struct.pack(f"!H{len(values)}I", len(values), *values)


def values(items: Iterable[bytes | None]) -> bytes:
    """Values with their Int32 lengths, -1 for NULL."""
    parts: list[bytes] = []
    for item in items:
        if item is None:
            parts.append(_NULL)
        else:
            parts += (_INT32.pack(len(item)), item)
    return b"".join(parts)
