"""float4 and float8: correctly rounded input, and the shortest output that reads back as the same number.

Binary form: IEEE 754, big-endian. Output is that of `extra_float_digits` above
0, PostgreSQL's default, which never takes a decimal that lies exactly between
two numbers (common/d2s.c, f2s.c).
"""

from __future__ import annotations

import math
import re
import struct
from fractions import Fraction

from pgcrypt_proxy.values.problems import bad_syntax, check_size, out_of_range

_WHITE = b" \t\n\r\v\f"
_FLOAT4, _FLOAT8 = struct.Struct("!f"), struct.Struct("!d")
_NAMES = {"float4": "real", "float8": "double precision"}
_SPECIAL = re.compile(rb"([+-]?)(?:(nan(?:\([0-9A-Za-z_]*\))?)|inf(?:inity)?)", re.IGNORECASE)
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(rb"[+-]?0[xX](?:[0-9A-Fa-f]+\.?[0-9A-Fa-f]*|\.[0-9A-Fa-f]+)(?:[pP][+-]?[0-9]+)?")
_MAX_FLOAT4 = struct.unpack("!f", b"\x7f\x7f\xff\xff")[0]
_MAX_DIGITS = 2_000
#: From here on a decimal of few digits can lie exactly between two neighbours.
_EXACT_FLOAT4, _EXACT_FLOAT8 = 2.0**22, 2.0**52
_MIN_NORMAL_FLOAT4 = 2.0**-126


def float_in(name: str, text: bytes) -> bytes:
    """The input of float4 and float8, in binary. Raises InvalidValue: 22P02, or 22003 for what is out of range."""
    word = text.strip(_WHITE)
    found = _SPECIAL.fullmatch(word)
    if found is not None:
        value = math.nan if found.group(2) else math.inf
        value = -value if found.group(1) == b"-" else value
        return pack(name, value)
    if _HEXADECIMAL.fullmatch(word) is not None:
        try:
            value = float.fromhex(word.decode())
        except OverflowError:
            raise out_of_range(_NAMES[name]) from None
        is_zero = re.fullmatch(rb"[+-]?0[xX][0.]*(?:[pP].*)?", word) is not None
    elif _DECIMAL.fullmatch(word) is not None:
        value = float(word)
        is_zero = not re.search(rb"[1-9]", re.split(rb"[eE]", word)[0])
    else:
        raise bad_syntax(_NAMES[name])
    if math.isinf(value) or (value == 0 and not is_zero):
        raise out_of_range(_NAMES[name])
    if name == "float8":
        return _FLOAT8.pack(value)
    made = _narrowed(value, word)
    if math.isinf(made) or (made == 0 and not is_zero):
        raise out_of_range(_NAMES[name])
    return _FLOAT4.pack(made)


def _to_float4(value: float) -> float:
    """The nearest float4, infinite when it overflows."""
    try:
        made: float = _FLOAT4.unpack(_FLOAT4.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return made


def _narrowed(value: float, word: bytes) -> float:
    """The float4 nearest to what `word` says; `value` is the nearest float8.

    Rounding twice differs from rounding once only where the float8 lies exactly
    between two float4: there the text itself decides.
    """
    made = _to_float4(value)
    if made == value or b"x" in word.lower() or len(word) > _MAX_DIGITS:
        return made
    other = _neighbour(made, value > made) if math.isfinite(made) else math.copysign(_MAX_FLOAT4, value)
    bound = made if math.isfinite(made) else math.copysign(2.0**128, value)
    if math.isinf(other):
        other = math.copysign(2.0**128, value)
    if Fraction(value) * 2 != Fraction(bound) + Fraction(other):
        return made
    exact = Fraction(word.decode())
    if exact == Fraction(value):
        return made
    upper, lower = max(bound, other), min(bound, other)
    chosen = upper if exact > Fraction(value) else lower
    return chosen if abs(chosen) < 2.0**128 else math.copysign(math.inf, chosen)


def _neighbour(value: float, is_up: bool) -> float:
    """The next float4 above or below; infinite after the largest."""
    bits = struct.unpack("!i", _FLOAT4.pack(value))[0]
    if value == 0:
        bits = 1 if is_up else -(2**31) + 1
    else:
        bits += 1 if (value > 0) == is_up else -1
    made: float = _FLOAT4.unpack(struct.pack("!i", bits))[0]
    return made


def float_value(name: str, data: bytes) -> float:
    """The number that a binary float is. Raises InvalidValue (08P01, 22P03) for another length."""
    packer = _FLOAT4 if name == "float4" else _FLOAT8
    check_size(_NAMES[name], data, packer.size)
    value: float = packer.unpack(data)[0]
    return value


def pack(name: str, value: float) -> bytes:
    """A number in binary. Raises InvalidValue (22003) when a float4 cannot hold it."""
    if name == "float8":
        return _FLOAT8.pack(value)
    made = _to_float4(value)
    if (math.isinf(made) and not math.isinf(value)) or (made == 0 and value != 0):
        raise out_of_range(_NAMES[name])
    return _FLOAT4.pack(made)


def float_out(name: str, data: bytes) -> bytes:
    """The output of float4 and float8."""
    value = float_value(name, data)
    if math.isnan(value):
        return b"NaN"
    if math.isinf(value):
        return b"Infinity" if value > 0 else b"-Infinity"
    if value == 0:
        return b"-0" if math.copysign(1, value) < 0 else b"0"
    if name == "float8":
        text = repr(value)
        if abs(value) >= _EXACT_FLOAT8:
            neighbours = math.nextafter(value, -math.inf), math.nextafter(value, math.inf)
            text = _strictly_shortest(value, neighbours, text)
        return _styled(text, 15)
    return _styled(_float4_digits(value), 6)


def _float4_digits(value: float) -> str:
    """The shortest decimal that reads as this float4."""
    size = abs(value)
    first = 1 if size < _MIN_NORMAL_FLOAT4 else 6
    text = next(t for p in range(first, 10) if _to_float4(float(t := f"{value:.{p - 1}e}")) == value)
    if size >= _EXACT_FLOAT4 or math.frexp(size)[0] == 0.5:
        return _strictly_shortest(value, (_neighbour(value, False), _neighbour(value, True)), text)
    return text


def _strictly_shortest(value: float, neighbours: tuple[float, float], text: str) -> str:
    """The shortest decimal nearer to `value` than to either neighbour, and of those the nearest."""
    exact = Fraction(value)
    low, high = (_half_way(exact, near, other) for near, other in (neighbours, neighbours[::-1]))
    exponent = int(f"{value:.16e}".split("e")[1])
    most = len(text.replace("-", "").replace(".", "").split("e")[0].strip("0"))
    for digits in range(max(most - 1, 1), 18):
        unit = Fraction(10) ** (exponent - digits + 1)
        below = math.floor(exact / unit) * unit
        inside = [made for made in (below, below + unit) if low < made < high]
        if inside:
            best = min(inside, key=lambda made: abs(made - exact))
            return f"{int(best / unit)}e{exponent - digits + 1}"
    return text


def _half_way(exact: Fraction, near: float, other: float) -> Fraction:
    # beyond the largest number the step is as wide as the one on its other side
    beyond = 2 * exact - Fraction(other) if math.isinf(near) else Fraction(near)
    return (exact + beyond) / 2


def _styled(text: str, most: int) -> bytes:
    """The digits of `text` as PostgreSQL lays them out: with an exponent from `most` digits on."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, given = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(given or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    exponent = point - 1
    if not -4 <= exponent < most:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}".encode()
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}".encode()
    if len(digits) <= point:
        return f"{sign}{digits}{'0' * (point - len(digits))}".encode()
    return f"{sign}{digits[:point]}.{digits[point:]}".encode()


def float_key(name: str, data: bytes) -> bytes:
    """Bytes that are equal when the numbers are: both zeros, every NaN, and a float4 with its float8."""
    value = float_value(name, data)
    if math.isnan(value):
        return b"NaN"
    return _FLOAT8.pack(value + 0.0)
