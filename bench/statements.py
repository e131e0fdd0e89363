"""One statement at a time by psycopg, prepared, one client: the least that a statement can cost."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from bench.places import Place
from bench.results import DIRECT, PGBOUNCER, SEALED, UNTOUCHED, Results, interleaved

USED_ROWS = 45_000
_ids = itertools.count(10_000_000)


def _timed(connection: psycopg.Connection, query: str, table: str, parameters: list[list[object]]) -> float:
    statement = sql.SQL(query).format(table=sql.Identifier(table))
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters[0], prepare=True)
        started = time.perf_counter()
        for values in parameters[1:]:
            cursor.execute(statement, values, prepare=True)
            if cursor.description:
                cursor.fetchall()
        return (time.perf_counter() - started) / (len(parameters) - 1)


def point_select(connection: psycopg.Connection, table: str, count: int) -> float:
    query = "SELECT id, email, first_name, last_name, born, visits FROM {table} WHERE id = %s"
    return _timed(connection, query, table, [[i * 37 % USED_ROWS + 1] for i in range(count)])


def insert(connection: psycopg.Connection, table: str, count: int) -> float:
    query = (
        "INSERT INTO {table} (id, email, first_name, last_name, born, visits, note)"
        " VALUES (%s, %s, %s, %s, '1990-01-01', 0, '')"
    )
    rows: list[list[object]] = [[n, f"new{n}@example.com", f"F{n}", f"L{n}"] for n in itertools.islice(_ids, count)]
    return _timed(connection, query, table, rows)


def update(connection: psycopg.Connection, table: str, count: int) -> float:
    query = "UPDATE {table} SET first_name = %s, visits = visits + 1 WHERE id = %s"
    return _timed(connection, query, table, [[f"Renamed{i}", i * 41 % USED_ROWS + 1] for i in range(count)])


def search(connection: psycopg.Connection, table: str, count: int) -> float:
    query = "SELECT id, first_name, last_name FROM {table} WHERE email = %s"
    return _timed(connection, query, table, [[f"user{i * 43 % USED_ROWS + 1}@example.com"] for i in range(count)])


WORKLOADS: dict[str, Callable[[psycopg.Connection, str, int], float]] = {
    "point select": point_select,
    "insert": insert,
    "update": update,
    "search by email": search,
}


def measure(results: Results, place: Place, rounds: int, count: int) -> None:
    names = place.names(DIRECT, PGBOUNCER, UNTOUCHED, SEALED)
    connections = {name: place[name].connect() for name in names}
    for workload, run in WORKLOADS.items():
        print(workload, file=sys.stderr, flush=True)
        seconds = interleaved(
            names,
            rounds,
            lambda name, run=run: run(connections[name], f"users_{place[name].kind}", count + 1),  # type: ignore[misc]
        )
        values = {name: [s * 1e6 for s in found] for name, found in seconds.items()}
        results.add("Single statements", workload, "us", values, workload=workload, figure="time")
    for connection in connections.values():
        connection.close()
