"""Proves, column by column, that the database refuses plaintext and that every envelope opens.

Reads a stretch of blocks at a time, each in a short transaction, so that no
snapshot is held for long and writers go on. Reports by count and by ctid,
never by value.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

from pgcrypt_proxy.crypto.envelope import term_byte
from pgcrypt_proxy.errors import KeyUnavailable, PgcryptError
from pgcrypt_proxy.ops import catalog_phases, catalog_queries, catalog_rules, column_rows, tenant_columns
from pgcrypt_proxy.ops.column_checks import term_flags
from pgcrypt_proxy.ops.column_rows import Pair, Progress, no_progress
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.policy.model import Policy
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import SilentObserver
from pgcrypt_proxy.session.transform import Opener, Values
from pgcrypt_proxy.sql.catalog import ProtectedColumn, is_hidden

BLOCKS_PER_BATCH = 512
MAX_NAMED_ROWS = 5

# Constraints of a bare type may be unproved: it had them before its first value, and all values are looked at here.
_DOMAIN = """
SELECT b.typname = 'sealed' AND bn.nspname = 'pgcrypt',
       b.oid = 'pg_catalog.bytea'::regtype,
       ARRAY(SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
             WHERE k.contypid = t.oid AND k.contype = 'c'
               AND (k.convalidated OR b.oid = 'pg_catalog.bytea'::regtype))
FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace
WHERE t.oid = %s
"""

_BASE_CHECK = """
SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
WHERE k.contypid = 'pgcrypt.sealed'::regtype AND k.contype = 'c' AND k.convalidated
"""

# What the function must say of plaintext, of an envelope without and with a term, and of one cut short.
_PROBES: tuple[tuple[bytes, bool], ...] = (
    (b"plaintext of more than thirty-four bytes", False),
    (b"\x01\x00" + bytes(32), True),
    (b"\x01\x01" + bytes(48), True),
    (b"\x01\x01" + bytes(47), False),
)


@dataclass(slots=True)
class ColumnReport:
    """`opened` + `destroyed` + `failed` are all values that are not NULL. `rows` names a few failed ones.

    `of_others` of those that opened are sealed for another tenant than their row's; `other_rows` names a few.
    """

    column: str
    opened: int = 0
    destroyed: int = 0
    failed: int = 0
    nulls: int = 0
    rows: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    of_others: int = 0
    other_rows: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.failed and not self.problems


@dataclass(slots=True)
class Report:
    """`problems` are of the database as a whole, or of columns that are not sealed as they should be."""

    columns: list[ColumnReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.problems and all(column.is_sound for column in self.columns)


class _Opener:
    """Opens values for as long as it takes: a keyring whose time is over is unlocked anew."""

    def __init__(self, store: KeyringStore) -> None:
        self._store = store
        self._values = self._unlocked()

    def _unlocked(self) -> Values:
        observer = SilentObserver()
        return Values(self._store.unlock(), observer, Meter(observer, time.monotonic))

    def of_column(self, values: Values, column: ProtectedColumn) -> Opener:
        """Opens values in text form: each must be one of the type, too."""
        return tenant_columns.opener(self._store, values, column, 0)

    def fresh(self) -> Values:
        """Values whose keyring is good for a batch."""
        if self._values.keyring.expires_at - time.monotonic() < 60:
            self._values.keyring.zeroise()
            self._values = self._unlocked()
        return self._values


def verify(
    connection: psycopg.Connection, store: KeyringStore, policy: Policy, progress: Progress = no_progress
) -> Report:
    """Check everything that can be checked without changing anything."""
    rows = catalog_queries.fetch(connection)
    joined = catalog_rules.join(policy, rows)
    report = Report(problems=[*joined.problems, *joined.absent, *_stray(rows, joined)])
    if not _base_is_sound(connection):
        report.problems.append("domain pgcrypt.sealed does not check its values as it was installed to")
    opener = _Opener(store)
    for column in joined.protected.values():
        if not column.is_armed:
            report.problems.append(f"{column.qualified_name} is named in the rules and holds plaintext")
            continue
        report.columns.append(_verify_column(connection, opener, column, progress))
    rules = {rule.qualified_name: rule for rule in policy.rules}
    report.problems += catalog_phases.plain_notes(rules, joined.plain)
    opener.fresh().keyring.zeroise()
    return report


def _stray(rows: catalog_queries.CatalogRows, joined: catalog_rules.Joined) -> Iterator[str]:
    """Columns of a sealed type that no rule covers: children, copies."""
    for relation in rows.relations:
        for name, number, type_oid in relation.attributes:
            is_table = relation.kind in catalog_rules.TABLE_KINDS
            where = f"{relation.schema}.{relation.name}.{name}"
            covered = (relation.oid, number) in joined.protected or any(where in p for p in joined.problems)
            if is_table and type_oid in rows.domains and not covered and not is_hidden(name):
                yield f"{where} is a copy of a sealed column (column id {rows.domains[type_oid]}) without a rule"


def _base_is_sound(connection: psycopg.Connection) -> bool:
    with readable_errors("checking domain pgcrypt.sealed"):
        for probe, expected in _PROBES:
            row = connection.execute("SELECT pgcrypt.is_envelope(%s)", [probe]).fetchone()
            if row is None or row[0] is not expected:
                return False
        return _checks_form([check for (check,) in connection.execute(_BASE_CHECK)])


def _checks_form(checks: list[str]) -> bool:
    return any(
        check.removesuffix(" NOT VALID")
        in ("CHECK (pgcrypt.is_envelope(VALUE))", "CHECK (pgcrypt.is_envelope((VALUE)::bytea))")
        for check in checks
    )


def _is_armed(connection: psycopg.Connection, column: ProtectedColumn) -> bool:
    """Whether the domain refuses what is no envelope, and envelopes without just these terms."""
    row = connection.execute(_DOMAIN, [column.domain_oid]).fetchone()
    if row is None:
        return False
    is_over_sealed, is_bare, checks = row
    # older than schema version 4: of whatever generation
    wanted = (f", 1) = {_term_byte(column)})", f"& 15) = {term_flags(column.search)})")
    has_terms = any("get_byte" in check and any(text in check for text in wanted) for check in checks)
    return has_terms and bool(is_over_sealed or (is_bare and _checks_form(checks)))


def _verify_column(
    connection: psycopg.Connection, opener: _Opener, column: ProtectedColumn, progress: Progress
) -> ColumnReport:
    report = ColumnReport(column.qualified_name)
    with readable_errors(f"verifying {column.qualified_name}"):
        if not _is_armed(connection, column):
            report.problems.append(f"domain pgcrypt.sealed_{column.id} does not check the terms of its envelopes")
        blocks = _blocks(connection, column)
        for start in range(0, blocks, BLOCKS_PER_BATCH):
            values = opener.fresh()
            for batch in _stretch(connection, column, start, report):
                _open_batch(opener, values, column, batch, report)
            progress(column.qualified_name, min(start + BLOCKS_PER_BATCH, blocks), blocks)
    if report.of_others:
        report.problems.append(
            f"{report.of_others:,} values are sealed for another tenant than their row's, "
            f"at ctid {', '.join(report.other_rows)}"
        )
    return report


def _blocks(connection: psycopg.Connection, column: ProtectedColumn) -> int:
    row = connection.execute(
        "SELECT (pg_catalog.pg_relation_size(%s::bigint::oid::regclass)"
        " / pg_catalog.current_setting('block_size')::bigint)::bigint",
        [column.relation_oid],
    ).fetchone()
    return int(row[0]) if row else 0


def _stretch(
    connection: psycopg.Connection, column: ProtectedColumn, start: int, report: ColumnReport
) -> Iterator[list[Pair]]:
    """The values in some blocks, and their NULLs counted."""
    table, name = quoted(column.schema, column.table), quoted(column.name)
    place = f"ctid >= '({start},0)'::tid AND ctid < '({start + BLOCKS_PER_BATCH},0)'::tid"
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute(
            f"SELECT pg_catalog.count(*) FROM ONLY {table} WHERE {name} IS NULL AND {place}".encode()  # noqa: S608 (quoted names)
        ).fetchone()
        report.nulls += row[0] if row else 0
        read = tenant_columns.beside(column.tenant, f"{name}::pg_catalog.bytea") if _is_beside(column) else name
        query = (
            f"SELECT pg_catalog.tidsend(ctid), {read}::pg_catalog.bytea"  # noqa: S608 (quoted names)
            f" FROM ONLY {table} WHERE {name} IS NOT NULL AND {place}"
        )
        yield from column_rows.batches(connection, query)


def _term_byte(column: ProtectedColumn) -> int:
    return term_byte(term_flags(column.search), column.index_generation)


def _is_beside(column: ProtectedColumn) -> bool:
    """Whether each row says whose its value is."""
    return column.has_tenant_column and column.tenant_type is not None


def _open_batch(
    opener: _Opener, values: Values, column: ProtectedColumn, batch: list[Pair], report: ColumnReport
) -> None:
    open_value = opener.of_column(values, column)
    flags, is_beside = _term_byte(column), _is_beside(column)
    for tid, read in batch:
        tenant, envelope = tenant_columns.split(read) if is_beside else ("", read)
        try:
            open_value(b"\\x" + envelope.hex().encode())
            is_good = envelope[1] == flags
            if is_beside and values.keyring.tenant_of(envelope) != tenant:
                report.of_others += 1
                if len(report.other_rows) < MAX_NAMED_ROWS:
                    report.other_rows.append(column_rows.shown(tid))
        except KeyUnavailable:
            if values.keyring.is_expired:
                raise
            report.destroyed += 1
            continue
        except PgcryptError:
            is_good = False
        if is_good:
            report.opened += 1
        else:
            report.failed += 1
            if len(report.rows) < MAX_NAMED_ROWS:
                report.rows.append(column_rows.shown(tid))
