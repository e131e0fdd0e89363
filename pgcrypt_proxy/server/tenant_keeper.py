"""Loads keys of tenants when sessions ask for them, and lets go of those that were rotated or destroyed.

Has a connection and thread of its own: a tenant's first value, for which the key
provider is asked, keeps nobody else waiting but those who wait for tenants' keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S
from pgcrypt_proxy.crypto.tenant_keys import TenantKeys
from pgcrypt_proxy.errors import KeyNotLoaded, PgcryptError
from pgcrypt_proxy.ops import tenant_keys
from pgcrypt_proxy.ops.keyring_store import KeyringStore, Providers
from pgcrypt_proxy.ops.tenant_keys import Loaded
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.database import Database

#: As many keys are asked for at once.
MAX_AT_ONCE = 256
#: Keys in use are loaded anew when no more than that part of their time is left.
RENEW_AT = 0.5


class _Question:
    """What several sessions want, answered once."""

    def __init__(self) -> None:
        self.key_ids: set[int] = set()
        self.seals: dict[tuple[str, str], int] = {}
        self.task: asyncio.Task[PgcryptError | None] | None = None


class TenantKeeper:
    """Fills `keys`, which all keyrings of the process share."""

    def __init__(
        self, database: Database, providers: Providers, *, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.keys = TenantKeys(ttl_s=ttl_s, clock=clock)
        self.providers = providers
        self._database = database
        self._clock = clock
        self._next: _Question | None = None
        self._running: asyncio.Task[PgcryptError | None] | None = None
        self._renewing: asyncio.Task[PgcryptError | None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        #: Of the keys that were asked for, those that are no tenant's: it is the keyring that lacks them.
        self.shared: set[int] = set()

    async def fetch(self, wanted: KeyNotLoaded) -> PgcryptError | None:
        """Load what is wanted; returns why that was not possible.

        What is wanted while a question is under way is asked in one that follows it.
        """
        question = self._next
        if question is None:
            question = self._next = _Question()
            question.task = asyncio.ensure_future(self._answer(question, self._running))
            self._running = question.task
        question.key_ids |= wanted.key_ids
        for named, count in wanted.seals.items():
            question.seals[named] = question.seals.get(named, 0) + count
        assert question.task is not None
        error = await asyncio.shield(question.task)
        return error if error is not None and self._lacks(wanted) else None

    def _lacks(self, wanted: KeyNotLoaded) -> bool:
        """Whether something of it is not there: what could not be had may be what others asked for."""
        return bool(self.keys.missing(wanted.seals)) or any(not self.keys.is_known(k) for k in wanted.key_ids)

    async def _answer(
        self, question: _Question, earlier: asyncio.Task[PgcryptError | None] | None
    ) -> PgcryptError | None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._next = None  # who comes from now on gets the next one
        error = None
        question.key_ids = {key_id for key_id in question.key_ids if not self.keys.is_known(key_id)}
        question.seals = self.keys.missing(question.seals)
        for part in _parts(question):
            error = await self._load(part) or error
        return error

    async def _load(self, wanted: KeyNotLoaded) -> PgcryptError | None:
        providers = self.providers
        asked_at = self._clock()

        def job(connection: psycopg.Connection) -> Loaded:
            store = KeyringStore(connection, providers.current, providers.previous)
            return tenant_keys.load(store, wanted, clock=self._clock)

        try:
            loaded = await self._database.run(job)
        except PgcryptError as error:
            log.failure("keys of tenants not loaded", error)
            return error
        loaded.put(self.keys, seal_until=asked_at + SEAL_LEASE_S)
        self.shared |= loaded.shared
        if loaded.error is not None:
            log.failure("keys of tenants not loaded", loaded.error)
        return loaded.error

    def tick_soon(self) -> None:
        """`tick`, unless one is under way. Nobody waits for it: it may come behind keys that are being loaded."""
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.ensure_future(self._tick())

    async def _tick(self) -> None:
        try:
            await self.tick()
        except PgcryptError as error:
            log.failure("keys of tenants not looked at", error)

    async def tick(self) -> None:
        """Renew the leases of the keys in memory, drop what is not active any more, and renew those in use.

        Raises PgcryptError.
        """
        held = self.keys.key_ids
        if not held:
            return
        asked_at = self._clock()
        states = await self._database.run(lambda c: tenant_keys.states(c, held))
        self.keys.confirm(states, held, asked_at + SEAL_LEASE_S)
        if self._renewing is None or self._renewing.done():
            due = self.keys.due(self.keys.ttl_s * RENEW_AT)
            if due:
                self._renewing = asyncio.ensure_future(self._load(KeyNotLoaded(key_ids=due)))

    async def stop(self) -> None:
        """Begin nothing any more."""
        tasks = [task for task in (self._running, self._renewing, self._ticking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        self._database.close()
        self.keys.clear()


def _parts(question: _Question) -> list[KeyNotLoaded]:
    """The question in parts that are not long."""
    ids, seals = sorted(question.key_ids), sorted(question.seals.items())
    parts = [KeyNotLoaded(key_ids=ids[at : at + MAX_AT_ONCE]) for at in range(0, len(ids), MAX_AT_ONCE)]
    return parts + [KeyNotLoaded(seals=dict(seals[at : at + MAX_AT_ONCE])) for at in range(0, len(seals), MAX_AT_ONCE)]
