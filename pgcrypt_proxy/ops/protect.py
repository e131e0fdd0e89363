"""Seals the values of a plain column, or makes them plain again, in one transaction each.

For tables that fit into one pause: the table is locked against everybody, at
most as long as `Options.max_rows` allows. Whatever could go wrong is asked
before anything changes, and asked again under the lock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import (
    catalog_queries,
    column_checks,
    column_facts,
    column_rewrite,
    folding,
    sealed_types,
    tenant_columns,
)
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_checks import Assessment
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.column_rewrite import Rewrite
from pgcrypt_proxy.ops.column_rows import Progress, no_progress
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import KeyringStore, hold_active_keys
from pgcrypt_proxy.ops.online import moves
from pgcrypt_proxy.policy.model import Rule
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import SilentObserver
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.catalog import ProtectedColumn


@dataclass(frozen=True, slots=True)
class Options:
    """`lock_timeout_s`: how long to wait for the table, so that nobody queues behind for long. `tenant`: whose all
    values are, where the rule names a setting.
    """

    max_rows: int = 200_000
    lock_timeout_s: float = 5.0
    drop_pattern_indexes: bool = False
    make_indexes: bool = True
    tenant: str | None = None


class Reading(Protocol):
    """How the plain values of a column that is to be sealed are read: as they stand, or out of others' ciphertext."""

    def seen(self, connection: psycopg.Connection, facts: ColumnFacts, rule: Rule) -> ColumnFacts:
        """The facts that the rule is compared with. Raises ConfigError."""
        ...

    def query(self, connection: psycopg.Connection, facts: ColumnFacts) -> str:
        """SQL of type bytea over the column."""
        ...

    def plaintext(self, value: bytes, column: ProtectedColumn) -> bytes:
        """What `query` gave as the column's type sends it. Raises PgcryptError."""
        ...


class AsTheyStand:
    """Plain values."""

    def seen(self, connection: psycopg.Connection, facts: ColumnFacts, rule: Rule) -> ColumnFacts:
        return facts

    def query(self, connection: psycopg.Connection, facts: ColumnFacts) -> str:
        return f"{send_function(connection, facts.type_oid)}({quoted(facts.name)})"

    def plaintext(self, value: bytes, column: ProtectedColumn) -> bytes:
        return value


AS_THEY_STAND = AsTheyStand()


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done, and what stands in the way. `rows` is None when there are more than allowed."""

    column: str
    rows: int | None
    assessment: Assessment
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done. `indexes` were made (again), `dropped` were not."""

    column: str
    column_id: int
    values: int
    nulls: int
    indexes: tuple[str, ...]
    dropped: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float


def preview_protect(
    connection: psycopg.Connection, rule: Rule, options: Options, reading: Reading = AS_THEY_STAND
) -> Preview:
    """What `protect` would do. Changes nothing, locks nothing."""
    _refuse_moving(connection, rule.schema, rule.table, rule.column)
    facts = column_facts.read(connection, rule.schema, rule.table, rule.column)
    assessment = assess(connection, reading.seen(connection, facts, rule), rule, options)
    return _preview(connection, facts, assessment, options, "pgcrypt.sealed_<id>", "pg_catalog.bytea")


def preview_unprotect(connection: psycopg.Connection, column: ProtectedColumn, options: Options) -> Preview:
    """What `unprotect` would do. Changes nothing, locks nothing."""
    _refuse_moving(connection, column.schema, column.table, column.name)
    facts = column_facts.read(connection, column.schema, column.table, column.name)
    assessment = column_checks.assess_unprotect(facts, column.search)
    return _preview(connection, facts, assessment, options, column.type.sql, column.type.sql)


def protect(
    connection: psycopg.Connection,
    store: KeyringStore,
    rule: Rule,
    options: Options,
    progress: Progress = no_progress,
    reading: Reading = AS_THEY_STAND,
) -> Outcome:
    """Seal every value of the rule's column. `store` has a connection of its own.

    Raises ConfigError with every obstacle, and leaves the table as it was on any error.
    """
    started = time.monotonic()
    where = f"{rule.schema}.{rule.table}.{rule.column}"
    with readable_errors(f"protecting {where}"), connection.transaction():
        _refuse_moving(connection, rule.schema, rule.table, rule.column)
        _lock(connection, rule.schema, rule.table, options)
        facts = column_facts.read(connection, rule.schema, rule.table, rule.column)
        assessment = assess(connection, reading.seen(connection, facts, rule), rule, options)
        rows = _count(connection, facts, options)
        _raise_obstacles("protected", facts, assessment, rows, options)
        assert rows is not None
        hold_active_keys(connection)
        column = _new_column(connection, facts, rule)
        keyring = store.unlock_with_grants({} if rule.tenant is not None else {rule.data_class: rows})
        values = values_of(keyring)
        rewrite = Rewrite(
            target_type=sealed_types.name(column.id),
            staged_type="pg_catalog.bytea",
            read=tenant_columns.beside(rule.tenant, reading.query(connection, facts)),
            change=tenant_columns.sealer(
                store, values, column, options.tenant, lambda value: reading.plaintext(value, column)
            ),
            reread=f"{quoted(rule.column)}::pg_catalog.bytea",
            reopen=tenant_columns.opener(store, values, column, 1),
            conversions=assessment.conversions,
        )
        sealed = column_rewrite.run(connection, facts, rewrite, progress, rows)
    keyring.zeroise()
    vacuum(connection, facts)
    return _outcome(facts, column.id, sealed, rows, assessment, started)


def unprotect(
    connection: psycopg.Connection,
    store: KeyringStore,
    column: ProtectedColumn,
    options: Options,
    progress: Progress = no_progress,
) -> Outcome:
    """Store every value of a sealed column in plaintext again. Raises as `protect` does."""
    started = time.monotonic()
    with readable_errors(f"unprotecting {column.qualified_name}"), connection.transaction():
        _refuse_moving(connection, column.schema, column.table, column.name)
        _lock(connection, column.schema, column.table, options)
        facts = column_facts.read(connection, column.schema, column.table, column.name)
        assessment = column_checks.assess_unprotect(facts, column.search)
        rows = _count(connection, facts, options)
        _raise_obstacles("made plain", facts, assessment, rows, options)
        assert rows is not None
        keyring = store.unlock()
        opener = tenant_columns.opener(store, values_of(keyring), column, 1)

        def open_value(envelope: bytes) -> tuple[bytes, bytes]:
            plaintext = opener(envelope)
            return plaintext, plaintext

        rewrite = Rewrite(
            target_type=column.type.sql,
            staged_type=column.type.sql,
            read=f"{quoted(column.name)}::pg_catalog.bytea",
            change=open_value,
            reread=f"{send_function(connection, column.type.parameter_oid)}({quoted(column.name)})",
            reopen=bytes,
            conversions=assessment.conversions,
        )
        opened = column_rewrite.run(connection, facts, rewrite, progress, rows)
        sealed_types.forget(connection, column.id)
    keyring.zeroise()
    vacuum(connection, facts)
    return _outcome(facts, column.id, opened, rows, assessment, started)


def assess(
    connection: psycopg.Connection, facts: ColumnFacts, rule: Rule, options: Options, *, is_short: bool = False
) -> Assessment:
    """What stands in the way of sealing that column, and what becomes of its indexes.

    `is_short`: how the server folds case is not asked; it was before, and cannot have changed.
    """
    types = catalog_queries.fetch_types(connection)
    with readable_errors("reading index names"):
        taken = connection.execute(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
            " ON n.oid = c.relnamespace WHERE n.nspname = %s",
            [facts.schema],
        ).fetchall()
    found = column_checks.assess_protect(
        facts,
        rule,
        drop_pattern_indexes=options.drop_pattern_indexes,
        make_indexes=options.make_indexes,
        taken_names=frozenset(name for (name,) in taken),
        types=types,
    )
    with readable_errors("looking for tenants"):
        found.obstacles += tenant_columns.obstacles(connection, facts, rule, options.tenant, is_short=is_short)
    for mode in () if is_short else sorted(rule.search):
        function = folding.difference(connection, facts.relation_oid, facts.number, mode)
        if function is not None:
            found.obstacles.append(
                f"{function}() in its collation folds other characters than {mode} does: leave {mode} out, "
                "or give the column a collation of libc or the builtin provider in a UTF-8 locale"
            )
    return found


def _preview(
    connection: psycopg.Connection,
    facts: ColumnFacts,
    assessment: Assessment,
    options: Options,
    target_type: str,
    staged_type: str,
) -> Preview:
    rows = _count(connection, facts, options)
    if rows is None:
        assessment.obstacles.append(_too_many(options))
    steps = [
        f"LOCK TABLE {quoted(facts.schema, facts.table)} IN ACCESS EXCLUSIVE MODE",
        *(c.drop for c in assessment.conversions if c.drop),
        *column_rewrite.alter_steps(facts, target_type, staged_type),
        *(c.create for c in assessment.conversions if c.create),
    ]
    return Preview(facts.qualified_name, rows, assessment, tuple(steps))


def _refuse_moving(connection: psycopg.Connection, schema: str, table: str, column: str) -> None:
    with readable_errors("looking for columns on their way"):
        move = moves.find(connection, schema, table, column)
    if move is not None:
        raise ConfigError(
            f"{move.qualified_name} is on its way by {move.command}",
            hint="Run that to its end, or with --abandon, first.",
            sqlstate="55000",
        )


def _lock(connection: psycopg.Connection, schema: str, table: str, options: Options) -> None:
    connection.execute(f"SET LOCAL lock_timeout = {int(options.lock_timeout_s * 1000)}".encode())
    connection.execute("SET LOCAL row_security = off")  # an error rather than rows left out
    try:
        connection.execute(f"LOCK TABLE {quoted(schema, table)} IN ACCESS EXCLUSIVE MODE".encode())
    except (pg_errors.UndefinedTable, pg_errors.InvalidSchemaName):
        raise ConfigError(f"there is no table {schema}.{table}", sqlstate="42P01") from None
    except pg_errors.WrongObjectType:
        raise ConfigError(f"{schema}.{table} is no table", sqlstate="42809") from None


def _count(connection: psycopg.Connection, facts: ColumnFacts, options: Options) -> int | None:
    """How many rows the table has; None when there are more than `options` allow, or none to be had."""
    if facts.kind != "r":
        return 0
    table = quoted(facts.schema, facts.table)
    with readable_errors(f"counting the rows of {facts.schema}.{facts.table}"):
        limited = f"SELECT FROM ONLY {table} LIMIT {options.max_rows + 1}"
        row = connection.execute(f"SELECT pg_catalog.count(*) FROM ({limited}) r".encode()).fetchone()  # noqa: S608
    assert row is not None
    return None if row[0] > options.max_rows else int(row[0])


def _too_many(options: Options) -> str:
    return (
        f"the table has more than {options.max_rows:,} rows and would be locked for long: "
        "raise --max-rows if that pause is acceptable"
    )


def _raise_obstacles(what: str, facts: ColumnFacts, assessment: Assessment, rows: int | None, options: Options) -> None:
    obstacles = list(assessment.obstacles)
    if rows is None:
        obstacles.append(_too_many(options))
    if obstacles:
        raise ConfigError(
            f"{facts.qualified_name} cannot be {what}: {obstacles[0]}",
            detail="\n".join(obstacles[1:]) or None,
            sqlstate="55000",
        )


def _new_column(connection: psycopg.Connection, facts: ColumnFacts, rule: Rule) -> ProtectedColumn:
    """Give the column its immutable id and its domain."""
    logical = logical_type(rule, catalog_queries.fetch_types(connection))
    column_id = sealed_types.claim(connection, rule, logical)
    return sealed_types.column(connection, column_id, (facts.schema, facts.table, facts.name), facts.relation_oid)


def values_of(keyring: Keyring) -> Values:
    """Seals and opens under that keyring, and tells nobody."""
    observer = SilentObserver()
    return Values(keyring, observer, Meter(observer, time.monotonic))


def send_function(connection: psycopg.Connection, type_oid: int) -> str:
    """The function that gives a value of that type in binary form."""
    row = connection.execute(
        "SELECT n.nspname, p.proname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_proc p ON p.oid = t.typsend"
        " JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE t.oid = %s",
        [type_oid],
    ).fetchone()
    assert row is not None
    return quoted(*row)


def vacuum(connection: psycopg.Connection, facts: ColumnFacts) -> None:
    """New statistics of the table, and the old ones' dead rows gone where the role may do that."""
    with readable_errors(f"vacuuming {facts.schema}.{facts.table}"):
        connection.execute(f"VACUUM (ANALYZE) {quoted(facts.schema, facts.table)}".encode())
        connection.execute("VACUUM pg_catalog.pg_statistic")


def _outcome(
    facts: ColumnFacts, column_id: int, values: int, rows: int, assessment: Assessment, started: float
) -> Outcome:
    return Outcome(
        column=facts.qualified_name,
        column_id=column_id,
        values=values,
        nulls=rows - values,
        indexes=tuple(c.index for c in assessment.conversions if c.create),
        dropped=tuple(c.index for c in assessment.conversions if not c.create),
        warnings=tuple(assessment.warnings),
        seconds=time.monotonic() - started,
    )
