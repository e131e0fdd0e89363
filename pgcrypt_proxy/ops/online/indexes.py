"""The hidden column's indexes, made while others write: one for what is left to do, and all that the swap needs."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online.moves import Move

_OWN = r"""
SELECT c.relname, i.indisvalid AND i.indisready
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::bigint::oid AND pg_catalog.starts_with(c.relname::text, %s)
"""


def pending_name(move: Move) -> str:
    """The partial index that finds the rows that are left to do."""
    return f"{move.hidden}_pending"


def make_pending(connection: psycopg.Connection, move: Move) -> None:
    """Behind the first pass: then it is small."""
    column, hidden = quoted(move.column), quoted(move.hidden)
    name = pending_name(move)
    make(
        connection,
        move,
        {
            name: f"CREATE INDEX CONCURRENTLY {quoted(name)} ON {move.qualified_table} ((true))"
            f" WHERE {column} IS NOT NULL AND {hidden} IS NULL"
        },
    )


def make(connection: psycopg.Connection, move: Move, wanted: Mapping[str, str]) -> None:
    """Run the statements whose index, by name, is not there. One that a killed run left unfinished is made anew."""
    have = own(connection, move)
    for name, create in wanted.items():
        if have.get(name):
            continue
        if name in have:
            drop(connection, move, name)
        connection.execute(create.encode())


def own(connection: psycopg.Connection, move: Move) -> dict[str, bool]:
    """The indexes made here, by name, and whether each is whole."""
    return dict(connection.execute(_OWN, [move.relation_oid, f"{move.hidden}_"]).fetchall())


def drop(connection: psycopg.Connection, move: Move, name: str) -> None:
    """While others write."""
    connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(move.schema, name)}".encode())
