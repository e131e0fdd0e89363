"""In which order a table's columns are shown (`pgcrypt.shown_order`), and what must be written down to keep it."""

from __future__ import annotations

import psycopg

from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.sql import shown_order as order
from pgcrypt_proxy.sql.catalog import is_hidden

_COLUMNS = """
SELECT attname FROM pg_catalog.pg_attribute
WHERE attrelid = %s::bigint::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_ROWS = "SELECT column_name, shown_after FROM pgcrypt.shown_order WHERE relation = %s::bigint::oid::regclass"


def shown(connection: psycopg.Connection, relation_oid: int) -> list[str] | None:
    """The table's columns as proxies show them, hidden ones left out."""
    return order.shown(_columns(connection, relation_oid), _rows(connection, relation_oid))


def keep(connection: psycopg.Connection, move: Move) -> None:
    """Write down where the column stands, before another takes its place at the table's end."""
    columns, rows = _columns(connection, move.relation_oid), _rows(connection, move.relation_oid)
    seen = order.shown(columns, rows)
    if seen is None or move.column in rows or (columns[-1] == move.column):
        return
    place = seen.index(move.column)
    connection.execute(
        "INSERT INTO pgcrypt.shown_order (relation, column_name, shown_after)"
        " VALUES (%s::bigint::oid::regclass, %s, %s)",
        [move.relation_oid, move.column, seen[place - 1] if place else ""],
    )


def _columns(connection: psycopg.Connection, relation_oid: int) -> list[str]:
    rows = connection.execute(_COLUMNS, [relation_oid])
    return [name for (name,) in rows if not is_hidden(name)]


def _rows(connection: psycopg.Connection, relation_oid: int) -> dict[str, str]:
    return dict(connection.execute(_ROWS, [relation_oid]).fetchall())
