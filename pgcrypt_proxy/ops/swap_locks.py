"""The advisory locks that proxies and the online engine tell each other by (ADR 0013).

A proxy that plans statements on a table with a column on its way holds a shared
lock on that table's number, on the connection that it reads the catalog with. The
engine takes it exclusively for the swap, so it knows that nobody plans with the
old column any more. The engine's own lock shows that it lives: what it left
behind when it was killed holds nobody up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg

from pgcrypt_proxy.ops.connect import readable_errors

#: The first key of each advisory lock, arbitrary and the product's own; the second is the table's OID. The engine's
#: is one number, whose halves these are.
PLANNING_LOCK, ENGINE_LOCK = 0x70676370, 0x7067636D

_LOOK = """
SELECT w.schema_name, w.table_name, c.oid::bigint,
       EXISTS (SELECT FROM pgcrypt.moves m WHERE m.relation::oid = c.oid AND m.state = 'switching')
       AND EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'advisory' AND l.classid = %(engine)s::bigint::oid AND l.objid = c.oid
                     AND l.objsubid = 1 AND l.granted
                     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                       WHERE d.datname = pg_catalog.current_database()))
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(tables)s::text[]))
    AS w (schema_name, table_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name
"""
_TRY = "SELECT pg_catalog.pg_try_advisory_lock_shared(%s, %s::bigint::oid::int)"
_LET_GO = "SELECT pg_catalog.pg_advisory_unlock_shared(%s, %s::bigint::oid::int)"


class SwapLocks:
    """The shared locks of one proxy. A lost connection loses them: they are taken anew on the next."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None
        self._locked: dict[str, int] = {}  # by schema.table, the OID

    def take(self, connection: psycopg.Connection, tables: Iterable[tuple[str, str]]) -> frozenset[str]:
        """Lock these; returns the ones that no statement may use now: about to be swapped, or being swapped.

        What is read of the catalog afterwards holds until a lock is let go.
        """
        if connection is not self._connection:
            self._connection, self._locked = connection, {}
        wanted = sorted(tables)
        if not wanted:
            return frozenset()
        held = set()
        with readable_errors("looking for columns that are on their way"):
            found = connection.execute(
                _LOOK, {"engine": ENGINE_LOCK, "schemas": [s for s, _ in wanted], "tables": [t for _, t in wanted]}
            ).fetchall()
            for schema, table, oid, is_switching in found:
                name = f"{schema}.{table}"
                if self._locked.get(name) != oid:
                    row = None if is_switching else connection.execute(_TRY, [PLANNING_LOCK, oid]).fetchone()
                    if row is None or not row[0]:
                        held.add(name)
                        continue
                    self._locked[name] = oid
                if is_switching:
                    held.add(name)
        return frozenset(held)

    def let_go(self, connection: psycopg.Connection, tables: Collection[str]) -> None:
        """Give up the locks of these, if they are held on this connection."""
        if connection is not self._connection:
            return
        with readable_errors("making way for a column"):
            for name in [name for name in self._locked if name in tables]:
                connection.execute(_LET_GO, [PLANNING_LOCK, self._locked.pop(name)])

    def keep_only(self, connection: psycopg.Connection, tables: Collection[str]) -> None:
        """Give up the locks of all other tables."""
        self.let_go(connection, [name for name in self._locked if name not in tables])
