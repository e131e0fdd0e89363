"""Keeps the unwrapped keys good: renews them ahead of their end, the lease to seal, and the grants of seals.

The key provider is asked in a thread of its own and never while a statement or
the database waits, so its outage is not seen as long as the keys last. The
lease (crypto/keyring.py) is renewed by a look into the database at every tick.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

import psycopg

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S, Keyring
from pgcrypt_proxy.crypto.tenant_keys import TenantKeys
from pgcrypt_proxy.errors import KeyUnavailable, PgcryptError
from pgcrypt_proxy.ops.keyring_store import DEFAULT_BLOCK, Grant, KeyringStore, LockedKeyring, Providers, active_ids
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.database import Database
from pgcrypt_proxy.server.metrics import Metrics

#: What is granted when less than half of it is left, which is looked at twice a second: COPY can use a million in that.
SEALS_AT_ONCE = 20 * DEFAULT_BLOCK
#: Fraction of the keys' time after which they are unwrapped anew. The rest is what an outage may take at any time.
REFRESH_AT = 0.25
#: The longest pause between two attempts to renew keys, as a fraction of their time; each is random, so that many
#: proxies do not come at once.
LONGEST_PAUSE = 1 / 60

Clock = Callable[[], float]


class KeyKeeper:
    """Has `keyring`, which changes; `on_renewed` is called on the event loop when it did."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        providers: Providers,
        on_renewed: Callable[[], None],
        *,
        ttl_s: float,
        clock: Clock = time.monotonic,
        tenants: TenantKeys | None = None,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._providers = providers
        self._on_renewed = on_renewed
        self._ttl_s = ttl_s
        self._clock = clock
        self.tenants = tenants
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")
        self._renewing: asyncio.Task[None] | None = None
        self._is_wanted = False
        self._missing: set[int] = set()
        self._failures = 0
        self._try_at = float("-inf")
        self.keyring: Keyring

    # -- making one

    def open(self, data_classes: Collection[str]) -> None:
        """The first keyring, before the loop serves. Raises KeyUnavailable and ConfigError."""
        store = _store(self._database.connected(), self._providers)
        store.ensure_keys(data_classes)
        asked_at = self._clock()
        locked = store.read()
        made = self._unlock(self._providers, locked)
        store.note_access(made)
        for name in data_classes:
            _use(made, name, store.grant(name, SEALS_AT_ONCE))
        made.confirm_active(locked.active_ids, asked_at + SEAL_LEASE_S)
        self.keyring = made

    async def make(self, providers: Providers, data_classes: Collection[str], older: Keyring | None) -> Keyring:
        """A new keyring with grants for every active key that `older` has none for. Raises KeyUnavailable."""
        run = self._database.run
        await run(lambda c: _store(c, providers).ensure_keys(data_classes))
        asked_at = self._clock()
        locked = await run(lambda c: _store(c, providers).read())
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(self._thread, lambda: self._unlock(providers, locked))
        await run(lambda c: _store(c, providers).note_access(made))
        for name in data_classes:
            if older is None or older.active_keys.get(name) != made.active_keys.get(name):
                _use(made, name, await self._grant(providers, name))
        made.confirm_active(locked.active_ids, asked_at + SEAL_LEASE_S)
        return made

    def _unlock(self, providers: Providers, locked: LockedKeyring) -> Keyring:
        made = providers.unlock(locked, ttl_s=self._ttl_s, clock=self._clock)
        made.end_leases()
        if self.tenants is not None:
            made.tenants = self.tenants
        made.loads_on_demand = True
        self._metrics.keys_unwrapped(made.key_counts)
        return made

    async def _grant(self, providers: Providers, data_class: str) -> Grant:
        return await self._database.run(lambda c: _store(c, providers).grant(data_class, SEALS_AT_ONCE))

    def put(self, providers: Providers, keyring: Keyring) -> None:
        """Let this keyring be the one; the caller tells everybody, then zeroises the one before."""
        self._providers, self.keyring = providers, keyring
        self._failures, self._try_at = 0, float("-inf")

    # -- upkeep

    def want_renewal(self) -> None:
        """The keyring in the database changed."""
        self._is_wanted = True

    def need_index_keys(self, generations: Iterable[int]) -> None:
        """Columns have terms under these. What is not there is asked for once: it was there before they had."""
        missing = {generation for generation in generations if generation} - self.keyring.index_generations
        if missing - self._missing:
            self._is_wanted = True
        self._missing = missing

    async def tick(self, data_classes: Collection[str]) -> None:
        """Renew the lease and the grants, and begin to renew the keys when it is time. Raises PgcryptError."""
        asked_at = self._clock()
        is_current = self.keyring.confirm_active(await self._database.run(active_ids), asked_at + SEAL_LEASE_S)
        now = self._clock()
        is_due = not is_current or self._is_wanted or self.keyring.expires_at - now < self._ttl_s * (1 - REFRESH_AT)
        if is_due:
            self._begin_renewal(data_classes)
        if is_current:
            await self._fill_grants(data_classes)
        self._metrics.key_expiry.set(max(self.keyring.expires_at - now, 0))

    def _begin_renewal(self, data_classes: Collection[str]) -> None:
        if self._renewing is None and self._clock() >= self._try_at:
            self._renewing = asyncio.ensure_future(self._renew(tuple(data_classes)))
            self._renewing.add_done_callback(lambda _: setattr(self, "_renewing", None))

    async def catch_up(self, key_ids: Collection[int], data_classes: Collection[str]) -> PgcryptError | None:
        """Renew the keys now if one of these, which the database has, is lacking; what is said if it still is."""
        for _ in range(2):  # what was under way may have begun before the key was there
            if self.keyring.has_keys(key_ids):
                return None
            self._begin_renewal(data_classes)
            if self._renewing is not None:
                await asyncio.wait([self._renewing])
        if self.keyring.has_keys(key_ids):
            return None
        return KeyUnavailable(
            "a data encryption key that others use already is not available yet",
            hint="The key provider did not unwrap it. The statement can be tried again.",
        )

    async def _fill_grants(self, data_classes: Collection[str]) -> None:
        for name in data_classes:
            if self.keyring.remaining_seals(name) < SEALS_AT_ONCE // 2:
                given = await self._grant(self._providers, name)
                if not _use(self.keyring, name, given):
                    self.want_renewal()  # the limit was reached, and a new key made

    async def _renew(self, data_classes: tuple[str, ...]) -> None:
        providers, self._is_wanted = self._providers, False
        try:
            made = await self.make(providers, data_classes, self.keyring)
        except PgcryptError as error:
            self._is_wanted = True
            self._failures += 1
            limit = min(LONGEST_PAUSE * self._ttl_s, 0.5 * 2**self._failures)
            self._try_at = self._clock() + secrets.SystemRandom().uniform(0, limit)
            log.failure("keys not renewed", error)
            return
        if providers is not self._providers:  # the rules were reloaded meanwhile
            made.zeroise()
            return
        older = self.keyring
        made.carry_grants(older)
        self.put(providers, made)
        self._on_renewed()
        older.zeroise()

    async def stop(self) -> None:
        """Begin nothing any more."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if hasattr(self, "keyring"):
            self.keyring.zeroise()


def _store(connection: psycopg.Connection, providers: Providers) -> KeyringStore:
    return KeyringStore(connection, providers.current, providers.previous)


def _use(keyring: Keyring, data_class: str, given: Grant) -> bool:
    """Whether the grant is of the keyring's active key; if not, a new one was made since, and it is lost."""
    if keyring.active_keys.get(data_class) != given.key_id:
        return False
    keyring.grant_seals(given.key_id, given.count)
    return True
