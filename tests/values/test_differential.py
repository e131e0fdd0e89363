"""The codecs against the server itself: same input, same bytes, same equality, under several settings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import arrays, casts, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType, type_by_name
from tests.helpers.servers import PostgresServer
from tests.values.samples import SAMPLES

VALUES: dict[str, list[str]] = {
    "text": ["", "a", "é€😀", " spaces ", "NULL", "\\x41", "'", "Ａ"],
    "int2": ["0", "-32768", "32767", " 7 ", "+1", "32768", "x", "", "1.0", "00012", "- 1"],
    "int4": ["0", "-2147483648", "2147483647", "2147483648", "12a", " -5\n"],
    "int8": ["0", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "9" * 500],
    "bool": ["t", "true", "TRUE", " yes ", "on", "1", "f", "fal", "n", "of", "o", "2", "", "offs"],
    "uuid": [
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
        "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "",
    ],
    "bytea": ["", "\\x", "\\x00ff", "\\xABCD", "\\x AB CD ", "\\xA", "\\xzz", "abc", "a\\\\b", "\\000\\377", "\\9", "a\\"],
    "numeric": [
        "0", "-0", "0.00", "1", "-1.50", "1.0", "1.00", "100", "1e3", "1.5e-5", "1E+2", "-12345678901234567890.123456789",
        ".5", "5.", "NaN", "nan", "Infinity", "-inf", "+1", "1_0", "", ".", "e5", "1e", "abc", " 42 ", "9999", "10000",
        "0.0001", "0.00001", "123.0000", "1e-16383", "1e200000", "99999.99995", "10000.0001", "0000.10", "1e-5", "1.e2",
    ],
    "date": [
        "2024-02-29", "2023-02-29", "1999-01-08", "0001-01-01", "0044-03-15 BC", "infinity", "-infinity", "epoch",
        "19990108", "1/8/1999", "13/1/1999", "January 8, 1999", "8-Jan-1999", "5874897-12-31", "5874898-01-01",
        "4714-11-24 BC", "4714-11-23 BC", "2024-13-01", "2024-00-10", "0000-01-01", "1999/1/8", "08.01.1999", "",
    ],
    "timestamptz": [
        "2024-01-01", "2024-01-01 12:34:56", "2024-01-01T12:34:56Z", "2024-01-01 12:34:56.789+02",
        "2024-07-01 12:34:56.123456-05:30", "2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-10-27 02:30:00+01",
        "infinity", "-infinity", "epoch", "0044-03-15 12:00:00 BC", "1850-01-01 00:00:00", "1883-11-18 12:03:58",
        "2024-06-15 10:00:00 Europe/Paris", "2024-01-01 24:00:00", "2024-01-01 25:00:00", "2024-01-01 12:60:00",
        "2024-01-01 12:34:56+0530", "2024-01-01 12:34", "9999-12-31 23:59:59.999999", "20000-01-01 00:00:00+00",
        "294276-12-31 23:59:59+00", "294277-01-01 00:00:00+00", "2024-01-01 00:00:00.1234567", "1/2/2024 3:04:05",
        "2100-07-01 00:00:00", "2024-01-01 00:00:60", "",
    ],
    "jsonb": [
        "{}", "[]", "null", "true", '"x"', "1.0", "1.00", "-0", "1e2", '{"b":1,"a":2}', '{"aa":1,"b":2,"a":3,"é":4}',
        '{"a":1,"a":2}', '[1, [2, {"x": null}]]', '"\\u00e9\\n\\t\\"\\\\\\/"', '"\\ud83d\\ude00"', '"\\u0000"',
        '"\\ud800"', "{", "NaN", "[1,]", "01", " 1 ", '"a\tb"', "1E-3", '{"a": "\\u0001"}', "", "tru", '"\x7f"',
    ],
} | SAMPLES  # fmt: skip
STYLES = [
    ("ISO, MDY", "UTC", "postgres"),
    ("SQL, DMY", "Europe/Berlin", "postgres_verbose"),
    ("German, DMY", "America/New_York", "sql_standard"),
    ("Postgres, MDY", "Asia/Kolkata", "iso_8601"),
    ("ISO, YMD", "Australia/Lord_Howe", "postgres"),
    ("Postgres, DMY", "America/Caracas", "sql_standard"),
    ("SQL, MDY", "Africa/Monrovia", "postgres"),
]
#: Words whose meaning depends on the server's clock are refused.
CLOCK_WORDS = {"now", "today"}
#: Refused because they mean different numbers before and since PostgreSQL 16.
AMBIGUOUS = {"010", "08", "0x1F"}
#: Forms that PostgreSQL 15 does not read, and 16 does.
SINCE_16 = {"1_0"}
#: (type, text): what PostgreSQL 15 reads differently from 18, whose way is ours.
SINCE_17 = {
    ("interval", "1 month at 2 days"), ("interval", "infinity"), ("interval", "-infinity"), ("interval", "1 day hour"), ("interval", "ago"),
    ("int4[]", "{{},{}}"), ("int4[]", "{{}}"), ("int4[]", "[2]={1,2}"),
}  # fmt: skip
DATETIMES = {"date", "time", "timetz", "timestamp", "timestamptz", "interval", "timestamptz[]", "date[]", "interval[]"}


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with postgres.connect() as connection:
        yield connection


def theirs(server: psycopg.Connection, name: str, value: str) -> tuple[bytes, str] | str:
    """(binary, text) that the server makes of it, or its SQLSTATE."""
    try:
        binary, written = (
            server.execute(f"SELECT %s::{name}", [value], binary=is_binary).pgresult for is_binary in (True, False)
        )
    except psycopg.Error as error:
        return error.sqlstate or "?"
    assert binary is not None
    assert written is not None
    return bytes(binary.get_value(0, 0) or b""), bytes(written.get_value(0, 0) or b"").decode()


def ours(type_: LogicalType, value: str, settings: TextSettings) -> tuple[bytes, str] | str:
    try:
        data = codec.from_text(type_, value.encode(), settings)
    except InvalidValue as error:
        assert value == "" or value not in error.message.split()
        return error.code
    return data, codec.to_text(type_, data, settings).decode()


def is_newer(server: psycopg.Connection, name: str, value: str) -> bool:
    """Whether this server is older than the way in which we read that text."""
    version = server.info.server_version
    return (value in SINCE_16 and version < 160_000) or ((name, value) in SINCE_17 and version < 170_000)


def use_style(server: psycopg.Connection, style: tuple[str, str, str]) -> TextSettings:
    server.execute(
        "SELECT set_config('datestyle', %s, false), set_config('timezone', %s, false),"
        " set_config('intervalstyle', %s, false)",
        list(style),
    )
    return TextSettings(style[0], style[1], interval_style=style[2])


CASES = [(name, value) for name, values in VALUES.items() for value in values]


@pytest.mark.parametrize("style", STYLES, ids=[" ".join(style) for style in STYLES])
def test_input_and_output_are_the_servers(server: psycopg.Connection, style: tuple[str, str, str]) -> None:
    settings = use_style(server, style)
    wrong = []
    for name, value in CASES:
        if (style is not STYLES[0] and name not in DATETIMES) or is_newer(server, name, value):
            continue
        if name == "oid" and value in AMBIGUOUS:
            continue
        expected, made = theirs(server, name, value), ours(type_by_name(name), value, settings)
        if made != expected and made not in ("22007", "0A000"):
            wrong.append((name, value, expected, made))
    assert wrong == []


def test_few_inputs_are_refused_that_the_server_reads(server: psycopg.Connection) -> None:
    use_style(server, STYLES[0])
    refused = [
        (name, value)
        for name, value in CASES
        if isinstance(ours(type_by_name(name), value, TextSettings()), str)
        and not isinstance(theirs(server, name, value), str)
        and not is_newer(server, name, value)
        and value not in CLOCK_WORDS | AMBIGUOUS
    ]
    assert refused == []


_SAME = """
SELECT a.n::int, b.n::int
FROM unnest(%(values)s::text[]) WITH ORDINALITY AS a (v, n), unnest(%(values)s::text[]) WITH ORDINALITY AS b (v, n)
WHERE a.n < b.n AND a.v::{name} = b.v::{name}
"""


@pytest.mark.parametrize("name", [name for name in VALUES if codec.has_equality(type_by_name(name))])
def test_equality_is_the_servers(server: psycopg.Connection, name: str) -> None:
    server.execute("SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'")
    type_ = type_by_name(name)
    good = [v for v in VALUES[name] if not is_newer(server, name, v) and not isinstance(theirs(server, name, v), str)]
    good = [v for v in good if v not in CLOCK_WORDS | (AMBIGUOUS if name == "oid" else set())]
    keys = [codec.equality_key(type_, codec.from_text(type_, v.encode(), TextSettings())) for v in good]
    same = {(a + 1, b + 1) for a, b in itertools.combinations(range(len(good)), 2) if keys[a] == keys[b]}
    found = server.execute(_SAME.format(name=name).encode(), {"values": good}).fetchall()
    assert same == set(found)


@pytest.mark.parametrize("name", ["json", "json[]"])
def test_types_without_equality_have_none_here(server: psycopg.Connection, name: str) -> None:
    assert not codec.has_equality(type_by_name(name))
    with pytest.raises(psycopg.errors.UndefinedFunction):
        server.execute(f"SELECT '{{}}'::{name} = '{{}}'::{name}".encode())


@pytest.mark.parametrize(
    ("spec", "value"),
    [("varchar(3)", v) for v in ("abc", "abcd", "abc  ", "ééé", "éééé", "")]
    + [("numeric(5,2)", v) for v in ("1.005", "-1.005", "999.994", "999.995", "1000", "NaN", "Infinity", "0.001")]
    + [("numeric(3,-2)", v) for v in ("12345", "99949", "99950", "-50", "49")]
    + [("numeric(2,4)", v) for v in ("0.0099", "0.00995", "0.01", "0.00004")],
)
def test_modifiers_are_the_servers(server: psycopg.Connection, spec: str, value: str) -> None:
    target = type_by_name(spec)
    base = target.base
    server.execute("CREATE TEMP TABLE IF NOT EXISTS fit_any (v text)")
    server.execute("DROP TABLE IF EXISTS fit")
    server.execute(f"CREATE TEMP TABLE fit (v {spec})")
    try:
        row = server.execute(f"INSERT INTO fit VALUES (%s::{base.sql}) RETURNING v::text", [value]).fetchone()
        expected = row[0] if row else None
    except psycopg.Error as error:
        expected = error.sqlstate
    try:
        data = casts.convert(base, target, codec.from_text(base, value.encode(), TextSettings()))
        made: str | None = codec.to_text(target, data, TextSettings()).decode()
    except InvalidValue as error:
        made = error.code
    assert made == expected


ARRAYS = [
    "{}",
    "{a,b}",
    '{"a b",NULL,"NULL",null}',
    "{ a , b c }",
    '{"a\\"b","\\\\"}',
    "{{a,b},{c,d}}",
    "{a\\,b}",
    "{é}",
]


@pytest.mark.parametrize("literal", ARRAYS)
def test_array_literals_are_read_as_the_server_does(server: psycopg.Connection, literal: str) -> None:
    rows = server.execute("SELECT u FROM unnest(%s::text[]) u", [literal]).fetchall()
    made = arrays.from_text(type_by_name("text"), literal.encode(), TextSettings())
    assert [m.decode() if m is not None else None for m in made] == [r[0] for r in rows]
    row = server.execute("SELECT array_send(%s::text[])", [literal]).fetchone()
    assert row is not None
    assert arrays.from_binary(type_by_name("text"), bytes(row[0])) == made


@pytest.mark.parametrize("literal", ["", "a", "{", "{a", "{a}}", "{a,}", '{"a}', "{,}", '{a"b"}', "{\\"])
def test_bad_array_literals_are_refused(server: psycopg.Connection, literal: str) -> None:
    with pytest.raises(InvalidValue):
        arrays.from_text(type_by_name("text"), literal.encode(), TextSettings())
    with pytest.raises(psycopg.Error):
        server.execute("SELECT %s::text[]", [literal])


@pytest.mark.parametrize("items", [[], [b"x"], [b"", None, b"abc"]])
def test_bytea_arrays_are_what_the_server_sends(server: psycopg.Connection, items: list[bytes | None]) -> None:
    row = server.execute("SELECT array_send(%s::bytea[])", [items]).fetchone()
    assert row is not None
    assert arrays.bytea_array(items) == bytes(row[0])
