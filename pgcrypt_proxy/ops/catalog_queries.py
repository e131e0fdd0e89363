"""One round of catalog queries, as plain rows. Knows SQL, and nothing of rules or of what rows mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg.pq import TransactionStatus

from pgcrypt_proxy.ops.connect import readable_errors

RELATIONS = r"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, a.attname, a.attnum::int, a.atttypid::bigint
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgcrypt')
  AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY c.oid, a.attnum
"""

SEALED_DOMAINS = r"""
SELECT t.oid::bigint, pg_catalog.substr(t.typname, 8)::int
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'pgcrypt' AND t.typtype = 'd' AND t.typname ~ '^sealed_[0-9]{1,9}$'
"""

PROTECTED_COLUMNS = """
SELECT id, logical_type, data_class, search, index_domain, schema_name, table_name, column_name
FROM pgcrypt.columns
"""

# What a rewrite rule (every view has one) reads, except itself: relations and functions.
RULE_READS = """
SELECT DISTINCT r.ev_class::bigint, d.refclassid = 'pg_catalog.pg_proc'::regclass, d.refobjid::bigint
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
  AND d.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
  AND (d.refclassid, d.refobjid) <> ('pg_catalog.pg_class'::regclass, r.ev_class)
"""

INHERITANCE = "SELECT inhrelid::bigint, inhparent::bigint FROM pg_catalog.pg_inherits"

# C and internal functions have a symbol's name as source. Trigger functions cannot be called by a statement.
FUNCTIONS = """
SELECT p.oid::bigint, p.proname, p.prosrc
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgcrypt')
  AND p.prorettype NOT IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
  AND (l.lanname NOT IN ('c', 'internal') OR p.prokind = 'a')
"""

# SQL-standard bodies (BEGIN ATOMIC, RETURN) keep no source, but dependencies; aggregates have functions.
FUNCTION_READS = """
SELECT DISTINCT d.objid::bigint, d.refclassid = 'pg_catalog.pg_proc'::regclass, d.refobjid::bigint
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_proc'::regclass
  AND d.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
"""


@dataclass(frozen=True, slots=True)
class RelationRow:
    """A relation and its live attributes: (name, attribute number, type OID)."""

    oid: int
    schema: str
    name: str
    kind: str
    attributes: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A row of pgcrypt.columns. `named` is the qualified name at the time of protection."""

    id: int
    logical_type: str
    data_class: str
    search: frozenset[str]
    index_domain: str
    named: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function or procedure; `source` is empty when its body is kept parsed."""

    oid: int
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """All that one load reads. A *read* is (who, whether what is a function, what)."""

    relations: tuple[RelationRow, ...]
    domains: dict[int, int]  # type OID -> column id
    columns: dict[int, ColumnRow]
    rule_reads: tuple[tuple[int, bool, int], ...]
    inheritance: tuple[tuple[int, int], ...]  # (child, parent)
    functions: tuple[FunctionRow, ...]
    function_reads: tuple[tuple[int, bool, int], ...]


def fetch(connection: psycopg.Connection) -> CatalogRows:
    """Read everything in one snapshot. Raises ConfigError when the database is not initialised."""
    with readable_errors("reading the catalog"), _snapshot(connection):
        columns = {
            row[0]: ColumnRow(row[0], row[1], row[2], frozenset(row[3]), row[4], (row[5], row[6], row[7]))
            for row in connection.execute(PROTECTED_COLUMNS)
        }
        return CatalogRows(
            relations=tuple(_relations(connection)),
            domains=dict(connection.execute(SEALED_DOMAINS).fetchall()),
            columns=columns,
            rule_reads=tuple(connection.execute(RULE_READS).fetchall()),
            inheritance=tuple(connection.execute(INHERITANCE).fetchall()),
            functions=tuple(FunctionRow(*row) for row in connection.execute(FUNCTIONS)),
            function_reads=tuple(connection.execute(FUNCTION_READS).fetchall()),
        )


def _relations(connection: psycopg.Connection) -> Iterator[RelationRow]:
    head: tuple[int, str, str, str] | None = None
    attributes: list[tuple[str, int, int]] = []
    for oid, schema, name, kind, attribute, number, type_oid in connection.execute(RELATIONS):
        if head is None or head[0] != oid:
            if head is not None:
                yield RelationRow(*head, tuple(attributes))
            head, attributes = (oid, schema, name, kind), []
        if attribute is not None:
            attributes.append((attribute, number, type_oid))
    if head is not None:
        yield RelationRow(*head, tuple(attributes))


@contextlib.contextmanager
def _snapshot(connection: psycopg.Connection) -> Iterator[None]:
    """One snapshot for all queries; inside a caller's transaction, that transaction's own."""
    is_ours = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction():
        if is_ours:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
