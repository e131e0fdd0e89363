"""The logical types: what an application sees of a protected column.

Names, OIDs, lengths and modifiers are PostgreSQL's own (pg_type.dat,
`format_type`). Knows no values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import modifiers

UNKNOWN_OID = 705

# name: (OID, array OID, pg_type.typlen, name as format_type writes it)
_TYPES: dict[str, tuple[int, int, int, str]] = {
    "bool": (16, 1000, 1, "boolean"),
    "bytea": (17, 1001, -1, "bytea"),
    "name": (19, 1003, 64, "name"),
    "int8": (20, 1016, 8, "bigint"),
    "int2": (21, 1005, 2, "smallint"),
    "int4": (23, 1007, 4, "integer"),
    "text": (25, 1009, -1, "text"),
    "oid": (26, 1028, 4, "oid"),
    "json": (114, 199, -1, "json"),
    "cidr": (650, 651, -1, "cidr"),
    "float4": (700, 1021, 4, "real"),
    "float8": (701, 1022, 8, "double precision"),
    "macaddr8": (774, 775, 8, "macaddr8"),
    "macaddr": (829, 1040, 6, "macaddr"),
    "inet": (869, 1041, -1, "inet"),
    "bpchar": (1042, 1014, -1, "character"),
    "varchar": (1043, 1015, -1, "character varying"),
    "date": (1082, 1182, 4, "date"),
    "time": (1083, 1183, 8, "time without time zone"),
    "timestamp": (1114, 1115, 8, "timestamp without time zone"),
    "timestamptz": (1184, 1185, 8, "timestamp with time zone"),
    "interval": (1186, 1187, 16, "interval"),
    "timetz": (1266, 1270, 12, "time with time zone"),
    "bit": (1560, 1561, -1, "bit"),
    "varbit": (1562, 1563, -1, "bit varying"),
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
    "real": "float4",
    "float": "float8",
    "double precision": "float8",
    "character": "bpchar",
    "char": "bpchar",
    "character varying": "varchar",
    "char varying": "varchar",
    "bit varying": "varbit",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "decimal": "numeric",
    "dec": "numeric",
}
#: Words that, without a modifier, mean length 1.
_LENGTH_ONE = frozenset({"char", "character", "bit"})
ENUM, ARRAY = "enum", "array"
#: Types of extensions that are known; their OIDs are each database's own.
EXTENSION_TYPES = frozenset({"citext", "vector"})
_REASONS = {
    "money": "What a money value means depends on the server's lc_monetary; use numeric.",
    "serial": "A serial column's values are made by the server, in plaintext; use int4.",
    "bigserial": "A serial column's values are made by the server, in plaintext; use int8.",
}
_BY_OID = {oid: name for name, (oid, _, _, _) in _TYPES.items()}
_BY_ARRAY_OID = {array: name for name, (_, array, _, _) in _TYPES.items()}
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class UserType:
    """What a database says of a type of its own: an enum, a domain, or an extension's type."""

    schema: str
    name: str
    oid: int
    array_oid: int
    labels: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """Its name with its schema, quoted where it must be."""
        return ".".join(n if _PLAIN_NAME.fullmatch(n) else '"' + n.replace('"', '""') + '"' for n in self._names)

    @property
    def _names(self) -> tuple[str, str]:
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A type and its modifier (-1: none), as in `pg_attribute.atttypid` and `atttypmod`.

    `name` says which codec reads it. An array has its `element`, a type of the
    database's own is described by `user`. A domain is its base type with `domain`
    set: PostgreSQL describes results by the base type, parameters by the domain.
    """

    name: str
    oid: int
    typmod: int = -1
    element: LogicalType | None = None
    user: UserType | None = None
    domain: UserType | None = None

    @property
    def parameter_oid(self) -> int:
        """The OID that a column or parameter of the type has; `oid` is the one that results are described by."""
        return self.domain.oid if self.domain is not None else self.oid

    @property
    def column_typmod(self) -> int:
        """`pg_attribute.atttypmod` of a column of the type: a domain keeps its modifier to itself."""
        return -1 if self.domain is not None else self.typmod

    @property
    def array_oid(self) -> int:
        """OID of the array type over this type, its domain left aside; 0 when there is none."""
        if self.user is not None:
            return self.user.array_oid
        return _TYPES[self.name][1] if self.name != ARRAY else 0

    @property
    def length(self) -> int:
        """`pg_type.typlen`: bytes, -1 for variable length."""
        if self.name in _TYPES:
            return _TYPES[self.name][2]
        return 4 if self.name == ENUM else -1

    @property
    def sql(self) -> str:
        """The type as `format_type` writes it with its modifier, types of the database's own with their schema."""
        if self.domain is not None:
            return self.domain.sql
        if self.element is not None:
            return f"{self.element.sql}[]"
        plain = self.user.sql if self.user is not None else _TYPES[self.name][3]
        return modifiers.written(self.name, plain, self.typmod)

    @property
    def base(self) -> LogicalType:
        """The same type without modifier, and for a domain the type below it."""
        if self.typmod == -1 and self.domain is None:
            return self
        element = self.element.base if self.element is not None and self.element.domain is None else self.element
        return LogicalType(self.name, self.oid, element=element, user=self.user)

    def __str__(self) -> str:
        return self.sql


def array_of(element: LogicalType) -> LogicalType:
    """The array type over `element`."""
    oid = element.domain.array_oid if element.domain is not None else element.array_oid
    return LogicalType(ARRAY, oid, element.column_typmod, element=element)


def with_modifier(type_: LogicalType, typmod: int) -> LogicalType:
    """The type with that modifier, which an array's elements have, too."""
    if typmod == -1:
        return type_
    if type_.element is not None:
        return replace(type_, typmod=typmod, element=with_modifier(type_.element, typmod))
    return replace(type_, typmod=typmod)


def without_modifier(type_: LogicalType) -> LogicalType:
    """The type of a parameter that is declared as `type_`: a domain keeps the modifier that it has by itself."""
    return type_.base if type_.domain is None else type_


_SPEC = re.compile(r"([A-Za-z][A-Za-z0-9 _]*?) ?(?:\( ?(\d+) ?(?:, ?(-?\d+) ?)?\))?((?: with| without) time zone)?")
_INTERVAL_SPEC = re.compile(r"interval( [a-z]+(?: to [a-z]+)?)? ?(?:\( ?(\d+) ?\))?")
_BOUNDS = re.compile(r"(?:\s*\[\s*\d*\s*\])+\s*$|\s+array\s*$", re.IGNORECASE)


def type_by_name(spec: str) -> LogicalType:
    """The type that `spec` names: `varchar(150)`, `int`, `numeric(10,2)`, `interval day to second(3)`, `text[]`...

    Raises InvalidValue (42704) for types that cannot be protected, and for bad modifiers.
    """
    bounds = _BOUNDS.search(spec)
    if bounds is not None:
        return array_of(type_by_name(spec[: bounds.start()]))
    words = " ".join(spec.lower().split())
    found = _INTERVAL_SPEC.fullmatch(words)
    if found is not None:
        return _interval(found.group(1), found.group(2))
    found = _SPEC.fullmatch(words)
    given, modifier, second, zone = found.groups() if found else ("", None, None, None)
    written = given + (zone or "")
    name = _ALIASES.get(written, written)
    if name not in _TYPES:
        raise _unsupported(given)
    if modifier is None:
        typmod = modifiers.pack(name, [1]) if written in _LENGTH_ONE else -1
        return LogicalType(name, _TYPES[name][0], typmod)
    values = [int(modifier)] if second is None else [int(modifier), int(second)]
    if written == "float" and 1 <= values[0] <= 53 and second is None:  # binary digits choose between the two
        name = "float4" if values[0] <= 24 else "float8"
        return LogicalType(name, _TYPES[name][0])
    try:
        return LogicalType(name, _TYPES[name][0], modifiers.pack(name, values))
    except InvalidValue:
        raise modifiers.bad_modifier(_TYPES[name][3]) from None


def _interval(fields: str | None, precision: str | None) -> LogicalType:
    mask = modifiers.INTERVAL_RANGES.get(fields.strip()) if fields else modifiers.FULL_RANGE
    if mask is None or (precision and mask != modifiers.FULL_RANGE and not mask & modifiers.INTERVAL_FIELDS["second"]):
        raise modifiers.bad_modifier("interval")
    oid = _TYPES["interval"][0]
    if precision is None:
        return LogicalType("interval", oid, modifiers.interval_modifier(mask))
    return LogicalType("interval", oid, modifiers.pack("interval", [mask, int(precision)]))


def _unsupported(name: str) -> InvalidValue:
    supported = f"Supported: {', '.join(sorted(_TYPES))}, enums, domains, citext, vector, and arrays of them."
    return InvalidValue(
        "the type is not supported for protected columns",
        hint=_REASONS.get(name, supported),
        sqlstate="42704",
    )


def type_of(name: str, values: list[int]) -> LogicalType:
    """The type of pg_catalog that the parser names so, with its modifiers. Raises InvalidValue as `type_by_name`."""
    if name not in _TYPES:
        raise _unsupported(name)
    if values in ([], [modifiers.FULL_RANGE]):
        return LogicalType(name, _TYPES[name][0])
    return LogicalType(name, _TYPES[name][0], modifiers.pack(name, values))


def type_by_oid(oid: int, typmod: int = -1) -> LogicalType | None:
    """The logical type of that OID, None for others and for those of a database's own."""
    name = _BY_OID.get(oid)
    if name is not None:
        return LogicalType(name, oid, typmod)
    element = element_of(oid)
    return with_modifier(array_of(element), typmod) if element is not None else None


def element_of(array_oid: int) -> LogicalType | None:
    """The element type of an array type's OID, None for others."""
    name = _BY_ARRAY_OID.get(array_oid)
    return LogicalType(name, _TYPES[name][0]) if name else None
