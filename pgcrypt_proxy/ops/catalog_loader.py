"""Reads the database's shape and joins it with the rules into a `sql.catalog.Catalog`.

Knows how the parts fit: queries, rules, what is derived from what. Fails as a
whole: a catalog is never half right.
"""

from __future__ import annotations

import psycopg

from pgcrypt_proxy.ops import catalog_derived, catalog_queries, catalog_rules
from pgcrypt_proxy.ops.catalog_queries import CatalogRows
from pgcrypt_proxy.ops.catalog_rules import Joined
from pgcrypt_proxy.policy.model import Policy
from pgcrypt_proxy.sql.catalog import Catalog, Column, Relation


def load(connection: psycopg.Connection, policy: Policy, *, version: int = 1) -> Catalog:
    """The catalog of this database under `policy`, from one snapshot.

    Raises PolicyError when rules and database contradict each other, ConfigError when
    schema pgcrypt is missing or the role may not read it.
    """
    rows = catalog_queries.fetch(connection)
    joined = catalog_rules.join(policy, rows)
    catalog_rules.raise_first(joined.problems)
    return assemble(rows, joined, version=version)


def assemble(rows: CatalogRows, joined: Joined, *, version: int) -> Catalog:
    """The catalog of rows that were read and joined already."""
    protected_tables = {oid for oid, _ in joined.protected}
    derived, tainted = catalog_derived.derive(rows, protected_tables, (table for _, table in joined.unmet))
    names = {function.oid: function.name for function in rows.functions}
    return Catalog.build(
        version,
        [
            Relation(
                oid=relation.oid,
                schema=relation.schema,
                name=relation.name,
                kind=relation.kind,
                columns=tuple(
                    Column(name, number, type_oid, joined.protected.get((relation.oid, number)))
                    for name, number, type_oid in relation.attributes
                ),
                is_derived=relation.oid in derived,
            )
            for relation in rows.relations
        ],
        tainted_functions={names[oid] for oid in tainted},
        unmet_rules=joined.unmet,
    )
