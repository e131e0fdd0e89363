"""One round of catalog queries, as plain rows. Knows SQL, and nothing of rules or of what rows mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import TransactionStatus

from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.sql.shape import UNIQUE_TERMS
from pgcrypt_proxy.sql.shown_catalog import SYSTEM_COLUMNS
from pgcrypt_proxy.values.database_types import DatabaseTypes, TypeRow

LOCK_TIMEOUT_MS = 2_000

#: Of pg_class c and pg_namespace n: the relations that a catalog has.
LOADED = r"""
c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgcrypt')
  AND n.nspname !~ '^pg_(toast_)?temp_'"""

RELATIONS = rf"""
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, a.attname, a.attnum::int, a.atttypid::bigint,
       a.attgenerated <> ''
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE {LOADED}
ORDER BY c.oid, a.attnum
"""  # noqa: S608

SEALED_DOMAINS = r"""
SELECT t.oid::bigint, pg_catalog.substr(t.typname, 8)::int
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'pgcrypt' AND t.typtype = 'd' AND t.typname ~ '^sealed_[0-9]{1,9}$'
"""

PROTECTED_COLUMNS = """
SELECT id, logical_type, data_class, search, index_domain, schema_name, table_name, column_name, index_generation,
       tenant
FROM pgcrypt.columns
"""

# What a rewrite rule (every view has one) reads, except itself: relations, and functions, also those of operators.
RULE_READS = """
SELECT DISTINCT r.ev_class::bigint, d.refclassid <> 'pg_catalog.pg_class'::regclass,
       COALESCE(o.oprcode, d.refobjid)::bigint
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
LEFT JOIN pg_catalog.pg_operator o
    ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
  AND d.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass,
                       'pg_catalog.pg_operator'::regclass)
  AND (d.refclassid, d.refobjid) <> ('pg_catalog.pg_class'::regclass, r.ev_class)
"""

# Views that are nothing but their query. 64 is TRIGGER_TYPE_INSTEAD of pg_trigger.h.
VIEW_DEFINITIONS = """
SELECT c.oid::bigint, pg_catalog.pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c
WHERE c.relkind IN ('v', 'm') AND c.oid = ANY (%s::bigint[]::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 64 <> 0)
"""

# Enums and domains, and the types of extensions that the proxy knows.
TYPES = """
SELECT t.oid::bigint, t.typarray::bigint, n.nspname, t.typname, t.typtype::text, t.typbasetype::bigint, t.typtypmod,
       t.typnotnull,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
       ARRAY(SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
             WHERE k.contypid = t.oid AND k.contype = 'c')
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgcrypt')
  AND (t.typtype IN ('e', 'd') OR (t.typtype = 'b' AND t.typname IN ('citext', 'vector')))
"""

MOVES = "SELECT column_id, relation::oid::bigint, column_name, direction, state FROM pgcrypt.moves"

SHOWN_ORDER = "SELECT relation::oid::bigint, column_name, shown_after FROM pgcrypt.shown_order"

INHERITANCE = "SELECT inhrelid::bigint, inhparent::bigint FROM pg_catalog.pg_inherits"

# Without source: C and internal functions, whose source is a symbol's name, and trigger functions, which no
# statement can call.
FUNCTIONS = """
SELECT p.oid::bigint, n.nspname, p.proname, CASE
    WHEN p.prorettype IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype) THEN ''
    WHEN l.lanname IN ('c', 'internal') THEN ''
    ELSE p.prosrc END,
    l.lanname,
    EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
            AND d.objid = p.oid AND d.deptype = 'e')
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgcrypt')
"""

# SQL-standard bodies (BEGIN ATOMIC, RETURN) keep no source, but dependencies; aggregates have functions.
FUNCTION_READS = """
SELECT DISTINCT d.objid::bigint, d.refclassid = 'pg_catalog.pg_proc'::regclass, d.refobjid::bigint
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_proc'::regclass
  AND d.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
"""

# Triggers that fire, with what their function is made of. Foreign keys have internal ones.
TRIGGERS = r"""
SELECT t.tgrelid::bigint, t.tgname, t.tgtype::int, t.tgfoid::bigint, n.nspname, p.proname, l.lanname, p.prosrc,
       COALESCE(pg_catalog.substring(pg_catalog.pg_get_triggerdef(t.oid), ' WHEN (.*) EXECUTE '), ''),
       pg_catalog.string_to_array(pg_catalog.encode(t.tgargs, 'escape'), '\000'),
       t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
ORDER BY t.tgname
"""

# Rules of tables; those of views are their queries.
TABLE_RULES = """
SELECT r.ev_class::bigint, r.rulename, r.ev_type::text
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
WHERE c.relkind IN ('r', 'p') AND r.ev_enabled <> 'D'
ORDER BY r.rulename
"""

# Generated columns, and the columns that they are made from.
GENERATED = """
SELECT DISTINCT a.attrelid::bigint, d.refobjsubid
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = e.oid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid
    AND d.refobjsubid NOT IN (0, a.attnum)
WHERE a.attgenerated <> ''
"""


@dataclass(frozen=True, slots=True)
class RelationRow:
    """A relation and its live attributes: (name, attribute number, type OID); `generated` are numbers of some."""

    oid: int
    schema: str
    name: str
    kind: str
    attributes: tuple[tuple[str, int, int], ...]
    generated: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A row of pgcrypt.columns. `named` is the qualified name at the time of protection."""

    id: int
    logical_type: str
    data_class: str
    search: frozenset[str]
    index_domain: str
    named: tuple[str, str, str]
    index_generation: int
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class MoveRow:
    """A column that is being sealed, made plain or reindexed online. `state`: filling, switching or scrubbing."""

    column_id: int
    relation_oid: int
    column_name: str
    direction: str
    state: str


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A function or procedure; `source` is empty when its body is kept parsed, or nothing can call or read it."""

    oid: int
    schema: str
    name: str
    source: str
    language: str = "sql"
    is_of_extension: bool = False


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """A trigger that fires, and its function. `condition` is its WHEN, `arguments` what the function is given."""

    relation_oid: int
    name: str
    type: int  # pg_trigger.tgtype
    function_oid: int
    function_schema: str
    function_name: str
    language: str
    source: str
    condition: str
    arguments: list[str]
    has_transition_tables: bool

    @property
    def function(self) -> str:
        return f"{self.function_schema}.{self.function_name}"


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
    types: DatabaseTypes
    triggers: tuple[TriggerRow, ...] = ()
    table_rules: tuple[tuple[int, str, str], ...] = ()  # (relation OID, rule's name, pg_rewrite.ev_type)
    generated_from: frozenset[tuple[int, int]] = frozenset()  # (relation OID, attribute number)
    unique_terms: tuple[tuple[int, str, str], ...] = ()  # (relation OID, index's name, its keys)
    system_columns: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    moves: tuple[MoveRow, ...] = ()
    shown_order: tuple[tuple[int, str, str], ...] = ()  # (relation OID, column, the column before it or "")


def fetch(connection: psycopg.Connection) -> CatalogRows:
    """Read everything in one snapshot. Raises ConfigError when the database is not initialised."""
    with readable_errors("reading the catalog"), snapshot(connection):
        columns = {
            row[0]: ColumnRow(
                row[0], row[1], row[2], frozenset(row[3]), row[4], (row[5], row[6], row[7]), row[8], row[9]
            )
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
            triggers=tuple(TriggerRow(*row) for row in connection.execute(TRIGGERS)),
            table_rules=tuple(connection.execute(TABLE_RULES).fetchall()),
            generated_from=frozenset(connection.execute(GENERATED).fetchall()),
            unique_terms=tuple(connection.execute(UNIQUE_TERMS.encode()).fetchall()),
            types=fetch_types(connection),
            moves=tuple(MoveRow(*row) for row in connection.execute(MOVES)),
            shown_order=tuple(connection.execute(SHOWN_ORDER).fetchall()),
            system_columns={(row[0], row[1]): tuple(row[2]) for row in connection.execute(SYSTEM_COLUMNS.encode())},
        )


def fetch_types(connection: psycopg.Connection) -> DatabaseTypes:
    """The types that this database has of its own."""
    with readable_errors("reading types"):
        rows = connection.execute(TYPES).fetchall()
    return DatabaseTypes(TypeRow(*row) for row in rows)


def view_definitions(connection: psycopg.Connection, views: Iterable[int]) -> dict[int, str]:
    """The queries of those views, by OID, every name in them with its schema.

    Left out are views with rules or INSTEAD OF triggers: more happens there than the query says.
    """
    wanted = sorted(views)
    if not wanted:
        return {}
    with readable_errors("reading the definitions of views"), snapshot(connection):
        connection.execute("SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)")
        found = connection.execute(VIEW_DEFINITIONS, [wanted]).fetchall()
    return {oid: definition for oid, definition in found if definition is not None}


def _relations(connection: psycopg.Connection) -> Iterator[RelationRow]:
    head: tuple[int, str, str, str] | None = None
    attributes: list[tuple[str, int, int]] = []
    generated: set[int] = set()
    for oid, schema, name, kind, attribute, number, type_oid, is_generated in connection.execute(RELATIONS):
        if head is None or head[0] != oid:
            if head is not None:
                yield RelationRow(*head, tuple(attributes), frozenset(generated))
            head, attributes, generated = (oid, schema, name, kind), [], set()
        if attribute is not None:
            attributes.append((attribute, number, type_oid))
            if is_generated:
                generated.add(number)
    if head is not None:
        yield RelationRow(*head, tuple(attributes), frozenset(generated))


@contextlib.contextmanager
def snapshot(connection: psycopg.Connection) -> Iterator[None]:
    """One snapshot for all queries; inside another such block or a caller's transaction, that one's own.

    Reading a view's definition locks its tables: an open transaction with DDL must not be waited for.
    """
    is_ours = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction():
        if is_ours:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}".encode())
        yield
