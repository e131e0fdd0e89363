"""The logical types: what an application sees of a protected column.

Names, OIDs, lengths and modifiers are PostgreSQL's own (pg_type.dat,
`format_type`). Knows no values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgcrypt_proxy.errors import InvalidValue

UNKNOWN_OID = 705
VARHDRSZ = 4  # what varchar's and numeric's modifiers add to the declared length
MAX_VARCHAR_LENGTH = 10_485_760

# name: (OID, array OID, pg_type.typlen, name as format_type writes it)
_TYPES: dict[str, tuple[int, int, int, str]] = {
    "bool": (16, 1000, 1, "boolean"),
    "bytea": (17, 1001, -1, "bytea"),
    "int8": (20, 1016, 8, "bigint"),
    "int2": (21, 1005, 2, "smallint"),
    "int4": (23, 1007, 4, "integer"),
    "text": (25, 1009, -1, "text"),
    "varchar": (1043, 1015, -1, "character varying"),
    "date": (1082, 1182, 4, "date"),
    "timestamptz": (1184, 1185, 8, "timestamp with time zone"),
    "numeric": (1700, 1231, -1, "numeric"),
    "uuid": (2950, 2951, 16, "uuid"),
    "jsonb": (3802, 3807, -1, "jsonb"),
}
_ALIASES = {
    "boolean": "bool",
    "bigint": "int8",
    "smallint": "int2",
    "int": "int4",
    "integer": "int4",
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "decimal": "numeric",
}
_BY_OID = {oid: name for name, (oid, _, _, _) in _TYPES.items()}
_BY_ARRAY_OID = {array: name for name, (_, array, _, _) in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A type and its modifier (-1: none), as in `pg_attribute.atttypid` and `atttypmod`."""

    name: str
    oid: int
    typmod: int = -1

    @property
    def array_oid(self) -> int:
        """OID of the array type over this type."""
        return _TYPES[self.name][1]

    @property
    def length(self) -> int:
        """`pg_type.typlen`: bytes, -1 for variable length."""
        return _TYPES[self.name][2]

    @property
    def sql(self) -> str:
        """The type as `format_type` writes it, with its modifier."""
        written = _TYPES[self.name][3]
        if self.typmod < VARHDRSZ:
            return written
        modifier = self.typmod - VARHDRSZ
        if self.name == "varchar":
            return f"{written}({modifier})"
        precision, scale = numeric_modifier(self.typmod)
        return f"{written}({precision},{scale})"

    @property
    def base(self) -> LogicalType:
        """The same type without modifier."""
        return LogicalType(self.name, self.oid)

    def __str__(self) -> str:
        return self.sql


def numeric_modifier(typmod: int) -> tuple[int, int]:
    """(precision, scale) of a numeric type modifier; scale may be negative (PostgreSQL 15)."""
    packed = typmod - VARHDRSZ
    scale = packed & 0x7FF
    return (packed >> 16) & 0xFFFF, scale - 0x800 if scale >= 0x400 else scale


def type_by_name(spec: str) -> LogicalType:
    """The type that `spec` names: `varchar(150)`, `character varying (150)`, `int`, `numeric(10,2)`...

    Raises InvalidValue (42704) for types that cannot be protected, and for bad modifiers.
    """
    found = re.fullmatch(r"\s*([A-Za-z][A-Za-z0-9 _]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?\s*", spec)
    name = " ".join(found.group(1).lower().split()) if found else ""
    name = _ALIASES.get(name, name)
    if found is None or name not in _TYPES:
        raise InvalidValue(
            "the type is not supported for protected columns",
            hint="Supported: " + ", ".join(sorted(_TYPES)) + ".",
            sqlstate="42704",
        )
    first, second = found.group(2), found.group(3)
    if first is None:
        return LogicalType(name, _TYPES[name][0])
    if name == "varchar" and second is None and 1 <= int(first) <= MAX_VARCHAR_LENGTH:
        return LogicalType(name, _TYPES[name][0], int(first) + VARHDRSZ)
    scale = int(second or 0)
    if name == "numeric" and 1 <= int(first) <= 1000 and -1000 <= scale <= 1000:
        return LogicalType(name, _TYPES[name][0], ((int(first) << 16) | (scale & 0x7FF)) + VARHDRSZ)
    raise InvalidValue(f"type {_TYPES[name][3]} cannot have this modifier", sqlstate="22023")


def type_by_oid(oid: int, typmod: int = -1) -> LogicalType | None:
    """The logical type of that OID, None for others."""
    name = _BY_OID.get(oid)
    return LogicalType(name, oid, typmod) if name else None


def element_of(array_oid: int) -> LogicalType | None:
    """The element type of an array type's OID, None for others."""
    name = _BY_ARRAY_OID.get(array_oid)
    return LogicalType(name, _TYPES[name][0]) if name else None
