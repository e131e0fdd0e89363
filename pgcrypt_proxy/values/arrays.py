"""One-dimensional arrays, as `= ANY` takes them: text and binary in, bytea[] out.

Binary form (array_send): Int32 dimensions, has-null flag, element OID, then
length and lower bound of each dimension, then values. Manual: arrays.html.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType

_HEADER = struct.Struct("!iiI")
_DIMENSION = struct.Struct("!ii")
_LENGTH = struct.Struct("!i")
_BYTEA_OID = 17
MAX_DIMENSIONS = 6
_WHITE = " \t\n\r\v\f"


def _malformed() -> InvalidValue:
    return InvalidValue("malformed array literal")


def from_text(element: LogicalType, text: bytes, settings: TextSettings) -> list[bytes | None]:
    """The elements of an array literal, in binary form; several dimensions are flattened.

    Raises InvalidValue (22P02) as array_in does, and for explicit bounds.
    """
    try:
        source = text.decode().strip(_WHITE)
    except UnicodeDecodeError:
        raise InvalidValue('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None
    items = _Literal(source).read()
    return [None if item is None else codec.from_text(element, item.encode(), settings) for item in items]


class _Literal:
    """Reads `{a,"b c",NULL}`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._items: list[str | None] = []

    def read(self) -> list[str | None]:
        if self._peek() != "{":
            raise _malformed()
        self._array(1)
        if self._at != len(self._source):
            raise _malformed()
        return self._items

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _skip(self) -> str:
        while self._peek() and self._peek() in _WHITE:
            self._at += 1
        return self._peek()

    def _array(self, depth: int) -> None:
        if depth > MAX_DIMENSIONS:
            raise InvalidValue(
                f"number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})", sqlstate="54000"
            )
        self._at += 1
        if self._skip() == "}":
            self._at += 1
            return
        while True:
            if self._skip() == "{":
                self._array(depth + 1)
            else:
                self._items.append(self._item())
            separator = self._skip()
            self._at += 1
            if separator == "}":
                return
            if separator != ",":
                raise _malformed()

    def _item(self) -> str | None:
        if self._peek() == '"':
            return self._quoted()
        kept: list[str] = []
        end = 0  # unescaped white space at the end does not count
        escaped = False
        while (character := self._peek()) and character not in ",}":
            if character in '{"':
                raise _malformed()
            if character == "\\":
                self._at += 1
                character = self._peek()
                if not character:
                    raise _malformed()
                escaped = True
                end = len(kept) + 1
            elif character not in _WHITE:
                end = len(kept) + 1
            kept.append(character)
            self._at += 1
        word = "".join(kept[:end])
        if not word:
            raise _malformed()
        return None if word.upper() == "NULL" and not escaped else word

    def _quoted(self) -> str:
        self._at += 1
        kept: list[str] = []
        while (character := self._peek()) != '"':
            if character == "\\":
                self._at += 1
                character = self._peek()
            if not character:
                raise _malformed()
            kept.append(character)
            self._at += 1
        self._at += 1
        return "".join(kept)


def from_binary(element: LogicalType, data: bytes) -> list[bytes | None]:
    """The elements of a binary array. Raises InvalidValue (22P03, 42804) as array_recv does."""
    if len(data) < _HEADER.size:
        raise _bad()
    dimensions, flags, oid = _HEADER.unpack_from(data)
    if not 0 <= dimensions <= MAX_DIMENSIONS or flags not in (0, 1):
        raise _bad()
    if oid != element.oid:
        raise InvalidValue("binary data has another array element type than expected", sqlstate="42804")
    at = _HEADER.size
    if len(data) < at + dimensions * _DIMENSION.size:
        raise _bad()
    count = 1 if dimensions else 0
    for _ in range(dimensions):
        length, _bound = _DIMENSION.unpack_from(data, at)
        at += _DIMENSION.size
        if length < 0:
            raise _bad()
        count *= length
    if count * 4 > len(data) - at:
        raise _bad()
    items: list[bytes | None] = []
    for _ in range(count):
        if at + 4 > len(data):
            raise _bad()
        size = _LENGTH.unpack_from(data, at)[0]
        at += 4
        if size == -1:
            items.append(None)
            continue
        if size < 0 or at + size > len(data):
            raise _bad()
        items.append(codec.from_binary(element, data[at : at + size]))
        at += size
    if at != len(data):
        raise _bad()
    return items


def _bad() -> InvalidValue:
    return InvalidValue("insufficient data left in message", sqlstate="08P01")


def bytea_array(items: Sequence[bytes | None]) -> bytes:
    """The binary form of a one-dimensional bytea[] with lower bound 1; no dimension when empty."""
    if not items:
        return _HEADER.pack(0, 0, _BYTEA_OID)
    parts = [_HEADER.pack(1, int(None in items), _BYTEA_OID), _DIMENSION.pack(len(items), 1)]
    for item in items:
        parts.append(_LENGTH.pack(-1 if item is None else len(item)))
        if item is not None:
            parts.append(item)
    return b"".join(parts)
