"""The keyring as it lies in the database: reads it, makes keys, and hands out the right to seal.

Every envelope that may ever be sealed with a DEK is counted before it is made:
a proxy takes a block of seals, and what it does not use is lost, never used
twice. At 2^32 a DEK is retired for a new one (NIST SP 800-38D, 8.3: random
nonces). Knows wrapped keys and makes new ones; opens none by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgcrypt_proxy.crypto.keyring import MAX_SEALS, KeyRecord, Keyring, wrap_context
from pgcrypt_proxy.crypto.keys import KEY_LENGTH
from pgcrypt_proxy.crypto.providers import KekProvider
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import readable_errors

DEFAULT_BLOCK = 100_000

#: An advisory lock's number, arbitrary and the product's own.
KEY_MAKER_LOCK = 0x7067636B

_RECORDS = """
SELECT id, kind, data_class, tenant, generation, state, wrapped, kek_id, seals
FROM pgcrypt.keyring ORDER BY id
"""
_GRANT = """
UPDATE pgcrypt.keyring SET seals = seals + %(count)s
WHERE kind = 'dek' AND data_class = %(data_class)s AND tenant = '' AND state = 'active'
  AND seals + %(count)s <= %(limit)s
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to seal `count` values with the DEK `key_id`."""

    key_id: int
    count: int


class KeyringStore:
    """One database's keyring over an autocommit connection of its own; not for several threads at once."""

    def __init__(self, connection: psycopg.Connection, provider: KekProvider, *, seal_limit: int = MAX_SEALS) -> None:
        self._connection = connection
        self._provider = provider
        self._seal_limit = seal_limit

    def keyring_id(self) -> bytes:
        """The 16 bytes that every envelope of this database is bound to."""
        with readable_errors("reading the keyring"):
            row = self._connection.execute("SELECT keyring_id FROM pgcrypt.meta").fetchone()
        if row is None:
            raise ConfigError(
                "pgcrypt.meta is empty: the keyring's id is lost",
                hint="Restore schema pgcrypt from a backup of this database.",
                sqlstate="55000",
            )
        return bytes(row[0].bytes)

    def records(self) -> list[KeyRecord]:
        """Every key, wrapped, in the order of its id."""
        with readable_errors("reading the keyring"):
            return [_record(row) for row in self._connection.execute(_RECORDS)]

    def ensure_keys(self, data_classes: Iterable[str]) -> None:
        """Make what is missing: the index key, and an active DEK for each data class."""
        wanted = [("index", ""), *(("dek", name) for name in sorted(set(data_classes)))]
        have = {(r.kind, r.data_class) for r in self.records() if r.state == "active" and r.tenant == ""}
        if all(key in have for key in wanted):
            return
        with readable_errors("making keys"), self._connection.transaction():
            self._lock()
            have = {(r.kind, r.data_class) for r in self.records() if r.state == "active" and r.tenant == ""}
            for kind, data_class in wanted:
                if (kind, data_class) not in have:
                    self._create(kind, data_class)

    def unlock(self, data_classes: Iterable[str] = (), *, ttl_s: float = 300) -> Keyring:
        """The keyring, unwrapped, with every key that `data_classes` need. It may not seal before `grant`.

        Raises KeyUnavailable when the provider cannot unwrap.
        """
        self.ensure_keys(data_classes)
        return Keyring.unlock(self.keyring_id(), self.records(), self._provider, ttl_s=ttl_s)

    def grant(self, data_class: str, count: int = DEFAULT_BLOCK) -> Grant:
        """Count `count` more seals for the active DEK of `data_class`, before any of them is made.

        A DEK that has not that many left is retired and a new one made, so the
        key may be one that an unlocked Keyring does not know yet: unlock again.
        """
        if not 0 < count <= self._seal_limit:
            raise ValueError("count out of range")
        parameters = {"data_class": data_class, "count": count, "limit": self._seal_limit}
        with readable_errors("counting the use of a key"), self._connection.transaction():
            # A lost count would be a nonce limit overrun, so this one waits for the disk.
            self._connection.execute("SET LOCAL synchronous_commit = on")
            row = self._connection.execute(_GRANT, parameters).fetchone()
        if row is None:
            row = self._grant_of_new_key(data_class, parameters)
        return Grant(int(row[0]), count)

    def unlock_with_grants(self, needs: Mapping[str, int], *, ttl_s: float = 300) -> Keyring:
        """A keyring that may seal `needs[data_class]` values of each data class."""
        self.ensure_keys(needs)
        grants = [self.grant(name, count) for name, count in sorted(needs.items()) if count > 0]
        keyring = self.unlock(ttl_s=ttl_s)
        for given in grants:
            keyring.grant_seals(given.key_id, given.count)
        return keyring

    def _grant_of_new_key(self, data_class: str, parameters: Mapping[str, object]) -> tuple[Any, ...]:
        with readable_errors("making a key"), self._connection.transaction():
            self._connection.execute("SET LOCAL synchronous_commit = on")
            self._lock()
            row = self._connection.execute(_GRANT, parameters).fetchone()  # another proxy may have made one
            if row is None:
                self._roll(data_class)
                row = self._connection.execute(_GRANT, parameters).fetchone()
        assert row is not None
        return row

    def _lock(self) -> None:
        """One maker of keys at a time; those who read and count go on."""
        self._connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [KEY_MAKER_LOCK])

    def _roll(self, data_class: str) -> None:
        self._connection.execute(
            "UPDATE pgcrypt.keyring SET state = 'retired', retired_at = pg_catalog.now()"
            " WHERE kind = 'dek' AND data_class = %s AND tenant = '' AND state = 'active'",
            [data_class],
        )
        self._create("dek", data_class)

    def _create(self, kind: str, data_class: str) -> None:
        row = self._connection.execute(
            "SELECT COALESCE(pg_catalog.max(generation), 0) + 1 FROM pgcrypt.keyring"
            " WHERE kind = %s AND data_class = %s AND tenant = ''",
            [kind, data_class],
        ).fetchone()
        assert row is not None
        generation = int(row[0])
        context = wrap_context(self.keyring_id(), kind, data_class, "", generation)
        wrapped = self._provider.wrap(secrets.token_bytes(KEY_LENGTH), context)
        columns = ("kind", "data_class", "tenant", "generation", "state", "provider", "kek_id", "wrapped")
        self._connection.execute(
            sql.SQL("INSERT INTO pgcrypt.keyring ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            ),
            [kind, data_class, "", generation, "active", self._provider.name, self._provider.kek_id, wrapped],
        )


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
    )
