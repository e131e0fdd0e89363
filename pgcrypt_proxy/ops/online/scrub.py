"""What is left when the columns have changed places: NOT NULL, the old values in the rows' old form, statistics."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import sealed_types
from pgcrypt_proxy.ops.column_rows import Progress
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online import moves
from pgcrypt_proxy.ops.online.fill import prepare
from pgcrypt_proxy.ops.online.locking import IN_THE_WAY, LOCK_TIMEOUT_MS, Pauses, holders, locked
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.online.pace import Pace, Portion
from pgcrypt_proxy.ops.online.swap import not_null_name

#: A larger table's domain constraints stay unproved: the proof keeps writers out as long as it takes.
MAX_PROOF_BYTES = 64 << 20

#: So often while rows are written anew.
VACUUMS = 4

#: How long transactions may take to end that could still read old forms of rows.
PATIENCE_S = 5.0
POLL_S = 0.5

#: Who has a snapshot that is older than a transaction. Those of other databases do not count.
_OLDER = """
SELECT 'pid ' || pid || ' (' || COALESCE(NULLIF(application_name, ''), 'no name') || ')'
FROM pg_catalog.pg_stat_activity
WHERE pid <> pg_catalog.pg_backend_pid() AND (datname = pg_catalog.current_database() OR datname IS NULL)
  AND pg_catalog.age(backend_xmin) > pg_catalog.age(%(xid)s::text::xid)
UNION ALL
SELECT 'replication slot ' || slot_name FROM pg_catalog.pg_replication_slots
WHERE pg_catalog.age(xmin) > pg_catalog.age(%(xid)s::text::xid)
UNION ALL
SELECT 'prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts
WHERE database = pg_catalog.current_database()
  AND pg_catalog.age(transaction) > pg_catalog.age(%(xid)s::text::xid)
"""
_CONSTRAINT = """
SELECT convalidated FROM pg_catalog.pg_constraint WHERE conrelid = %s::bigint::oid AND conname = %s
"""
_UNPROVED = """
SELECT conname FROM pg_catalog.pg_constraint
WHERE contypid = pg_catalog.to_regtype(%s) AND contype = 'c' AND NOT convalidated ORDER BY conname
"""


def keep_not_null(connection: psycopg.Connection, move: Move, sleep: Callable[[float], None]) -> None:
    """Prove that no value is NULL, and let NOT NULL take the constraint's place."""
    name = not_null_name(move)
    row = connection.execute(_CONSTRAINT, [move.relation_oid, name]).fetchone()
    if row is None:
        return
    table, column = move.qualified_table, quoted(move.column)
    connection.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(name)}".encode())
    pauses = Pauses(f"{move.qualified_name}: NOT NULL could not be set", "Run it again.", sleep)
    while True:
        try:
            with locked(connection, table):
                connection.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL".encode())
                connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {quoted(name)}".encode())
            return
        except IN_THE_WAY:
            pauses.wait(lambda: holders(connection, move.relation_oid))


def scrub(connection: psycopg.Connection, move: Move, batch_blocks: int, pace: Pace, progress: Progress) -> None:
    """Write every row anew that was there when the columns changed places: in its new form it has no old value."""
    block, portion = move.next_block, Portion(batch_blocks)
    while block < move.blocks:
        end = min(block + portion.size, move.blocks)
        pauses = Pauses(
            f"{move.qualified_name}: rows in blocks {block} to {end} could not be written",
            "Somebody holds them all the time: run it again, it goes on from here.",
            pace.sleep,
        )
        while not _scrub_blocks(connection, move, block, end, portion):
            pauses.wait(lambda: holders(connection, move.relation_oid))
        progress("scrubbing", end, move.blocks)
        pace.keep(connection)
        if block * VACUUMS // move.blocks != end * VACUUMS // move.blocks:
            reuse(connection, move)
        block = end


def _scrub_blocks(connection: psycopg.Connection, move: Move, block: int, end: int, portion: Portion) -> bool:
    """False when somebody held a row for long: nothing was written."""
    started = time.monotonic()
    column = quoted(move.column)
    try:
        with connection.transaction():
            prepare(connection, move)
            connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
            written = connection.execute(
                f"UPDATE ONLY {move.qualified_table} AS t SET {column} = t.{column}"  # noqa: S608 (quoted names)
                f" WHERE t.ctid >= '({block},0)'::tid AND t.ctid < '({end},0)'::tid".encode()
            ).rowcount
            moves.step(connection, move, end, move.blocks, written, time.monotonic() - started)
    except IN_THE_WAY:
        return False
    finally:
        portion.took(time.monotonic() - started, end - block)
    return True


def reuse(connection: psycopg.Connection, move: Move) -> None:
    """Let old forms of rows make room for new ones, so that the table does not grow to twice its size."""
    connection.execute(f"VACUUM {move.qualified_table}".encode())


def vacuum(connection: psycopg.Connection, move: Move, sleep: Callable[[float], None]) -> list[str]:
    """Old forms of rows go, new statistics come, and the old ones' dead rows go where the role may do that.

    Gives what keeps the server from taking old forms away, if that does not end soon.
    """
    row = connection.execute("SELECT pg_catalog.pg_current_xact_id()::xid::text").fetchone()
    assert row is not None
    for _ in range(int(PATIENCE_S / POLL_S)):
        older = [text for (text,) in connection.execute(_OLDER, {"xid": row[0]}).fetchall()]
        if not older:
            break
        sleep(POLL_S)
    with readable_errors(f"vacuuming {move.schema}.{move.table}"):
        connection.execute(f"VACUUM (ANALYZE) {move.qualified_table}".encode())
        connection.execute("VACUUM pg_catalog.pg_statistic")
    return older


def prove_constraints(connection: psycopg.Connection, move: Move) -> list[str]:
    """Prove what the sealed type's constraints say of a table that is small. Gives those that stay unproved."""
    domain = sealed_types.name(move.column_id)
    names = [name for (name,) in connection.execute(_UNPROVED, [domain]).fetchall()]
    row = connection.execute(
        "SELECT pg_catalog.pg_table_size(%s::bigint::oid::regclass)", [move.relation_oid]
    ).fetchone()
    if not names or row is None or row[0] > MAX_PROOF_BYTES:
        return names
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
            for name in names:
                connection.execute(f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {quoted(name)}".encode())
    except IN_THE_WAY:
        return names
    except pg_errors.CheckViolation:
        raise ConfigError(
            f"{move.qualified_name} holds values that its own type refuses", hint="`pgcrypt-proxy verify` names them."
        ) from None
    return []
