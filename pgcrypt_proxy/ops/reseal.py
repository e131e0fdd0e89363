"""Seals stored values anew under the active DEK, while applications read and write.

Goes through a table a stretch of blocks at a time, each in a short transaction
that also stores how far it came: killed at any moment, it loses one stretch.
A value is exchanged only if its row still holds the very envelope that was read,
so no writer's value is lost; what a writer moved is found by another pass.
Each value that was written is opened again and compared before the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.crypto import envelope
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops import catalog_queries, catalog_rules, tenant_keys
from pgcrypt_proxy.ops.column_rows import Progress, no_progress
from pgcrypt_proxy.ops.connect import read_committed, readable_errors
from pgcrypt_proxy.ops.fresh_keys import FreshKeys
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import KeyringStore, active_ids, hold_active_keys
from pgcrypt_proxy.policy.model import Policy
from pgcrypt_proxy.sql.catalog import ProtectedColumn

BLOCKS_PER_BATCH = 16
LOCK_TIMEOUT_S = 2.0
MAX_PASSES = 10

_BLOCKS = """
SELECT (pg_catalog.pg_relation_size(%s::bigint::oid::regclass)
        / pg_catalog.current_setting('block_size')::bigint)::bigint
"""
_HAS_TRIGGERS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
               WHERE tgrelid = %s AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0)
"""
_BEGIN = """
INSERT INTO pgcrypt.reseal (place) VALUES (%(place)s)
ON CONFLICT (place) DO UPDATE SET next_block = 0, resealed = 0, seconds = 0,
    started_at = pg_catalog.now(), finished_at = NULL WHERE reseal.finished_at IS NOT NULL
"""
_STEP = """
UPDATE pgcrypt.reseal SET next_block = %s, blocks = %s, resealed = resealed + %s, seconds = seconds + %s
WHERE place = %s
"""


@dataclass(frozen=True, slots=True)
class State:
    """How far one column (schema.table.column) is. `seconds` is time at work, pauses of the program left out."""

    place: str
    next_block: int
    blocks: int
    resealed: int
    seconds: float
    is_finished: bool


@dataclass(frozen=True, slots=True)
class _Batch:
    resealed: int
    skipped: int


def states(connection: psycopg.Connection) -> list[State]:
    """Every column that was ever begun."""
    with readable_errors("reading the progress of reseal"):
        rows = connection.execute(
            "SELECT place, next_block, blocks, resealed, seconds, finished_at IS NOT NULL"
            " FROM pgcrypt.reseal ORDER BY place"
        )
        return [State(*row) for row in rows]


def reseal(
    connection: psycopg.Connection,
    store: KeyringStore,
    policy: Policy,
    *,
    pause_s: float = 0.0,
    progress: Progress = no_progress,
    sleep: Callable[[float], None] = time.sleep,
) -> list[State]:
    """Seal every protected column's values under the active keys. `store` has a connection of its own.

    Raises OpenError when a value does not open (`verify` finds them all), and
    ConfigError for a column whose rows are locked all the time, or that has
    triggers which this role cannot keep from firing.
    """
    joined = catalog_rules.join(policy, catalog_queries.fetch(connection))
    catalog_rules.raise_first(joined.problems)
    read_committed(connection)
    keys = FreshKeys(store)
    try:
        for column in joined.protected.values():
            if column.is_armed:
                _Column(connection, keys, column, pause_s, progress, sleep).run()
    finally:
        keys.close()
    return states(connection)


class _Column:
    """One column of one table."""

    def __init__(
        self,
        connection: psycopg.Connection,
        keys: FreshKeys,
        column: ProtectedColumn,
        pause_s: float,
        progress: Progress,
        sleep: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._column = column
        self._context = SealContext(column.id, column.data_class)
        self._pause_s = pause_s
        self._progress = progress
        self._sleep = sleep
        self._table, self._name = quoted(column.schema, column.table), quoted(column.name)
        self._has_triggers = False

    def run(self) -> None:
        place = self._column.qualified_name
        with readable_errors(f"sealing {place} anew"):
            self._connection.execute(_BEGIN, {"place": place})
            row = self._connection.execute(_HAS_TRIGGERS, [self._column.relation_oid]).fetchone()
            self._has_triggers = bool(row and row[0])
            start = next((s.next_block for s in states(self._connection) if s.place == place), 0)
            for number in range(MAX_PASSES):
                total = _Batch(0, 0) if number or not start else _Batch(1, 0)  # a part of a pass is none
                for done in self._one_pass(start):
                    total = _Batch(total.resealed + done.resealed, total.skipped + done.skipped)
                start = 0
                if total == _Batch(0, 0):
                    break
            else:
                raise ConfigError(
                    f"{place}: values under old keys are left after {MAX_PASSES} passes",
                    hint="Their rows are locked or moved all the time; run it again at a quieter time.",
                    sqlstate="55P03",
                )
            self._connection.execute(
                "UPDATE pgcrypt.reseal SET finished_at = pg_catalog.now(), next_block = 0 WHERE place = %s", [place]
            )

    def _one_pass(self, start: int) -> Iterator[_Batch]:
        block = start
        while True:
            row = self._connection.execute(_BLOCKS, [self._column.relation_oid]).fetchone()
            blocks = int(row[0]) if row else 0
            if block >= blocks:
                return
            end = min(block + BLOCKS_PER_BATCH, blocks)
            try:
                done = self._batch(block, end, blocks)
            except (pg_errors.LockNotAvailable, pg_errors.DeadlockDetected):
                done = _Batch(0, 1)  # for the next pass
            yield done
            self._progress(self._column.qualified_name, end, blocks)
            block = end
            if done.resealed and self._pause_s:
                self._sleep(self._pause_s)

    def _batch(self, block: int, end: int, blocks: int) -> _Batch:
        """Everything in these blocks that is not under the active key, in one transaction."""
        started = time.monotonic()
        connection = self._connection
        with connection.transaction():
            hold_active_keys(connection)
            connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}".encode())
            connection.execute("SET LOCAL row_security = off")  # an error rather than rows left out
            active = self._active(connection)
            rows = connection.execute(
                f"SELECT ctid::text, {self._name}::pg_catalog.bytea FROM ONLY {self._table}"  # noqa: S608 (quoted names)
                f" WHERE {self._name} IS NOT NULL"
                f" AND ctid >= '({block},0)'::tid AND ctid < '({end},0)'::tid"
                f" AND pg_catalog.substr({self._name}::pg_catalog.bytea, 3, 4)"
                " OPERATOR(pg_catalog.<>) ALL (%s)".encode(),
                [[key_id.to_bytes(4, "big") for key_id in active]],
            ).fetchall()
            written = self._exchange([(tid, bytes(old)) for tid, old in rows], active) if rows else 0
            seconds = time.monotonic() - started
            connection.execute(_STEP, [end, blocks, written, seconds, self._column.qualified_name])
        return _Batch(written, len(rows) - written)

    def _exchange(self, rows: list[tuple[str, bytes]], active: frozenset[int]) -> int:
        keyring = self._keyring(active, len(rows))
        plaintexts: dict[bytes, bytes] = {}
        made: list[bytes] = []
        for tid, old in rows:
            try:
                plaintexts[old], tenant = self._opened(keyring, old)
                made.append(self._sealed(keyring, old, plaintexts[old], tenant))
            except PgcryptError as error:
                error.detail = f"{self._column.qualified_name}, row {tid}."
                raise
        if self._has_triggers:
            self._silence_triggers()
        for setting in ("enable_hashjoin", "enable_mergejoin"):  # by ctid, whatever the statistics say
            self._connection.execute(f"SET LOCAL {setting} = off".encode())
        written = self._connection.execute(
            f"UPDATE ONLY {self._table} AS t SET {self._name} = s.made"  # noqa: S608 (quoted names)
            " FROM unnest(%s::tid[], %s::bytea[], %s::bytea[]) AS s(place, old, made)"
            f" WHERE t.ctid OPERATOR(pg_catalog.=) s.place"
            f" AND t.{self._name}::pg_catalog.bytea OPERATOR(pg_catalog.=) s.old"
            f" RETURNING s.old, t.{self._name}::pg_catalog.bytea".encode(),
            [[tid for tid, _ in rows], [old for _, old in rows], made],
        ).fetchall()
        for old, stored in written:
            if self._opened(keyring, bytes(stored))[0] != plaintexts[bytes(old)]:
                raise PgcryptError(f"{self._column.qualified_name}: a new value is not the old one; it was not stored")
        return len(written)

    def _active(self, connection: psycopg.Connection) -> frozenset[int]:
        """The keys that need no exchange. Of a tenant that gets no new key any more, those that it has."""
        return active_ids(connection) if self._column.tenant is None else tenant_keys.newest_ids(connection)

    def _keyring(self, active: frozenset[int], seals: int) -> Keyring:
        if self._column.tenant is not None:
            return self._keys.fresh_of_tenants(self._connection)
        return self._keys.fresh(self._column.data_class, active, seals)

    def _opened(self, keyring: Keyring, old: bytes) -> tuple[bytes, str]:
        """The plaintext, and whose it is."""
        if self._column.tenant is None:
            return keyring.open(self._context, old), ""
        return self._keys.with_keys(lambda: keyring.open_of_tenant(self._context, old, is_any=True))

    def _sealed(self, keyring: Keyring, old: bytes, plaintext: bytes, tenant: str) -> bytes:
        """The same terms under the same index key, which stays."""
        parsed = envelope.parse(old)
        flags, generation = parsed.flags & envelope.TERM_FLAGS, self._column.index_generation
        context = replace(self._context, tenant=tenant)
        made = self._keys.with_keys(lambda: keyring.seal(context, plaintext, parsed.terms, flags, generation))
        if made[1] != old[1]:
            raise PgcryptError("the index terms of a value are of another index key")
        return made

    def _silence_triggers(self) -> None:
        """An exchange of envelopes is no event of the application's: its triggers do not see it."""
        try:
            with self._connection.transaction():
                self._connection.execute("SET LOCAL session_replication_role = replica")
        except pg_errors.InsufficientPrivilege:
            raise ConfigError(
                f"{self._column.schema}.{self._column.table} has triggers on UPDATE, which would fire",
                hint="Run it as a superuser, or GRANT SET ON PARAMETER session_replication_role to the role.",
                sqlstate="42501",
            ) from None
