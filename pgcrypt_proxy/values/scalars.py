"""Integers, oid, bool and uuid."""

from __future__ import annotations

import re
import struct
import uuid

from pgcrypt_proxy.values.problems import ambiguous_oid, bad_syntax, check_size, out_of_range

_WHITE = b" \t\n\r\v\f"
INTEGERS = {
    "int2": (struct.Struct("!h"), -(2**15), 2**15 - 1, "smallint"),
    "int4": (struct.Struct("!i"), -(2**31), 2**31 - 1, "integer"),
    "int8": (struct.Struct("!q"), -(2**63), 2**63 - 1, "bigint"),
}
_INTEGER = re.compile(
    rb"([+-]?)(?:0[xX]((?:_?[0-9A-Fa-f])+)|0[oO]((?:_?[0-7])+)|0[bB]((?:_?[01])+)|([0-9](?:_?[0-9])*))"
)
_BASES = (16, 8, 2, 10)
_MAX_DIGITS = 200


def integer_in(name: str, text: bytes) -> bytes:
    """An integer's input (PostgreSQL 16's forms), in binary."""
    packer, low, high, written = INTEGERS[name]
    found = _INTEGER.fullmatch(text.strip(_WHITE))
    if found is None:
        raise bad_syntax(written)
    digits, base = next((d, b) for d, b in zip(found.groups()[1:], _BASES, strict=True) if d is not None)
    digits = digits.replace(b"_", b"").lstrip(b"0") or b"0"
    if len(digits) > _MAX_DIGITS:
        raise out_of_range(written)
    value = int(digits, base)
    if found.group(1) == b"-":
        value = -value
    if not low <= value <= high:
        raise out_of_range(written)
    return packer.pack(value)


def integer(name: str, data: bytes) -> int:
    """The number that a binary integer is."""
    packer, _, _, written = INTEGERS[name]
    check_size(written, data, packer.size)
    value: int = packer.unpack(data)[0]
    return value


def pack_integer(name: str, value: int) -> bytes:
    """A binary integer. Raises InvalidValue (22003) when it does not fit."""
    packer, low, high, written = INTEGERS[name]
    if not low <= value <= high:
        raise out_of_range(written)
    return packer.pack(value)


_OID = struct.Struct("!I")
#: Octal, hexadecimal, binary, or with a separator: not the same number, or none, before PostgreSQL 16.
_SINCE_16_FORM = re.compile(rb"[+-]?(?:0[0-9a-fxob_]+|[1-9][0-9_]*)", re.IGNORECASE)
_OID_FORM = re.compile(rb"([+-]?)(0|[1-9][0-9]*)")


def oid_in(text: bytes) -> bytes:
    """oid's input; a negative integer is taken as unsigned.

    A zero in front makes it octal since PostgreSQL 16 and does not before: refused.
    """
    word = text.strip(_WHITE)
    found = _OID_FORM.fullmatch(word)
    if found is None:
        raise ambiguous_oid() if _SINCE_16_FORM.fullmatch(word) else bad_syntax("oid")
    sign, digits = found.groups()
    if len(digits) > _MAX_DIGITS:
        raise out_of_range("oid")
    return pack_oid(-int(digits) if sign == b"-" else int(digits))


def pack_oid(value: int) -> bytes:
    if not -(2**31) <= value < 2**32:
        raise out_of_range("oid")
    return _OID.pack(value % 2**32)


def oid_value(data: bytes) -> int:
    """The number that a binary oid is."""
    check_size("oid", data, _OID.size)
    value: int = _OID.unpack(data)[0]
    return value


_BOOLEANS = (
    (b"true", 1, b"\x01"),
    (b"yes", 1, b"\x01"),
    (b"on", 2, b"\x01"),
    (b"1", 1, b"\x01"),
    (b"false", 1, b"\x00"),
    (b"no", 1, b"\x00"),
    (b"off", 2, b"\x00"),
    (b"0", 1, b"\x00"),
)


def bool_in(text: bytes) -> bytes:
    """bool's input: unique prefixes of its words, in any case."""
    word = text.strip(_WHITE).lower()
    for whole, least, value in _BOOLEANS:
        if len(word) >= least and whole.startswith(word):
            return value
    raise bad_syntax("boolean")


def bool_out(data: bytes) -> bytes:
    return b"t" if data[0] else b"f"


_UUID = re.compile(rb"\{?(?:[0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}\}?")


def uuid_in(text: bytes) -> bytes:
    """uuid's input: 32 digits, hyphens after any group of four, braces around them or not."""
    if _UUID.fullmatch(text) is None or text.startswith(b"{") != text.endswith(b"}"):
        raise bad_syntax("uuid")
    return bytes.fromhex(text.strip(b"{}").replace(b"-", b"").decode())


def uuid_out(data: bytes) -> bytes:
    return str(uuid.UUID(bytes=data)).encode()
