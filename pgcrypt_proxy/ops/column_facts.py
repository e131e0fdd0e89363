"""All that the database says of one column and of what hangs on it, as plain data. Judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import readable_errors

_COLUMN = """
SELECT c.oid::bigint, c.relkind::text, c.relispartition, EXISTS (
           SELECT FROM pg_catalog.pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)),
       c.relpersistence::text, c.reloftype <> 0,
       EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid),
       pg_catalog.pg_has_role(c.relowner, 'USAGE'), c.relowner::regrole::text,
       a.attnum::int, a.atttypid::bigint, a.atttypmod,
       pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.attidentity <> '', a.attgenerated <> '', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
       COALESCE(l.collisdeterministic, true), pg_catalog.quote_ident(a.attname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s
"""

# Whatever PostgreSQL records as hanging on the column; its own default and indexes have facts of their own.
_DEPENDENTS = """
SELECT DISTINCT d.classid::regclass::text, COALESCE(k.contype::text, r.relkind::text, ''),
       pg_catalog.pg_describe_object(d.classid, d.objid, 0)
FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_constraint k
    ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_catalog.pg_class r ON d.classid = 'pg_catalog.pg_class'::regclass AND r.oid = d.objid
LEFT JOIN pg_catalog.pg_attrdef f ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = %(relation)s
  AND d.refobjsubid = %(number)s AND f.adnum IS DISTINCT FROM %(number)s
ORDER BY 3
"""

_INDEXES = """
SELECT i.indexrelid::bigint, x.relname, m.amname, i.indisunique, i.indisprimary, i.indisexclusion,
       i.indisvalid, i.indisreplident, i.indnkeyatts::int, k.conname, COALESCE(k.condeferrable, false),
       COALESCE((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid, true), COALESCE(x.reloptions, '{}'), s.spcname
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = x.reltablespace
WHERE i.indrelid = %(relation)s AND (
    %(number)s::int2 = ANY (i.indkey::int2[])
    OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
          AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid
          AND d.refobjsubid = %(number)s))
ORDER BY x.relname
"""

_KEYS = """
SELECT pg_catalog.pg_get_indexdef(i.indexrelid, p.n, true),
       (pg_catalog.string_to_array(i.indkey::text, ' '))[p.n]::int,
       o.opcname, on_.nspname, COALESCE(o.opcname LIKE '%%\\_pattern\\_ops', false),
       l.collname, ln.nspname, COALESCE((pg_catalog.string_to_array(i.indoption::text, ' '))[p.n]::int, 0)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnatts) AS p (n)
LEFT JOIN pg_catalog.pg_opclass o
    ON o.oid = (pg_catalog.string_to_array(i.indclass::text, ' '))[p.n]::oid
LEFT JOIN pg_catalog.pg_namespace on_ ON on_.oid = o.opcnamespace
LEFT JOIN pg_catalog.pg_collation l
    ON l.oid = (pg_catalog.string_to_array(i.indcollation::text, ' '))[p.n]::oid
LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
WHERE i.indexrelid = %s
ORDER BY p.n
"""

_TRIGGERS = """
SELECT t.tgname, t.tgenabled::text, p.proname, p.prosrc
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = %s AND NOT t.tgisinternal ORDER BY t.tgname
"""

_VIEWS = """
SELECT DISTINCT r.ev_class::regclass::text
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.refobjid = %s AND r.ev_class <> d.refobjid ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One column of an index. `number` is 0 for an expression; `operator_class` is None for INCLUDE columns."""

    text: str
    number: int
    operator_class: str | None
    operator_class_schema: str | None
    is_pattern: bool
    collation: str | None
    collation_schema: str | None
    options: int


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """One index that touches the column, in key, expression or predicate."""

    oid: int
    name: str
    method: str
    is_unique: bool
    is_primary: bool
    is_exclusion: bool
    is_valid: bool
    is_replica_identity: bool
    key_count: int
    constraint: str | None
    is_deferrable: bool
    nulls_not_distinct: bool
    predicate: str | None
    storage: Sequence[str]
    tablespace: str | None
    keys: tuple[IndexKey, ...] = ()


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """A trigger of the table. `enabled` is pg_trigger.tgenabled: O, D, R or A."""

    name: str
    enabled: str
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """The column, its table, and what hangs on them.

    `dependents` are (catalog, contype or relkind, description), indexes and
    unique constraints included.
    """

    schema: str
    table: str
    name: str
    relation_oid: int
    kind: str
    is_partition: bool
    is_inherited: bool
    persistence: str
    is_typed_table: bool
    has_rules: bool
    is_owner: bool
    owner: str
    number: int
    type_oid: int
    type_modifier: int
    type: str
    is_not_null: bool
    is_identity: bool
    is_generated: bool
    default: str | None
    has_deterministic_collation: bool
    identifier: str  # the name as the server writes it in definitions, quoted only where it must be
    dependents: tuple[tuple[str, str, str], ...] = ()
    indexes: tuple[IndexFacts, ...] = ()
    triggers: tuple[TriggerFacts, ...] = ()
    views: tuple[str, ...] = ()

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.table}.{self.name}"


def read(connection: psycopg.Connection, schema: str, table: str, column: str) -> ColumnFacts:
    """The facts of `schema.table.column`. Raises ConfigError when it does not exist."""
    with readable_errors(f"looking at {schema}.{table}.{column}"):
        row = connection.execute(_COLUMN, [schema, table, column]).fetchone()
        if row is None:
            raise ConfigError(
                f"there is no column {schema}.{table}.{column}",
                hint="`pgcrypt-proxy check` names the nearest right spelling.",
                sqlstate="42703",
            )
        place = {"relation": row[0], "number": row[9]}
        return replace(
            ColumnFacts(schema, table, column, *row),
            dependents=tuple(connection.execute(_DEPENDENTS, place).fetchall()),
            indexes=tuple(_index(connection, found) for found in connection.execute(_INDEXES, place).fetchall()),
            triggers=tuple(TriggerFacts(*found) for found in connection.execute(_TRIGGERS, [row[0]])),
            views=tuple(name for (name,) in connection.execute(_VIEWS, [row[0]])),
        )


def _index(connection: psycopg.Connection, row: tuple[Any, ...]) -> IndexFacts:
    keys = tuple(IndexKey(*found) for found in connection.execute(_KEYS, [row[0]]))
    return replace(IndexFacts(*row), keys=keys)
