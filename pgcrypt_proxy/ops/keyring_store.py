"""The keyring as it lies in the database: reads it, makes keys, and hands out the right to seal.

Every envelope that may ever be sealed with a DEK is counted before it is made:
a proxy takes a block of seals, and what it does not use is lost, never used
twice. At 2^32 a DEK is retired for a new one (NIST SP 800-38D, 8.3: random
nonces). Knows wrapped keys and makes new ones; opens none by itself. Whatever
happens to a key is written into the audit trail in the same transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgcrypt_proxy.crypto.keyring import MAX_SEALS, KeyRecord, Keyring, wrap_context
from pgcrypt_proxy.crypto.providers import KekProvider, make_provider, make_wrapped
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.policy.model import KeyringSettings

DEFAULT_BLOCK = 100_000

#: Advisory locks' numbers, arbitrary and the product's own.
KEY_MAKER_LOCK = 0x7067636B
KEY_USE_LOCK = 0x7067636C

_RECORDS = """
SELECT id, kind, data_class, tenant, generation, state, wrapped, kek_id, seals, provider
FROM pgcrypt.keyring
"""
_GRANT = """
UPDATE pgcrypt.keyring SET seals = seals + %(count)s
WHERE kind = 'dek' AND data_class = %(data_class)s AND tenant = %(tenant)s AND state = 'active'
  AND seals + %(count)s <= %(limit)s
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to seal `count` values with the DEK `key_id`."""

    key_id: int
    count: int


@dataclass(frozen=True, slots=True)
class NewKey:
    """A wrapped key that is in no row yet."""

    kind: str
    data_class: str
    generation: int
    wrapped: bytes = field(repr=False)
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class LockedKeyring:
    """The keyring as the database has it, without the keys of tenants, all wrapped."""

    keyring_id: bytes
    records: tuple[KeyRecord, ...]

    @property
    def active_ids(self) -> frozenset[int]:
        """The ids of the active DEKs."""
        return frozenset(r.id for r in self.records if r.kind == "dek" and r.state == "active")


@dataclass(frozen=True, slots=True)
class Providers:
    """The KEK's provider, and those before it whose keys were not all wrapped anew yet."""

    current: KekProvider
    previous: tuple[KekProvider, ...] = ()

    def unlock(
        self, locked: LockedKeyring, *, ttl_s: float = 300, clock: Callable[[], float] = time.monotonic
    ) -> Keyring:
        """Unwrap the keys. Needs no database. Raises KeyUnavailable."""
        return Keyring.unlock(
            locked.keyring_id, locked.records, self.current, previous=self.previous, ttl_s=ttl_s, clock=clock
        )


def make_providers(
    settings: KeyringSettings, make: Callable[[str, Mapping[str, str]], KekProvider] = make_provider
) -> Providers:
    """The providers that the rules name. Raises ConfigError and KeyUnavailable."""
    current = make(settings.provider, settings.options)
    return Providers(current, tuple(make(other.provider, other.options) for other in settings.previous))


def hold_active_keys(connection: psycopg.Connection) -> None:
    """Until the transaction ends no DEK is rotated: for tools that seal without a lease."""
    with readable_errors("waiting for a rotation of keys"):
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock_shared(%s)", [KEY_USE_LOCK])


def active_ids(connection: psycopg.Connection) -> frozenset[int]:
    """The ids of the active DEKs that are no tenant's: what a lease to seal is renewed by."""
    with readable_errors("reading which keys are active"):
        rows = connection.execute(
            "SELECT id FROM pgcrypt.keyring WHERE kind = 'dek' AND state = 'active' AND tenant = ''"
        )
        return frozenset(int(row[0]) for row in rows)


class KeyringStore:
    """One database's keyring over an autocommit connection of its own; not for several threads at once."""

    def __init__(
        self,
        connection: psycopg.Connection,
        provider: KekProvider,
        previous: Sequence[KekProvider] = (),
        *,
        seal_limit: int = MAX_SEALS,
    ) -> None:
        self.connection = connection
        self.providers = Providers(provider, tuple(previous))
        self._seal_limit = seal_limit

    def keyring_id(self) -> bytes:
        """The 16 bytes that every envelope of this database is bound to."""
        with readable_errors("reading the keyring"):
            row = self.connection.execute("SELECT keyring_id FROM pgcrypt.meta").fetchone()
        if row is None:
            raise ConfigError(
                "pgcrypt.meta is empty: the keyring's id is lost",
                hint="Restore schema pgcrypt from a backup of this database.",
                sqlstate="55000",
            )
        return bytes(row[0].bytes)

    def records(self) -> list[KeyRecord]:
        """Every key, wrapped, in the order of its id."""
        return self.find("true", {})

    def find(self, condition: str, parameters: Mapping[str, object]) -> list[KeyRecord]:
        """The keys of which `condition`, SQL of ours, is true, in the order of their ids."""
        with readable_errors("reading the keyring"):
            rows = self.connection.execute(f"{_RECORDS} WHERE {condition} ORDER BY id".encode(), parameters)
            return [_record(row) for row in rows]

    def read(self) -> LockedKeyring:
        """Id and keys, without those of tenants."""
        return LockedKeyring(self.keyring_id(), tuple(self.find("tenant = ''", {})))

    def ensure_keys(self, data_classes: Iterable[str]) -> None:
        """Make what is missing: the index key, and an active DEK for each data class."""
        wanted = [("index", ""), *(("dek", name) for name in sorted(set(data_classes)))]
        active = "state = 'active' AND tenant = ''"
        have = {(r.kind, r.data_class) for r in self.find(active, {})}
        if all(key in have for key in wanted):
            return
        with readable_errors("making keys"), self.connection.transaction():
            self.lock()
            have = {(r.kind, r.data_class) for r in self.find(active, {})}
            for new in [self.new_key(*key) for key in wanted if key not in have]:
                self.store(new)

    def unlock(self, data_classes: Iterable[str] = (), *, ttl_s: float = 300) -> Keyring:
        """The keyring, unwrapped, with every key that `data_classes` need. It may not seal before `grant`.

        Raises KeyUnavailable when the provider cannot unwrap.
        """
        self.ensure_keys(data_classes)
        keyring = self.providers.unlock(self.read(), ttl_s=ttl_s)
        self.note_access(keyring)
        return keyring

    def note_access(self, keyring: Keyring) -> None:
        """Write into the audit trail that the keys were unwrapped. Without that they are not used."""
        ids = ", ".join(map(str, sorted(keyring.key_ids)))
        try:
            audit.record(self.connection, audit.ACCESSED, detail=f"unwrapped data keys {ids or 'none'}")
        except BaseException:
            keyring.zeroise()
            raise

    def grant(self, data_class: str, count: int = DEFAULT_BLOCK, tenant: str = "") -> Grant:
        """Count `count` more seals for the active DEK of `data_class`, before any of them is made.

        A DEK that has not that many left is retired and a new one made, so the
        key may be one that an unlocked Keyring does not know yet: unlock again.
        """
        if not 0 < count <= self._seal_limit:
            raise ValueError("count out of range")
        parameters = {"data_class": data_class, "tenant": tenant, "count": count, "limit": self._seal_limit}
        with readable_errors("counting the use of a key"), self.connection.transaction():
            # A lost count would be a nonce limit overrun, so this one waits for the disk.
            self.connection.execute("SET LOCAL synchronous_commit = on")
            row = self.connection.execute(_GRANT, parameters).fetchone()
        if row is None:
            row = self._grant_of_new_key(data_class, tenant, parameters)
        return Grant(int(row[0]), count)

    def unlock_with_grants(self, needs: Mapping[str, int], *, ttl_s: float = 300) -> Keyring:
        """A keyring that may seal `needs[data_class]` values of each data class."""
        self.ensure_keys(needs)
        grants = [self.grant(name, count) for name, count in sorted(needs.items()) if count > 0]
        keyring = self.unlock(ttl_s=ttl_s)
        for given in grants:
            keyring.grant_seals(given.key_id, given.count)
        return keyring

    def _grant_of_new_key(self, data_class: str, tenant: str, parameters: Mapping[str, object]) -> tuple[Any, ...]:
        with readable_errors("making a key"), self.connection.transaction():
            self.connection.execute("SET LOCAL synchronous_commit = on")
            self.lock()
            row = self.connection.execute(_GRANT, parameters).fetchone()  # another proxy may have made one
            if row is None:
                self.roll(self.new_key("dek", data_class, tenant), "its usage limit is reached")
                row = self.connection.execute(_GRANT, parameters).fetchone()
        assert row is not None
        return row

    def lock(self) -> None:
        """One maker of keys at a time; those who read and count go on."""
        self.connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [KEY_MAKER_LOCK])

    def new_key(self, kind: str, data_class: str, tenant: str = "") -> NewKey:
        """A key that the provider has made and wrapped, not stored yet. In a transaction that holds `lock`.

        Comes before any change of rows: while the provider is asked, nobody waits for a row.
        """
        row = self.connection.execute(
            "SELECT COALESCE(pg_catalog.max(generation), 0) + 1 FROM pgcrypt.keyring"
            " WHERE kind = %s AND data_class = %s AND tenant = %s",
            [kind, data_class, tenant],
        ).fetchone()
        assert row is not None
        context = wrap_context(self.keyring_id(), kind, data_class, tenant, row[0])
        return NewKey(kind, data_class, row[0], make_wrapped(self.providers.current, context), tenant)

    def roll(self, new: NewKey, reason: str) -> tuple[int, int]:
        """Retire the active key of the new key's kind and data class and store the new one; the ids of both."""
        row = self.connection.execute(
            "UPDATE pgcrypt.keyring SET state = 'retired', retired_at = pg_catalog.now(),"
            " retired_by = session_user || ' ' || %s::text"
            " WHERE kind = %s AND data_class = %s AND tenant = %s AND state = 'active' RETURNING id",
            [audit.actor(), new.kind, new.data_class, new.tenant],
        ).fetchone()
        assert row is not None, "only an active key is rolled"
        made = self.store(new)
        what = f"data class {new.data_class}{_of(new.tenant)}" if new.kind == "dek" else "index key"
        detail = f"{what}: key {made} follows, {reason}"
        audit.record(self.connection, audit.ROTATED, row[0], detail)
        return int(row[0]), made

    def store(self, new: NewKey) -> int:
        """Make it the active one; its id."""
        provider = self.providers.current
        row = self.connection.execute(
            "INSERT INTO pgcrypt.keyring"
            " (kind, data_class, tenant, generation, state, provider, kek_id, wrapped, created_by)"
            " VALUES (%s, %s, %s, %s, 'active', %s, %s, %s, session_user || ' ' || %s::text) RETURNING id",
            [
                *(new.kind, new.data_class, new.tenant, new.generation),
                *(provider.name, provider.kek_id, new.wrapped, audit.actor()),
            ],
        ).fetchone()
        assert row is not None
        what = f"data key of data class {new.data_class}{_of(new.tenant)}" if new.kind == "dek" else "index key"
        detail = f"{what}, generation {new.generation}, wrapped by {provider.name} {provider.kek_id}"
        audit.record(self.connection, audit.GENERATED, row[0], detail)
        return int(row[0])


def _of(tenant: str) -> str:
    return f" of tenant {tenant}" if tenant else ""


def _record(row: tuple[Any, ...]) -> KeyRecord:
    return KeyRecord(
        id=row[0],
        kind=row[1],
        data_class=row[2],
        tenant=row[3],
        generation=row[4],
        state=row[5],
        wrapped=row[6],
        kek_id=row[7],
        seals=row[8],
        provider=row[9],
    )
