"""Row counts and checksums of all tables, to compare a restored database with the one that was backed up.

A checksum does not depend on the order of rows, nor on the server's version or
settings of the session. It finds mistakes, not forgers: those an authenticated
backup keeps out. Left out is schema pgcrypt, whose books change with every use.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted

_TABLES = r"""
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgcrypt') AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
"""
#: Texts of values are the same everywhere under these.
_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "row_security": "off",
}


@dataclass(frozen=True, slots=True)
class TableSum:
    """Of one table (schema.table): how many rows it has, and the sum of 60 bits of each row's MD5."""

    table: str
    rows: int
    checksum: str


def take(connection: psycopg.Connection) -> list[TableSum]:
    """Of every table and materialised view, in the caller's transaction, whose snapshot it is."""
    with readable_errors("adding up the tables"):
        for name, value in _SETTINGS.items():
            connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
        return [_sum(connection, schema, table) for schema, table in connection.execute(_TABLES).fetchall()]


def _sum(connection: psycopg.Connection, schema: str, table: str) -> TableSum:
    row = connection.execute(
        "SELECT pg_catalog.count(*), COALESCE(pg_catalog.sum("  # noqa: S608 (quoted names)
        "('x' || pg_catalog.substr(pg_catalog.md5((r.*)::text), 1, 15))::bit(60)::bigint), 0)::text"
        f" FROM ONLY {quoted(schema, table)} AS r".encode()
    ).fetchone()
    assert row is not None
    return TableSum(f"{schema}.{table}", row[0], row[1])


def differences(before: list[TableSum], after: list[TableSum]) -> list[str]:
    """A sentence for each table that is not the same."""
    found = {one.table: one for one in after}
    problems = []
    for one in before:
        other = found.pop(one.table, None)
        if other is None:
            problems.append(f"{one.table} is missing")
        elif other.rows != one.rows:
            problems.append(f"{one.table} has {other.rows:,} rows, it had {one.rows:,}")
        elif other.checksum != one.checksum:
            problems.append(f"{one.table} has other values than it had")
    return problems + [f"{name} was not there" for name in found]
