"""Writes the hidden column: some rows at a time, each value opened again and compared before the commit.

A row is known by its place and version (ctid and xmin), so what was made of a value goes to
that very value or nowhere. Rows that somebody holds are left for later: nobody waits for
more than one such batch, and this for nobody.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.crypto.foreign import UnreadableValue
from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops import column_rows
from pgcrypt_proxy.ops.connect import read_committed
from pgcrypt_proxy.ops.fresh_keys import SPARE_TIME_S, FreshKeys
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import active_ids, hold_active_keys
from pgcrypt_proxy.ops.online import of_tenants, triggers
from pgcrypt_proxy.ops.online.change import Change, Make, Reopen
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.online.pace import Portion
from pgcrypt_proxy.ops.online.unreadable import PassedOver

MAX_ROWS = 1000
#: Others' ciphers may take a tenth of a second for a value.
FIRST_FOREIGN_ROWS = 2
#: A batch of wide values has fewer rows.
MAX_BYTES = 4 << 20
#: For a transaction whose program stands still.
IDLE_TIMEOUT_S = 60

LOUD = (
    "has triggers on UPDATE, which would fire: run it as a superuser,"
    " or GRANT SET ON PARAMETER session_replication_role to the role"
)

STAGE = "pg_temp.pgcrypt_fill"

_HAS_TRIGGERS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
               WHERE tgrelid = %s::bigint::oid AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0
                 AND NOT pg_catalog.starts_with(tgname::text, %s))
"""


Row = tuple[bytes, bytes, bytes]  # its place and version, and what is read of it


@dataclass(frozen=True, slots=True)
class Batch:
    """`is_last`: no row that can be had now is left where this batch looked."""

    read: int
    moved: int
    is_last: bool


class Filler:
    """Fills one column; for one connection."""

    def __init__(self, connection: psycopg.Connection, keys: FreshKeys, move: Move, change: Change) -> None:
        self.connection = connection
        self._keys = keys
        self._move = move
        self._change = change
        self._rows = Portion(MAX_ROWS, 50 if change.foreign is None else FIRST_FOREIGN_ROWS)
        read_committed(connection)
        connection.execute(f"DROP TABLE IF EXISTS {STAGE}".encode())
        connection.execute(
            f"CREATE TEMPORARY TABLE pgcrypt_fill (place tid NOT NULL, version xid NOT NULL,"
            f" value {change.staged_type}) ON COMMIT DELETE ROWS".encode()
        )

    @property
    def is_pending(self) -> str:
        """SQL that is true for rows of table `t` that are left to do; the partial index has the same."""
        return f"t.{quoted(self._move.column)} IS NOT NULL AND t.{quoted(self._move.hidden)} IS NULL"

    def batch(self, where: str, *, limit: int = MAX_ROWS, may_load: bool = True) -> Batch:
        """Some of the rows that are left to do among those of `where`. In the caller's transaction.

        Raises KeyNotLoaded where tenants' keys are needed that are not here and `may_load` is false.
        """
        prepare(self.connection, self._move)
        limit = min(limit, self._rows.size)
        if self._change.unreadable is not None:  # whose rows come again and again
            limit += len(self._change.unreadable)
        active = self._held()
        found = self._left(where, limit)
        if not found:
            return Batch(0, 0, is_last=True)
        keyring = self._fresh(active, len(found))
        started = time.monotonic()
        rows = self._with_few_new_keys(keyring, found)
        self._have_keys(keyring, rows, may_load=may_load)
        moved, passed_over, is_news = self._write(rows, keyring)
        self._rows.took(time.monotonic() - started, len(rows))
        size = sum(len(value) for _, _, value in rows)
        if size > MAX_BYTES:
            self._rows.size = max(1, len(rows) * MAX_BYTES // size)
        is_last = (moved == 0 and not is_news) or (len(found) < limit and moved + passed_over == len(found))
        return Batch(len(rows), moved, is_last)

    def at_once(self, most: int) -> int:
        """Of `most` values, as many as may be written under the table's lock: those of slow ciphers are fewer."""
        return most if self._change.foreign is None else min(most, self._rows.size)

    def look_again(self) -> None:
        """What did not open may have been corrected."""
        if self._change.unreadable is not None:
            self._change.unreadable.clear()

    def require_readable(self) -> None:
        """Raises ConfigError when there were values that do not open."""
        if self._change.unreadable is not None:
            self._change.unreadable.require_none()

    def pending(self, limit: int) -> int:
        """How many rows are left to do, as far as `limit`. In the caller's transaction."""
        prepare(self.connection, self._move)
        row = self.connection.execute(
            f"SELECT pg_catalog.count(*) FROM (SELECT FROM ONLY {self._move.qualified_table} AS t"  # noqa: S608 (quoted names)
            f" WHERE {self.is_pending} LIMIT {limit}) r".encode()
        ).fetchone()
        assert row is not None
        return int(row[0])

    def warm(self, count: int) -> None:
        """Have keys for `count` values ready, so that nothing is waited for under the table's lock."""
        with self.connection.transaction():
            keyring = self._fresh(self._held(), count, spare_time_s=2 * SPARE_TIME_S)
            if self._change.column.tenant is not None:
                prepare(self.connection, self._move)
                self._have_keys(keyring, self._left("true", count))

    def _held(self) -> frozenset[int]:
        """The active keys, which stay so until the transaction ends if values are sealed."""
        if not self._change.is_sealing:
            return frozenset()
        hold_active_keys(self.connection)
        return active_ids(self.connection)

    def _left(self, where: str, limit: int) -> list[Row]:
        with self.connection.cursor(binary=True) as cursor:
            return cursor.execute(
                f"SELECT pg_catalog.tidsend(t.ctid), pg_catalog.xidsend(t.xmin), {self._change.read}"  # noqa: S608 (quoted names)
                f" FROM ONLY {self._move.qualified_table} AS t WHERE {self.is_pending} AND {where}"
                f" LIMIT {limit}".encode()
            ).fetchall()

    def _fresh(self, active: frozenset[int], seals: int, *, spare_time_s: float = SPARE_TIME_S) -> Keyring:
        if self._change.column.tenant is not None:
            return self._keys.fresh_of_tenants(self.connection, spare_time_s=spare_time_s)
        if not self._change.is_sealing:
            return self._keys.fresh_to_open(spare_time_s=spare_time_s)
        return self._keys.fresh(self._change.column.data_class, active, seals, spare_time_s=spare_time_s)

    def _with_few_new_keys(self, keyring: Keyring, rows: list[Row]) -> list[Row]:
        if self._change.column.tenant is None:
            return rows
        return rows[: of_tenants.portion(keyring, self._change, [value for _, _, value in rows])]

    def _have_keys(self, keyring: Keyring, rows: list[Row], *, may_load: bool = True) -> None:
        if self._change.column.tenant is None:
            return
        for _ in range(2):  # to open, and then to seal
            wanted = of_tenants.wanted(keyring, self._change, [value for _, _, value in rows])
            if wanted is None:
                return
            if not may_load:
                raise wanted
            self._keys.fetch(wanted)

    def _functions(self, keyring: Keyring) -> tuple[Make, Reopen]:
        if self._change.column.tenant is None:
            return self._change.functions(keyring)
        return of_tenants.functions(self._keys.store, keyring, self._change)

    def _write(self, rows: list[Row], keyring: Keyring) -> tuple[int, int, bool]:
        """How many were written, how many do not open, and whether there are new ones among these."""
        unreadable: list[PassedOver] = []
        make, reopen = self._functions(keyring)
        plaintexts: dict[bytes, bytes] = {}
        staged = []
        for place, version, value in rows:
            try:
                plaintexts[place], stored = make(value)
            except PgcryptError as error:
                if isinstance(error, UnreadableValue) and self._change.unreadable is not None:
                    unreadable.append((place, version, error.message))
                    continue
                error.detail = f"{self._move.qualified_name}, row {column_rows.shown(place)}."
                raise
            staged.append((place, version, stored))
        is_news = self._change.unreadable is not None and self._change.unreadable.note(self.connection, unreadable) > 0
        if not staged:
            return 0, len(unreadable), is_news
        # By COPY: parameters may be logged.
        column_rows.stage(self.connection, STAGE, staged)
        table, hidden = self._move.qualified_table, quoted(self._move.hidden)
        with self.connection.cursor(binary=True) as cursor:
            written = cursor.execute(
                "WITH held AS MATERIALIZED ("  # noqa: S608 (quoted names)
                f"SELECT s.place, s.value FROM {STAGE} AS s"
                f" JOIN ONLY {table} AS t ON t.ctid OPERATOR(pg_catalog.=) s.place"
                f" WHERE t.xmin OPERATOR(pg_catalog.=) s.version AND {self.is_pending}"
                " FOR NO KEY UPDATE OF t SKIP LOCKED)"
                f" UPDATE ONLY {table} AS t SET {hidden} = held.value FROM held"
                " WHERE t.ctid OPERATOR(pg_catalog.=) held.place"
                f" RETURNING pg_catalog.tidsend(held.place), {self._change.reread}".encode()
            ).fetchall()
            cursor.execute(f"DELETE FROM {STAGE}".encode())  # noqa: S608 (a constant)
        for place, stored in written:
            if stored is None or reopen(stored) != plaintexts[place]:
                raise PgcryptError(f"{self._move.qualified_name}: a new value is not the old one; it was not stored")
        return len(written), len(unreadable), is_news


def is_silent(connection: psycopg.Connection, relation_oid: int) -> bool:
    """See to it that an UPDATE is no event of the application's until the transaction ends. False: it would be."""
    row = connection.execute(_HAS_TRIGGERS, [relation_oid, triggers.PREFIX]).fetchone()
    if row is not None and row[0]:
        try:
            with connection.transaction():
                connection.execute("SET LOCAL session_replication_role = replica")
        except pg_errors.InsufficientPrivilege:
            return False
    return True


def prepare(connection: psycopg.Connection, move: Move) -> None:
    """Settings for a transaction that writes rows without an event of the application's."""
    if not is_silent(connection, move.relation_oid):
        raise ConfigError(f"{move.schema}.{move.table} {LOUD}", sqlstate="42501")
    settings = {
        "row_security": "off",  # an error rather than rows left out
        triggers.SETTING: str(move.column_id),
        "jit": "off",
        # by ctid, or by the index of what is left, whatever the statistics say
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
    }
    # Kept where it is shorter: under the table's lock.
    idle = "pg_catalog.current_setting('idle_in_transaction_session_timeout')"
    calls = (
        "pg_catalog.set_config('idle_in_transaction_session_timeout',"
        f" CASE {idle} WHEN '0' THEN '{IDLE_TIMEOUT_S}s' ELSE {idle} END, true), "
    )
    calls += ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())
    connection.execute(f"SELECT {calls}".encode())
