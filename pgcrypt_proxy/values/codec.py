"""One value of a logical type: text and binary in, text out, conversion, and its equality class."""

from __future__ import annotations

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import datetimes, jsonb, numeric, scalars, text
from pgcrypt_proxy.values.problems import bad_binary, no_cast
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType

_TEXTS = ("text", "varchar")
_NUMBERS = ("int2", "int4", "int8", "numeric")


def from_text(type_: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    """The binary send form of a value in text form. Raises InvalidValue as the type's input function does.

    The type's modifier is not applied: `convert` does that.
    """
    name = type_.name
    if name in _TEXTS:
        return text.checked(value)
    if name in scalars.INTEGERS:
        return scalars.integer_in(name, value)
    if name == "bool":
        return scalars.bool_in(value)
    if name == "numeric":
        return numeric.numeric_in(value)
    if name == "uuid":
        return scalars.uuid_in(value)
    if name == "bytea":
        return text.bytea_in(value)
    if name == "jsonb":
        return jsonb.jsonb_in(value)
    if name == "date":
        return datetimes.date_in(value, settings)
    return datetimes.timestamptz_in(value, settings)


def from_binary(type_: LogicalType, value: bytes) -> bytes:
    """A binary value in the form that PostgreSQL would send it. Raises InvalidValue as its receive function does."""
    name = type_.name
    if name in _TEXTS:
        return text.checked(value)
    if name in scalars.INTEGERS:
        scalars.integer(name, value)
    elif name == "bool":
        if len(value) != 1:
            raise bad_binary("boolean")
        return b"\x01" if value[0] else b"\x00"
    elif name == "numeric":
        return numeric.numeric_recv(value)
    elif name == "uuid":
        if len(value) != 16:
            raise bad_binary("uuid")
    elif name == "jsonb":
        return jsonb.jsonb_recv(value)
    elif name == "date":
        datetimes.date_value(value)
    elif name == "timestamptz":
        datetimes.timestamp_value(value)
    return value


def to_text(type_: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    """The text output of a binary value, byte for byte as PostgreSQL's under these settings."""
    name = type_.name
    if name in _TEXTS:
        return value
    if name in scalars.INTEGERS:
        return str(scalars.integer(name, value)).encode()
    if name == "bool":
        return scalars.bool_out(value)
    if name == "numeric":
        return numeric.numeric_out(value)
    if name == "uuid":
        return scalars.uuid_out(value)
    if name == "bytea":
        return text.bytea_out(value, settings.bytea_output)
    if name == "jsonb":
        return value[1:]
    if name == "date":
        return datetimes.date_out(value, settings)
    return datetimes.timestamptz_out(value, settings)


def convert(source: LogicalType, target: LogicalType, value: bytes, *, explicit: bool = False) -> bytes:
    """A binary value of `source` as one of `target`, its modifier applied, as an assignment does it.

    `explicit` is for casts that the statement itself spells out, which cut a
    text that is too long. Raises InvalidValue: 22001, 22003, or 42804 when
    PostgreSQL has no such assignment.
    """
    made = _converted(source, target, value, explicit=explicit)
    if target.name == "varchar":
        return text.fit(made, target.typmod, explicit=explicit)
    if target.name == "numeric":
        return numeric.fit(made, target.typmod)
    return made


def _converted(source: LogicalType, target: LogicalType, value: bytes, *, explicit: bool) -> bytes:
    if source.name == target.name or {source.name, target.name} <= set(_TEXTS):
        return value
    if source.name in _NUMBERS and target.name in _NUMBERS:
        if target.name == "numeric":
            return numeric.from_integer(scalars.integer(source.name, value))
        number = numeric.to_integer(value) if source.name == "numeric" else scalars.integer(source.name, value)
        return scalars.pack_integer(target.name, number)
    if target.name in _TEXTS:
        if source.name == "bool":  # its cast to text spells the words
            return b"true" if value[0] else b"false"
        if source.name in (*_NUMBERS, "uuid", "jsonb"):
            return to_text(source, value, TextSettings())
    if source.name == "bool" and target.name == "int4" and explicit:
        return scalars.pack_integer("int4", value[0])
    if explicit and source.name in _TEXTS and target.name not in ("date", "timestamptz"):
        return from_text(target, value, TextSettings())
    raise no_cast(source, target)


def equality_key(type_: LogicalType, value: bytes) -> bytes:
    """Bytes that are equal exactly when PostgreSQL's `=` says that the values are.

    Types that it compares with each other share a class: numbers, and texts.
    """
    name = type_.name
    if name in _TEXTS:
        return b"t" + value
    if name in scalars.INTEGERS:
        return b"n" + numeric.canonical(numeric.from_integer(scalars.integer(name, value)))
    if name == "numeric":
        return b"n" + numeric.canonical(value)
    if name == "jsonb":
        return b"j" + jsonb.canonical(value)
    classes = {"bool": b"o", "date": b"d", "timestamptz": b"z", "uuid": b"u", "bytea": b"b"}
    return classes[name] + value


def casefold_key(type_: LogicalType, value: bytes) -> bytes:
    """Bytes that are equal when the texts are equal in lower case. Raises InvalidValue for other types."""
    if type_.name not in _TEXTS:
        raise InvalidValue("only texts can be folded", sqlstate="42804")
    return b"c" + value.decode().lower().encode()
