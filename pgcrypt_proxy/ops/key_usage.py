"""What the keyring holds and how much each key is used. Reads wrapped keys' rows only, and opens nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.sql.catalog import ProtectedColumn


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """A key's row without the key. `envelopes` is None unless they were counted."""

    id: int
    kind: str
    data_class: str
    generation: int
    state: str
    provider: str
    kek_id: str
    seals: int
    created_at: datetime
    envelopes: int | None = None


def list_keys(connection: psycopg.Connection) -> list[KeyUsage]:
    """Every key, oldest first."""
    with readable_errors("reading the keyring"):
        return [
            KeyUsage(*row)
            for row in connection.execute(
                "SELECT id, kind, data_class, generation, state, provider, kek_id, seals, created_at"
                " FROM pgcrypt.keyring ORDER BY id"
            )
        ]


def count_envelopes(connection: psycopg.Connection, columns: tuple[ProtectedColumn, ...]) -> Counter[int]:
    """How many stored envelopes each DEK has sealed, by key id. Reads every protected table once."""
    counts: Counter[int] = Counter()
    for column in columns:
        if not column.is_armed:
            continue
        table, name = quoted(column.schema, column.table), quoted(column.name)
        with readable_errors(f"counting the envelopes of {column.qualified_name}"):
            rows = connection.execute(
                f"SELECT pg_catalog.substr({name}::pg_catalog.bytea, 3, 4), pg_catalog.count(*)"  # noqa: S608 (quoted names)
                f" FROM ONLY {table} WHERE {name} IS NOT NULL GROUP BY 1".encode()
            ).fetchall()
        for key_id, count in rows:
            counts[int.from_bytes(key_id, "big")] += count
    return counts
