"""The hot leaf: value lists, as DataRow's columns and Bind's parameters share their shape.

Int16 count, then for each value an Int32 length (-1: NULL, the only negative
one) and its bytes. Manual: protocol-message-formats.html, DataRow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

from pgcrypt_proxy.errors import BackendProtocolError
from pgcrypt_proxy.wire import writer
from pgcrypt_proxy.wire.codes import MAX_MESSAGE_LENGTH

_COUNT = struct.Struct("!H")
_LENGTH = struct.Struct("!i")
_HEADER = struct.Struct("!Bi")
_MALFORMED = "invalid DataRow message"


def split(body: bytes) -> list[bytes | None]:
    """The values of a list (a body without header). Raises BackendProtocolError when it is malformed."""
    if len(body) < 2:
        raise BackendProtocolError(_MALFORMED)
    at, size = 2, len(body)
    values: list[bytes | None] = []
    for _ in range(_COUNT.unpack_from(body)[0]):
        if at + 4 > size:
            raise BackendProtocolError(_MALFORMED)
        length = _LENGTH.unpack_from(body, at)[0]
        at += 4
        if length == -1:
            values.append(None)
            continue
        if length < 0 or at + length > size:
            raise BackendProtocolError(_MALFORMED)
        values.append(bytes(body[at : at + length]))
        at += length
    if at != size:
        raise BackendProtocolError(_MALFORMED)
    return values


def join(values: Sequence[bytes | None]) -> bytes:
    """The list that `split` takes apart."""
    return _COUNT.pack(len(values)) + writer.values(values)


def data_row(values: Iterable[bytes | None]) -> bytes:
    """A DataRow message."""
    return writer.message(ord("D"), join(list(values)))


def replace(raw: bytes, actions: Sequence[Callable[[bytes], bytes] | None]) -> bytes:
    """The DataRow `raw` with the columns that have an action replaced by its result; NULL stays NULL.

    One pass: what lies between replaced columns is copied in one piece. Raises
    BackendProtocolError when the row is malformed or has another number of
    columns than `actions`, MessageTooLong when it grows over 1 GB, and whatever
    an action raises.
    """
    size = len(raw)
    unpack = _LENGTH.unpack_from
    if size < 7 or _COUNT.unpack_from(raw, 5)[0] != len(actions):
        raise BackendProtocolError(_MALFORMED)
    parts: list[bytes] = [b""]  # the header's place
    kept = 5
    at = 7
    total = 0
    for action in actions:
        start = at
        at += 4
        if at > size:
            raise BackendProtocolError(_MALFORMED)
        length = unpack(raw, start)[0]
        if length < 0:
            if length != -1:
                raise BackendProtocolError(_MALFORMED)
            continue
        end = at + length
        if end > size:
            raise BackendProtocolError(_MALFORMED)
        if action is not None:
            value = action(raw[at:end])
            parts.append(raw[kept:start])
            parts.append(_LENGTH.pack(len(value)))
            parts.append(value)
            total += start - kept + 4 + len(value)
            kept = end
        at = end
    if at != size:
        raise BackendProtocolError(_MALFORMED)
    if kept == 5:
        return raw
    parts.append(raw[kept:])
    total += size - kept
    if total + 4 > MAX_MESSAGE_LENGTH:
        raise writer.MessageTooLong("the row is longer than 1 GB after opening")
    parts[0] = _HEADER.pack(raw[0], total + 4)
    return b"".join(parts)
