"""What proxies and the online engine know of each other while a column is on its way (ADR 0013).

A proxy that plans statements on such a table holds a shared advisory lock on the
table's number, on the connection that it reads the catalog with, and a lease of a
few seconds, which outlives that connection. The engine takes the lock exclusively
for the swap, and waits for leases that nobody gave up: then nobody plans with the
old column any more. The engine's own lock shows that it lives: what it left behind
when it was killed holds nobody up.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable

import psycopg

from pgcrypt_proxy.ops.connect import readable_errors

#: The first key of each advisory lock, arbitrary and the product's own; the second is the table's OID. The engine's
#: is one number, whose halves these are.
PLANNING_LOCK, ENGINE_LOCK = 0x70676370, 0x7067636D
ROTATION_LOCK = 0x7067636F
LEASE_S = 3.0
#: A lease is renewed when so much of it is gone.
RENEW_AFTER_S = 0.5
#: How much longer than the proxy itself the engine takes a lease for valid.
MARGIN_S = 1.0

_LOOK = """
SELECT w.schema_name, w.table_name, c.oid::bigint,
       EXISTS (SELECT FROM pgcrypt.moves m WHERE m.relation::oid = c.oid AND m.state = 'switching')
       AND EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'advisory' AND l.classid = %(engine)s::bigint::oid AND l.objid = c.oid
                     AND l.objsubid = 1 AND l.granted
                     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                                       WHERE d.datname = pg_catalog.current_database())),
       EXISTS (SELECT FROM pgcrypt.moves m
               WHERE m.relation::oid = c.oid AND m.state = 'switching' AND m.direction = 'reindex')
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(tables)s::text[]))
    AS w (schema_name, table_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name
"""
_TRY = "SELECT pg_catalog.pg_try_advisory_lock_shared(%s, %s::bigint::oid::int)"
_LET_GO = "SELECT pg_catalog.pg_advisory_unlock_shared(%s, %s::bigint::oid::int)"
_RENEW = """
INSERT INTO pgcrypt.watchers (watcher, relation, valid_until)
SELECT %(watcher)s, r::oid::regclass, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => %(lease)s)
FROM pg_catalog.unnest(%(relations)s::bigint[]) AS r
ON CONFLICT (watcher, relation) DO UPDATE SET valid_until = EXCLUDED.valid_until
"""
_GIVE_UP = "DELETE FROM pgcrypt.watchers WHERE watcher = %s AND relation = ANY (%s::bigint[]::oid[]::regclass[])"
_EXPIRED = "DELETE FROM pgcrypt.watchers WHERE valid_until < pg_catalog.clock_timestamp() - interval '1 minute'"
_VALID = """
SELECT EXISTS (SELECT FROM pgcrypt.watchers
               WHERE relation = %s::bigint::oid::regclass
                 AND valid_until > pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => %s))
"""


def are_watched(connection: psycopg.Connection, relation_oid: int) -> bool:
    """Whether a proxy may plan statements on the table, whose lock nobody holds: it has lost its connection."""
    row = connection.execute(_VALID, [relation_oid, MARGIN_S]).fetchone()
    return bool(row and row[0])


class SwapLocks:
    """The shared locks and leases of one proxy. A lost connection loses the locks: they are taken anew on the next.

    `valid_until` is the time of `clock` until which statements on these tables may be sent.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.valid_until = 0.0
        self._clock = clock
        self._watcher = uuid.uuid4()
        self._connection: psycopg.Connection | None = None
        self._locked: dict[str, int] = {}  # by schema.table, the OID
        self._renewed_at = 0.0

    def take(self, connection: psycopg.Connection, tables: Iterable[tuple[str, str]]) -> dict[str, bool]:
        """Lock these; returns the ones that no statement may use now: about to be swapped, or being swapped.

        With each, whether it is swapped in one transaction with all others that are said to be so.
        What is read of the catalog afterwards holds until a lock is let go.
        """
        if connection is not self._connection:
            self._connection, self._locked, self._renewed_at = connection, {}, 0.0
        wanted = sorted(tables)
        if not wanted:
            return {}
        held: dict[str, bool] = {}
        with readable_errors("looking for columns that are on their way"):
            found = connection.execute(
                _LOOK, {"engine": ENGINE_LOCK, "schemas": [s for s, _ in wanted], "tables": [t for _, t in wanted]}
            ).fetchall()
            for schema, table, oid, is_switching, is_together in found:
                name = f"{schema}.{table}"
                if self._locked.get(name) != oid:
                    row = None if is_switching else connection.execute(_TRY, [PLANNING_LOCK, oid]).fetchone()
                    if row is None or not row[0]:
                        held[name] = is_together
                        continue
                    self._locked[name] = oid
                    self._renewed_at = 0.0
                if is_switching:
                    held[name] = is_together
            self._renew(connection)
        return held

    def let_go(self, connection: psycopg.Connection, tables: Collection[str]) -> None:
        """Give up the locks and leases of these, if they are held on this connection."""
        names = [name for name in self._locked if name in tables]
        if connection is not self._connection or not names:
            return
        with readable_errors("making way for a column"):
            connection.execute(_GIVE_UP, [self._watcher, [self._locked[name] for name in names]])
            for name in names:
                connection.execute(_LET_GO, [PLANNING_LOCK, self._locked.pop(name)])

    def keep_only(self, connection: psycopg.Connection, tables: Collection[str]) -> None:
        """Give up the locks and leases of all other tables."""
        self.let_go(connection, [name for name in self._locked if name not in tables])

    def _renew(self, connection: psycopg.Connection) -> None:
        now = self._clock()
        if now - self._renewed_at < RENEW_AFTER_S:
            return
        if self._locked:
            relations = [*self._locked.values()]
            connection.execute(_RENEW, {"watcher": self._watcher, "relations": relations, "lease": LEASE_S})
            if not self._renewed_at:
                connection.execute(_EXPIRED)
        self._renewed_at, self.valid_until = now, now + LEASE_S
