"""Thousands of values that hypothesis makes: their text forms are the server's, under every style."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import array_form, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import array_of, type_by_name
from tests.helpers.servers import PostgresServer
from tests.values.test_differential import STYLES, use_style

INT4 = st.integers(-(2**31), 2**31 - 1)
SMALL = st.integers(-100, 100)
NUMBERS = st.floats() | st.integers(-(2**63), 2**63).map(float) | st.integers(0, 400).map(lambda e: 10.0 ** (e - 200))
POWERS = st.integers(-1074, 1023).map(lambda e: 2.0**e)
BINARY: dict[str, st.SearchStrategy[bytes]] = {
    "float8": st.binary(min_size=8, max_size=8) | (NUMBERS | POWERS).map(lambda v: struct.pack("!d", v)),
    "float4": st.binary(min_size=4, max_size=4)
    | st.integers(0, 254).map(lambda e: struct.pack("!I", e << 23))
    | st.integers(0, 2**26).map(lambda v: struct.pack("!f", v)),
    "timestamp": st.integers(-211_813_488_000_000_000, 9_223_371_331_199_999_999).map(lambda v: struct.pack("!q", v))
    | st.integers(-(10**15), 10**15).map(lambda v: struct.pack("!q", v)),
    "timestamptz": st.integers(-(3 * 10**15), 3 * 10**15).map(lambda v: struct.pack("!q", v)),
    "date": st.integers(-2_451_545, 2_145_031_948).map(lambda v: struct.pack("!i", v)),
    "time": st.integers(0, 86_400_000_000).map(lambda v: struct.pack("!q", v)),
    "timetz": st.tuples(st.integers(0, 86_400_000_000), st.integers(-57_599, 57_599)).map(
        lambda v: struct.pack("!qi", *v)
    ),
    "interval": st.tuples(st.integers(-(2**63) + 1, 2**63 - 2), INT4, INT4).map(lambda v: struct.pack("!qii", *v))
    | st.tuples(SMALL.map(lambda v: v * 500_000), SMALL, SMALL).map(lambda v: struct.pack("!qii", *v)),
    "inet": st.binary(min_size=16, max_size=16).flatmap(
        lambda a: st.integers(0, 128).map(lambda bits: bytes([3, bits, 0, 16]) + a)
    )
    | st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(
        lambda words: bytes([3, 128, 0, 16]) + struct.pack("!8H", *words)
    )
    | st.tuples(st.integers(0, 32), st.binary(min_size=4, max_size=4)).map(lambda v: bytes([2, v[0], 0, 4]) + v[1]),
    "varbit": st.text("01", max_size=40).map(lambda v: codec.from_text(type_by_name("varbit"), v.encode(), DEFAULTS)),
}
DEFAULTS = TextSettings()
MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with postgres.connect() as connection:
        yield connection


def as_array(name: str, items: Sequence[bytes | None]) -> bytes:
    return array_form.to_binary(array_form.one_dimension(items), type_by_name(name).oid)


class _Binary:
    """A parameter in the binary form of a type."""

    def __init__(self, oid: int, data: bytes) -> None:
        self.oid, self.data = oid, data


class _Dumper(psycopg.adapt.Dumper):
    format = psycopg.pq.Format.BINARY

    def dump(self, obj: Any) -> bytes:
        data: bytes = obj.data
        return data

    def get_key(self, obj: Any, format: Any) -> Any:
        return (self.cls, obj.oid)

    def upgrade(self, obj: Any, format: Any) -> _Dumper:
        made = _Dumper(self.cls)
        made.oid = obj.oid
        return made


def written(server: psycopg.Connection, name: str, items: list[bytes]) -> list[bytes]:
    """The server's text forms of binary values."""
    server.adapters.register_dumper(_Binary, _Dumper)
    value = _Binary(type_by_name(name).array_oid, as_array(name, items))
    result = server.execute("SELECT unnest(%b)", [value]).pgresult
    assert result is not None
    return [result.get_value(row, 0) or b"" for row in range(result.ntuples)]


@pytest.mark.parametrize("style", STYLES, ids=[" ".join(style) for style in STYLES])
@pytest.mark.parametrize("name", BINARY)
@MANY
@given(data=st.data())
def test_output_is_the_servers_and_reads_back(
    server: psycopg.Connection, name: str, style: tuple[str, str, str], data: st.DataObject
) -> None:
    used = use_style(server, style)
    type_ = type_by_name(name)
    items = [codec.from_binary(type_, item) for item in data.draw(st.lists(BINARY[name], min_size=1, max_size=50))]
    expected = written(server, name, items)
    assert [codec.to_text(type_, item, used) for item in items] == expected
    for item, text in zip(items, expected, strict=True):
        try:
            again = codec.from_text(type_, text, used)
        except InvalidValue:
            # an abbreviation of a zone in place of its offset, and sums that only subtraction made
            assert name in ("timestamptz", "timestamp", "interval")
            continue
        if name == "interval" and style[2] == "sql_standard":
            continue  # its own output is ambiguous, says PostgreSQL
        if not (name.startswith("float") and b"NaN" in text):
            assert again == item or name == "timestamptz"  # an hour that comes twice


TEXTS: dict[str, st.SearchStrategy[str]] = {
    "float4": st.from_regex(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?(e[+-]?[0-9]{1,2})?", fullmatch=True),
    "float8": st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?(e[+-]?[0-9]{1,3})?", fullmatch=True),
    "interval": st.from_regex(
        r"(-?[0-9]{1,4}(\.[0-9]{1,3})? (years?|mon|weeks?|days?|h|min|s|ms|us|dec|c) ?){1,3}"
        r"([+-]?[0-9]{1,3}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,7})?)?)?( ago)?",
        fullmatch=True,
    )
    | st.from_regex(r"P(-?[0-9]{1,3}(\.[0-9])?[YMWD]){0,3}(T(-?[0-9]{1,3}(\.[0-9]{1,4})?[HMS]){1,3})?", fullmatch=True)
    | st.from_regex(r"[+-]?[0-9]{1,3}-[0-9]{1,2}( [+-]?[0-9]{1,3})?( [+-]?[0-9]{1,2}:[0-9]{2})?", fullmatch=True),
    "inet": st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,4}(/[0-9]{1,2})?", fullmatch=True)
    | st.from_regex(r"[0-9a-f]{0,4}(:{1,2}[0-9a-f]{1,4}){0,7}(/[0-9]{1,3})?", fullmatch=True),
    "cidr": st.from_regex(r"(0x)?[0-9]{1,3}(\.[0-9]{1,3}){0,4}(/[0-9]{1,2})?", fullmatch=True),
    "macaddr": st.from_regex(r"[0-9a-f]{1,6}([:.][0-9a-f]{1,6}){1,6}", fullmatch=True),
    "macaddr8": st.from_regex(r"([0-9a-f]{2}[:.-]?){5,8}", fullmatch=True),
    "time": st.from_regex(r"[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{0,8})?)?( ?[ap]m)?", fullmatch=True),
    "int4[]": st.text('{},12 "\\nul', max_size=12).map(lambda text: "{" + text + "}"),
    "text[]": st.text('{},ab "\\NUL', max_size=14).map(lambda text: "{" + text + "}"),
    "json": st.text('{}[]:,"\\u01e. a\ntrue', max_size=12),
}


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_input_is_the_servers(server: psycopg.Connection, name: str, data: st.DataObject) -> None:
    use_style(server, STYLES[0])
    text = data.draw(TEXTS[name])
    type_ = type_by_name(name)
    try:
        made: bytes | str = codec.from_text(type_, text.encode(), DEFAULTS)
    except InvalidValue as error:
        made = error.code
    try:
        result = server.execute(f"SELECT %s::{name}", [text], binary=True).pgresult
        expected: bytes | str | None = result.get_value(0, 0) if result is not None else None
    except psycopg.Error as error:
        expected = error.sqlstate
    if (
        server.info.server_version >= 170_000
        or name not in ("interval", "int4[]", "text[]")
        or (isinstance(made, bytes) and isinstance(expected, bytes))
    ):
        assert made == expected


@pytest.mark.parametrize("name", BINARY)
@MANY
@given(data=st.data())
def test_equality_is_the_servers(server: psycopg.Connection, name: str, data: st.DataObject) -> None:
    type_ = type_by_name(name)
    one, other = (codec.from_binary(type_, data.draw(BINARY[name])) for _ in range(2))
    server.adapters.register_dumper(_Binary, _Dumper)
    row = server.execute("SELECT %b = %b", [_Binary(type_.oid, one), _Binary(type_.oid, other)]).fetchone()
    assert row == (codec.equality_key(type_, one) == codec.equality_key(type_, other),)
    many = array_of(type_)
    arrays = [as_array(name, [item, None]) for item in (one, other)]
    assert (codec.equality_key(many, arrays[0]) == codec.equality_key(many, arrays[1])) == row[0]
