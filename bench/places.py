"""The ways to one server, all of one length: direct, through PgBouncer, through the proxy; or behind a delay line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from bench import delay_line
from bench.processes import Database, Middle, pgbouncer, proxy
from bench.results import CIPHERTEXT, DIRECT, PGBOUNCER, SEALED, SEALED_WORKERS, UNTOUCHED, UNTOUCHED_WORKERS


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way: where to connect, the kind of tables it reads, and `own`: whose tables it writes."""

    name: str
    database: Database
    kind: str  # plain or sealed
    own: str
    middle: Middle | None = None

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.database.dsn, autocommit=True)


@dataclass(frozen=True, slots=True)
class Place:
    """All contestants at one distance from the server."""

    round_trip_ms: float
    contestants: dict[str, Contestant]
    probe: delay_line.Probe | None = None

    def __getitem__(self, name: str) -> Contestant:
        return self.contestants[name]

    def names(self, *wanted: str) -> list[str]:
        return [name for name in wanted if name in self.contestants]


#: Of the tables that are written, everybody has their own, so that what others leave behind slows nobody down.
OWNERS = {DIRECT: "direct", PGBOUNCER: "pgbouncer", UNTOUCHED: "untouched", SEALED: "sealed"}


@contextlib.contextmanager
def place(
    server: Database,
    rules: Path,
    folder: Path,
    *,
    round_trip_ms: float = 0.0,
    workers: int = 0,
    bouncer: str | None = None,
) -> Iterator[Place]:
    """Start what stands between, on the application's side of the delay line if there is one.

    With `workers` a second proxy of so many processes stands there too.
    """
    with contextlib.ExitStack() as stack:
        database, found = server, None
        if round_trip_ms:
            program = delay_line.build(folder)
            port = stack.enter_context(delay_line.line(program, server.host, server.port, round_trip_ms))
            database = replace(server, host="127.0.0.1", port=port)
            found = delay_line.probe(server.dsn, database.dsn, round_trip_ms)
        made = [Contestant(DIRECT, database, "plain", OWNERS[DIRECT])]
        made.append(Contestant(CIPHERTEXT, database, "sealed", OWNERS[SEALED]))
        if bouncer is not None:
            middle = stack.enter_context(pgbouncer(bouncer, database, folder))
            made.append(_through(PGBOUNCER, middle, database, "plain", OWNERS[PGBOUNCER]))
        middle = stack.enter_context(proxy(database, rules, folder))
        made.append(_through(UNTOUCHED, middle, database, "plain", OWNERS[UNTOUCHED]))
        made.append(_through(SEALED, middle, database, "sealed", OWNERS[SEALED]))
        if workers:
            middle = stack.enter_context(proxy(database, rules, folder, workers=workers))
            made.append(_through(UNTOUCHED_WORKERS, middle, database, "plain", OWNERS[UNTOUCHED]))
            made.append(_through(SEALED_WORKERS, middle, database, "sealed", OWNERS[SEALED]))
        yield Place(round_trip_ms, {c.name: c for c in made}, found)


def _through(name: str, middle: Middle, database: Database, kind: str, own: str) -> Contestant:
    return Contestant(name, replace(database, host="127.0.0.1", port=middle.port), kind, own, middle)
