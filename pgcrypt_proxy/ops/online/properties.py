"""What a column has besides type and values, and must have in its new place: statements, made before the swap."""

from __future__ import annotations

import psycopg
from psycopg import sql

from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online.moves import Move

_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "m": "MAIN", "x": "EXTENDED"}

# attstattarget is NULL from PostgreSQL 17 on where it was -1. A storage is told only where it was chosen.
_COLUMN = """
SELECT pg_catalog.col_description(a.attrelid, a.attnum::int),
       NULLIF(a.attstattarget, -1)::int, a.attoptions,
       CASE WHEN a.attlen = -1 AND a.attstorage <> t.typstorage THEN a.attstorage::text END
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s::bigint::oid AND a.attname = %s
"""
_IS_VARLENA = """
SELECT attlen = -1 FROM pg_catalog.pg_attribute WHERE attrelid = %s::bigint::oid AND attname = %s
"""
_PRIVILEGES = """
SELECT p.privilege_type, p.is_grantable, CASE WHEN p.grantee = 0 THEN NULL ELSE p.grantee::regrole::text END
FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) p
WHERE a.attrelid = %s::bigint::oid AND a.attname = %s
ORDER BY 1, 3
"""


def statements(connection: psycopg.Connection, move: Move) -> list[str]:
    """For the column of the old one's name, to be run when that is another."""
    row = connection.execute(_COLUMN, [move.relation_oid, move.column]).fetchone()
    varlena = connection.execute(_IS_VARLENA, [move.relation_oid, move.hidden]).fetchone()
    assert row is not None
    assert varlena is not None
    comment, target, options, storage = row
    column, table = quoted(move.column), move.qualified_table
    alter = f"ALTER TABLE {table} ALTER COLUMN {column}"
    made = []
    if comment is not None:
        made.append(f"COMMENT ON COLUMN {table}.{column} IS {sql.Literal(comment).as_string(connection)}")
    if target is not None:
        made.append(f"{alter} SET STATISTICS {target}")
    if options:
        made.append(f"{alter} SET ({', '.join(options)})")
    if storage is not None and varlena[0]:
        made.append(f"{alter} SET STORAGE {_STORAGE[storage]}")
    for privilege, is_grantable, role in connection.execute(_PRIVILEGES, [move.relation_oid, move.column]).fetchall():
        to = f"{role or 'PUBLIC'}{' WITH GRANT OPTION' if is_grantable else ''}"
        made.append(f"GRANT {privilege} ({column}) ON {table} TO {to}")
    return made
