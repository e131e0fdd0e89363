"""Every type, every driver, every form: what comes back is what a plain twin table gives."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.helpers.leaks import PLANTED
from tests.helpers.proxies import ProtectedDatabase

BERLIN = dt.timezone(dt.timedelta(hours=2))
#: column: values as Python has them
VALUES: dict[str, list[Any]] = {
    "t": ["", "mark-a", "mark-é€😀'\\\"", " x ", "NULL"],
    "v": ["", "mark-b", "x" * 20],
    "i2": [0, -(2**15), 2**15 - 1],
    "i4": [0, -(2**31), 2**31 - 1, 5],
    "i8": [0, -(2**63), 2**63 - 1, 5],
    "b": [True, False],
    "d": [dt.date(2024, 2, 29), dt.date(2, 1, 1), dt.date(9999, 12, 30)],
    "ts": [
        dt.datetime(2024, 1, 1, 12, 0, 0, 123456, dt.UTC),
        dt.datetime(2024, 7, 1, 1, 2, 3, 0, BERLIN),
        dt.datetime(1900, 1, 1, tzinfo=dt.UTC),
    ],
    "u": [uuid.UUID(int=0), uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
    "n": [Decimal(0), Decimal("1.5"), Decimal("-123456789.125"), Decimal("0.001")],
    "j": [{"b": [1, 2.50, None], "a": "mark"}, [], "text", 5, True, {"é": {"x": ""}}],
    "y": [b"", b"\x00\x01\xff", b"bytes", b"\\x41"],
}
TABLES = ("kinds", "kinds_twin")


def adapted(column: str, value: Any) -> Any:
    return Jsonb(value) if column == "j" else value


def statement(text: str, column: str, table: str) -> sql.Composed:
    return sql.SQL(text).format(c=sql.Identifier(column), t=sql.Identifier(table))  # type: ignore[arg-type]


def check_twins(db: ProtectedDatabase, column: str) -> None:
    """Both tables read alike through the proxy, in text and binary, and the sealed one holds envelopes."""
    query = "SELECT id, {c}, {c} IS NULL FROM {t} ORDER BY id"
    with db.connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            sealed, plain = (cursor.execute(statement(query, column, t)).fetchall() for t in TABLES)
            raw = [
                [r.get_value(i, 1) for i in range(r.ntuples)]
                for r in (raw_rows(connection, column, t, binary) for t in TABLES)
            ]
            assert sealed == plain
            assert raw[0] == raw[1]
            assert len(sealed) > 0
    with db.direct() as direct:
        for (value,) in direct.execute(statement("SELECT {c} FROM {t}", column, "kinds")).fetchall():
            assert value is None or value[0] == 1


def raw_rows(connection: psycopg.Connection, column: str, table: str, binary: bool) -> psycopg.pq.abc.PGresult:
    query = statement("SELECT id, {c} FROM {t} ORDER BY id", column, table).as_bytes(connection)
    result = connection.execute(query, binary=binary).pgresult
    assert result is not None
    return result


def fill_by_parameter(db: ProtectedDatabase, column: str, binary: bool) -> None:
    mark = "%b" if binary else "%t"
    with db.connect() as connection:
        for table in TABLES:
            query = statement("INSERT INTO {t} (id, {c}) VALUES (%s, " + mark + ")", column, table)
            for number, value in enumerate([*VALUES[column], None]):
                connection.execute(query, [number, adapted(column, value)])


def fill_by_literal(db: ProtectedDatabase, column: str) -> None:
    with db.connect() as connection, psycopg.ClientCursor(connection) as cursor:
        for table in TABLES:
            for number, value in enumerate([*VALUES[column], None]):
                query = statement("INSERT INTO {t} (id, {c}) VALUES (%s, %s)", column, table)
                cursor.execute(query, [number, adapted(column, value)])


def fill_by_psycopg2(db: ProtectedDatabase, column: str) -> None:
    from psycopg2.extras import Json, register_uuid

    register_uuid()
    connection = psycopg2.connect(db.dsn())
    connection.autocommit = True
    with connection.cursor() as cursor:
        for table in TABLES:
            for number, value in enumerate([*VALUES[column], None]):
                made = Json(value) if column == "j" and value is not None else value
                cursor.execute(f"INSERT INTO {table} (id, {column}) VALUES (%s, %s)", [number, made])
    connection.close()


FILLS: dict[str, Callable[[ProtectedDatabase, str], None]] = {
    "text parameter": lambda db, column: fill_by_parameter(db, column, binary=False),
    "binary parameter": lambda db, column: fill_by_parameter(db, column, binary=True),
    "literal": fill_by_literal,
    "psycopg2": fill_by_psycopg2,
}


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("column", VALUES)
def test_values_come_back_as_from_a_plain_table(db: ProtectedDatabase, column: str, fill: str) -> None:
    FILLS[fill](db, column)
    check_twins(db, column)


@pytest.mark.parametrize("column", VALUES)
async def test_asyncpg(db: ProtectedDatabase, column: str) -> None:
    connection = await asyncpg.connect(db.dsn().replace("?sslmode=disable", ""), ssl=False)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json, decoder=_unjson)
        for table in TABLES:
            rows = [(number, value) for number, value in enumerate([*VALUES[column], None])]
            await connection.executemany(f"INSERT INTO {table} (id, {column}) VALUES ($1, $2)", rows)
            got = [tuple(r) for r in await connection.fetch(f"SELECT id, {column} FROM {table} ORDER BY id")]
            assert got == rows
        for value in VALUES[column]:
            found = [
                await connection.fetch(f"SELECT id FROM {table} WHERE {column} = $1 ORDER BY id", value)
                for table in TABLES
            ]
            assert found[0] == found[1] != []
            if isinstance(value, list):  # asyncpg takes it for an array of more dimensions
                continue
            many = [
                await connection.fetch(f"SELECT id FROM {table} WHERE {column} = ANY($1) ORDER BY id", [value])
                for table in TABLES
            ]
            assert many[0] == many[1] != []
    finally:
        await connection.close()
    check_twins(db, column)


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def _unjson(value: str) -> object:
    import json

    return json.loads(value)


#: column: literals that may be equal to each other though they are written differently
SEARCHES = {
    "n": ["1.5", "1.50", "1.500", "2", "0", "-0"],
    "j": ['{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}', '{"a": 1}', "1", "1.0"],
    "ts": ["2024-01-01 12:00:00+00", "2024-01-01 13:00:00+01", "2024-01-01 12:00:01+00"],
    "u": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"],
    "b": ["true", "t", "no"],
    "d": ["2024-01-02", "20240102", "2024-01-03"],
    "y": ["\\x4142", "AB"],
    "i4": ["5", " 5 ", "6"],
    "v": ["a", "a ", "A"],
    "t": ["", " ", "ä", "a"],
}


@pytest.mark.parametrize("column", SEARCHES)
def test_equality_is_the_twins(db: ProtectedDatabase, column: str) -> None:
    literals = SEARCHES[column]
    with db.connect() as connection, psycopg.ClientCursor(connection) as cursor:
        for table in TABLES:
            for number, literal in enumerate(literals):
                cursor.execute(statement("INSERT INTO {t} (id, {c}) VALUES (%s, %s)", column, table), [number, literal])
        for text in (
            "SELECT id FROM {t} WHERE {c} = %s ORDER BY id",
            "SELECT id FROM {t} WHERE %s <> {c} ORDER BY id",
            "SELECT id FROM {t} WHERE {c} IN (%s, NULL) ORDER BY id",
            "SELECT id FROM {t} WHERE {c} NOT IN (%s) ORDER BY id",
        ):
            for literal in literals:
                sealed, plain = (cursor.execute(statement(text, column, t), [literal]).fetchall() for t in TABLES)
                assert sealed == plain, (text, literal)


BAD = [
    ("i2", "40000", "22003"),
    ("i4", "planted-x", "22P02"),
    ("i8", "9223372036854775808", "22003"),
    ("b", "planted-maybe", "22P02"),
    ("d", "2024-02-30", "22008"),
    ("d", "planted-day", "22007"),
    ("ts", "planted-time", "22007"),
    ("u", "planted-uuid", "22P02"),
    ("n", "planted-1", "22P02"),
    ("n", "12345678901", "22003"),
    ("j", '{"planted-":', "22P02"),
    ("v", "planted-longer-than-twenty", "22001"),
    ("y", "\\xplanted-", "22023"),
]


@pytest.mark.parametrize(("column", "value", "code"), BAD)
def test_bad_values_have_the_servers_codes(db: ProtectedDatabase, column: str, value: str, code: str) -> None:
    with db.connect() as connection:
        for cursor in (connection.cursor(), psycopg.ClientCursor(connection)):
            for turn in (1, 2):
                with pytest.raises(psycopg.Error) as caught:
                    cursor.execute(
                        statement("INSERT INTO {t} (id, {c}) VALUES (%s, %s)", column, "kinds"), [turn, value]
                    )
                assert caught.value.sqlstate == code
                said = caught.value.diag
                assert value not in f"{said.message_primary} {said.message_detail} {said.message_hint}"
                assert connection.execute("SELECT 1").fetchone() == (1,)
    other = value.replace(PLANTED, "other-")
    with db.direct() as direct, pytest.raises(psycopg.Error) as plain:
        direct.execute(statement("INSERT INTO {t} (id, {c}) VALUES (1, %s)", column, "kinds_twin"), [other])
    assert plain.value.sqlstate == code
