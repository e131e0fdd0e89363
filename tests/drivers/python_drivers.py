"""Python's drivers: each reads a type's values from `seed`, writes them into a table, and reads them back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import psycopg2.extras
from psycopg.types.json import Json, Jsonb

from tests.drivers.answers import Answer
from tests.drivers.kinds import Kind
from tests.helpers.proxies import ProtectedDatabase

TABLES = ("plain", "sealed")
_TEXTS = ("text", "varchar(20)", "char(5)", "name", "public.short")


def native(values: Iterable[Any]) -> str:
    """What Python calls the first of the values."""
    value = next((value for value in values if value is not None), None)
    if isinstance(value, list):
        return f"list of {native(value)}"
    if isinstance(value, dict):
        return "any JSON"
    return type(value).__name__


def told(kind: Kind, table: str, values: list[Any], declared: object, parameter: object = "") -> Answer:
    return Answer(
        kind.column, table, native(values), tuple(map(repr, values)), declared=str(declared), parameter=str(parameter)
    )


def json_as(wrap: Callable[[Any], Any], kind: Kind, value: Any) -> Any:
    """A JSON value, or each of an array of them, as the driver wants it for writing; other values as they are."""
    if value is None or not kind.type.startswith("json"):
        return value
    if kind.is_array:
        return [None if item is None else wrap(item) for item in value]
    return wrap(value)


def asked(kind: Kind) -> str:
    return f" WHERE id BETWEEN {kind.first} AND {kind.last} ORDER BY id"


def psycopg3(db: ProtectedDatabase, kinds: list[Kind], *, binary: bool) -> Iterable[Answer]:
    def place(kind: Kind, value: Any) -> str:
        """A str is sent as `text`, which the server takes for no other type: then its type is left open."""
        element = kind.type.removesuffix("[]")
        items = value if isinstance(value, list) else [value]
        is_text = any(isinstance(item, str) for item in items)
        if not binary:
            return f"%t::{kind.type}" if is_text and kind.is_array else "%t"
        if is_text and (element not in _TEXTS or (kind.is_array and element == "public.short")):
            return f"%t::{kind.type}" if kind.is_array else "%t"
        return "%b"

    def read(cursor: psycopg.Cursor[Any], kind: Kind, table: str) -> list[Any]:
        cursor.execute(f"SELECT {kind.column} FROM {table}{asked(kind)}".encode())
        return [row[0] for row in cursor.fetchall()]

    with db.connect() as connection, connection.cursor(binary=binary) as cursor:
        for kind in kinds:
            wrap = Jsonb if kind.type.startswith("jsonb") else Json
            for table in TABLES:
                try:
                    # in text: of a type that psycopg does not know the binary form of, it gives the bytes
                    for number, value in enumerate(read(connection.cursor(), kind, "seed"), kind.first):
                        insert = f"INSERT INTO {table} (id, {kind.column}) VALUES (%s, {place(kind, value)})"
                        cursor.execute(insert.encode(), [number, json_as(wrap, kind, value)])
                    values = read(cursor, kind, table)
                    result = cursor.pgresult
                    assert result is not None
                    declared = (result.ftype(0), result.fmod(0), result.fsize(0), result.fformat(0))
                    yield told(kind, table, values, declared)
                except psycopg.Error as error:
                    yield Answer(kind.column, table, error=str(error))


def psycopg2_(db: ProtectedDatabase, kinds: list[Kind]) -> Iterable[Answer]:
    psycopg2.extras.register_uuid()

    def plain(value: Any) -> Any:
        return bytes(value) if isinstance(value, memoryview) else value

    connection = psycopg2.connect(db.dsn())
    connection.autocommit = True
    with connection.cursor() as cursor:
        for kind in kinds:
            for table in TABLES:
                try:
                    cursor.execute(f"SELECT {kind.column} FROM seed{asked(kind)}")
                    for number, (value,) in enumerate(cursor.fetchall(), kind.first):
                        cast = f"::{kind.type}" if isinstance(value, list) else ""
                        insert = f"INSERT INTO {table} (id, {kind.column}) VALUES (%s, %s{cast})"
                        cursor.execute(insert, [number, json_as(psycopg2.extras.Json, kind, value)])
                    cursor.execute(f"SELECT {kind.column} FROM {table}{asked(kind)}")
                    read = [row[0] for row in cursor.fetchall()]
                    described = cursor.description[0]
                    values = [[plain(v) for v in value] if isinstance(value, list) else plain(value) for value in read]
                    declared = (described.type_code, described.internal_size, described.precision, described.scale)
                    yield told(kind, table, values, declared)
                except psycopg2.Error as error:
                    yield Answer(kind.column, table, error=str(error))
    connection.close()


def asyncpg_(db: ProtectedDatabase, kinds: list[Kind]) -> Iterable[Answer]:
    async def one(connection: asyncpg.Connection[Any], kind: Kind, table: str) -> Answer:
        seeds = [row[0] for row in await connection.fetch(f"SELECT {kind.column} FROM seed{asked(kind)}")]
        insert = await connection.prepare(f"INSERT INTO {table} (id, {kind.column}) VALUES ($1, $2)")
        await insert.executemany(list(enumerate(seeds, kind.first)))
        select = await connection.prepare(f"SELECT {kind.column} FROM {table}{asked(kind)}")
        values = [row[0] for row in await select.fetch()]
        return told(kind, table, values, select.get_attributes()[0].type, insert.get_parameters()[1])

    async def all_of_them() -> list[Answer]:
        made = []
        connection = await asyncpg.connect(db.dsn().replace("?sslmode=disable", ""), ssl=False)
        try:
            for kind in kinds:
                for table in TABLES:
                    try:
                        made.append(await one(connection, kind, table))
                    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                        made.append(Answer(kind.column, table, error=str(error)))
        finally:
            await connection.close()
        return made

    return asyncio.run(all_of_them())


def pg8000_(db: ProtectedDatabase, kinds: list[Kind]) -> Iterable[Answer]:
    connection = pg8000.dbapi.connect("postgres", host="127.0.0.1", port=db.running.port, database=db.name)
    connection.autocommit = True
    cursor = connection.cursor()
    for kind in kinds:
        for table in TABLES:
            try:
                cursor.execute(f"SELECT {kind.column} FROM seed{asked(kind)}")
                for number, (value,) in enumerate(cursor.fetchall(), kind.first):
                    items = value if isinstance(value, list) else []
                    cast = f"::{kind.type}" if items else ""
                    insert = f"INSERT INTO {table} (id, {kind.column}) VALUES (%s, %s{cast})"
                    cursor.execute(insert, [number, json_as(json.dumps, kind, value)])
                cursor.execute(f"SELECT {kind.column} FROM {table}{asked(kind)}")
                values = [row[0] for row in cursor.fetchall()]
                yield told(kind, table, values, cursor.description[0][1])
            except pg8000.dbapi.Error as error:
                yield Answer(kind.column, table, error=str(error))
    connection.close()
