"""What becomes of one value, in both directions: how it is read, what is made of it, and how that is read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.ops import catalog_queries
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.protect import send_function, values_of
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import ParameterUse, Use

Make = Callable[[bytes], tuple[bytes, bytes]]  # what was read -> (plaintext, what is stored)
Reopen = Callable[[bytes], bytes]  # what was stored and read again -> plaintext


@dataclass(frozen=True, slots=True)
class Change:
    """`read` and `reread` are SQL expressions of type bytea over the old and the hidden column of table `t`."""

    column: ProtectedColumn
    is_sealing: bool
    staged_type: str
    read: str
    reread: str

    def functions(self, keyring: Keyring) -> tuple[Make, Reopen]:
        """What `keyring` makes of values."""
        values = values_of(keyring)
        opener = values.opener(self.column, 1)
        if not self.is_sealing:

            def open_value(envelope: bytes) -> tuple[bytes, bytes]:
                plaintext = opener(envelope)
                return plaintext, plaintext

            return open_value, bytes
        use = ParameterUse(0, Use.SEAL, self.column)

        def seal(plaintext: bytes) -> tuple[bytes, bytes]:
            sealed = values.parameter(use, 0, plaintext, 1)
            assert sealed is not None
            return plaintext, sealed

        return seal, opener


def of(connection: psycopg.Connection, move: Move) -> Change:
    """The change that the move makes. What it seals by is in `pgcrypt.columns`."""
    row = connection.execute(
        "SELECT logical_type, data_class, search, index_domain FROM pgcrypt.columns WHERE id = %s", [move.column_id]
    ).fetchone()
    assert row is not None
    logical = catalog_queries.fetch_types(connection).named(row[0])
    column = ProtectedColumn(
        id=move.column_id,
        schema=move.schema,
        table=move.table,
        name=move.column,
        relation_oid=move.relation_oid,
        attribute_number=0,
        domain_oid=0,
        type=logical,
        data_class=row[1],
        search=frozenset(row[2]),
        index_domain=row[3],
    )
    send = send_function(connection, logical.parameter_oid)
    old, hidden = f"t.{quoted(move.column)}", f"t.{quoted(move.hidden)}"
    if move.is_sealing:
        return Change(column, True, "pg_catalog.bytea", f"{send}({old})", f"{hidden}::pg_catalog.bytea")
    return Change(column, False, logical.sql, f"{old}::pg_catalog.bytea", f"{send}({hidden})")
