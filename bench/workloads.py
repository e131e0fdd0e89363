"""What is timed: one function for each workload, run on an open connection, giving seconds for `count` operations."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

_ids = itertools.count(10_000_000)


@dataclass(frozen=True, slots=True)
class Workload:
    """`operations` in one timed stretch, or the rows of a scan; `unit` for the report."""

    name: str
    run: Callable[[psycopg.Connection, str, int], float]
    operations: int
    unit: str
    table: str = "users"


def _timed(connection: psycopg.Connection, query: str, table: str, parameters: list[list[object]]) -> float:
    statement = sql.SQL(query).format(table=sql.Identifier(table))  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters[0], prepare=True)
        started = time.perf_counter()
        for values in parameters:
            cursor.execute(statement, values, prepare=True)
            if cursor.description:
                cursor.fetchall()
        return time.perf_counter() - started


def point_select(connection: psycopg.Connection, table: str, count: int) -> float:
    query = "SELECT id, email, first_name, last_name, born, visits FROM {table} WHERE id = %s"
    return _timed(connection, query, table, [[i * 37 % 90_000 + 1] for i in range(count)])


def insert(connection: psycopg.Connection, table: str, count: int) -> float:
    query = (
        "INSERT INTO {table} (id, email, first_name, last_name, born, visits, note)"
        " VALUES (%s, %s, %s, %s, '1990-01-01', 0, '')"
    )
    rows: list[list[object]] = [[n := next(_ids), f"new{n}@example.com", f"F{n}", f"L{n}"] for _ in range(count)]
    statement = sql.SQL(query).format(table=sql.Identifier(table))
    with connection.cursor() as cursor:
        started = time.perf_counter()
        for row in rows:
            cursor.execute(statement, row, prepare=True)
        return time.perf_counter() - started


def update(connection: psycopg.Connection, table: str, count: int) -> float:
    query = "UPDATE {table} SET first_name = %s, visits = visits + 1 WHERE id = %s"
    return _timed(connection, query, table, [[f"Renamed{i}", i * 41 % 90_000 + 1] for i in range(count)])


def search(connection: psycopg.Connection, table: str, count: int) -> float:
    query = "SELECT id, first_name, last_name FROM {table} WHERE email = %s"
    return _timed(connection, query, table, [[f"user{i * 43 % 90_000 + 1}@example.com"] for i in range(count)])


def scan(connection: psycopg.Connection, table: str, count: int) -> float:
    query = sql.SQL("SELECT id, email, first_name, visits FROM {} WHERE id <= %s").format(sql.Identifier(table))
    started = time.perf_counter()
    result = connection.execute(query, [count], binary=True)
    rows = result.pgresult.ntuples if result.pgresult else 0
    seconds = time.perf_counter() - started
    assert rows == count
    return seconds


def copy_in(connection: psycopg.Connection, table: str, count: int) -> float:
    rows = (f"{n}\tnew{n}@example.com\tF{n}\tL{n}\t1990-01-01\t0\t{'x' * 40}\n" for n in itertools.islice(_ids, count))
    data = "".join(rows).encode()
    query = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        started = time.perf_counter()
        with cursor.copy(query) as copy:
            for at in range(0, len(data), 65_536):
                copy.write(data[at : at + 65_536])
        return time.perf_counter() - started


def copy_out(connection: psycopg.Connection, table: str, count: int) -> float:
    query = sql.SQL("COPY (SELECT id, email, first_name, visits FROM {} WHERE id <= {}) TO STDOUT")
    started = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(query.format(sql.Identifier(table), sql.Literal(count))) as copy:
        rows = sum(1 for _ in copy)
    seconds = time.perf_counter() - started
    assert rows == count
    return seconds


def bulk(columns: str, *, binary: bool) -> Callable[[psycopg.Connection, str, int], float]:
    """Reads a whole table with one statement; libpq takes the rows apart, nobody looks at them."""

    def run(connection: psycopg.Connection, table: str, count: int) -> float:
        query = sql.SQL("SELECT {columns} FROM {table}").format(
            columns=sql.SQL(columns),  # type: ignore[arg-type]
            table=sql.Identifier(table),
        )
        started = time.perf_counter()
        result = connection.execute(query, binary=binary)
        seconds = time.perf_counter() - started
        assert result.rowcount == count
        return seconds

    return run


def workloads(*, short: bool) -> list[Workload]:
    few = 100 if short else 400
    return [
        Workload("point select", point_select, few, "op"),
        Workload("insert", insert, few, "op"),
        Workload("update", update, few, "op"),
        Workload("search by email", search, few, "op"),
        Workload("scan of 100k rows", scan, 100_000, "row"),
        Workload("COPY of 100k rows in", copy_in, 100_000, "row"),
        Workload("COPY of 100k rows out", copy_out, 100_000, "row"),
        *(
            Workload(
                f"200k rows, {sealed} sealed, {form}", bulk(columns, binary=form == "binary"), 200_000, "row", "wide"
            )
            for sealed, columns in ((1, "id, plain, a"), (5, "id, a, b, c, d, e"))
            for form in ("text", "binary")
        ),
    ]
