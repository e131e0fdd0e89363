"""What the keyring holds and how much each key is used. Reads wrapped keys' rows only, and opens nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted

#: Every stored column of a sealed type, whether rules name it or not: tables, partitions, materialised views.
_PLACES = r"""
SELECT n.nspname, c.relname, a.attname
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
WHERE NOT a.attisdropped AND t.typtype = 'd' AND ('pgcrypt.sealed'::regtype IN (t.oid, t.typbasetype)
  OR (tn.nspname = 'pgcrypt' AND t.typname ~ '^sealed_[0-9]{1,9}$'))
ORDER BY 1, 2, a.attnum
"""

# A type that waits for its column has the name that the rule gave.
_TERMS = """
SELECT DISTINCT c.index_generation,
       COALESCE(n.nspname || '.' || r.relname || '.' || a.attname,
                c.schema_name || '.' || c.table_name || '.' || c.column_name)
FROM pgcrypt.columns c
LEFT JOIN (pg_catalog.pg_attribute a
           JOIN pg_catalog.pg_class r ON r.oid = a.attrelid AND r.relkind IN ('r', 'p', 'f', 'm')
           JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace)
    ON a.atttypid = pg_catalog.to_regtype('pgcrypt.sealed_' || c.id) AND NOT a.attisdropped
WHERE c.search <> '{}'
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """A key's row without the key."""

    id: int
    kind: str
    data_class: str
    generation: int
    state: str
    provider: str
    kek_id: str
    seals: int
    created_at: datetime
    created_by: str | None
    activated_at: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    destroyed_at: datetime | None
    destroyed_by: str | None
    rewrapped_at: datetime | None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class PlaceUsage:
    """How many envelopes in one column (schema.table.column) one DEK has sealed."""

    key_id: int
    place: str
    count: int


def list_keys(connection: psycopg.Connection) -> list[KeyUsage]:
    """Every key, oldest first."""
    with readable_errors("reading the keyring"):
        return [
            KeyUsage(*row)
            for row in connection.execute(
                "SELECT id, kind, data_class, generation, state, provider, kek_id, seals, created_at, created_by,"
                " activated_at, retired_at, retired_by, destroyed_at, destroyed_by, rewrapped_at, tenant"
                " FROM pgcrypt.keyring ORDER BY id"
            )
        ]


def envelopes_by_place(connection: psycopg.Connection) -> list[PlaceUsage]:
    """Which DEKs the stored envelopes name, column by column. Reads every column of a sealed type once."""
    with readable_errors("looking for sealed columns"):
        places = connection.execute(_PLACES).fetchall()
    found: list[PlaceUsage] = []
    for schema, table, column in places:
        place, name = f"{schema}.{table}.{column}", quoted(column)
        with readable_errors(f"counting the envelopes of {place}"), connection.transaction():
            connection.execute("SET LOCAL row_security = off")  # an error rather than rows left out
            rows = connection.execute(
                f"SELECT pg_catalog.substr({name}::pg_catalog.bytea, 3, 4), pg_catalog.count(*)"  # noqa: S608 (quoted names)
                f" FROM ONLY {quoted(schema, table)} WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 1".encode()
            ).fetchall()
        found += [PlaceUsage(int.from_bytes(key_id, "big"), place, count) for key_id, count in rows]
    return found


def columns_by_generation(connection: psycopg.Connection) -> dict[int, list[str]]:
    """The columns with index terms (schema.table.column), by the generation of the index key; also those to come."""
    found: dict[int, list[str]] = {}
    with readable_errors("looking for columns with index terms"):
        for generation, place in connection.execute(_TERMS):
            found.setdefault(generation, []).append(place)
    return found


def totals(usages: list[PlaceUsage]) -> Counter[int]:
    """How many envelopes each DEK has sealed, by key id."""
    counts: Counter[int] = Counter()
    for usage in usages:
        counts[usage.key_id] += usage.count
    return counts
