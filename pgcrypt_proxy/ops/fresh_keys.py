"""A keyring with time and grants left, for tools that work longer than keys may stay unwrapped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import KeyNotLoaded
from pgcrypt_proxy.ops import tenant_keys
from pgcrypt_proxy.ops.keyring_store import DEFAULT_BLOCK, KeyringStore

#: A keyring is made anew when it has less time than that: more than any batch takes.
SPARE_TIME_S = 60.0

T = TypeVar("T")


class FreshKeys:
    """Gives keyrings; `store` has a connection of its own."""

    def __init__(self, store: KeyringStore) -> None:
        self.store = store
        self._keyring: Keyring | None = None

    def fresh(
        self, data_class: str, active: frozenset[int], seals: int, *, spare_time_s: float = SPARE_TIME_S
    ) -> Keyring:
        """One whose active key of `data_class` is the database's, with so many seals granted.

        The caller's transaction holds the active keys (`hold_active_keys`).
        """
        keyring = self._keyring
        if (
            keyring is None
            or keyring.expires_at - time.monotonic() < spare_time_s
            or keyring.active_keys.get(data_class) not in active
        ):
            self.close()
            keyring = self._keyring = self.store.unlock()
        if keyring.remaining_seals(data_class) < seals:
            given = self.store.grant(data_class, max(seals, DEFAULT_BLOCK))
            if given.key_id != keyring.active_keys.get(data_class):  # the limit was reached, and a new key made
                self.close()
                keyring = self._keyring = self.store.unlock()
            keyring.grant_seals(given.key_id, given.count)
        return keyring

    def fresh_to_open(self, *, spare_time_s: float = SPARE_TIME_S) -> Keyring:
        """One that opens, and need not seal."""
        keyring = self._keyring
        if keyring is None or keyring.expires_at - time.monotonic() < spare_time_s:
            made = self.store.unlock()
            if keyring is not None:
                made.tenants = keyring.tenants  # each of which has a time of its own
                keyring.zeroise()
            keyring = self._keyring = made
        return keyring

    def fresh_of_tenants(self, connection: psycopg.Connection, *, spare_time_s: float = SPARE_TIME_S) -> Keyring:
        """One that opens, and that takes no tenant's key for active which was rotated or destroyed meanwhile.

        To seal with it, the transaction of `connection` holds the active keys.
        """
        keyring = self.fresh_to_open(spare_time_s=spare_time_s)
        held = keyring.tenants.key_ids
        if held:
            keyring.tenants.confirm(tenant_keys.states(connection, held), held, float("inf"))
        return keyring

    def fetch(self, wanted: KeyNotLoaded) -> None:
        """Have these keys of tenants in the present keyring. Raises PgcryptError."""
        assert self._keyring is not None
        tenant_keys.fetch(self.store, self._keyring.tenants, wanted)

    def with_keys(self, action: Callable[[], T]) -> T:
        """What `action` gives with the present keyring, and with the keys of tenants that it turns out to need."""
        assert self._keyring is not None
        return tenant_keys.with_keys(self.store, self._keyring.tenants, action)

    def close(self) -> None:
        """Forget the keys."""
        if self._keyring is not None:
            self._keyring.tenants.clear()
            self._keyring.zeroise()
            self._keyring = None
