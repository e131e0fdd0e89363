"""In which order a table's columns are shown (`pgcrypt.shown_order`), and what must be written down to keep it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg

from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.sql.catalog import HIDDEN_PREFIX

_COLUMNS = """
SELECT attname FROM pg_catalog.pg_attribute
WHERE attrelid = %s::bigint::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_ROWS = "SELECT column_name, shown_after FROM pgcrypt.shown_order WHERE relation = %s::bigint::oid::regclass"


def placed(columns: Iterable[str], shown_after: Mapping[str, str]) -> list[str] | None:
    """`columns`, in the order of their numbers, as they are shown; None when that cannot be told.

    Columns with a row are taken out, and put behind the one that the row names.
    """
    names = list(columns)
    order = [name for name in names if name not in shown_after]
    left = {name: after for name, after in shown_after.items() if name in names}
    if len(left) < len(shown_after):
        return None
    while left:
        ready = [name for name, after in left.items() if not after or after in order]
        if not ready:
            return None
        for name in ready:
            after = left.pop(name)
            order.insert(order.index(after) + 1 if after else 0, name)
    return order


def shown(connection: psycopg.Connection, relation_oid: int) -> list[str] | None:
    """The table's columns as proxies show them, hidden ones left out."""
    return placed(_columns(connection, relation_oid), _rows(connection, relation_oid))


def keep(connection: psycopg.Connection, move: Move) -> None:
    """Write down where the column stands, before another takes its place at the table's end."""
    columns, rows = _columns(connection, move.relation_oid), _rows(connection, move.relation_oid)
    order = placed(columns, rows)
    if order is None or move.column in rows or (columns[-1] == move.column):
        return
    place = order.index(move.column)
    connection.execute(
        "INSERT INTO pgcrypt.shown_order (relation, column_name, shown_after)"
        " VALUES (%s::bigint::oid::regclass, %s, %s)",
        [move.relation_oid, move.column, order[place - 1] if place else ""],
    )


def _columns(connection: psycopg.Connection, relation_oid: int) -> list[str]:
    rows = connection.execute(_COLUMNS, [relation_oid])
    return [name for (name,) in rows if not name.startswith(HIDDEN_PREFIX)]


def _rows(connection: psycopg.Connection, relation_oid: int) -> dict[str, str]:
    return dict(connection.execute(_ROWS, [relation_oid]).fetchall())
