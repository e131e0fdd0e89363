"""What becomes of one value, in each direction: how it is read, what is made of it, and how that is read again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import column_facts, sealed_types, tenant_columns
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online.moves import IMPORT, REINDEX, Move
from pgcrypt_proxy.ops.online.unreadable import Unreadable
from pgcrypt_proxy.ops.protect import send_function, values_of
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import ParameterUse, Use

Make = Callable[[bytes], tuple[bytes, bytes]]  # what was read -> (plaintext, what is stored)
Reopen = Callable[[bytes], bytes]  # what was stored and read again -> plaintext


@dataclass(frozen=True, slots=True)
class Change:
    """`read` and `reread` are SQL expressions of type bytea over the old and the hidden column of table `t`.

    `column` is the sealed one of the two, or the one with the new terms; then `opened` is the other. `foreign` opens
    what others encrypted; `unreadable` takes what it does not open.
    """

    column: ProtectedColumn
    is_sealing: bool
    staged_type: str
    read: str
    reread: str
    opened: ProtectedColumn | None = None
    foreign: Foreign | None = None
    unreadable: Unreadable | None = None

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

        old_opener = None if self.opened is None else values.opener(self.opened, 1)
        if self.foreign is not None:
            old_opener = functools.partial(self.foreign.opened, type_=self.column.type)

        def seal(value: bytes) -> tuple[bytes, bytes]:
            plaintext = value if old_opener is None else old_opener(value)
            sealed = values.parameter(use, 0, plaintext, 1)
            assert sealed is not None
            return plaintext, sealed

        return seal, opener


def of(connection: psycopg.Connection, move: Move, foreign: Foreign | None = None) -> Change:
    """The change that the move makes, `foreign` opening the values of an import. What it seals by is in
    `pgcrypt.columns`."""
    place = (move.schema, move.table, move.column)
    column = sealed_types.column(connection, move.column_id, place, move.relation_oid)
    send = send_function(connection, column.type.parameter_oid)
    old, hidden = f"t.{quoted(move.column)}", f"t.{quoted(move.hidden)}"
    if move.direction == REINDEX:
        old_id = sealed_types.id_of(connection, move.relation_oid, move.column)
        if old_id is None:
            raise ConfigError(f"{move.qualified_name} is not sealed any more", sqlstate="55000")
        opened = sealed_types.column(connection, old_id, place, move.relation_oid)
        stored = f"{hidden}::pg_catalog.bytea"
        return Change(column, True, "pg_catalog.bytea", f"{old}::pg_catalog.bytea", stored, opened)
    if move.direction == IMPORT:
        assert foreign is not None
        read = foreign.query(connection, column_facts.read(connection, *place))
        stored, unreadable = f"{hidden}::pg_catalog.bytea", Unreadable(move)
        return Change(column, True, "pg_catalog.bytea", read, stored, foreign=foreign, unreadable=unreadable)
    if move.is_sealing:
        read = tenant_columns.beside(column.tenant, f"{send}({old})", "t")
        return Change(column, True, "pg_catalog.bytea", read, f"{hidden}::pg_catalog.bytea")
    return Change(column, False, column.type.sql, f"{old}::pg_catalog.bytea", f"{send}({hidden})")
