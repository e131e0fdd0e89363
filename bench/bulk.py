"""Many rows with one statement: SELECT in both formats, COPY in and out, and how many bytes a value grows by."""

from __future__ import annotations

import sys
import time

import psycopg
from psycopg import sql

from bench.places import Place
from bench.results import CIPHERTEXT, DIRECT, PGBOUNCER, SEALED, UNTOUCHED, Results, interleaved
from bench.tables import Sizes
from tests.helpers.servers import PostgresServer

ALL = (DIRECT, CIPHERTEXT, PGBOUNCER, UNTOUCHED, SEALED)
#: How many of the columns are sealed where the table is.
COLUMNS = {0: "id, plain", 1: "id, plain, a", 5: "id, a, b, c, d, e"}
PIECE = 65_536


def select(connection: psycopg.Connection, columns: str, table: str, rows: int, *, binary: bool) -> float:
    """Reads a whole table with one statement; libpq takes the rows apart, nobody looks at them."""
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(columns), sql.Identifier(table))
    started = time.perf_counter()
    result = connection.execute(query, binary=binary)
    seconds = time.perf_counter() - started
    assert result.rowcount == rows
    return seconds


def copy_in(connection: psycopg.Connection, table: str, pieces: list[bytes]) -> float:
    query = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
    started = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for piece in pieces:
            copy.write(piece)
    return time.perf_counter() - started


def copy_out(connection: psycopg.Connection, table: str, rows: int) -> float:
    query = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
    started = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        count = sum(1 for _ in copy)
    seconds = time.perf_counter() - started
    assert count == rows
    return seconds


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


def measure_selects(results: Results, place: Place, rounds: int, sizes: Sizes) -> None:
    names = place.names(*ALL)
    connections = {name: place[name].connect() for name in names}
    for sealed, columns in COLUMNS.items():
        for form in ("text", "binary"):
            case = f"{sizes.wide // 1000}k rows, {sealed} sealed, {form}"
            print(case, file=sys.stderr, flush=True)

            def run(name: str, columns: str = columns, form: str = form) -> float:
                table = f"wide_{place[name].kind}"
                return select(connections[name], columns, table, sizes.wide, binary=form == "binary")

            _add(results, "Bulk SELECT", case, interleaved(names, rounds, run), sizes.wide, sealed=sealed, form=form)
    for connection in connections.values():
        connection.close()


def measure_copy(results: Results, place: Place, server: PostgresServer, rounds: int, sizes: Sizes) -> None:
    """COPY into an emptied table, and out of it again; of four columns two are sealed, and one has an index."""
    names = place.names(*ALL)
    connections = {name: place[name].connect() for name in names}
    rows = sizes.copied
    lines = (f"{n}\tplain{n}\tuser{n}@example.com\tFirst{n}\n" for n in range(rows))
    plain = _pieces("".join(lines).encode())
    pieces = dict.fromkeys(names, plain)
    if CIPHERTEXT in names:
        pieces[CIPHERTEXT] = _sealed(place, server, connections[SEALED], plain)
    print(f"COPY of {rows} rows", file=sys.stderr, flush=True)

    def run(name: str) -> tuple[float, float]:
        table = f"copied_{place[name].kind}"
        with server.connect(place[name].database.name) as own:
            own.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
        return copy_in(connections[name], table, pieces[name]), copy_out(connections[name], table, rows)

    times = interleaved(names, rounds, run, warm_up=False)
    for number, direction in enumerate(("in", "out")):
        seconds = {name: [found[number] for found in values] for name, values in times.items()}
        case = f"COPY of {rows // 1000}k rows {direction}, 2 sealed"
        _add(results, "COPY", case, seconds, rows, copy=direction)
    for connection in connections.values():
        connection.close()


def _sealed(place: Place, server: PostgresServer, proxied: psycopg.Connection, plain: list[bytes]) -> list[bytes]:
    """The same rows as the server holds them: what it costs to copy these is no doing of the proxy's."""
    with server.connect(place[SEALED].database.name) as own:
        own.execute("TRUNCATE copied_sealed")
        copy_in(proxied, "copied_sealed", plain)
        with own.cursor().copy("COPY copied_sealed TO STDOUT") as copy:
            return _pieces(b"".join(bytes(row) for row in copy))


def measure_growth(results: Results, place: Place) -> None:
    """Bytes that a value has more of when it is sealed, as the server stores both."""
    for column, kind in (("b", "unindexed"), ("a", "searchable")):
        with place[DIRECT].connect() as connection:
            row = connection.execute(
                f"SELECT avg(pg_column_size(s.{column}) - pg_column_size(p.{column}))::float8,"
                f" avg(pg_column_size(s.{column}) - octet_length(p.{column}))::float8"
                " FROM wide_sealed s JOIN wide_plain p USING (id)".encode()
            ).fetchone()
        assert row is not None
        about = {"figure": "growth", "value": kind}
        results.add("Bytes added to a value", kind, "bytes", {SEALED: [row[0]]}, **about)
        about["figure"] = "growth over octet_length"
        results.add("Bytes added to a value", f"{kind}, with its length word", "bytes", {SEALED: [row[1]]}, **about)


def _add(
    results: Results, part: str, case: str, seconds: dict[str, list[float]], rows: int, **about: str | int
) -> None:
    values = {name: [s / rows * 1e6 for s in found] for name, found in seconds.items()}
    results.add(part, case, "us/row", values, figure="time", **about)
