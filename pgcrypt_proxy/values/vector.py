"""pgvector's vector.

Binary form (vector_send): Int16 number of dimensions, Int16 0, then a float4
for each.
"""

from __future__ import annotations

import math
import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import floats
from pgcrypt_proxy.values.modifiers import MAX_VECTOR_DIMENSIONS
from pgcrypt_proxy.values.problems import bad_binary, bad_syntax

_HEADER = struct.Struct("!hh")
_SIZE = 4
_WHITE = b" \t\n\r\v\f"


def vector_in(text: bytes) -> bytes:
    """vector's input, in binary: numbers between brackets, at least one."""
    word = text.strip(_WHITE)
    if word[:1] != b"[" or word[-1:] != b"]" or len(word) < 2:
        raise bad_syntax("vector")
    inside = word[1:-1]
    if not inside.strip(_WHITE):
        raise InvalidValue("vector must have at least 1 dimension", sqlstate="22000")
    items = inside.split(b",")
    if len(items) > MAX_VECTOR_DIMENSIONS:
        raise _too_many()
    try:
        numbers = b"".join(floats.float_in("float4", item) for item in items)
    except InvalidValue as error:
        if error.code != "22P02":
            raise InvalidValue("value out of range for type vector", sqlstate="22003") from None
        raise bad_syntax("vector") from None
    return vector_recv(_HEADER.pack(len(items), 0) + numbers)


def _too_many() -> InvalidValue:
    return InvalidValue(f"vector cannot have more than {MAX_VECTOR_DIMENSIONS} dimensions", sqlstate="54000")


def vector_recv(data: bytes) -> bytes:
    """A binary vector, checked as vector_recv does: no NaN, no infinity."""
    if len(data) < _HEADER.size:
        raise bad_binary("vector")
    count, unused = _HEADER.unpack_from(data)
    if count < 1:
        raise InvalidValue("vector must have at least 1 dimension", sqlstate="22000")
    if count > MAX_VECTOR_DIMENSIONS:
        raise _too_many()
    if unused != 0 or len(data) != _HEADER.size + count * _SIZE:
        raise bad_binary("vector")
    for number in struct.unpack_from(f"!{count}f", data, _HEADER.size):
        if math.isnan(number):
            raise InvalidValue("NaN not allowed in vector", sqlstate="22000")
        if math.isinf(number):
            raise InvalidValue("infinite value not allowed in vector", sqlstate="22000")
    return data


def vector_out(data: bytes) -> bytes:
    """vector's output."""
    numbers = vector_recv(data)[_HEADER.size :]
    written = (floats.float_out("float4", numbers[at : at + _SIZE]) for at in range(0, len(numbers), _SIZE))
    return b"[" + b",".join(written) + b"]"


def vector_key(data: bytes) -> bytes:
    """Equal for equal numbers: both zeros are one."""
    count = _HEADER.unpack_from(data)[0]
    numbers = struct.unpack_from(f"!{count}f", data, _HEADER.size)
    return struct.pack(f"!{count}f", *(number + 0.0 for number in numbers))


def fit(data: bytes, typmod: int) -> bytes:
    """The vector, if it has the modifier's number of dimensions."""
    count = _HEADER.unpack_from(data)[0]
    if typmod not in (-1, count):
        raise InvalidValue(f"expected {typmod} dimensions, not {count}", sqlstate="22000")
    return data
