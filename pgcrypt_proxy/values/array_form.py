"""The text and binary forms of arrays: their bounds and elements, whatever the elements are.

Binary form (array_send): Int32 dimensions, has-null flag, element OID, then
length and lower bound of each dimension, then length and bytes of each element.
Manual: arrays.html.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgcrypt_proxy.errors import InvalidValue

_HEADER = struct.Struct("!iiI")
_DIMENSION = struct.Struct("!ii")
_LENGTH = struct.Struct("!i")
_OID = struct.Struct("!I")
MAX_DIMENSIONS = 6
MAX_ELEMENTS = (2**30 - 1) // 8  # MaxArraySize
#: OIDs below belong to PostgreSQL's own types (FirstGenbkiObjectId); only of these array_recv minds which one is given.
STABLE_OIDS = 10_000
_WHITE = " \t\n\r\v\f"
_BOUND = re.compile(r"[ \t\n\r\v\f]*\[ *(?:([+-]?\d{1,10}) *: *)?([+-]?\d{1,10}) *\]")
_EQUALS = re.compile(r"[ \t\n\r\v\f]*=[ \t\n\r\v\f]*")


@dataclass(frozen=True, slots=True)
class Array:
    """`bounds` are (length, lower bound) of each dimension, none for an empty array; `items` are in row order."""

    bounds: tuple[tuple[int, int], ...]
    items: list[bytes | None]


EMPTY = Array((), [])


def malformed(detail: str | None = None) -> InvalidValue:
    return InvalidValue("malformed array literal", detail=detail)


def _too_deep() -> InvalidValue:
    message = f"number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})"
    return InvalidValue(message, sqlstate="54000")


def from_text(text: bytes) -> Array:
    """The array of a literal, its elements in text form. Raises InvalidValue as array_in does."""
    try:
        source = text.decode()
    except UnicodeDecodeError:
        raise InvalidValue('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None
    given, source = _given_bounds(source)
    literal = _Literal(source.strip(_WHITE))
    items = literal.read()
    if not items:
        if given:
            raise malformed("Specified array dimensions do not match array contents.")
        return EMPTY
    lengths = literal.lengths
    if given is not None and [length for length, _ in given] != lengths:
        raise malformed("Specified array dimensions do not match array contents.")
    bounds = tuple(given) if given is not None else tuple((length, 1) for length in lengths)
    return Array(bounds, items)


def _given_bounds(source: str) -> tuple[list[tuple[int, int]] | None, str]:
    """The bounds that are written before the elements, and the rest of the text."""
    bounds = []
    at = 0
    while (found := _BOUND.match(source, at)) is not None:
        lower, upper = int(found[1] or 1), int(found[2])
        if not (-(2**31) <= lower < 2**31 and -(2**31) <= upper < 2**31 - 1):
            raise InvalidValue("array bound is out of integer range", sqlstate="22003")
        if upper < lower:
            raise InvalidValue("upper bound cannot be less than lower bound", sqlstate="2202E")
        bounds.append((upper - lower + 1, lower))
        at = found.end()
        if len(bounds) > MAX_DIMENSIONS:
            raise _too_deep()
    if not bounds:
        return None, source
    equals = _EQUALS.match(source, at)
    if equals is None:
        raise malformed()
    return bounds, source[equals.end() :]


class _Literal:
    """Reads `{a,"b c",NULL}` and `{{a},{b}}`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._items: list[bytes | None] = []
        #: the length of each dimension, as the first sub-array of each depth has it
        self.lengths: list[int] = []
        self._depth: int | None = None  # where the elements are

    def read(self) -> list[bytes | None]:
        if self._peek() != "{":
            raise malformed('Array value must start with "{" or dimension information.')
        self._array(1)
        if self._at != len(self._source):
            raise malformed("Junk after closing right brace.")
        return self._items

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _skip(self) -> str:
        while self._peek() and self._peek() in _WHITE:
            self._at += 1
        return self._peek()

    def _array(self, depth: int) -> None:
        if depth > MAX_DIMENSIONS:
            raise _too_deep()
        self._at += 1
        count = 0
        if self._skip() == "}":
            self._at += 1
        else:
            while True:
                self._member(depth)
                count += 1
                separator = self._skip()
                self._at += 1
                if separator == "}":
                    break
                if separator != ",":
                    raise malformed()
        if len(self.lengths) < depth:
            self.lengths += [-1] * (depth - len(self.lengths))
        if self.lengths[depth - 1] == -1:
            self.lengths[depth - 1] = count
        elif self.lengths[depth - 1] != count:
            raise _ragged()

    def _member(self, depth: int) -> None:
        if self._skip() == "{":
            if self._depth is not None and depth >= self._depth:
                raise _ragged()
            self._array(depth + 1)
            return
        if self._depth is None:
            if len(self.lengths) > depth:
                raise _ragged()
            self._depth = depth
        elif self._depth != depth:
            raise _ragged()
        item = self._item()
        self._items.append(None if item is None else item.encode())

    def _item(self) -> str | None:
        if self._peek() == '"':
            return self._quoted()
        kept: list[str] = []
        end = 0  # unescaped white space at the end does not count
        escaped = False
        while (character := self._peek()) and character not in ",}":
            if character in '{"':
                raise malformed()
            if character == "\\":
                self._at += 1
                character = self._peek()
                if not character:
                    raise malformed()
                escaped = True
                end = len(kept) + 1
            elif character not in _WHITE:
                end = len(kept) + 1
            kept.append(character)
            self._at += 1
        word = "".join(kept[:end])
        if not word:
            raise malformed()
        return None if word.upper() == "NULL" and not escaped else word

    def _quoted(self) -> str:
        self._at += 1
        kept: list[str] = []
        while (character := self._peek()) != '"':
            if character == "\\":
                self._at += 1
                character = self._peek()
            if not character:
                raise malformed()
            kept.append(character)
            self._at += 1
        self._at += 1
        return "".join(kept)


def _ragged() -> InvalidValue:
    return malformed("Multidimensional arrays must have sub-arrays with matching dimensions.")


_QUOTED = re.compile(r'[{}",\\ \t\n\r\v\f]')


def to_text(array: Array) -> bytes:
    """The literal of an array whose elements are in text form (array_out)."""
    if not array.bounds:
        return b"{}"
    level = [b"NULL" if item is None else _element(item) for item in array.items]
    for length, _ in reversed(array.bounds):
        level = [b"{" + b",".join(level[at : at + length]) + b"}" for at in range(0, len(level), length)]
    prefix = ""
    if any(lower != 1 for _, lower in array.bounds):
        prefix = "".join(f"[{lower}:{lower + length - 1}]" for length, lower in array.bounds) + "="
    return prefix.encode() + level[0]


def _element(item: bytes) -> bytes:
    text = item.decode()
    if text and text.upper() != "NULL" and _QUOTED.search(text) is None:
        return item
    return b'"' + item.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def from_binary(data: bytes, element_oid: int) -> Array:
    """The array of a binary form, its elements as they are. Raises InvalidValue (22P03, 42804) as array_recv does.

    `element_oid` 0 takes elements of any type; a database's own type takes whatever a driver says its elements are.
    """
    if len(data) < _HEADER.size:
        raise _bad()
    dimensions, flags, oid = _HEADER.unpack_from(data)
    if not 0 <= dimensions <= MAX_DIMENSIONS or flags not in (0, 1):
        raise _bad()
    if oid != element_oid and 0 < element_oid < STABLE_OIDS and oid < STABLE_OIDS:
        raise InvalidValue("binary data has another array element type than expected", sqlstate="42804")
    at = _HEADER.size
    if len(data) < at + dimensions * _DIMENSION.size:
        raise _bad()
    count = 1 if dimensions else 0
    bounds = []
    for _ in range(dimensions):
        length, lower = _DIMENSION.unpack_from(data, at)
        at += _DIMENSION.size
        if length < 0:
            raise _bad()
        if lower + length > 2**31 - 1:
            raise InvalidValue("array lower bound is too large", sqlstate="54000")
        bounds.append((length, lower))
        count *= length
    if count > MAX_ELEMENTS or count * 4 > len(data) - at:
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
        items.append(data[at : at + size])
        at += size
    if at != len(data):
        raise _bad()
    return Array(tuple(bounds), items) if items else EMPTY


def _bad() -> InvalidValue:
    return InvalidValue("insufficient data left in message", sqlstate="08P01")


def to_binary(array: Array, element_oid: int) -> bytes:
    """The binary form of an array whose elements are in binary form."""
    parts = [_HEADER.pack(len(array.bounds), int(None in array.items), element_oid)]
    parts += [_DIMENSION.pack(*bound) for bound in array.bounds]
    for item in array.items:
        parts.append(_LENGTH.pack(-1 if item is None else len(item)))
        if item is not None:
            parts.append(item)
    return b"".join(parts)


def with_element_oid(data: bytes, element_oid: int) -> bytes:
    """The same array as one of elements with that OID."""
    return data[:8] + _OID.pack(element_oid) + data[_HEADER.size :]


def with_items(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same binary array with every element changed. Raises InvalidValue for what is no array."""
    array = from_binary(data, 0)
    items = [None if item is None else change(item) for item in array.items]
    return to_binary(Array(array.bounds, items), _HEADER.unpack_from(data)[2])


def one_dimension(items: Sequence[bytes | None]) -> Array:
    return Array(((len(items), 1),), list(items)) if items else EMPTY
