"""The table's exclusive lock for a moment, without anybody queueing behind for long."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError

#: How long others may queue behind us at most, for the lock and for what is done under it.
LOCK_TIMEOUT_MS = 300
#: Autovacuum gives way to those who have waited for as long as their own deadlock_timeout.
DEADLOCK_TIMEOUT_MS = 100
STATEMENT_TIMEOUT_MS = 5_000
TRIES = 60
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

#: What is worth another try.
IN_THE_WAY = (pg_errors.LockNotAvailable, pg_errors.DeadlockDetected, pg_errors.QueryCanceled)

_AUTOVACUUM = """
SELECT s.setting::int FROM pg_catalog.pg_settings s
WHERE s.name = 'deadlock_timeout' AND EXISTS (
    SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE l.granted AND l.relation = ANY (%s::text[]::regclass[]) AND a.backend_type = 'autovacuum worker')
"""
_HOLDERS = """
SELECT DISTINCT a.pid, COALESCE(NULLIF(a.application_name, ''), a.backend_type, 'no name'), COALESCE(a.state, ''),
       COALESCE(EXTRACT(epoch FROM pg_catalog.now() - a.xact_start), 0)::bigint
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND ((l.locktype = 'relation' AND l.relation = %s::bigint::oid)
    OR (l.locktype = 'advisory' AND l.classid = %s::bigint::oid AND l.objid = %s::bigint::oid AND l.objsubid = 2))
ORDER BY 1
"""


class Pauses:
    """Growing pauses between tries, with jitter. Raises ConfigError when there were too many."""

    def __init__(self, what: str, hint: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._what, self._hint, self._sleep = what, hint, sleep
        self._tries = 0

    def wait(self, detail: Callable[[], str]) -> None:
        """Before the next try."""
        self._tries += 1
        if self._tries >= TRIES:
            raise ConfigError(
                f"{self._what} in {TRIES} tries", detail=detail() or None, hint=self._hint, sqlstate="55P03"
            )
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._tries, 20))
        self._sleep(longest * (0.5 + random.random() / 2))  # noqa: S311 (jitter)


@contextlib.contextmanager
def locked(connection: psycopg.Connection, *qualified_tables: str) -> Iterator[None]:
    """A transaction that has the tables to itself; one of IN_THE_WAY when they were not to be had at once."""
    with connection.transaction():
        timeout_ms = LOCK_TIMEOUT_MS
        with contextlib.suppress(pg_errors.InsufficientPrivilege), connection.transaction():
            connection.execute(f"SET LOCAL deadlock_timeout = {DEADLOCK_TIMEOUT_MS}".encode())
        row = connection.execute(_AUTOVACUUM, [list(qualified_tables)]).fetchone()
        if row is not None:
            timeout_ms += int(row[0])
        connection.execute(f"SET LOCAL lock_timeout = {timeout_ms}".encode())
        connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}".encode())
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5s'")
        connection.execute(f"LOCK TABLE {', '.join(qualified_tables)} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def holders(connection: psycopg.Connection, relation_oid: int, classid: int = 0, objid: int = 0) -> str:
    """Who has the table, or that advisory lock, a line for each."""
    rows = connection.execute(_HOLDERS, [relation_oid, classid, objid]).fetchall()
    return "\n".join(f"pid {pid} ({name}), {state}, for {seconds} s" for pid, name, state, seconds in rows)
