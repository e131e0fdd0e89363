"""Values on their way, with real types and a keyring that hides nothing."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from pgcrypt_proxy.errors import InvalidValue, KeyUnavailable, PgcryptError
from pgcrypt_proxy.session.encodings import ClientEncoding
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.plan import LiteralSlot, ParameterUse, Use
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.values.types import type_by_name
from tests.helpers.session_doubles import AGE, EMAIL, Clock, GlassKeyring, RecordingObserver


def age_term(value: int) -> bytes:
    return b"[age=%s]" % codec.equality_key(AGE.type, struct.pack("!i", value))


INT2, INT4 = (type_by_name(name) for name in ("int2", "int4"))


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def values(observer: RecordingObserver) -> Values:
    return Values(GlassKeyring().as_keyring, observer, Meter(observer, Clock()))


def seal(column=AGE, cast=None) -> ParameterUse:
    return ParameterUse(0, Use.SEAL, column, cast)


@pytest.mark.parametrize(
    ("declared", "cast", "value", "code"),
    [
        (0, None, b" 42 ", 0),
        (705, None, b"42", 0),
        (23, None, b"\0\0\0\x2a", 1),
        (21, None, b"\0\x2a", 1),
        (20, None, b"42", 0),
        (0, INT2, b"\0\x2a", 1),
        (25, INT4, b"42", 1),
    ],
)
def test_parameter_is_read_as_the_type_the_client_sees(values: Values, declared, cast, value: bytes, code: int):
    assert values.parameter(seal(cast=cast), declared, value, code) == b"<2|1%s|\0\0\0\x2a>" % age_term(42)


@pytest.mark.parametrize(
    ("declared", "value", "code", "sqlstate"),
    [
        (0, b"x", 0, "22P02"),
        (0, b"99999999999", 0, "22003"),
        (20, b"\0\0\0\1\0\0\0\0", 1, "22003"),
        (0, b"\0", 1, "08P01"),
        (25, b"42", 0, "42804"),
        (600, b"(1,2)", 0, "42804"),
        (0, b"1", 2, "22023"),
    ],
)
def test_bad_parameter(values: Values, observer, declared: int, value: bytes, code: int, sqlstate: str):
    with pytest.raises(PgcryptError) as caught:
        values.parameter(seal(), declared, value, code)
    assert caught.value.code in (sqlstate, "22P03" if sqlstate == "08P01" else sqlstate)
    assert ("failed", "seal", caught.value.kind, "public.users.age") in observer.told


def test_length_of_the_column_holds(values: Values):
    short = replace(EMAIL, type=type_by_name("varchar(3)"))
    assert values.parameter(seal(short), 0, b"abc  ", 0) == b"<1|1[email=tabc]|abc>"
    with pytest.raises(InvalidValue) as caught:
        values.parameter(seal(short), 25, b"abcd", 1)
    assert caught.value.code == "22001"
    assert values.parameter(seal(short, type_by_name("varchar(2)")), 0, b"abcd", 0) == b"<1|1[email=tab]|ab>"


def test_comparison_does_not_cut_to_the_length_of_the_column(values: Values):
    short = replace(EMAIL, type=type_by_name("varchar(3)"))
    assert values.parameter(ParameterUse(0, Use.TERM, short), 0, b"abcdef", 0) == b"[email=tabcdef]"


def test_comparison_across_types(values: Values):
    use = ParameterUse(0, Use.TERM, AGE)
    assert values.parameter(use, 20, b"7", 0) == age_term(7)
    assert values.parameter(use, 1700, b"7.0", 0) == age_term(7)
    with pytest.raises(InvalidValue) as caught:
        values.parameter(use, 25, b"7", 0)
    assert caught.value.code == "42883"


def test_array_of_terms(values: Values):
    use = ParameterUse(0, Use.TERM_ARRAY, AGE)
    made = values.parameter(use, 1007, b"{1,NULL}", 0)
    assert made is not None
    assert age_term(1) in made
    assert values.parameter(use, 0, b"{}", 0) == b"\0\0\0\0\0\0\0\0\0\0\0\x11"


def test_casefold_term(values: Values):
    both = replace(EMAIL, search=frozenset({"equality", "equality_casefold"}))
    assert values.parameter(seal(both), 0, b"Ab", 0) == b"<1|3[email=tAb][email~cab]|Ab>"


def test_null_is_null(values: Values):
    assert values.parameter(seal(), 0, None, 0) is None


@pytest.mark.parametrize(
    ("slot", "sql"),
    [
        (LiteralSlot(None, Use.SEAL, EMAIL, None, 3), "NULL::pg_catalog.bytea"),
        (
            LiteralSlot("x", Use.TERM, EMAIL, None, 3),
            f"E'\\\\x{b'[email=tx]'.hex()}'::pg_catalog.bytea",
        ),
        (
            LiteralSlot("{1,NULL}", Use.TERM_ARRAY, AGE, None, 3),
            f"E'{{\"\\\\\\\\x{age_term(1).hex()}\",NULL}}'::pg_catalog.bytea[]",
        ),
    ],
)
def test_literal(values: Values, slot: LiteralSlot, sql: str):
    assert values.render(("a ", slot)) == (f"a {sql}", {slot: len(sql)})


def test_bad_literal_tells_its_position_and_not_its_value(values: Values):
    with pytest.raises(InvalidValue) as caught:
        values.literal(LiteralSlot("secret", Use.SEAL, AGE, None, 7))
    assert caught.value.position == 7
    assert "secret" not in f"{caught.value.message}{caught.value.detail}{caught.value.hint}"


def test_text_for_another_client_encoding(values: Values):
    values.encoding = ClientEncoding("LATIN1")
    for format_code, hex_or_raw in ((1, bytes), (0, lambda b: b"\\x" + b.hex().encode())):
        opener = values.opener(EMAIL, format_code)
        assert opener(hex_or_raw("<1||é>".encode())) == b"\xe9"
        with pytest.raises(InvalidValue) as caught:
            opener(hex_or_raw("<1||\u20ac>".encode()))
        assert caught.value.code == "22P05"
        assert "\u20ac" not in caught.value.message
    values.encoding = ClientEncoding("SJIS")
    assert values.opener(EMAIL, 1)(b"<1||plain>") == b"plain"
    with pytest.raises(InvalidValue):
        values.opener(EMAIL, 1)("<1||é>".encode())


@pytest.mark.parametrize("format_code", [0, 1])
def test_text_of_another_client_encoding(values: Values, format_code: int):
    values.encoding = ClientEncoding("WIN1252")
    use = ParameterUse(0, Use.SEAL, EMAIL)
    assert values.parameter(use, 25, b"\x80", format_code) == "<1|1[email=t\u20ac]|\u20ac>".encode()
    with pytest.raises(InvalidValue) as caught:
        values.parameter(use, 25, b"\x81", format_code)
    assert caught.value.code == "22P05"


def test_numbers_have_no_encoding(values: Values):
    values.encoding = ClientEncoding("LATIN1")
    number = struct.pack("!i", -7)
    assert values.parameter(ParameterUse(0, Use.TERM, AGE), 23, number, 1) == age_term(-7)


def test_expired_keyring(values: Values):
    values.check_available()
    values.keyring.is_expired = True  # type: ignore[misc]
    with pytest.raises(KeyUnavailable):
        values.check_available()
