"""Columns with tenants on their way: with whose key each value is sealed, and that key there before it is needed.

A plain value is its row's tenant's, and the triggers empty what was sealed for another. A sealed one is the tenant's
whose key it names, and stays so.
"""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import psycopg

from pgcrypt_proxy.crypto import envelope
from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import ConfigError, KeyNotLoaded, PgcryptError
from pgcrypt_proxy.ops import tenant_columns, tenant_keys
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online.change import Change, Make, Reopen
from pgcrypt_proxy.ops.online.moves import SEAL
from pgcrypt_proxy.ops.protect import values_of
from pgcrypt_proxy.policy.model import TenantRule
from pgcrypt_proxy.session.tenant_values import checked

#: So many keys are loaded for a batch at most: each takes its provider some time, and the database, if it is made.
MAX_NEW_KEYS = 64

_BEING_ERASED = "SELECT tenant FROM pgcrypt.erased_tenants WHERE audit_id IS NULL ORDER BY 1 LIMIT 1"
_IS_GENERATED = """
SELECT attgenerated <> '' FROM pg_catalog.pg_attribute
WHERE attrelid = %s::bigint::oid AND attname = %s AND NOT attisdropped
"""
_ERASED = "SELECT e.tenant FROM pgcrypt.erased_tenants e"
_DESTROYED = (
    "SELECT pg_catalog.int4send(k.id) FROM pgcrypt.keyring k WHERE k.state OPERATOR(pg_catalog.=) 'destroyed'"
    " AND k.tenant OPERATOR(pg_catalog.<>) ''"
)
UNKNOWN = (
    "whose the values are that are written meanwhile is not known, as its rule names a setting: protect it without"
    " --online, with --tenant, or give the table a column of tenants"
)
_LENGTH = struct.Struct("!I")


def obstacles(
    connection: psycopg.Connection, facts: ColumnFacts, tenant: TenantRule, direction: str, *, is_short: bool
) -> Iterator[str]:
    """What is in the way besides. `is_short`: rows are not looked at."""
    being_erased = connection.execute(_BEING_ERASED).fetchone()
    if being_erased is not None:
        yield f"tenant {being_erased[0]} is being erased: let that come to its end first"
    column = f"t.{quoted(facts.name)}"
    if direction != SEAL:
        named = f"pg_catalog.substr({column}::pg_catalog.bytea, 3, 4)"
        count = 0 if is_short else _count(connection, facts, named, _DESTROYED)
        if count:
            yield f"the keys of {count:,} values were destroyed: delete these rows of erased tenants first"
    elif not tenant.column:
        yield UNKNOWN
    else:
        row = connection.execute(_IS_GENERATED, [facts.relation_oid, tenant.column]).fetchone()
        if row is not None and row[0]:
            yield f"{tenant.column} is a generated column, of which no trigger sees that it changes"
        count = 0 if is_short or row is None else _count(connection, facts, _name(tenant), _ERASED)
        if count:
            yield (
                f"{count:,} values are of tenants that were erased, and get no keys: delete their rows first, or"
                " `pgcrypt-proxy readmit`"
            )


def _name(tenant: TenantRule) -> str:
    return f"t.{quoted(tenant.column)}::pg_catalog.text"


def _count(connection: psycopg.Connection, facts: ColumnFacts, what: str, among: str) -> int:
    """Of how many values `what` is `among` what that query gives, which mostly is nothing."""
    if facts.kind != "r" or connection.execute(f"{among} LIMIT 1".encode()).fetchone() is None:
        return 0
    return tenant_columns.count_values(connection, facts, f"AND {what} OPERATOR(pg_catalog.=) ANY ({among})")


def functions(store: KeyringStore, keyring: Keyring, change: Change) -> tuple[Make, Reopen]:
    """As `Change.functions`. What is compared of a sealed value is whose it is, too."""
    values = values_of(keyring)
    opener = tenant_columns.opener(store, values, change.column, 1)
    if not change.is_sealing:

        def open_value(stored: bytes) -> tuple[bytes, bytes]:
            plaintext = opener(stored)
            return plaintext, plaintext

        return open_value, bytes

    seal = tenant_columns.sealer_for(store, values, change.column)
    old_opener = None if change.opened is None else tenant_columns.opener(store, values, change.opened, 1)

    def owner(stored: bytes) -> str:
        found = tenant_keys.with_keys(store, keyring.tenants, lambda: keyring.tenant_of(stored))
        if found is None:
            raise envelope.malformed()
        return found

    def make(read: bytes) -> tuple[bytes, bytes]:
        tenant, plaintext = _of_row(change, read) if old_opener is None else (owner(read), old_opener(read))
        return _owned(tenant, plaintext), seal(tenant, plaintext)

    return make, lambda stored: _owned(owner(stored), opener(stored))


def _of_row(change: Change, read: bytes) -> tuple[str, bytes]:
    name, plaintext = tenant_columns.split(read)
    if not name:
        assert change.column.tenant is not None
        raise ConfigError(
            f"{change.column.qualified_name}: a row has a value, and no tenant in {change.column.tenant.column}",
            hint="Give it its tenant, and run this again: it goes on from here.",
            sqlstate="23502",
        )
    return checked(name), plaintext


def _owned(tenant: str, plaintext: bytes) -> bytes:
    name = tenant.encode()
    return _LENGTH.pack(len(name)) + name + plaintext


def portion(keyring: Keyring, change: Change, values: Sequence[bytes]) -> int:
    """How many of the first values lack no more than MAX_NEW_KEYS keys."""
    lacking: set[str | int] = set()
    for number, value in enumerate(values):
        with contextlib.suppress(PgcryptError):
            if change.is_sealing and change.opened is None:
                tenant = _of_row(change, value)[0]
                if keyring.tenants.active_id(change.column.data_class, tenant) is None:
                    lacking.add(tenant)
            elif not keyring.tenants.is_known(key_id := envelope.parse(value).key_id):
                lacking.add(key_id)
        if len(lacking) > MAX_NEW_KEYS:
            return number
    return len(values)


def wanted(keyring: Keyring, change: Change, values: Iterable[bytes]) -> KeyNotLoaded | None:
    """The keys that a batch of what was read needs and that are not here: those to open with first, then to seal.

    None when all are. Of a value that is not sound nothing is said: whoever makes something of it says it.
    """
    seals: Counter[str] = Counter()
    key_ids: set[int] = set()
    for value in values:
        with contextlib.suppress(PgcryptError):
            if change.is_sealing and change.opened is None:
                seals[_of_row(change, value)[0]] += 1
                continue
            key_id = envelope.parse(value).key_id
            if not keyring.tenants.is_known(key_id):
                key_ids.add(key_id)
            elif change.is_sealing:
                seals[keyring.tenant_of(value) or ""] += 1
    if key_ids:
        return KeyNotLoaded(key_ids=key_ids)
    del seals[""]
    data_class = change.column.data_class
    missing = keyring.tenants.missing({(data_class, tenant): count for tenant, count in seals.items()})
    return KeyNotLoaded(seals=missing) if missing else None
