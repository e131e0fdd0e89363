"""Reads the database's shape and joins it with the rules into a `sql.catalog.Catalog`.

Knows how the parts fit: queries, rules, what is derived from what, what views
show. Fails as a whole: a catalog is never half right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import psycopg

from pgcrypt_proxy.ops import catalog_derived, catalog_moves, catalog_queries, catalog_rules, catalog_views
from pgcrypt_proxy.ops.catalog_moves import Hazards
from pgcrypt_proxy.ops.catalog_queries import CatalogRows
from pgcrypt_proxy.ops.catalog_rules import Joined
from pgcrypt_proxy.policy.model import IMPORTING, Policy
from pgcrypt_proxy.sql.catalog import Catalog, Column, Relation, is_hidden
from pgcrypt_proxy.sql.shown_order import arranged


def load(connection: psycopg.Connection, policy: Policy, *, version: int = 1, suppose_sealed: bool = False) -> Catalog:
    """The catalog of this database under `policy`, from one snapshot.

    `suppose_sealed` counts every column that rules name as sealed: for plans that are only looked at.
    Raises PolicyError when rules and database contradict each other, ConfigError when
    schema pgcrypt is missing or the role may not read it.
    """
    with catalog_queries.snapshot(connection):
        rows = catalog_queries.fetch(connection)
        joined = catalog_rules.join(policy, rows)
        catalog_rules.raise_first(joined.problems)
        if suppose_sealed:
            catalog_rules.suppose_sealed(policy, joined, rows)
        watched = {r.oid for r in rows.relations if (r.schema, r.name) in policy.moving_tables}
        relations = list(_arranged(rows, joined, watched))
        protected = {oid for oid, _ in joined.protected} | watched | {r.oid for r in relations if r.is_rearranged}
        absent = (table for _, table in joined.unmet)
        derived, tainted = catalog_derived.derive(rows, protected, absent, joined.safe_functions)
        definitions = catalog_queries.view_definitions(connection, catalog_views.candidates(rows, derived))
    names = {function.oid: function.name for function in rows.functions}
    tainted_names = {names[oid] for oid in tainted}
    sensitive = {relation.oid: relation.name for relation in rows.relations if relation.oid in protected | derived}
    hazards = catalog_moves.hazards(rows, joined.protected, sensitive, tainted_names, joined.safe_functions)
    plain = {column.qualified_name for column in joined.plain.values()}
    base = Catalog.build(
        version,
        _judged(relations, rows, joined, derived, hazards),
        tainted_functions=tainted_names,
        unmet_rules=joined.unmet,
        types=rows.types,
        ruled=joined.ruled,
        system_columns=rows.system_columns,
        plain=plain,
        foreign=(r.qualified_name for r in policy.rules if r.phase == IMPORTING and r.qualified_name in plain),
        moving=joined.moving,
    )
    return catalog_views.with_views(base, rows, definitions, tainted)


def _judged(
    relations: Iterable[Relation],
    rows: CatalogRows,
    joined: Joined,
    derived: frozenset[int],
    hazards: Mapping[int, Hazards],
) -> list[Relation]:
    """`relations` with what is known of their use.

    What has a sealed type that no rule accounts for, or generates a column from one, is derived.
    """
    odd = {oid for oid, _ in rows.generated_from & joined.protected.keys()}
    unique_terms: dict[int, dict[str, str]] = {}
    for oid, index, keys in rows.unique_terms:
        unique_terms.setdefault(oid, {})[index] = keys
    made = []
    for relation in relations:
        is_odd = any(c.type_oid in rows.domains and c.protected is None for c in relation.columns)
        made.append(
            replace(
                relation,
                is_derived=relation.oid in derived | odd or is_odd,
                write_hazards=hazards.get(relation.oid, ()),
                unique_terms=tuple(unique_terms.get(relation.oid, {}).items()),
            )
        )
    return made


def _arranged(rows: CatalogRows, joined: Joined, watched: set[int]) -> Iterator[Relation]:
    """All relations, with their columns as they are shown."""
    shown_after: dict[int, list[tuple[str, str]]] = {}
    for oid, column, before in rows.shown_order:
        shown_after.setdefault(oid, []).append((column, before))
    for row in rows.relations:
        columns = [
            Column(name, number, type_oid, joined.protected.get((row.oid, number)), number in row.generated)
            for name, number, type_oid in row.attributes
        ]
        entries = tuple(sorted(shown_after.get(row.oid, ()))) if row.kind in catalog_rules.TABLE_KINDS else ()
        visible, is_order_unknown = arranged((c for c in columns if not is_hidden(c.name)), entries)
        yield Relation(
            oid=row.oid,
            schema=row.schema,
            name=row.name,
            kind=row.kind,
            columns=visible,
            moving=(f"{row.schema}.{row.name}",) if row.oid in watched else (),
            hidden=tuple(column for column in columns if is_hidden(column.name)),
            shown_after=entries,
            is_order_unknown=is_order_unknown,
        )
