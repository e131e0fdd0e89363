"""numeric: text and binary forms, modifiers, and one form for equal numbers.

Binary form (numeric_send): Int16 counts of base-10000 digits, weight, sign and
display scale, then the digits.
"""

from __future__ import annotations

import re
import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.modifiers import VARHDRSZ, numeric_modifier
from pgcrypt_proxy.values.problems import bad_binary, bad_syntax, check_size

_HEADER = struct.Struct("!HhHH")
_POSITIVE, _NEGATIVE, _NAN, _PLUS_INFINITY, _MINUS_INFINITY = 0x0000, 0x4000, 0xC000, 0xD000, 0xF000
_SPECIAL = {_NAN: b"NaN", _PLUS_INFINITY: b"Infinity", _MINUS_INFINITY: b"-Infinity"}
_WORDS = {
    b"nan": _NAN,
    b"inf": _PLUS_INFINITY,
    b"infinity": _PLUS_INFINITY,
    b"+inf": _PLUS_INFINITY,
    b"+infinity": _PLUS_INFINITY,
    b"-inf": _MINUS_INFINITY,
    b"-infinity": _MINUS_INFINITY,
}
_NUMBER = re.compile(
    rb"([+-]?)((?:[0-9](?:_?[0-9])*)?)(?:\.((?:[0-9](?:_?[0-9])*)?))?(?:[eE]([+-]?[0-9](?:_?[0-9])*))?"
)
_INTEGER = re.compile(rb"([+-]?)0(?:[xX]((?:_?[0-9A-Fa-f])+)|[oO]((?:_?[0-7])+)|[bB]((?:_?[01])+))")
#: PostgreSQL's own limits: digits before and after the decimal point
MAX_BEFORE, MAX_AFTER = 131_072, 16_383
_WHITE = b" \t\n\r\v\f"


def _special(sign: int) -> bytes:
    """NaN or an infinity. PostgreSQL reads a display scale of 32 out of its header for the infinities."""
    return _HEADER.pack(0, 0, sign, 0 if sign == _NAN else 32)


def overflow() -> InvalidValue:
    return InvalidValue("value overflows numeric format", sqlstate="22003")


class Number:
    """A finite number: `digits` without leading zeros, `scale` of them after the point."""

    __slots__ = ("digits", "is_negative", "scale")

    def __init__(self, digits: str, scale: int, is_negative: bool) -> None:
        self.digits = digits.lstrip("0")
        self.scale = scale
        self.is_negative = is_negative and bool(self.digits)

    def rescaled(self, scale: int) -> Number:
        """The number with `scale` digits after the point, rounded half away from zero; `scale` may be negative."""
        cut = self.scale - scale
        if cut <= 0:
            return Number(self.digits + "0" * -cut, scale, self.is_negative)
        if cut > len(self.digits):
            return Number("", scale, False)
        kept = self.digits[: len(self.digits) - cut]
        if self.digits[len(self.digits) - cut] >= "5":
            kept = _plus_one(kept)
        return Number(kept, scale, self.is_negative)


def _plus_one(digits: str) -> str:
    rest = digits.rstrip("9")
    nines = len(digits) - len(rest)
    return (rest[:-1] + str(int(rest[-1]) + 1) if rest else "1") + "0" * nines


def numeric_in(text: bytes) -> bytes:
    """numeric's input, in binary."""
    word = text.strip(_WHITE)
    special = _WORDS.get(word.lower())
    if special is not None:
        return _special(special)
    found = _NUMBER.fullmatch(word)
    if found is not None and (found.group(2) or found.group(3)):
        return pack(_decimal(*found.groups()))
    found = _INTEGER.fullmatch(word)
    if found is None:
        raise bad_syntax("numeric")
    sign, hexadecimal, octal, binary = found.groups()
    digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (binary, 2)
    if len(digits) > 3_000:
        raise overflow()
    return pack(Number(str(int(digits.replace(b"_", b""), base)), 0, sign == b"-"))


def _decimal(sign: bytes, before: bytes, after: bytes | None, exponent: bytes | None) -> Number:
    before = (before or b"").replace(b"_", b"")
    after = (after or b"").replace(b"_", b"")
    digits = (before + after).decode()
    scale = len(after)
    if exponent:
        exponent = exponent.replace(b"_", b"")
        if len(exponent) > 12:
            raise overflow()
        shift = int(exponent)
        if abs(shift) > MAX_BEFORE * 2:
            raise overflow()
        scale -= shift
        if scale < 0:
            digits += "0" * -scale
            scale = 0
    if scale > MAX_AFTER:
        raise overflow()
    return Number(digits, scale, sign == b"-")


def pack(number: Number) -> bytes:
    """The binary form of a finite number."""
    digits, scale = number.digits, number.scale
    if scale < 0:
        digits, scale = digits + "0" * -scale if digits else digits, 0
    if len(digits) - scale > MAX_BEFORE or scale > MAX_AFTER:
        raise overflow()
    if not digits:
        return _HEADER.pack(0, 0, _POSITIVE, scale)
    whole = digits[: len(digits) - scale] if len(digits) > scale else ""
    fraction = digits[len(digits) - scale :] if len(digits) > scale else digits.rjust(scale, "0")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    joined = whole + fraction
    groups = [int(joined[at : at + 4]) for at in range(0, len(joined), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    sign = _NEGATIVE if number.is_negative else _POSITIVE
    return _HEADER.pack(len(groups), weight, sign, scale) + struct.pack(f"!{len(groups)}H", *groups)


def unpack(data: bytes) -> Number | bytes:
    """The number, or the word of a special value. Raises InvalidValue (08P01, 22P03) for what is no numeric."""
    if len(data) < _HEADER.size:
        check_size("numeric", data, _HEADER.size)
    count, weight, sign, scale = _HEADER.unpack_from(data)
    check_size("numeric", data, _HEADER.size + 2 * count)
    if scale > MAX_AFTER:
        raise bad_binary("numeric")
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    if sign not in (_POSITIVE, _NEGATIVE):
        raise InvalidValue('invalid sign in external "numeric" value', sqlstate="22P03")
    groups = struct.unpack_from(f"!{count}H", data, _HEADER.size)
    if any(group > 9999 for group in groups):
        raise InvalidValue('invalid digit in external "numeric" value', sqlstate="22P03")
    after = max(-(-scale // 4) * 4, (count - 1 - weight) * 4, 0)
    digits = "".join(f"{group:04d}" for group in groups) + "0" * max((weight + 1 - count) * 4, 0)
    digits += "0" * (after - max((count - 1 - weight) * 4, 0))
    return Number(digits[: len(digits) - (after - scale)] if after > scale else digits, scale, sign == _NEGATIVE)


def numeric_recv(data: bytes) -> bytes:
    """A binary numeric in the form that PostgreSQL would send it."""
    number = unpack(data)
    return _special(_WORDS[number.lower()]) if isinstance(number, bytes) else pack(number)


def numeric_out(data: bytes) -> bytes:
    """numeric's output."""
    number = unpack(data)
    if isinstance(number, bytes):
        return number
    digits = number.digits.rjust(number.scale + 1, "0")
    sign = "-" if number.is_negative else ""
    if number.scale == 0:
        return (sign + digits).encode()
    return f"{sign}{digits[: -number.scale]}.{digits[-number.scale :]}".encode()


def fit(data: bytes, typmod: int) -> bytes:
    """The number under a modifier (precision, scale): rounded, or InvalidValue (22003) when it overflows."""
    if typmod < VARHDRSZ:
        return data
    number = unpack(data)
    precision, scale = numeric_modifier(typmod)
    if isinstance(number, bytes):
        if number == b"NaN":
            return data
        raise InvalidValue("numeric field overflow", sqlstate="22003", detail=_limits(precision, scale, True))
    made = number.rescaled(scale)
    if len(made.digits) > precision:
        raise InvalidValue("numeric field overflow", sqlstate="22003", detail=_limits(precision, scale, False))
    return pack(made)


def _limits(precision: int, scale: int, is_infinite: bool) -> str:
    what = f"A field with precision {precision}, scale {scale}"
    if is_infinite:
        return f"{what} cannot hold an infinite value."
    before = precision - scale
    return f"{what} must round to an absolute value less than {f'10^{before}' if before else '1'}."


def canonical(data: bytes) -> bytes:
    """One text for equal numbers, whatever their display scale."""
    number = unpack(data)
    if isinstance(number, bytes):
        return number
    digits, scale = number.digits, number.scale
    stripped = digits.rstrip("0")
    if not stripped:
        return b"0"
    scale -= len(digits) - len(stripped)
    return f"{'-' if number.is_negative else ''}{stripped}e{-scale}".encode()


def from_integer(value: int) -> bytes:
    """An integer as numeric."""
    return pack(Number(str(abs(value)), 0, value < 0))


def to_integer(data: bytes) -> int:
    """The number rounded to an integer, as the cast does it. Raises InvalidValue (22003, 0A000) for special values."""
    number = unpack(data)
    if isinstance(number, bytes):
        raise InvalidValue("cannot convert NaN or infinity to an integer", sqlstate="0A000")
    rounded = number.rescaled(0)
    if len(rounded.digits) > 40:
        return -(10**40) if rounded.is_negative else 10**40
    value = int(rounded.digits or "0")
    return -value if rounded.is_negative else value
