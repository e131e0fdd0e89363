"""The keys of tenants as they lie in the database: finds, makes and unwraps those that are asked for.

A tenant that nobody has heard of gets its keys with its first value. One that
was erased gets none any more, until `readmit`. What was unwrapped is written into
the audit trail before it is used. Blocks; for a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from pgcrypt_proxy.crypto import deks
from pgcrypt_proxy.crypto.deks import Dek, KeyRecord
from pgcrypt_proxy.crypto.tenant_keys import TenantKeys
from pgcrypt_proxy.errors import KeyNotLoaded, KeyUnavailable, PgcryptError
from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.keyring_store import KeyringStore

#: Seals that a tenant's key is granted at once; what is not used is lost.
BLOCK = 1_000
#: A keyring takes no more tenants' keys than that, active and retired: ids that come from clients must not fill it.
MAX_TENANT_KEYS = 1_000_000

T = TypeVar("T")


@dataclass(slots=True)
class Loaded:
    """What came of a question for keys; `put` it where they are used. `shared` are no tenant's: in the keyring."""

    asked_at: float
    deks: list[Dek] = field(default_factory=list)
    destroyed: dict[int, str] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)
    shared: set[int] = field(default_factory=set)
    error: PgcryptError | None = None

    def put(self, keys: TenantKeys, *, seal_until: float | None = None) -> None:
        """Hand them over. `seal_until`: the end of their lease; None for tools that hold a lock."""
        for dek in self.deks:
            if seal_until is not None:
                dek.seal_until = seal_until
            keys.put(dek, self.asked_at)
        for key_id, tenant in self.destroyed.items():
            keys.note_destroyed(key_id, tenant)
        # tools have read the keyring; a proxy's may be older
        for key_id in self.absent | (self.shared if seal_until is None else set()):
            keys.note_absent(key_id)


def load(
    store: KeyringStore, wanted: KeyNotLoaded, *, may_make: bool = True, clock: Callable[[], float] = time.monotonic
) -> Loaded:
    """Keys to open with by their ids, and active ones with seals granted, which are made where there are none.

    What can be had is loaded even if something cannot: then `error` says why.
    """
    loaded = Loaded(clock())
    records: dict[int, KeyRecord] = {}
    if wanted.key_ids:
        for record in store.find("kind = 'dek' AND id = ANY (%(ids)s)", {"ids": sorted(wanted.key_ids)}):
            if not record.tenant:
                loaded.shared.add(record.id)
            elif record.wrapped is None:
                loaded.destroyed[record.id] = record.tenant
            else:
                records[record.id] = record
        loaded.absent = set(wanted.key_ids) - records.keys() - loaded.destroyed.keys() - loaded.shared
    granted: dict[int, int] = {}
    for (data_class, tenant), count in wanted.seals.items():
        try:
            _ensure(store, data_class, tenant, may_make=may_make)
            given = store.grant(data_class, max(count, BLOCK), tenant)
        except PgcryptError as error:
            loaded.error = error
            continue
        granted[given.key_id] = granted.get(given.key_id, 0) + given.count
    if granted:
        records |= {r.id: r for r in store.find("id = ANY (%(ids)s)", {"ids": sorted(granted)})}
    _unwrap(store, records, granted, loaded)
    return loaded


def _unwrap(store: KeyringStore, records: Mapping[int, KeyRecord], granted: Mapping[int, int], loaded: Loaded) -> None:
    if not records:
        return
    keyring_id = store.keyring_id()
    for record in records.values():
        try:
            material = deks.unwrapped(keyring_id, record, store.providers.current, store.providers.previous)
        except KeyUnavailable as error:
            loaded.error = error
            continue
        dek = Dek.of(record, material)
        dek.granted = granted.get(record.id, 0)
        loaded.deks.append(dek)
    ids = ", ".join(str(dek.record.id) for dek in loaded.deks)
    if ids:
        audit.record(store.connection, audit.ACCESSED, detail=f"unwrapped data keys of tenants {ids}")


_ACTIVE = "kind = 'dek' AND data_class = %(data_class)s AND tenant = %(tenant)s AND state = 'active'"


def _ensure(store: KeyringStore, data_class: str, tenant: str, *, may_make: bool) -> None:
    """Let the tenant have an active key. Raises KeyUnavailable when it must not."""
    named = {"data_class": data_class, "tenant": tenant}
    if store.find(_ACTIVE, named):
        return
    if not may_make:
        raise KeyUnavailable(f'tenant "{tenant}" has no key of data class "{data_class}"')
    with readable_errors("making a key of a tenant"), store.connection.transaction():
        store.connection.execute("SET LOCAL synchronous_commit = on")
        store.lock()
        if store.find(_ACTIVE, named):  # another proxy was first
            return
        if is_erased(store.connection, tenant):
            raise KeyUnavailable(
                f'the keys of tenant "{tenant}" were destroyed, and it gets no new ones',
                hint=f"If the name is to be used again: pgcrypt-proxy readmit --tenant {tenant}",
                sqlstate="55000",
            )
        row = store.connection.execute("SELECT count(*) FROM pgcrypt.keyring WHERE tenant <> ''").fetchone()
        if row is None or row[0] >= MAX_TENANT_KEYS:
            raise KeyUnavailable(f"the keyring holds {MAX_TENANT_KEYS:,} keys of tenants, and takes no more")
        store.store(store.new_key("dek", data_class, tenant))


def is_erased(connection: psycopg.Connection, tenant: str) -> bool:
    """Whether the tenant's keys were destroyed, or are about to be."""
    found = connection.execute("SELECT FROM pgcrypt.erased_tenants WHERE tenant = %s", [tenant])
    return found.fetchone() is not None


def states(connection: psycopg.Connection, key_ids: Iterable[int]) -> dict[int, str]:
    """The states of these keys."""
    with readable_errors("reading the states of tenants' keys"):
        rows = connection.execute("SELECT id, state FROM pgcrypt.keyring WHERE id = ANY (%s)", [list(key_ids)])
        return {int(key_id): str(state) for key_id, state in rows}


def newest_ids(connection: psycopg.Connection) -> frozenset[int]:
    """The ids of the keys that tenants seal with, and of what is destroyed or about to be: `reseal` lets these be."""
    with readable_errors("reading which keys of tenants are active"):
        rows = connection.execute(
            "SELECT k.id FROM pgcrypt.keyring k WHERE k.tenant <> '' AND (k.state <> 'retired'"
            " OR EXISTS (SELECT FROM pgcrypt.erased_tenants e WHERE e.tenant = k.tenant))"
        )
        return frozenset(int(row[0]) for row in rows)


def fetch(store: KeyringStore, keys: TenantKeys, wanted: KeyNotLoaded) -> None:
    """Load what is wanted into `keys`, for tools. Raises PgcryptError where something of it cannot be had."""
    loaded = load(store, wanted)
    loaded.put(keys)
    if loaded.error is not None:
        raise loaded.error from None


def with_keys(store: KeyringStore, keys: TenantKeys, action: Callable[[], T]) -> T:
    """What `action` gives, with every tenant's key that it turns out to need. For tools, which may wait.

    `store` has a connection of its own; whoever seals holds the active keys (`hold_active_keys`).
    """
    for _ in range(3):
        try:
            return action()
        except KeyNotLoaded as wanted:
            fetch(store, keys, wanted)
    return action()
