"""What protected tables are inside an open transaction: a catalog for one session, made from the server's own answer.

DDL that is not committed yet is seen by its session alone. That session asks
the server which relations have sealed types, or names that the rules name; all
else in the catalog stays. Knows rows of two queries, and no connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation, is_hidden
from pgcrypt_proxy.sql.shown_order import arranged

# Operators have their schema: the queries run in the client's session, whatever its search_path.
#: The relations, a row for each column; $1 are names (text[]) that are asked for besides.
RELATIONS = r"""
WITH sealed AS (
    SELECT t.oid, pg_catalog.substr(t.typname::pg_catalog.text, 8) AS id
    FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
    WHERE n.nspname OPERATOR(pg_catalog.=) 'pgcrypt' AND t.typtype OPERATOR(pg_catalog.=) 'd'
      AND t.typname OPERATOR(pg_catalog.~) '^sealed_[0-9]{1,9}$'
)
SELECT c.oid, n.nspname, c.relname, c.relkind, a.attname, a.attnum, a.atttypid, s.id,
       CASE WHEN a.attgenerated OPERATOR(pg_catalog.<>) '' THEN '1' END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
    AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
LEFT JOIN sealed s ON s.oid OPERATOR(pg_catalog.=) a.atttypid
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog."char"[])
  AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema,pg_toast,pgcrypt}'::pg_catalog.name[])
  AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'
  AND (c.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1) OR EXISTS (
      SELECT FROM pg_catalog.pg_attribute b JOIN sealed x ON x.oid OPERATOR(pg_catalog.=) b.atttypid
      WHERE b.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT b.attisdropped))
ORDER BY c.oid, a.attnum
"""

#: Unique indexes over terms that were unique constraints, or could have been: ON CONFLICT may name them.
UNIQUE_TERMS = r"""
SELECT i.indrelid::pg_catalog.int8, c.relname, pg_catalog.string_agg(k.text, ', ' ORDER BY k.number)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
CROSS JOIN LATERAL (
    SELECT number, pg_catalog.regexp_replace(
        pg_catalog.pg_get_indexdef(i.indexrelid, number, true), '^(pgcrypt\.eq\(.*)::bytea\)$', '\1)') AS text
    FROM pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) AS number
) k
WHERE i.indisunique AND i.indisvalid AND i.indexprs IS NOT NULL AND i.indpred IS NULL
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid OPERATOR(pg_catalog.=) i.indexrelid)
GROUP BY i.indrelid, c.relname
HAVING pg_catalog.bool_or(k.text OPERATOR(pg_catalog.~~) 'pgcrypt.eq(%')
"""

_VIEWS = frozenset("vm")

Row = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A relation as the server has it now: (name, attribute number, type OID, column id or None, is generated)."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[tuple[str, int, int, int | None, bool], ...]


def asked_names(catalog: Catalog) -> list[str]:
    """The names to ask for: whatever may be a protected table, now or behind the next statement."""
    return sorted(catalog.sensitive_names | {table for _, table, _ in catalog.ruled})


def apply(base: Catalog, rows: Sequence[Row], terms: Sequence[Row], version: int) -> Catalog:
    """`base` with protected tables as the rows of RELATIONS and UNIQUE_TERMS say."""
    seen = _seen(rows)
    by_id = {c.id: c for c in (*base.ruled.values(), *base.protected_columns) if c.id}
    unique_terms: dict[int, list[tuple[str, str]]] = {}
    for oid, index, keys in terms:
        unique_terms.setdefault(int(oid or 0), []).append((index or "", keys or ""))
    relations = {oid: r for oid, r in base.relations.items() if not _is_gone(r, seen)}
    for found in seen.values():
        relations[found.oid] = _relation(base, found, by_id, tuple(unique_terms.get(found.oid, ())))
    ruled = _ruled(base, relations.values())
    return base.with_relations(
        relations.values(),
        version=version,
        unmet_rules={(s, t) for (s, t, _), column in ruled.items() if not column.relation_oid},
        ruled=ruled,
    )


def _seen(rows: Sequence[Row]) -> dict[int, _Seen]:
    found: dict[int, _Seen] = {}
    for oid, schema, name, kind, attribute, number, type_oid, column_id, is_generated in rows:
        key = int(oid or 0)
        known = found.get(key) or _Seen(key, schema or "", name or "", kind or "", ())
        if attribute is not None:
            made = (attribute, int(number or 0), int(type_oid or 0), int(column_id) if column_id else None)
            known = replace(known, columns=(*known.columns, (*made, is_generated is not None)))
        found[key] = known
    return found


def _is_gone(relation: Relation, seen: Mapping[int, _Seen]) -> bool:
    """Whether a table that was asked for is not there any more. Views over such may be, and stay refused."""
    return (relation.is_protected or relation.is_rearranged) and relation.oid not in seen


def _relation(
    base: Catalog, found: _Seen, by_id: Mapping[int, ProtectedColumn], unique_terms: tuple[tuple[str, str], ...]
) -> Relation:
    known = base.relations.get(found.oid)
    if known is not None and _is_as_it_was(known, found):
        return replace(known, unique_terms=unique_terms)
    is_derived = found.kind in _VIEWS and any(column_id is not None for _, _, _, column_id, _ in found.columns)
    columns, hidden = [], []
    for name, number, type_oid, column_id, is_generated in found.columns:
        if is_hidden(name):
            hidden.append(Column(name, number, type_oid, is_generated=is_generated))
            continue
        column = by_id.get(column_id or 0)
        protected = None
        if column_id is None:
            rule = base.ruled.get((found.schema, found.name, name)) if found.kind not in _VIEWS else None
            protected = _placed(rule, found, name, number, type_oid, is_armed=False) if rule is not None else None
        elif column is None:
            is_derived = True
        else:
            protected = _placed(column, found, name, number, type_oid, is_armed=True)
        columns.append(Column(name, number, type_oid, protected, is_generated))
    shown_after = known.shown_after if known is not None else ()
    visible, is_order_unknown = arranged(columns, shown_after)
    return Relation(
        oid=found.oid,
        schema=found.schema,
        name=found.name,
        kind=found.kind,
        columns=visible,
        is_derived=is_derived or (known is not None and known.is_derived),
        write_hazards=known.write_hazards if known is not None else (),
        unique_terms=unique_terms,
        moving=known.moving if known is not None else (),
        hidden=tuple(hidden),
        shown_after=shown_after,
        is_order_unknown=is_order_unknown,
    )


def _is_as_it_was(known: Relation, found: _Seen) -> bool:
    columns = sorted((number, name, type_oid) for name, number, type_oid, _, _ in found.columns)
    was = sorted((c.attribute_number, c.name, c.type_oid) for c in (*known.columns, *known.hidden))
    return (known.schema, known.name, was) == (found.schema, found.name, columns)


def _placed(
    column: ProtectedColumn, found: _Seen, name: str, number: int, type_oid: int, *, is_armed: bool
) -> ProtectedColumn:
    return replace(
        column,
        id=column.id if is_armed else 0,
        schema=found.schema,
        table=found.name,
        name=name,
        relation_oid=found.oid,
        attribute_number=number,
        domain_oid=type_oid if is_armed else 0,
        is_armed=is_armed,
    )


def _ruled(base: Catalog, relations: Iterable[Relation]) -> dict[tuple[str, str, str], ProtectedColumn]:
    """The rules' columns: those that are there, and those that wait with a type that no other rule's column has."""
    present: dict[tuple[str, str, str], ProtectedColumn] = {}
    for relation in relations:
        if relation.kind not in _VIEWS:
            for column in relation.columns:
                where = (relation.schema, relation.name, column.name)
                if column.protected is not None and where in base.ruled:
                    present[where] = column.protected
    taken = {column.id for column in present.values() if column.is_armed}
    made = {}
    for where, rule in base.ruled.items():
        free = replace(rule, relation_oid=0, attribute_number=0, is_armed=True)
        none = replace(free, id=0, domain_oid=0, is_armed=False)
        made[where] = present.get(where) or (free if rule.id and rule.id not in taken else none)
    return made
