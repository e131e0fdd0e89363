"""One value of a logical type: text and binary in, text out, its modifier applied, and its equality class.

A table by type; the types themselves are in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import (
    array_form,
    bits,
    datetimes,
    floats,
    intervals,
    jsonb,
    network,
    numeric,
    scalars,
    text,
    times,
    vector,
)
from pgcrypt_proxy.values.problems import check_size
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import ARRAY, ENUM, LogicalType

Read = Callable[[LogicalType, bytes, TextSettings], bytes]
Receive = Callable[[LogicalType, bytes], bytes]
Fit = Callable[[LogicalType, bytes, bool], bytes]


@dataclass(frozen=True, slots=True)
class Codec:
    """How one type is read, received, written, fitted under a modifier, and compared.

    `key` is None for types whose values PostgreSQL, or the proxy, cannot compare.
    """

    read: Read
    receive: Receive
    write: Read
    key: Receive | None
    fit: Fit | None = None


def from_text(type_: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    """The binary send form of a value in text form. Raises InvalidValue as the type's input function does.

    The type's modifier is not applied, except an interval's: `fit` does that.
    """
    return CODECS[type_.name].read(type_, value, settings)


def from_binary(type_: LogicalType, value: bytes) -> bytes:
    """A binary value in the form that PostgreSQL would send it. Raises InvalidValue as its receive function does."""
    return CODECS[type_.name].receive(type_, value)


def to_text(type_: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    """The text output of a binary value, byte for byte as PostgreSQL's under these settings."""
    return CODECS[type_.name].write(type_, value, settings)


def to_binary(type_: LogicalType, value: bytes) -> bytes:
    """The binary output of a stored value: OIDs in it are those of this database now."""
    if type_.element is not None:
        return array_form.with_element_oid(value, type_.element.parameter_oid)
    return value


def fit(type_: LogicalType, value: bytes, *, explicit: bool) -> bytes:
    """A value under the type's modifier. Raises InvalidValue: 22001, 22003, 22026...

    `explicit` is for casts that the statement itself spells out, which cut what is too long; a domain never does.
    """
    fitting = CODECS[type_.name].fit
    if fitting is None or type_.typmod == -1:
        return value
    return fitting(type_, value, explicit and type_.domain is None)


def has_equality(type_: LogicalType) -> bool:
    """Whether values of the type can be searched for."""
    if type_.element is not None:
        return has_equality(type_.element)
    return CODECS[type_.name].key is not None


_WITH_TEXT = frozenset({"text", "varchar", "bpchar", "name", "citext", "json", "jsonb", ENUM})


def holds_text(type_: LogicalType) -> bool:
    """Whether the binary form holds text, in the database's encoding."""
    return holds_text(type_.element) if type_.element is not None else type_.name in _WITH_TEXT


def with_texts(type_: LogicalType, value: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A binary value in which every text is changed, as between two encodings."""
    element = type_.element
    if element is not None:
        return array_form.with_items(value, lambda item: with_texts(element, item, change))
    if type_.name not in _WITH_TEXT:
        return value
    version = 1 if type_.name == "jsonb" else 0
    return value[:version] + change(value[version:])


def equality_key(type_: LogicalType, value: bytes) -> bytes:
    """Bytes that are equal exactly when PostgreSQL's `=` says that the values are.

    Types that it compares with each other share a class: numbers, and texts.
    Raises InvalidValue (42883) for types without equality.
    """
    key = CODECS[type_.name].key
    if key is None:
        raise InvalidValue(f"operator does not exist: {type_.base} = {type_.base}", sqlstate="42883")
    return key(type_, value)


def _checked(_type: LogicalType, value: bytes) -> bytes:
    return text.checked(value)


def _same(_type: LogicalType, value: bytes, _settings: TextSettings) -> bytes:
    return value


def _text_key(_type: LogicalType, value: bytes) -> bytes:
    return b"t" + value


def _texts(fitting: Fit | None = None, *, key: Receive | None = _text_key) -> Codec:
    return Codec(lambda _t, value, _s: text.checked(value), _checked, _same, key, fitting)


def _bool_recv(_type: LogicalType, value: bytes) -> bytes:
    check_size("boolean", value, 1)
    return b"\x01" if value[0] else b"\x00"


def _uuid_recv(_type: LogicalType, value: bytes) -> bytes:
    check_size("uuid", value, 16)
    return value


def _checking(check: Callable[[bytes], object]) -> Receive:
    """A receive function for types whose binary form needs no change when it passes `check`."""

    def receive(_type: LogicalType, value: bytes) -> bytes:
        check(value)
        return value

    return receive


def _prefixed(prefix: bytes, key: Callable[[bytes], bytes] | None = None) -> Receive:
    """A key of a class of its own: the prefix and the value, or what `key` makes of it."""
    if key is None:
        return lambda _type, value: prefix + value
    return lambda _type, value: prefix + key(value)


def _integers(name: str) -> Codec:
    return Codec(
        lambda _t, value, _s: scalars.integer_in(name, value),
        _checking(lambda value: scalars.integer(name, value)),
        lambda _t, value, _s: str(scalars.integer(name, value)).encode(),
        _prefixed(b"n", lambda value: numeric.canonical(numeric.from_integer(scalars.integer(name, value)))),
    )


def _floats(name: str) -> Codec:
    return Codec(
        lambda _t, value, _s: floats.float_in(name, value),
        _checking(lambda value: floats.float_value(name, value)),
        lambda _t, value, _s: floats.float_out(name, value),
        _prefixed(b"f", lambda value: floats.float_key(name, value)),
    )


def _bits(name: str) -> Codec:
    return Codec(
        lambda _t, value, _s: bits.bit_in(value),
        lambda _t, value: bits.bit_recv(name, value),
        lambda _t, value, _s: bits.bit_out(name, value),
        _prefixed(b"B"),
        lambda type_, value, explicit: bits.fit(name, value, type_.typmod, explicit=explicit),
    )


def _networks(name: str) -> Codec:
    return Codec(
        lambda _t, value, _s: network.network_in(name, value),
        lambda _t, value: network.network_recv(name, value),
        lambda _t, value, _s: network.network_out(name, value),
        _prefixed(b"@", network.network_key),
    )


def _macaddrs(name: str, read: Callable[[bytes], bytes], prefix: bytes) -> Codec:
    return Codec(
        lambda _t, value, _s: read(value),
        lambda _t, value: network.macaddr_recv(name, value),
        lambda _t, value, _s: network.macaddr_out(value),
        _prefixed(prefix),
    )


def _enum_recv(type_: LogicalType, value: bytes) -> bytes:
    assert type_.user is not None
    if value.decode("utf-8", "replace") not in type_.user.labels:
        raise InvalidValue(f"invalid input value for enum {type_.user.sql}")
    return value


def _read_array(type_: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    return _each(type_, array_form.from_text(value), lambda element, item: from_text(element, item, settings))


def _receive_array(type_: LogicalType, value: bytes) -> bytes:
    assert type_.element is not None
    return _each(type_, array_form.from_binary(value, type_.element.parameter_oid), from_binary)


def _each(type_: LogicalType, array: array_form.Array, change: Receive) -> bytes:
    """The array with every element changed, in binary form."""
    element = type_.element
    assert element is not None
    items = [None if item is None else fit(element, change(element, item), explicit=False) for item in array.items]
    return array_form.to_binary(array_form.Array(array.bounds, items), element.parameter_oid)


def _write_array(type_: LogicalType, value: bytes, settings: TextSettings) -> bytes:
    element = type_.element
    assert element is not None
    array = array_form.from_binary(value, 0)
    items = [None if item is None else to_text(element, item, settings) for item in array.items]
    return array_form.to_text(array_form.Array(array.bounds, items))


def _array_key(type_: LogicalType, value: bytes) -> bytes:
    """The bounds, and the elements' keys; NULLs are equal among themselves."""
    element = type_.element
    assert element is not None
    array = array_form.from_binary(value, 0)
    items = [None if item is None else equality_key(element, item) for item in array.items]
    return b"a" + array_form.to_binary(array_form.Array(array.bounds, items), 0)


def _fit_array(type_: LogicalType, value: bytes, explicit: bool) -> bytes:
    element = type_.element
    assert element is not None
    array = array_form.from_binary(value, 0)
    items = [None if item is None else fit(element, item, explicit=explicit) for item in array.items]
    return array_form.to_binary(array_form.Array(array.bounds, items), element.parameter_oid)


def literal_type(type_: LogicalType) -> LogicalType:
    """The type that a literal of `type_` is read as: an interval's modifier says what its numbers mean."""
    return replace(type_, domain=None) if type_.name == "interval" else type_.base


CODECS: dict[str, Codec] = {
    "text": _texts(),
    "varchar": _texts(lambda type_, value, explicit: text.fit(value, type_.typmod, explicit=explicit)),
    "bpchar": _texts(
        lambda type_, value, explicit: text.pad(value, type_.typmod, explicit=explicit),
        key=_prefixed(b"t", lambda value: value.rstrip(b" ")),
    ),
    "citext": _texts(key=None),  # which operator = is on it depends on the search_path
    "name": Codec(lambda _t, value, _s: text.name_in(value), lambda _t, value: text.name_recv(value), _same, _text_key),
    "int2": _integers("int2"),
    "int4": _integers("int4"),
    "int8": _integers("int8"),
    "oid": Codec(
        lambda _t, value, _s: scalars.oid_in(value),
        _checking(scalars.oid_value),
        lambda _t, value, _s: str(scalars.oid_value(value)).encode(),
        _prefixed(b"#"),
    ),
    "numeric": Codec(
        lambda _t, value, _s: numeric.numeric_in(value),
        lambda _t, value: numeric.numeric_recv(value),
        lambda _t, value, _s: numeric.numeric_out(value),
        _prefixed(b"n", numeric.canonical),
        lambda type_, value, _explicit: numeric.fit(value, type_.typmod),
    ),
    "float4": _floats("float4"),
    "float8": _floats("float8"),
    "bool": Codec(
        lambda _t, value, _s: scalars.bool_in(value),
        _bool_recv,
        lambda _t, value, _s: scalars.bool_out(value),
        _prefixed(b"o"),
    ),
    "uuid": Codec(
        lambda _t, value, _s: scalars.uuid_in(value),
        _uuid_recv,
        lambda _t, value, _s: scalars.uuid_out(value),
        _prefixed(b"u"),
    ),
    "bytea": Codec(
        lambda _t, value, _s: text.bytea_in(value),
        lambda _t, value: value,
        lambda _t, value, settings: text.bytea_out(value, settings.bytea_output),
        _prefixed(b"b"),
    ),
    "json": Codec(lambda _t, value, _s: jsonb.json_in(value), lambda _t, value: jsonb.json_in(value), _same, None),
    "jsonb": Codec(
        lambda _t, value, _s: jsonb.jsonb_in(value),
        lambda _t, value: jsonb.jsonb_recv(value),
        lambda _t, value, _s: value[1:],
        _prefixed(b"j", jsonb.canonical),
    ),
    "date": Codec(
        lambda _t, value, settings: datetimes.date_in(value, settings),
        _checking(datetimes.date_value),
        lambda _t, value, settings: datetimes.date_out(value, settings),
        _prefixed(b"d"),
    ),
    "timestamp": Codec(
        lambda _t, value, settings: datetimes.timestamp_in(value, settings),
        _checking(datetimes.timestamp_value),
        lambda _t, value, settings: datetimes.timestamp_out(value, settings),
        _prefixed(b"s"),
        lambda type_, value, _explicit: datetimes.fit(value, type_.typmod),
    ),
    "timestamptz": Codec(
        lambda _t, value, settings: datetimes.timestamptz_in(value, settings),
        _checking(datetimes.timestamp_value),
        lambda _t, value, settings: datetimes.timestamptz_out(value, settings),
        _prefixed(b"z"),
        lambda type_, value, _explicit: datetimes.fit(value, type_.typmod),
    ),
    "time": Codec(
        lambda _t, value, _s: times.time_in(value),
        _checking(times.time_value),
        lambda _t, value, _s: times.time_out(value),
        _prefixed(b"h"),
        lambda type_, value, _explicit: times.fit(value, type_.typmod),
    ),
    "timetz": Codec(
        lambda _t, value, settings: times.timetz_in(value, settings),
        _checking(times.timetz_value),
        lambda _t, value, _s: times.timetz_out(value),
        _prefixed(b"H"),
        lambda type_, value, _explicit: times.fit(value, type_.typmod),
    ),
    "interval": Codec(
        lambda type_, value, settings: intervals.interval_in(value, type_.typmod, settings),
        _checking(intervals.parts),
        lambda _t, value, settings: intervals.interval_out(value, settings),
        _prefixed(b"i", intervals.interval_key),
        lambda type_, value, _explicit: intervals.fit(value, type_.typmod),
    ),
    "inet": _networks("inet"),
    "cidr": _networks("cidr"),
    "macaddr": _macaddrs("macaddr", network.macaddr_in, b"m"),
    "macaddr8": _macaddrs("macaddr8", network.macaddr8_in, b"M"),
    "bit": _bits("bit"),
    "varbit": _bits("varbit"),
    "vector": Codec(
        lambda _t, value, _s: vector.vector_in(value),
        lambda _t, value: vector.vector_recv(value),
        lambda _t, value, _s: vector.vector_out(value),
        _prefixed(b"v", vector.vector_key),
        lambda type_, value, _explicit: vector.fit(value, type_.typmod),
    ),
    ENUM: Codec(lambda type_, value, _s: _enum_recv(type_, value), _enum_recv, _same, _prefixed(b"e")),
    ARRAY: Codec(_read_array, _receive_array, _write_array, _array_key, _fit_array),
}
