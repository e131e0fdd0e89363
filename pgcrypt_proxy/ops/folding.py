"""Whether a database's lower() or upper() gives what the terms are computed over.

That depends on the collation's provider and locale: in C only ASCII letters
have case, and ICU knows mappings to several characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache

import psycopg
from psycopg import sql

from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.policy.model import EQUALITY_CASEFOLD, EQUALITY_UPPER
from pgcrypt_proxy.values import casefold

_FOLDS: dict[str, tuple[str, Callable[[str], str]]] = {
    EQUALITY_CASEFOLD: ("lower", casefold.lower),
    EQUALITY_UPPER: ("upper", casefold.upper),
}
_COLLATION = """
SELECT n.nspname, l.collname
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
WHERE a.attrelid = %s::bigint::oid AND a.attnum = %s
"""


@cache
def characters() -> str:
    """Every character that this Python's Unicode knows, up to the end of the last plane that has letters with case."""
    points = (chr(point) for point in range(1, 0x20000) if not 0xD800 <= point < 0xE000)
    return "".join(c for c in points if unicodedata.category(c) not in ("Cn", "Co"))


def difference(connection: psycopg.Connection, relation: int, column: int, mode: str) -> str | None:
    """The function whose result differs in the column's collation from what terms of `mode` are made of, or None."""
    if mode not in _FOLDS:
        return None
    with readable_errors("asking how the database folds case"):
        row = connection.execute(_COLLATION, [relation, column]).fetchone()
    return None if row is None else _asked(connection, mode, *row)


def default_difference(connection: psycopg.Connection, mode: str) -> str | None:
    """The same for columns that are to come, in the database's own collation."""
    return _asked(connection, mode, "pg_catalog", "default") if mode in _FOLDS else None


def _asked(connection: psycopg.Connection, mode: str, schema: str, collation: str) -> str | None:
    function, fold = _FOLDS[mode]
    with readable_errors("asking how the database folds case"):
        query = sql.SQL("SELECT pg_catalog.{}(%s::pg_catalog.text COLLATE {})")
        asked = connection.execute(
            query.format(sql.Identifier(function), sql.Identifier(schema, collation)), [characters()]
        ).fetchone()
    return None if asked is not None and asked[0] == fold(characters()) else function
