"""Whether the catalog must be loaded for a relation that it lacks: one query, where a load reads everything.

A name that nothing has now would be lacking in a newer catalog, too. A *plain table* makes no difference to a
statement that touches nothing protected: it has no sealed type, no order of its own, no parent or child, no rule and
no trigger, so a newer catalog would say of it that it is neither protected nor derived, and that writing to it moves
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from pgcrypt_proxy.ops.catalog_queries import LOADED
from pgcrypt_proxy.ops.connect import readable_errors

_MATTERS = rf"""
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = ANY (%(names)s::text[]::name[])
      AND {LOADED}
      AND NOT (
          %(but_plain)s AND c.relkind = 'r' AND NOT c.relhasrules AND c.reloftype = 0
          AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_attribute a
              JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
              JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND tn.nspname = 'pgcrypt'
          )
          AND NOT EXISTS (SELECT FROM pgcrypt.shown_order o WHERE o.relation::oid = c.oid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid OR i.inhparent = c.oid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
      )
)
"""  # noqa: S608


def matters(connection: psycopg.Connection, names: Iterable[str], *, but_plain: bool) -> bool:
    """Whether a newer catalog may say something of relations with these names: `but_plain`, of other than plain tables.

    Raises PgcryptError.
    """
    with readable_errors("looking up relations"):
        row = connection.execute(_MATTERS, {"names": sorted(names), "but_plain": but_plain}).fetchone()
    return row is None or bool(row[0])
