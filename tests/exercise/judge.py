"""Looks at what is stored, and compares every row with the model. Nobody writes meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import connect
from tests.exercise.model import MARK, Model, digest, expected
from tests.helpers.serving import Ruled

BATCH = 20_000
COLUMNS = ("email", "note")


def rows_differ(dsn: str, models: list[Model]) -> list[str]:
    """Every row that is not what the model says, and every one that is missing."""
    found, seen = [], 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for row, email, note, stored in _every(connection):
            seen += 1
            if expected(models, row) != (email, note) or digest(email, note) != stored:
                found.append(f"row {row}: {email!r}, {note!r}, not {expected(models, row)!r}")
    wanted = sum(model.rows // model.owners for model in models)
    for model in models:
        for row, values in model.changed.items():
            wanted += (values is not None) - (row <= model.rows)
    if seen != wanted:
        found.append(f"{seen} rows instead of {wanted}")
    return found


def _every(connection: psycopg.Connection) -> Iterator[tuple[Any, ...]]:
    last: int | None = 0
    while last is not None:
        sql = "SELECT id, email, note, digest FROM people WHERE id > %s ORDER BY id LIMIT %s"
        rows = connection.execute(sql, [last, BATCH]).fetchall()
        yield from rows
        last = rows[-1][0] if rows else None


def stored_differ(db: Ruled, sealed: set[str]) -> list[str]:
    """Columns that hold plaintext though they are sealed, or something else though they are not."""
    found = []
    with contextlib.closing(connect(db.server.dsn(db.name))) as connection:
        for column in COLUMNS:
            text = "" if column in sealed else "::text"
            as_bytes = f"{column}{text}::bytea"
            plain, other = _counts(connection, f"position('{MARK}'::bytea IN public.people.{as_bytes}) > 0")
            if (plain if column in sealed else other) > 0:
                found.append(f"{column} holds {plain} plain values and {other} others")
        report = audit.verify(connection)
        found += [f"audit: {problem}" for problem in report.problems]
    return found


def _counts(connection: psycopg.Connection, is_plain: str) -> tuple[int, int]:
    row = connection.execute(
        f"SELECT count(*) FILTER (WHERE {is_plain}), count(*) FILTER (WHERE NOT {is_plain}) FROM public.people".encode()
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def keys_of_values(db: Ruled, column: str) -> tuple[set[int], set[int]]:
    """Key ids in the column's envelopes, and the active one."""
    with db.direct() as connection:
        stored = connection.execute(
            f"SELECT DISTINCT substr({column}::bytea, 3, 4) FROM public.people WHERE {column} IS NOT NULL".encode()
        ).fetchall()
        active = connection.execute("SELECT id FROM pgcrypt.keyring WHERE kind = 'dek' AND state = 'active'").fetchall()
    return {int.from_bytes(key, "big") for (key,) in stored}, {key for (key,) in active}
