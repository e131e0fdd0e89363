"""The columns change places, those of several at once: a try at it, in which nobody is held up for long."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

from pgcrypt_proxy.errors import ConfigError, KeyNotLoaded
from pgcrypt_proxy.ops import sealed_types
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online import checks, indexes, moves, properties, shown_order, triggers
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.fill import Filler
from pgcrypt_proxy.ops.online.locking import locked
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK, are_watched

PROXIES_TIMEOUT_MS = 400
#: So many values are left at most when the table is locked.
MAX_PENDING = 200


class NotYet(Exception):
    """Something was changed meanwhile: what has to be done again."""


def not_null_name(move: Move) -> str:
    """The constraint that stands for NOT NULL until all rows were looked at."""
    return f"{move.hidden}_not_null"


@contextlib.contextmanager
def proxies_away(connection: psycopg.Connection, relations: Iterable[int]) -> Iterator[None]:
    """While no proxy has a statement under way that was planned with an old column. Raises LockNotAvailable."""
    with contextlib.ExitStack() as held:
        for oid in relations:
            connection.execute(f"SET lock_timeout = {PROXIES_TIMEOUT_MS}".encode())
            try:
                connection.execute("SELECT pg_catalog.pg_advisory_lock(%s, %s::bigint::oid::int)", [PLANNING_LOCK, oid])
            finally:
                connection.execute("SET lock_timeout = 0")
            held.callback(_let_go, connection, oid)
            if are_watched(connection, oid):
                raise NotYet("a proxy")
        yield


def _let_go(connection: psycopg.Connection, oid: int) -> None:
    if not connection.closed:
        connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s, %s::bigint::oid::int)", [PLANNING_LOCK, oid])


@dataclass(frozen=True, slots=True)
class Filled:
    """A column that has another beside it with all of its values but the last."""

    filler: Filler
    target: Target
    move: Move


def switch(connection: psycopg.Connection, columns: Sequence[Filled], catch_up: Callable[[], None]) -> None:
    """One try: proxies give way, and the columns change places, all in one transaction.

    `catch_up` writes what was changed while proxies were waited for. Raises one of `locking.IN_THE_WAY`, NotYet, or
    ConfigError for what was put in the way meanwhile.
    """
    _turn(connection, columns, moves.FILLING, moves.SWITCHING)
    try:
        with proxies_away(connection, dict.fromkeys(column.move.relation_oid for column in columns)):
            catch_up()
            swap(connection, columns)
    except BaseException:
        # whatever it was: statements are held as long as this says switching
        with contextlib.suppress(psycopg.Error):
            _turn(connection, columns, moves.SWITCHING, moves.FILLING)
        raise


def _turn(connection: psycopg.Connection, columns: Sequence[Filled], before: str, after: str) -> None:
    with connection.transaction():
        for column in columns:
            moves.switch(connection, column.move, before, after)


def swap(connection: psycopg.Connection, columns: Sequence[Filled]) -> None:
    """In one transaction that has all of their tables to itself. Raises as `switch` does."""
    with locked(connection, *dict.fromkeys(column.move.qualified_table for column in columns)):
        for column in columns:
            _swap_one(connection, column)
        for domain, generation in {_domain(connection, c) for c in columns if c.target.direction == moves.REINDEX}:
            sealed_types.settle_domain(connection, domain, generation)


def _domain(connection: psycopg.Connection, filled: Filled) -> tuple[str, int]:
    move = filled.move
    column = sealed_types.column(connection, move.column_id, filled.target.place, move.relation_oid)
    return column.index_domain, column.index_generation


def _swap_one(connection: psycopg.Connection, filled: Filled) -> None:
    filler, target, move = filled.filler, filled.target, filled.move
    table, column = move.qualified_table, quoted(move.column)
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
    old_id = sealed_types.id_of(connection, move.relation_oid, move.column)
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
    if target.direction == moves.REINDEX and old_id is not None:
        sealed_types.forget(connection, old_id)
    moves.turn_to_scrubbing(connection, move)


def _fill_rest(filler: Filler) -> None:
    most = filler.at_once(MAX_PENDING)
    pending = filler.pending(most + 1)
    if pending > most:
        raise NotYet("values")
    while pending:
        try:
            done = filler.batch("true", may_load=False)
        except KeyNotLoaded:
            raise NotYet("keys") from None  # everybody would wait for them
        pending -= done.moved
        if done.is_last:
            break
    if pending or filler.pending(1):
        filler.require_readable()
        raise ConfigError("values that nobody holds cannot be written")
