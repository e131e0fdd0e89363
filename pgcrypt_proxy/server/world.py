"""What all connections share: the rules, the catalog's planner, and the unwrapped keys, kept current.

Work on the database is psycopg's blocking kind, done one job at a time in a
thread; its results are put in force on the event loop. DDL anywhere is told by
NOTIFY (channel `pgcrypt_catalog`) and found by a slow poll besides; keys are
unwrapped anew ahead of their end, and seals are granted ahead of their use.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.crypto.providers import KekProvider, make_provider
from pgcrypt_proxy.errors import ConfigError, PgcryptError, PolicyError, Refusal
from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import DEFAULT_BLOCK, Grant, KeyringStore
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.policy.model import Policy
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.metrics import Metrics
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.session.events import WorldChanged
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.planner import Planner

T = TypeVar("T")

CHANNEL = "pgcrypt_catalog"
SEALS_AT_ONCE = 4 * DEFAULT_BLOCK
TICK_S = 0.5
RETRY_S = 2.0
#: Fraction of the keys' time after which they are unwrapped anew.
REFRESH_AT = 0.5


class World:
    """Made by `open` before the loop serves; `run` keeps it current until it is cancelled."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._jobs = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._connection: psycopg.Connection | None = None
        self._version = 0
        self._has_missed = False
        self._subscribers: set[Callable[[WorldChanged], None]] = set()
        self._refreshing: asyncio.Task[str | None] | None = None
        self._wants_refresh = asyncio.Event()
        self.policy: Policy
        self.planner: Planner
        self.keyring: Keyring
        self._provider: KekProvider

    # -- start

    def open(self) -> None:
        """Load everything, and check that the rules are in force. Raises ConfigError, PolicyError, KeyUnavailable."""
        self.policy = load(self._settings.rules)
        self._provider = make_provider(self.policy.keyring.provider, self.policy.keyring.options)
        connection = self._connected()
        _check_encoding(connection)
        catalog = self._load_catalog()
        check_armed(catalog)
        self.keyring = self._unlock(None)
        self.planner = self._make_planner(catalog)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._settings.database_url, connect_timeout_s=int(self._settings.connect_timeout_s)
            )
            self._connection.execute(f"LISTEN {CHANNEL}")
            self._has_missed = True  # what was told while nobody listened
        return self._connection

    def _load_catalog(self) -> Catalog:
        self._version += 1
        return catalog_loader.load(self._connected(), self.policy, version=self._version)

    def _make_planner(self, catalog: Catalog) -> Planner:
        return Planner(catalog, max_statement_bytes=self._settings.max_statement_bytes)

    def _data_classes(self) -> set[str]:
        return {rule.data_class for rule in self.policy.rules}

    def _unlock(self, older: Keyring | None) -> Keyring:
        store = KeyringStore(self._connected(), self._provider)
        self._metrics.keyring_unwrapped()
        if older is None:
            needs = dict.fromkeys(self._data_classes(), SEALS_AT_ONCE)
            return store.unlock_with_grants(needs, ttl_s=self._settings.key_ttl_s)
        return store.unlock(self._data_classes(), ttl_s=self._settings.key_ttl_s)

    # -- for connections

    def subscribe(self, on_change: Callable[[WorldChanged], None]) -> None:
        self._subscribers.add(on_change)

    def unsubscribe(self, on_change: Callable[[WorldChanged], None]) -> None:
        self._subscribers.discard(on_change)

    async def refresh_catalog(self) -> str | None:
        """Load the catalog anew and tell everybody if it changed; returns what went wrong, fit for a client.

        Whoever asks while a load that began earlier is under way gets the one after it.
        """
        if self._refreshing is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(self._refreshing)
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh_catalog())
            self._refreshing.add_done_callback(lambda _: setattr(self, "_refreshing", None))
        return await asyncio.shield(self._refreshing)

    async def _refresh_catalog(self) -> str | None:
        try:
            catalog = await self._job(self._load_catalog)
        except PgcryptError as error:
            self._metrics.catalog_loads.labels("error").inc()
            log.failure("catalog not loaded", error)
            if isinstance(error, PolicyError) and self.planner.blocked is None:
                self._block(error)
            return "the catalog could not be read"
        self._metrics.catalog_loads.labels("ok").inc()
        if self.planner.blocked is not None or not same(catalog, self.planner.catalog):
            self.planner = self._make_planner(catalog)
            self._tell()
        return None

    def _block(self, error: PolicyError) -> None:
        """The database contradicts the rules: no plan could be trusted, so nothing passes until they agree."""
        refusal = Refusal(
            f"the rules contradict the database: {error.message}",
            hint="Correct the rules and reload them (SIGHUP), or the database; `pgcrypt-proxy check` tells more.",
            sqlstate="55000",
        )
        self.planner = Planner(self.planner.catalog, blocked=refusal)
        self._tell()

    def _tell(self) -> None:
        event = WorldChanged(self.planner, self.keyring)
        for on_change in tuple(self._subscribers):
            on_change(event)

    async def _job(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._jobs, work)

    # -- upkeep

    async def run(self) -> None:
        """Keep catalog, keys and grants current. Never returns."""
        next_poll = time.monotonic() + self._settings.catalog_poll_s
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wants_refresh.wait(), TICK_S)
            wanted = self._wants_refresh.is_set()
            self._wants_refresh.clear()
            try:
                wanted = await self._job(self._was_notified) or wanted
                if wanted or time.monotonic() >= next_poll:
                    next_poll = time.monotonic() + self._settings.catalog_poll_s
                    await self.refresh_catalog()
                await self._keep_keys()
            except PgcryptError as error:
                log.failure("upkeep failed", error)
                await asyncio.sleep(RETRY_S)
            self._metrics.key_expiry.set(max(self.keyring.expires_at - time.monotonic(), 0))

    def _was_notified(self) -> bool:
        """Whether DDL was told since the last look; reads what has come, waits for nothing."""
        try:
            was_told = bool(list(self._connected().notifies(timeout=0)))
        except psycopg.OperationalError:
            return False  # the connection was lost; the next one finds what was missed
        missed, self._has_missed = self._has_missed, False
        return was_told or missed

    async def _keep_keys(self) -> None:
        left = self.keyring.expires_at - time.monotonic()
        low = [name for name in self._data_classes() if self.keyring.remaining_seals(name) < SEALS_AT_ONCE // 2]
        if left < self._settings.key_ttl_s * REFRESH_AT:
            await self._renew_keys()
        for name in low:
            given = await self._job(functools.partial(self._grant, name))
            if given.key_id not in self.keyring.key_ids:
                await self._renew_keys()
            self.keyring.grant_seals(given.key_id, given.count)

    def _grant(self, data_class: str) -> Grant:
        return KeyringStore(self._connected(), self._provider).grant(data_class, SEALS_AT_ONCE)

    async def _renew_keys(self) -> None:
        older = self.keyring
        made = await self._job(lambda: self._unlock(older))
        made.carry_grants(older)
        self.keyring = made
        self._tell()
        older.zeroise()

    async def reload_rules(self) -> None:
        """Read the rule files again; bad ones change nothing and are logged."""
        before = self.policy, self._provider
        try:
            policy = load(self._settings.rules)
            provider = make_provider(policy.keyring.provider, policy.keyring.options)
            self.policy, self._provider = policy, provider
            catalog = await self._job(self._load_catalog)
            check_armed(catalog)
            keyring = await self._job(lambda: self._unlock(None))
        except PgcryptError as error:
            self.policy, self._provider = before
            log.failure("rules not reloaded", error)
            return
        older = self.keyring
        self.planner, self.keyring = self._make_planner(catalog), keyring
        self._tell()
        older.zeroise()
        log.get().info("rules reloaded", count=len(policy.rules))

    def close(self) -> None:
        self._jobs.shutdown(wait=True, cancel_futures=True)
        if self._connection is not None:
            self._connection.close()
        with contextlib.suppress(AttributeError):
            self.keyring.zeroise()


def same(one: Catalog, other: Catalog) -> bool:
    """Whether two catalogs say the same, their versions apart."""
    return (one.relations, one.tainted_functions, one.unmet_rules) == (
        other.relations,
        other.tainted_functions,
        other.unmet_rules,
    )


def check_armed(catalog: Catalog) -> None:
    """Every rule must be in force: a named column that holds plaintext would be no protection. Raises PolicyError."""
    late = [c.qualified_name for c in catalog.protected_columns if not c.is_armed]
    late += [f"{schema}.{table}" for schema, table in sorted(catalog.unmet_rules)]
    if late:
        raise PolicyError(
            f"the rules name columns that are not sealed: {', '.join(late)}",
            hint="Create their tables, then run: pgcrypt-proxy protect --all",
            sqlstate="55000",
        )


def _check_encoding(connection: psycopg.Connection) -> None:
    row = connection.execute("SELECT pg_catalog.current_setting('server_encoding')").fetchone()
    if row is None or row[0] != "UTF8":
        raise ConfigError("the database's encoding is not UTF8", hint="Only UTF8 databases can be protected.")
