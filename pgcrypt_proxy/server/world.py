"""What all connections share: the rules, the catalog's planner, and the unwrapped keys, kept current.

Work on the database is psycopg's blocking kind, done one job at a time in a
thread; its results are put in force on the event loop. DDL anywhere, and every
change of the keyring, is told by NOTIFY; DDL is found by a slow poll besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.crypto.providers import KekProvider, make_provider
from pgcrypt_proxy.crypto.providers.metered import Metered
from pgcrypt_proxy.errors import ConfigError, KeyNotLoaded, PgcryptError, PolicyError, Refusal
from pgcrypt_proxy.ops import catalog_loader, catalog_lookup, sealed_types
from pgcrypt_proxy.ops.keyring_store import Providers, make_providers
from pgcrypt_proxy.ops.swap_locks import SwapLocks
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.policy.model import Policy
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.database import CATALOG_CHANNEL, KEYRING_CHANNEL, Database
from pgcrypt_proxy.server.key_keeper import Clock, KeyKeeper
from pgcrypt_proxy.server.metrics import Metrics
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.server.tenant_keeper import TenantKeeper
from pgcrypt_proxy.session.events import WorldChanged
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.planner import Planner

TICK_S = 0.5
#: While a rule has a phase: statements wait for at most a few of these at a swap.
WATCHING_TICK_S = 0.05
RETRY_S = 2.0
MAX_REST_S = 0.5

ProviderMaker = Callable[[str, Mapping[str, str]], KekProvider]


@dataclass(frozen=True, slots=True)
class NewRules:
    """Rules that were read and checked, with all that they need. In force nowhere yet."""

    policy: Policy
    catalog: Catalog
    providers: Providers
    keyring: Keyring


class World:
    """Made by `open` before the loop serves; `run` keeps it current until it is cancelled."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        clock: Clock = time.monotonic,
        make_provider: ProviderMaker = make_provider,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._make_provider = make_provider
        self._database = Database(settings.database_url, connect_timeout_s=int(settings.connect_timeout_s))
        # A lookup does not wait for a load.
        self._lookups = Database(settings.database_url, connect_timeout_s=int(settings.connect_timeout_s), channels=())
        self._versions = itertools.count(1)  # taken from two threads
        self._version = 0
        self._subscribers: set[Callable[[WorldChanged], None]] = set()
        self._users: set[Callable[[str], bool]] = set()
        self._swap_locks = SwapLocks(clock)
        self._refreshing: asyncio.Task[str | None] | None = None
        self._wanted: asyncio.Task[str | None] | None = None
        self._rested_at = 0.0
        self._keys: KeyKeeper | None = None
        self._tenants: TenantKeeper | None = None
        self.policy: Policy
        self.planner: Planner

    # -- start

    def open(self) -> None:
        """Load everything, and check that the rules are in force. Raises ConfigError, PolicyError, KeyUnavailable."""
        self.policy = load(self._settings.rules)
        providers = self._providers(self.policy)
        connection = self._database.connected()
        _check_encoding(connection)
        catalog = self._load_catalog(connection, self.policy)
        self._check_rules(catalog)
        url, timeout_s, ttl_s = self._settings.database_url, self._settings.connect_timeout_s, self._settings.key_ttl_s
        database = Database(url, connect_timeout_s=int(timeout_s), channels=())
        self._tenants = TenantKeeper(database, providers, ttl_s=ttl_s, clock=self._clock)
        self._keys = KeyKeeper(
            self._database,
            self._metrics,
            providers,
            self._tell,
            ttl_s=ttl_s,
            clock=self._clock,
            tenants=self._tenants.keys,
        )
        self._keys.open(_data_classes(self.policy))
        self.planner = self._make_planner(catalog)

    @property
    def keys(self) -> KeyKeeper:
        assert self._keys is not None, "open comes first"
        return self._keys

    def may_watch(self) -> bool:
        """Whether statements on tables of rules with a phase may be sent: these are watched for swaps."""
        return self._clock() < self._swap_locks.valid_until

    @property
    def keyring(self) -> Keyring:
        """The unwrapped keys that are in force."""
        return self.keys.keyring

    def _providers(self, policy: Policy) -> Providers:
        def metered(name: str, options: Mapping[str, str]) -> KekProvider:
            return Metered(self._make_provider(name, options), self._metrics.kms_call)

        return make_providers(policy.keyring, metered)

    def _load_catalog(self, connection: psycopg.Connection, policy: Policy) -> Catalog:
        self._version = version = next(self._versions)
        held = self._swap_locks.take(connection, policy.moving_tables)
        try:
            catalog = catalog_loader.load(connection, policy, version=version)
        except PgcryptError as error:
            if error.code != "XX000":  # pg_get_indexdef() and the like, of what others have just dropped
                raise
            catalog = catalog_loader.load(connection, policy, version=version)
        if self._may_wait and sealed_types.lacking(catalog):
            sealed_types.prepare(connection, policy)
            catalog = catalog_loader.load(connection, policy, version=version)
        return replace(catalog, watched_tables=_names(policy.moving_tables)).holding(held)

    @property
    def _may_wait(self) -> bool:
        """Whether columns that rules name may be missing, until DDL through the proxy makes them."""
        return self._settings.absent_columns == "wait"

    def _check_rules(self, catalog: Catalog) -> None:
        check_armed(catalog, may_wait=self._may_wait)
        for column in catalog.ruled.values():
            if not column.relation_oid:
                log.get().warning("column waits for its table", column=column.qualified_name)
        for name in sorted(catalog.plain):
            log.get().warning("column is plain for now", column=name)

    def _make_planner(self, catalog: Catalog) -> Planner:
        return Planner(catalog, max_statement_bytes=self._settings.max_statement_bytes)

    # -- for connections

    def subscribe(self, on_change: Callable[[WorldChanged], None], is_using: Callable[[str], bool]) -> None:
        """`is_using`: whether a statement on that table (schema.name) of a rule with a phase is under way."""
        self._subscribers.add(on_change)
        self._users.add(is_using)

    def unsubscribe(self, on_change: Callable[[WorldChanged], None], is_using: Callable[[str], bool]) -> None:
        self._subscribers.discard(on_change)
        self._users.discard(is_using)

    async def refresh_catalog(self) -> str | None:
        """Load the catalog anew and tell everybody if it changed; returns what went wrong, fit for a client.

        Whoever asks while a load that began earlier is under way gets the one after it.
        """
        # A load that is done began before, too: that must be asked of it, as nobody clears it away.
        if self._refreshing is not None and not self._refreshing.done():
            with contextlib.suppress(Exception):
                await asyncio.shield(self._refreshing)
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._refresh_catalog())
        return await asyncio.shield(self._refreshing)

    def want_catalog(self) -> asyncio.Task[str | None]:
        """Load the catalog anew soon; nobody has to wait for it. Between such loads is as much time as they take."""
        if self._wanted is None or self._wanted.done():
            self._wanted = asyncio.ensure_future(self._refresh_rested())
        return self._wanted

    async def _refresh_rested(self) -> str | None:
        if self._refreshing is not None and not self._refreshing.done():
            await asyncio.wait([self._refreshing])
        await asyncio.sleep(self._rested_at - time.monotonic())
        self._wanted = None  # who wants it from now on wants the next one
        return await self.refresh_catalog()

    async def fetch_keys(self, wanted: KeyNotLoaded) -> PgcryptError | None:
        """Load keys of tenants, and the keyring anew if it lacks one of the others; returns what went wrong."""
        assert self._tenants is not None, "open comes first"
        error = await self._tenants.fetch(wanted)
        lacking = self._tenants.shared & wanted.key_ids
        return error if not lacking else await self.keys.catch_up(lacking, _data_classes(self.policy)) or error

    async def look_up(self, names: frozenset[str], *, but_plain: bool) -> str | None:
        """Load the catalog anew if it would say something new of these relations (`ops.catalog_lookup`)."""
        try:
            if not await self._lookups.run(lambda c: catalog_lookup.matters(c, names, but_plain=but_plain)):
                return None
        except PgcryptError as error:
            log.failure("relations not looked up", error)
        return await self.refresh_catalog()

    async def _refresh_catalog(self) -> str | None:
        policy = self.policy
        started = time.monotonic()
        try:
            catalog = await self._database.run(lambda c: self._load_catalog(c, policy))
        except PgcryptError as error:
            self._metrics.catalog_loads.labels("error").inc()
            log.failure("catalog not loaded", error)
            if isinstance(error, PolicyError) and self.planner.blocked is None and policy is self.policy:
                self._block(error)
            return "the catalog could not be read"
        finally:
            now = time.monotonic()
            self._rested_at = now + min(now - started, MAX_REST_S)
        self._metrics.catalog_loads.labels("ok").inc()
        if policy is not self.policy:  # the rules were reloaded meanwhile: what was loaded is not theirs
            return await self._refresh_catalog()
        if self.planner.blocked is not None or not same(catalog, self.planner.catalog):
            self.planner = self._make_planner(catalog)
            self._tell()
        return None

    async def _watch_swaps(self) -> None:
        """Follow the tables whose columns are on their way. Raises PgcryptError."""
        catalog, tables = self.planner.catalog, self.policy.moving_tables
        if not tables and not catalog.watched_tables:
            return
        had_lapsed = not self.may_watch()
        try:
            held = await self._database.run(lambda c: self._swap_locks.take(c, tables))
        except PgcryptError:
            self._hold(catalog.watched_tables)  # without the locks nothing is certain
            raise
        if not catalog.is_holding(held) or catalog.watched_tables != _names(tables):
            await self.refresh_catalog()
        elif had_lapsed:
            self._tell()  # sessions wait
        free = {t for t in self.planner.catalog.held_tables if not any(is_using(t) for is_using in self._users)}
        kept = self.planner.catalog.watched_tables - free
        await self._database.run(lambda c: self._swap_locks.keep_only(c, kept))

    def _hold(self, tables: frozenset[str]) -> None:
        catalog = self.planner.catalog
        if catalog.held_tables != tables and self.planner.blocked is None:
            held = dict.fromkeys(tables, False)
            self.planner = self._make_planner(replace(catalog, version=next(self._versions)).holding(held))
            self._tell()

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

    # -- upkeep

    async def run(self) -> None:
        """Keep catalog, keys and grants current. Never returns."""
        next_poll = time.monotonic() + self._settings.catalog_poll_s
        next_tick = 0.0
        try:
            while True:
                await asyncio.sleep(WATCHING_TICK_S if self.policy.moving_tables else TICK_S)
                try:
                    await self._watch_swaps()
                    if time.monotonic() < next_tick:
                        continue
                    next_tick = time.monotonic() + TICK_S - WATCHING_TICK_S
                    heard = await self._database.run(self._database.heard)
                    if KEYRING_CHANNEL in heard:
                        self.keys.want_renewal()
                    self.keys.need_index_keys(c.index_generation for c in self.planner.catalog.protected_columns)
                    await self.keys.tick(_data_classes(self.policy))
                    if self._tenants is not None:
                        self._tenants.tick_soon()
                    if CATALOG_CHANNEL in heard or time.monotonic() >= next_poll:
                        next_poll = time.monotonic() + self._settings.catalog_poll_s
                        wanted = self.want_catalog()
                        if self.policy.moving_tables:
                            continue  # a swap waits for no load
                        if await asyncio.shield(wanted) is not None:  # nobody may tell again what was told
                            next_poll = min(next_poll, time.monotonic() + RETRY_S)
                except PgcryptError as error:
                    log.failure("upkeep failed", error)
                    # statements on tables of rules with a phase wait meanwhile
                    await asyncio.sleep(WATCHING_TICK_S if self.policy.moving_tables else RETRY_S)
        finally:
            if self._wanted is not None:
                self._wanted.cancel()
            await self.keys.stop()
            if self._tenants is not None:
                await self._tenants.stop()

    async def prepare_rules(self, paths: Sequence[Path]) -> NewRules:
        """Read and check rule files, and load what they need. Raises PgcryptError; changes nothing."""
        policy = await asyncio.to_thread(load, tuple(paths))
        providers = self._providers(policy)
        catalog = await self._database.run(lambda c: self._load_catalog(c, policy))
        self._check_rules(catalog)
        return NewRules(policy, catalog, providers, await self.keys.make(providers, _data_classes(policy), None))

    def put_rules(self, new: NewRules) -> None:
        """Let these rules be in force, for live connections too. DDL may have come meanwhile: refresh the catalog."""
        older = self.keyring
        self.policy = new.policy
        self.planner = self._make_planner(new.catalog)
        self.keys.put(new.providers, new.keyring)
        if self._tenants is not None:
            self._tenants.providers = new.providers
        self._tell()
        older.zeroise()

    def close(self) -> None:
        if self._keys is not None:
            self._keys.close()
        if self._tenants is not None:
            self._tenants.close()
        self._lookups.close()
        self._database.close()


def _data_classes(policy: Policy) -> set[str]:
    return {rule.data_class for rule in policy.rules if rule.tenant is None}


def same(one: Catalog, other: Catalog) -> bool:
    """Whether two catalogs say the same, their versions apart."""
    return all(
        getattr(one, what) == getattr(other, what)
        for what in (
            "relations",
            "tainted_functions",
            "unmet_rules",
            "ruled",
            "plain",
            "moving",
            "watched_tables",
            "held_tables",
            "held_together",
        )
    )


def _names(tables: Iterable[tuple[str, str]]) -> frozenset[str]:
    return frozenset(f"{schema}.{table}" for schema, table in tables)


def check_armed(catalog: Catalog, *, may_wait: bool = False) -> None:
    """Every rule must be in force: a named column that holds plaintext would be no protection. Raises PolicyError.

    `may_wait`: columns that are not there are those of tables to come.
    """
    late = [c.qualified_name for c in catalog.protected_columns if not c.is_armed]
    late += [] if may_wait else [f"{schema}.{table}" for schema, table in sorted(catalog.unmet_rules)]
    if late:
        raise PolicyError(
            f"the rules name columns that are not sealed: {', '.join(late)}",
            hint="Create their tables, then run: pgcrypt-proxy protect --all. If migrations through the proxy are to"
            " create them, set absent_columns: wait.",
            sqlstate="55000",
        )


def _check_encoding(connection: psycopg.Connection) -> None:
    row = connection.execute("SELECT pg_catalog.current_setting('server_encoding')").fetchone()
    if row is None or row[0] != "UTF8":
        raise ConfigError("the database's encoding is not UTF8", hint="Only UTF8 databases can be protected.")
