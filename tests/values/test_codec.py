"""Conversions, bounds and hostile input; no server needed."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import arrays, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import element_of, type_by_name, type_by_oid

SETTINGS = TextSettings()
NAMES = ["text", "varchar", "int2", "int4", "int8", "bool", "date", "timestamptz", "uuid", "numeric", "jsonb", "bytea"]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=40))
def test_any_binary_is_a_value_or_invalid(name: str, data: bytes) -> None:
    type_ = type_by_name(name)
    try:
        made = codec.from_binary(type_, data)
        shown = codec.to_text(type_, made, SETTINGS)
    except InvalidValue:
        return
    assert codec.from_text(type_, shown, SETTINGS) == made
    codec.equality_key(type_, made)


@pytest.mark.parametrize("name", NAMES)
@given(text=st.binary(max_size=30) | st.from_regex(rb"[-+0-9eE.:T Z/{}\[\]\"]{0,25}", fullmatch=True))
def test_any_text_is_a_value_or_invalid(name: str, text: bytes) -> None:
    type_ = type_by_name(name)
    try:
        made = codec.from_text(type_, text, SETTINGS)
    except InvalidValue as error:
        assert error.code[:2] in ("22", "54")
        return
    assert codec.from_binary(type_, made) == made


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_of_all_widths_and_numerics_share_keys(value: int) -> None:
    text = str(value).encode()
    keys = set()
    for name in ("int2", "int4", "int8", "numeric"):
        type_ = type_by_name(name)
        try:
            keys.add(codec.equality_key(type_, codec.from_text(type_, text, SETTINGS)))
        except InvalidValue as error:
            assert error.code == "22003"
    assert len(keys) == 1


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8), st.integers(0, 5))
def test_display_scale_does_not_change_the_key(value: object, zeros: int) -> None:
    type_ = type_by_name("numeric")
    text = f"{value:f}"
    one = codec.from_text(type_, text.encode(), SETTINGS)
    other = codec.from_text(type_, (text + "0" * zeros).encode(), SETTINGS)
    assert codec.equality_key(type_, one) == codec.equality_key(type_, other)
    assert codec.to_text(type_, one, SETTINGS).decode() == text.removeprefix("-") or value


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("int8", "int4", "5", "5"),
        ("int8", "int2", "40000", "22003"),
        ("numeric", "int4", "2.5", "3"),
        ("numeric", "int4", "-2.5", "-3"),
        ("numeric", "int4", "NaN", "0A000"),
        ("int4", "text", "5", "5"),
        ("int4", "varchar(2)", "123", "22001"),
        ("bool", "text", "t", "true"),
        ("text", "int4", "5", "42804"),
        ("text", "date", "2024-01-01", "42804"),
        ("date", "timestamptz", "2024-01-01", "42804"),
        ("int4", "numeric(4,2)", "12", "12.00"),
    ],
)
def test_assignments(source: str, target: str, value: str, expected: str) -> None:
    from_type, to_type = type_by_name(source), type_by_name(target)
    data = codec.from_text(from_type, value.encode(), SETTINGS)
    try:
        made = codec.to_text(to_type, codec.convert(from_type, to_type, data), SETTINGS).decode()
    except InvalidValue as error:
        made = error.code
    assert made == expected


def test_folded_texts_share_a_key() -> None:
    text = type_by_name("text")
    assert codec.casefold_key(text, "ÄB".encode()) == codec.casefold_key(text, "äb".encode())
    with pytest.raises(InvalidValue):
        codec.casefold_key(type_by_name("int4"), b"\0\0\0\0")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("numeric", b"1" * 200_000),
        ("numeric", b"1e999999999999999999"),
        ("int8", b"1" * 100_000),
        ("int4", b"0x" + b"f" * 100_000),
        ("jsonb", b"[" * 100_000),
        ("jsonb", b"1e999999999"),
        ("timestamptz", b"9" * 50_000),
        ("date", b"1-" * 20_000),
    ],
)
def test_bombs_are_refused(name: str, text: bytes) -> None:
    with pytest.raises(InvalidValue):
        codec.from_text(type_by_name(name), text, SETTINGS)


@given(st.binary(max_size=60))
def test_any_binary_array_is_read_or_invalid(data: bytes) -> None:
    try:
        arrays.from_binary(type_by_name("int4"), data)
    except InvalidValue as error:
        assert error.code in ("08P01", "22P03", "42804")


class TestTypes:
    @pytest.mark.parametrize(
        ("spec", "written"),
        [
            ("varchar(150)", "character varying(150)"),
            ("Character Varying ( 3 )", "character varying(3)"),
            ("int", "integer"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("numeric(10,2)", "numeric(10,2)"),
            ("numeric(10)", "numeric(10,0)"),
            ("numeric(3,-2)", "numeric(3,-2)"),
            ("decimal", "numeric"),
        ],
    )
    def test_names(self, spec: str, written: str) -> None:
        made = type_by_name(spec)
        assert made.sql == written
        assert type_by_name(made.sql) == made

    @pytest.mark.parametrize("spec", ["money", "", "varchar(0)", "numeric(0)", "int(3)", "text[]", "x; drop"])
    def test_unsupported(self, spec: str) -> None:
        with pytest.raises(InvalidValue):
            type_by_name(spec)

    def test_oids(self) -> None:
        for name in NAMES:
            type_ = type_by_name(name)
            assert type_by_oid(type_.oid) == type_
            assert element_of(type_.array_oid) == type_
        assert type_by_oid(600) is None
        assert element_of(25) is None
