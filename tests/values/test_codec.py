"""Conversions, bounds and hostile input; no server needed."""

from __future__ import annotations

import struct
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import arrays, casts, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType, UserType, array_of, element_of, type_by_name, type_by_oid

SETTINGS = TextSettings()
NAMES = [
    "text", "varchar", "bpchar", "name", "int2", "int4", "int8", "oid", "bool", "date", "timestamp", "timestamptz",
    "time", "timetz", "interval", "uuid", "numeric", "float4", "float8", "json", "jsonb", "bytea", "inet", "cidr",
    "macaddr", "macaddr8", "varbit",
]  # fmt: skip
VECTOR = LogicalType("vector", 90_001, user=UserType("public", "vector", 90_001, 90_002))
MOOD = LogicalType("enum", 90_003, user=UserType("public", "mood", 90_003, 90_004, ("sad", "ok, fine")))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=40))
def test_any_binary_is_a_value_or_invalid(name: str, data: bytes) -> None:
    type_ = type_by_name(name)
    try:
        made = codec.from_binary(type_, data)
        shown = codec.to_text(type_, made, SETTINGS)
    except InvalidValue:
        return
    # a float's NaN may carry bits that its text has not; an interval's text may not read as its parts
    if not (name.startswith("float") and shown == b"NaN") and name != "interval":
        assert codec.from_text(type_, shown, SETTINGS) == made
    if codec.has_equality(type_):
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
        ("float8", "int4", "2.5", "2"),
        ("float8", "int4", "3e9", "22003"),
        ("float8", "float4", "1e39", "22003"),
        ("float8", "numeric(5,2)", "1.005", "1.01"),
        ("numeric", "float8", "0.1", "0.1"),
        ("int8", "float4", "16777217", "1.6777216e+07"),
        ("bpchar", "text", "ab  ", "ab"),
        ("text", "char(4)", "ab", "ab  "),
        ("text", "char(2)", "abc", "22001"),
        ("text", "name", "x" * 70, "x" * 63),
        ("inet", "cidr", "10.1.2.3/8", "10.0.0.0/8"),
        ("inet", "text", "10.1.2.3", "10.1.2.3/32"),
        ("macaddr8", "macaddr", "08:00:2b:01:02:03:04:05", "22003"),
        ("macaddr", "macaddr8", "08:00:2b:01:02:03", "08:00:2b:ff:fe:01:02:03"),
        ("json", "jsonb", '{"a":1,"a":2}', '{"a": 2}'),
        ("timestamp", "date", "2024-01-01 23:59", "2024-01-01"),
        ("timestamptz", "time", "2024-01-01 23:59+00", "23:59:00"),
        ("time", "interval", "23:59", "23:59:00"),
        ("int4", "oid", "-1", "4294967295"),
        ("int8", "oid", "-1", "22003"),
        ("oid", "int8", "4294967295", "4294967295"),
        ("varbit", "bit(3)", "1010", "22026"),
        ("int4[]", "int8[]", "{1,NULL}", "{1,NULL}"),
        ("text[]", "varchar(2)[]", "{abc}", "22001"),
        ("text[]", "int4[]", "{1}", "42804"),
        ("int4[]", "text", "{1}", "{1}"),
        ("int4", "json", "1", "42804"),
        ("date", "timestamptz", "2024-01-01", "2024-01-01 00:00:00+00"),
        ("int4", "numeric(4,2)", "12", "12.00"),
    ],
)
def test_assignments(source: str, target: str, value: str, expected: str) -> None:
    from_type, to_type = type_by_name(source), type_by_name(target)
    data = codec.from_text(from_type, value.encode(), SETTINGS)
    try:
        made = codec.to_text(to_type, casts.convert(from_type, to_type, data), SETTINGS).decode()
    except InvalidValue as error:
        made = error.code
    assert made == expected


def test_folded_texts_share_a_key() -> None:
    text = type_by_name("text")
    assert casts.casefold_key(text, "ÄB".encode()) == casts.casefold_key(text, "äb".encode())
    with pytest.raises(InvalidValue):
        casts.casefold_key(type_by_name("int4"), b"\0\0\0\0")


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

    @pytest.mark.parametrize(
        "spec", ["money", "", "varchar(0)", "numeric(0)", "int(3)", "point", "text[", "interval day(3)", "x; drop"]
    )
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


class TestVector:
    """Its codec is from pgvector's documented forms; the extension need not be there."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [("[1,2,3]", "[1,2,3]"), (" [ 1.5 , -2e-3 ] ", "[1.5,-0.002]"), ("[0.1]", "[0.1]"), ("[-0]", "[-0]")],
    )
    def test_goes_there_and_back(self, text: str, shown: str) -> None:
        made = codec.from_text(VECTOR, text.encode(), SETTINGS)
        assert struct.unpack_from("!hh", made) == (len(text.split(",")), 0)
        assert codec.to_text(VECTOR, made, SETTINGS).decode() == shown
        assert codec.from_binary(VECTOR, made) == made

    @pytest.mark.parametrize(
        ("text", "code"),
        [("[]", "22000"), ("1,2", "22P02"), ("[1,]", "22P02"), ("[1", "22P02"), ("[NaN]", "22000"), ("[1e39]", "22003"),
         ("[" + "1," * 16_000 + "1]", "54000"), ("[Infinity]", "22000")],
    )  # fmt: skip
    def test_bad_ones_are_refused(self, text: str, code: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            codec.from_text(VECTOR, text.encode(), SETTINGS)
        assert caught.value.code == code

    @pytest.mark.parametrize(
        "data", [b"", b"\0\1\0\0", b"\0\1\0\1" + bytes(4), b"\0\1\0\0" + bytes(5), b"\xff\xff\0\0"]
    )
    def test_bad_binary_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidValue):
            codec.from_binary(VECTOR, data)

    def test_dimensions_and_equality(self) -> None:
        two = replace(VECTOR, typmod=2)
        made = [codec.from_text(VECTOR, text, SETTINGS) for text in (b"[0,1]", b"[-0,1]", b"[0,1,2]")]
        assert codec.equality_key(VECTOR, made[0]) == codec.equality_key(VECTOR, made[1])
        assert casts.convert(VECTOR, two, made[0]) == made[0]
        with pytest.raises(InvalidValue, match="expected 2 dimensions"):
            casts.convert(VECTOR, two, made[2])
        assert two.sql == "public.vector(2)"


class TestEnums:
    def test_only_labels_are_values(self) -> None:
        assert codec.from_text(MOOD, b"ok, fine", SETTINGS) == b"ok, fine"
        for read in (
            lambda value: codec.from_text(MOOD, value, SETTINGS),
            lambda value: codec.from_binary(MOOD, value),
        ):
            with pytest.raises(InvalidValue) as caught:
                read(b"planted")
            assert (caught.value.message, caught.value.code) == ("invalid input value for enum public.mood", "22P02")

    def test_arrays_take_the_oid_of_the_day(self) -> None:
        moods = array_of(MOOD)
        made = codec.from_text(moods, b'{sad,"ok, fine"}', SETTINGS)
        later = array_of(replace(MOOD, oid=7))
        assert codec.to_binary(later, made) == codec.from_text(later, b'{sad,"ok, fine"}', SETTINGS)
        assert codec.equality_key(moods, made) == codec.equality_key(later, codec.to_binary(later, made))

    def test_only_elements_of_postgresqls_own_types_are_told_apart(self) -> None:
        """A driver may say that the elements of an array over a type of the database's own are something else."""
        as_text = codec.from_text(array_of(type_by_name("text")), b"{sad}", SETTINGS)
        assert codec.from_binary(array_of(MOOD), as_text) == codec.from_text(array_of(MOOD), b"{sad}", SETTINGS)
        with pytest.raises(InvalidValue) as caught:
            codec.from_binary(array_of(type_by_name("varchar")), as_text)
        assert caught.value.code == "42804"

    def test_another_enum_is_another_type(self) -> None:
        other = replace(MOOD, user=UserType("public", "other", 90_005, 90_006, ("sad",)))
        with pytest.raises(InvalidValue):
            casts.convert(other, MOOD, b"sad")
        with pytest.raises(InvalidValue):
            casts.search_key(MOOD, other, b"sad")
        assert not casts.share_terms(MOOD, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("text", "varchar", True), ("text", "bpchar", True), ("varchar", "bpchar", False), ("name", "text", True),
        ("name", "bpchar", False), ("inet", "cidr", True), ("float4", "float8", True), ("float8", "numeric", False),
        ("json", "json", False), ("timestamp", "timestamptz", False), ("int4[]", "int8[]", False),
        ("text[]", "varchar[]", True), ("text[]", "bpchar[]", False), ("bit", "varbit", False), ("oid", "int4", False),
    ],
)  # fmt: skip
def test_which_types_share_terms(one: str, other: str, expected: bool) -> None:
    assert casts.share_terms(type_by_name(one), type_by_name(other)) is expected
    assert casts.share_terms(type_by_name(other), type_by_name(one)) is expected
