"""Type modifiers: lengths, precisions and fields as PostgreSQL packs them into `atttypmod`, and as it writes them.

Manual: the pages of chapter "Data Types"; source of the packing: each type's typmodin function.
"""

from __future__ import annotations

from pgcrypt_proxy.errors import InvalidValue

VARHDRSZ = 4  # what the modifiers of character types and numeric add to the declared length
MAX_VARCHAR_LENGTH = 10_485_760
MAX_BIT_LENGTH = 83_886_080
MAX_VECTOR_DIMENSIONS = 16_000
MAX_TIME_PRECISION = 6

#: Bits of an interval's fields (utils/datetime.h), from the widest to the finest.
INTERVAL_FIELDS = {
    "year": 1 << 2,
    "month": 1 << 1,
    "day": 1 << 3,
    "hour": 1 << 10,
    "minute": 1 << 11,
    "second": 1 << 12,
}
FULL_RANGE, FULL_PRECISION = 0x7FFF, 0xFFFF

_TIMES = {
    "time": ("time", "without time zone"),
    "timetz": ("time", "with time zone"),
    "timestamp": ("timestamp", "without time zone"),
    "timestamptz": ("timestamp", "with time zone"),
}
_LENGTHS = {
    "varchar": (MAX_VARCHAR_LENGTH, VARHDRSZ),
    "bpchar": (MAX_VARCHAR_LENGTH, VARHDRSZ),
    "bit": (MAX_BIT_LENGTH, 0),
    "varbit": (MAX_BIT_LENGTH, 0),
    "vector": (MAX_VECTOR_DIMENSIONS, 0),
}


def _field_ranges() -> dict[str, int]:
    """The masks of `year`, `year to month`, `day to second`..., as the grammar allows them."""
    bits = INTERVAL_FIELDS
    groups = (("year", "month"), ("day", "hour", "minute", "second"))
    found = {}
    for group in groups:
        for first, start in enumerate(group):
            found[start] = bits[start]
            for last in range(first + 1, len(group)):
                found[f"{start} to {group[last]}"] = sum(bits[name] for name in group[first : last + 1])
    return found


INTERVAL_RANGES = _field_ranges()
_RANGE_NAMES = {mask: name for name, mask in INTERVAL_RANGES.items()}


def bad_modifier(type_name: str) -> InvalidValue:
    return InvalidValue(f"type {type_name} cannot have this modifier", sqlstate="22023")


def pack(name: str, values: list[int]) -> int:
    """The modifier that `name(values...)` has. Raises InvalidValue (22023) where PostgreSQL has none."""
    first = values[0] if values else -1
    if name in _LENGTHS and len(values) == 1:
        most, added = _LENGTHS[name]
        if 1 <= first <= most:
            return first + added
    elif name in _TIMES and len(values) == 1 and first >= 0:
        return min(first, MAX_TIME_PRECISION)
    elif name == "numeric" and len(values) in (1, 2):
        scale = values[1] if len(values) == 2 else 0
        if 1 <= first <= 1000 and -1000 <= scale <= 1000:
            return ((first << 16) | (scale & 0x7FF)) + VARHDRSZ
    elif name == "interval" and len(values) in (1, 2):
        precision = values[1] if len(values) == 2 else FULL_PRECISION
        if (first == FULL_RANGE or first in _RANGE_NAMES) and (precision == FULL_PRECISION or precision >= 0):
            kept = precision if precision == FULL_PRECISION else min(precision, MAX_TIME_PRECISION)
            return interval_modifier(first, kept)
    raise bad_modifier(name)


def interval_modifier(fields: int, precision: int = FULL_PRECISION) -> int:
    """An interval's modifier; -1 when it restricts nothing."""
    if (fields, precision) == (FULL_RANGE, FULL_PRECISION):
        return -1
    return (fields << 16) | precision


def interval_parts(typmod: int) -> tuple[int, int]:
    """(fields, precision) of an interval's modifier."""
    if typmod < 0:
        return FULL_RANGE, FULL_PRECISION
    return (typmod >> 16) & 0x7FFF, typmod & 0xFFFF


def numeric_modifier(typmod: int) -> tuple[int, int]:
    """(precision, scale) of a numeric type modifier; scale may be negative (PostgreSQL 15)."""
    packed = typmod - VARHDRSZ
    scale = packed & 0x7FF
    return (packed >> 16) & 0xFFFF, scale - 0x800 if scale >= 0x400 else scale


def written(name: str, plain: str, typmod: int) -> str:
    """The type with its modifier as `format_type` writes it; `plain` is its name without one."""
    if name == "bpchar":
        return "bpchar" if typmod < VARHDRSZ else f"{plain}({typmod - VARHDRSZ})"
    if typmod < 0:
        return plain
    if name in _LENGTHS:
        return f"{plain}({typmod - _LENGTHS[name][1]})"
    if name in _TIMES:
        word, zone = _TIMES[name]
        return f"{word}({typmod}) {zone}"
    if name == "numeric":
        precision, scale = numeric_modifier(typmod)
        return f"{plain}({precision},{scale})"
    if name == "interval":
        fields, precision = interval_parts(typmod)
        field_words = "" if fields == FULL_RANGE else f" {_RANGE_NAMES[fields]}"
        return plain + field_words + ("" if precision == FULL_PRECISION else f"({precision})")
    return plain
