"""The two columns change places: a try at it, in which nobody is held up for long."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online import checks, indexes, moves, properties, shown_order, triggers
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.fill import Filler
from pgcrypt_proxy.ops.online.locking import locked
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK, are_watched

PROXIES_TIMEOUT_MS = 600
#: So many values are left at most when the table is locked.
MAX_PENDING = 200


class NotYet(Exception):
    """Something was changed meanwhile: what has to be done again."""


def not_null_name(move: Move) -> str:
    """The constraint that stands for NOT NULL until all rows were looked at."""
    return f"{move.hidden}_not_null"


@contextlib.contextmanager
def proxies_away(connection: psycopg.Connection, move: Move) -> Iterator[None]:
    """While no proxy has a statement under way that was planned with the old column. Raises LockNotAvailable."""
    number = [PLANNING_LOCK, move.relation_oid]
    connection.execute(f"SET lock_timeout = {PROXIES_TIMEOUT_MS}".encode())
    try:
        connection.execute("SELECT pg_catalog.pg_advisory_lock(%s, %s::bigint::oid::int)", number)
    finally:
        connection.execute("SET lock_timeout = 0")
    try:
        if are_watched(connection, move.relation_oid):
            raise NotYet("a proxy")
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s, %s::bigint::oid::int)", number)


def swap(connection: psycopg.Connection, filler: Filler, target: Target, move: Move) -> None:
    """One try. Raises one of `locking.IN_THE_WAY`, NotYet, or ConfigError for what was put in the way meanwhile."""
    table, column = move.qualified_table, quoted(move.column)
    with locked(connection, table):
        triggers.check(connection, move)
        found = checks.facts(connection, target)
        made = checks.conversions(connection, target, found, move.hidden)
        own = indexes.own(connection, move)
        if not all(own.get(name) for name, _, _ in made):
            raise NotYet("indexes")
        _fill_rest(filler)
        wanted = properties.statements(connection, move)
        shown_order.keep(connection, move)
        triggers.drop(connection, move)
        # The old column's indexes and those of what is left to do go with it.
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}".encode())
        connection.execute(f"ALTER TABLE {table} RENAME COLUMN {quoted(move.hidden)} TO {column}".encode())
        for name, final, _ in made:
            connection.execute(f"ALTER INDEX {quoted(move.schema, name)} RENAME TO {quoted(final.index)}".encode())
        if found.is_not_null:
            connection.execute(
                f"ALTER TABLE {table} ADD CONSTRAINT {quoted(not_null_name(move))}"
                f" CHECK ({column} IS NOT NULL) NOT VALID".encode()
            )
        for statement in wanted:
            connection.execute(statement.encode())
        for name in own.keys() - {name for name, _, _ in made} - {indexes.pending_name(move)}:
            connection.execute(f"DROP INDEX IF EXISTS {quoted(move.schema, name)}".encode())
        moves.turn_to_scrubbing(connection, move)


def _fill_rest(filler: Filler) -> None:
    pending = filler.pending(MAX_PENDING + 1)
    if pending > MAX_PENDING:
        raise NotYet("values")
    while pending:
        done = filler.batch("true")
        pending -= done.moved
        if done.is_last:
            break
    if pending or filler.pending(1):
        raise ConfigError("values that nobody holds cannot be written")
