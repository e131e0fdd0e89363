"""Between types: values converted as an assignment or cast does it, and which types can be compared."""

from __future__ import annotations

import math

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import array_form, casefold, codec, date_casts, floats, jsonb, network, numeric, scalars, text
from pgcrypt_proxy.values.problems import no_cast, out_of_range
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import ENUM, LogicalType, type_by_name

_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext"})
_FOLDABLE = frozenset({"text", "varchar", "citext"})
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric"})
_FLOATS = frozenset({"float4", "float8"})
_NETWORKS, _MACS, _BITS = frozenset({"inet", "cidr"}), frozenset({"macaddr", "macaddr8"}), frozenset({"bit", "varbit"})
_DEFAULTS = TextSettings()


def convert(
    source: LogicalType,
    target: LogicalType,
    value: bytes,
    settings: TextSettings = _DEFAULTS,
    *,
    explicit: bool = False,
) -> bytes:
    """A binary value of `source` as one of `target`, its modifier applied, as an assignment does it.

    `explicit` is for casts that the statement itself spells out, which cut a
    text that is too long. Raises InvalidValue: 22001, 22003, or 42804 when
    PostgreSQL has no such assignment.
    """
    made = _converted(source, target, value, settings, explicit=explicit)
    return codec.fit(target, made, explicit=explicit)


def is_assignable(source: LogicalType, target: LogicalType) -> bool:
    """Whether `convert` knows this assignment, for values that fit."""
    pair = {source.name, target.name}
    if source.element is not None and target.element is not None:
        return is_assignable(source.element, target.element)
    if source.name == target.name:
        return source.name != ENUM or source.user == target.user
    if target.name in _TEXTS:
        return pair != {"citext", "name"}
    if "oid" in pair and pair <= {"oid", "int2", "int4", "int8"}:
        return target.name != "int2"
    is_of_family = any(pair <= family for family in (_NUMBERS | _FLOATS, _NETWORKS, _MACS, _BITS, {"json", "jsonb"}))
    return is_of_family or date_casts.is_known(source.name, target.name)


def _converted(
    source: LogicalType, target: LogicalType, value: bytes, settings: TextSettings, *, explicit: bool
) -> bytes:
    pair = {source.name, target.name}
    if source.element is not None and target.element is not None:
        return _array(source.element, target.element, value, settings, explicit=explicit)
    if source.name == target.name:
        if source.name == ENUM and source.user != target.user:
            raise no_cast(source, target)
        return value
    if pair <= _TEXTS and pair != {"citext", "name"}:
        return _between_texts(source, target, value)
    made: bytes | None = None
    if pair <= _NUMBERS | _FLOATS:
        made = _number(source, target, value)
    elif "oid" in pair and pair <= {"oid", "int2", "int4", "int8"}:
        made = _oid(source, target, value)
    elif pair == _NETWORKS:
        made = network.network_cast(target.name, value)
    elif pair == _MACS:
        made = network.macaddr8_of(value) if target.name == "macaddr8" else network.macaddr_of(value)
    elif pair == {"json", "jsonb"}:
        made = jsonb.jsonb_in(value) if target.name == "jsonb" else value[1:]
    elif pair == _BITS:
        made = value
    elif source.name == "bool" and target.name == "int4" and explicit:
        made = scalars.pack_integer("int4", value[0])
    else:
        made = date_casts.cast(source.name, target.name, value, settings)
    if made is None and target.name in _TEXTS:
        made = _as_text(source, value, settings)
        made = text.name_in(made) if target.name == "name" else made
    if made is None and explicit and source.name in _TEXTS:
        made = codec.from_text(target, value, settings)
    if made is None:
        raise no_cast(source, target)
    return made


def _array(source: LogicalType, target: LogicalType, value: bytes, settings: TextSettings, *, explicit: bool) -> bytes:
    if source == target:
        return value
    array = array_form.from_binary(value, 0)
    items = [None if i is None else convert(source, target, i, settings, explicit=explicit) for i in array.items]
    return array_form.to_binary(array_form.Array(array.bounds, items), target.parameter_oid)


def _between_texts(source: LogicalType, target: LogicalType, value: bytes) -> bytes:
    made = value.rstrip(b" ") if source.name == "bpchar" else value
    return text.name_in(made) if target.name == "name" else made


def _as_text(source: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    if source.name == "bool":  # its cast to text spells the words
        return b"true" if value[0] else b"false"
    written = codec.to_text(source, value, settings)
    if source.name in _NETWORKS and b"/" not in written:  # and this one always shows the prefix
        return written + f"/{value[1]}".encode()
    return written


def _number(source: LogicalType, target: LogicalType, value: bytes) -> bytes:
    if target.name in _FLOATS:
        if source.name in _FLOATS:
            return floats.pack(target.name, floats.float_value(source.name, value))
        return floats.float_in(target.name, codec.to_text(source, value, _DEFAULTS))
    if source.name in _FLOATS:
        number = floats.float_value(source.name, value)
        if target.name == "numeric":
            return numeric.numeric_in(f"{number:.{6 if source.name == 'float4' else 15}g}".encode())
        if not math.isfinite(number):
            raise out_of_range(scalars.INTEGERS[target.name][3])
        return scalars.pack_integer(target.name, round(number))
    if target.name == "numeric":
        return numeric.from_integer(scalars.integer(source.name, value))
    whole = numeric.to_integer(value) if source.name == "numeric" else scalars.integer(source.name, value)
    return scalars.pack_integer(target.name, whole)


def _oid(source: LogicalType, target: LogicalType, value: bytes) -> bytes | None:
    """Integers and oid: int4 has the same bits, int8 must be in range, int2 comes by way of int4."""
    if {source.name, target.name} == {"oid", "int4"}:
        return value
    if target.name == "int8":
        return scalars.pack_integer("int8", scalars.oid_value(value))
    if target.name != "oid":
        return None
    number = scalars.integer(source.name, value)
    if source.name == "int8" and number < 0:
        raise out_of_range("oid")
    return scalars.pack_oid(number)


def _class(type_: LogicalType) -> str:
    """Types of one class can share terms."""
    if type_.name in _NUMBERS:
        return "number"
    if type_.name in _FLOATS:
        return "float"
    if type_.name in _NETWORKS:
        return "network"
    return "text" if type_.name in _TEXTS - {"citext"} else type_.name


def is_text(type_: LogicalType) -> bool:
    """Whether the type is text in all but its length: values of such types are the same bytes."""
    return type_.name in ("text", "varchar")


def are_related(one: LogicalType, other: LogicalType) -> bool:
    """Whether the types are of one class: texts, numbers, arrays of them, or the same type."""
    if one.element is not None and other.element is not None:
        return are_related(one.element, other.element)
    return _class(one) == _class(other) and one.user == other.user


def share_terms(one: LogicalType, other: LogicalType) -> bool:
    """Whether PostgreSQL compares values of the two types, and their equality keys agree."""
    if one.element is not None and other.element is not None:
        pair = one.element, other.element
        return all(map(is_text, pair)) or (pair[0].name == pair[1].name and share_terms(*pair))
    if not codec.has_equality(one) or not are_related(one, other):
        return False
    # PostgreSQL ignores spaces at the end of a varchar that meets a char(n), which no term of it does
    return not ("bpchar" in (one.name, other.name) and {one.name, other.name} & {"varchar", "name"})


#: Types without operators of their own, by name: whose they use.
_COMPARED_AS = {"varchar": type_by_name("text"), "cidr": type_by_name("inet")}
_FLOAT8 = type_by_name("float8")


def compared_as(type_: LogicalType) -> LogicalType:
    """The type of an untyped value that is compared with a column of `type_`: that of the operator, no modifier."""
    return _COMPARED_AS.get(type_.name) or type_.base


#: PostgreSQL compares or unites types of one set by its implicit casts, or by operators made for the two.
_MEETING = (
    _TEXTS,
    _NUMBERS | _FLOATS | {"oid"},
    date_casts.DATES,
    frozenset({"time", "timetz", "interval"}),
    _NETWORKS,
    _MACS,
    _BITS,
)


def meet(one: LogicalType, other: LogicalType) -> bool:
    """Whether PostgreSQL may take values of the two types beside each other, whatever the proxy does."""
    if one.element is not None and other.element is not None:
        return meet(one.element, other.element)
    if one.base == other.base:
        return True
    return any(one.name in types and other.name in types for types in _MEETING)


def is_comparable(column: LogicalType, source: LogicalType) -> bool:
    """Whether `search_key` knows the comparison, for values that fit."""
    if share_terms(column, source):
        return True
    if column.name in _FLOATS:
        return source.name in _NUMBERS
    return column.name == "oid" and source.name in ("int2", "int4", "int8")


def search_key(column: LogicalType, source: LogicalType, value: bytes) -> bytes:
    """The equality key of a value that is compared with a column. Raises InvalidValue (42883) when it cannot be."""
    if share_terms(column, source):
        return codec.equality_key(source, value)
    if column.name in _FLOATS and source.name in _NUMBERS:
        return codec.equality_key(_FLOAT8, convert(source, _FLOAT8, value))
    if column.name == "oid" and source.name in ("int2", "int4", "int8"):
        return codec.equality_key(column, convert(source, column, value))
    raise no_operator(column, source)


def no_operator(column: LogicalType, source: LogicalType) -> InvalidValue:
    """The error for a comparison that `search_key` does not know."""
    if meet(column, source):
        what = f"a protected value of type {column.base} cannot be compared with one of type {source.base}"
        return _not_together(what, "0A000")
    return _not_together(f"operator does not exist: {column.base} = {source.base}", "42883")


def no_match(column: LogicalType, source: LogicalType) -> InvalidValue:
    """The error for a value of a type that is not alike, beside a column's."""
    if meet(column, source):
        what = f"a value of type {source.base} beside a protected one of type {column.base} is not supported"
        return _not_together(what, "0A000")
    return _not_together(f"types {column.base} and {source.base} cannot be matched", "42804")


def _not_together(what: str, sqlstate: str) -> InvalidValue:
    return InvalidValue(what, hint="Pass the value with the column's type.", sqlstate=sqlstate)


#: Within a group the common type is the one of the higher rank (typconv-union-case.html).
_RANKS = (
    {"int2": 1, "int4": 2, "int8": 3, "numeric": 4, "float4": 5, "float8": 6},
    {"varchar": 1, "text": 2},
    {"bpchar": 1, "text": 2},
    {"cidr": 1, "inet": 2},
)


def is_alike(type_: LogicalType, other: LogicalType) -> bool:
    """Whether PostgreSQL takes a value of `type_` beside one of `other`, and the result is of type `other`."""
    if type_.base == other.base:
        return True
    return any(type_.name in ranks and ranks[type_.name] <= ranks.get(other.name, 0) for ranks in _RANKS)


#: What constants without quotes can be cast to such that their text reads the same, besides their own type.
_SPELLED_ALIKE = {
    "int4": frozenset({"int2", "int8", "numeric", "oid"}) | _FLOATS | _TEXTS,
    "int8": frozenset({"numeric", "oid"}) | _FLOATS | _TEXTS,
    "numeric": _FLOATS,
    "bool": frozenset({"text"}),
    "bit": _BITS,
}


def is_spelled_alike(constant: LogicalType, cast: LogicalType) -> bool:
    """Whether a constant that is cast is what its spelling means as a value of that type: 1::bit(4) is no 1000."""
    return constant.name == cast.name or cast.name in _SPELLED_ALIKE.get(constant.name, ())


def are_peers(one: LogicalType, other: LogicalType) -> bool:
    """Whether the first of two values of these types gives their common type: each is cast to the other implicitly."""
    return one.name != other.name and {one.name, other.name} <= {"text", "varchar", "bpchar"}


def is_foldable(type_: LogicalType) -> bool:
    """Whether values of the type can be compared without regard to case."""
    return type_.name in _FOLDABLE


def casefold_key(type_: LogicalType, value: bytes, *, is_upper: bool = False) -> bytes:
    """Bytes that are equal when the texts are equal in lower (upper) case. Raises InvalidValue for other types."""
    if not is_foldable(type_):
        raise InvalidValue("only texts can be folded", sqlstate="42804")
    text_ = value.decode()
    return b"u" + casefold.upper(text_).encode() if is_upper else b"c" + casefold.lower(text_).encode()
