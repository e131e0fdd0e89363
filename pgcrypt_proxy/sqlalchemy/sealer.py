"""The keys in an application's process: opened once, kept good whenever they are used, and what is done with them.

Seals as a proxy does: on a lease that a look into the database renews, on
grants that the database counts, and with keys that are unwrapped anew ahead of
their end. There is no thread of its own: upkeep is done by whoever uses the
keys, or by the application with `refresh`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S, Keyring
from pgcrypt_proxy.errors import ConfigError, KeyNotLoaded, PgcryptError, Refusal
from pgcrypt_proxy.ops import catalog_loader, tenant_keys
from pgcrypt_proxy.ops.connect import connect, readable_errors
from pgcrypt_proxy.ops.keyring_store import KeyringStore, Providers, active_ids, make_providers
from pgcrypt_proxy.ops.open_one import find_column
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.policy.model import REINDEXING, Policy
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import SilentObserver
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.sql.plan import ParameterUse, Use
from pgcrypt_proxy.sql.tenant_values import TenantFrom
from pgcrypt_proxy.sqlalchemy import natives
from pgcrypt_proxy.sqlalchemy.of_tenant import OfTenant, check_stated, named, refuse_unknown
from pgcrypt_proxy.sqlalchemy.unwrapped import unwrapped
from pgcrypt_proxy.values import codec

#: Where DDL is told of.
CATALOG_CHANNEL = "pgcrypt_catalog"
#: How often the database is asked which keys are active; a lease is good for several such times.
LOOK_EVERY_S = 2.0
RETRY_S = 0.5
#: A process takes so many seals at once; what it does not use is lost.
SEALS_AT_ONCE = 10_000
DEFAULT_TTL_S = 300.0

T = TypeVar("T")
Clock = Callable[[], float]
_log = logging.getLogger("pgcrypt_proxy.sqlalchemy")


@dataclass(slots=True, repr=False)
class _Opened:
    """What `open` found. The connection is the Sealer's own and nothing but keys is asked on it."""

    url: str
    policy: Policy
    providers: Providers
    ttl_s: float
    connection: psycopg.Connection | None = None
    catalog: Catalog | None = None
    is_stale: bool = True  # the database's shape may be another by now
    keyring: Keyring | None = None
    values: Values | None = None
    look_at: float = float("-inf")
    columns: dict[tuple[str, str], ProtectedColumn] = field(default_factory=dict)


class Sealer:
    """Made where the models are, opened where the application starts. May be used by several threads."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        _sealers.add(self)

    # -- life

    def open(self, rules: Sequence[str | Path], database_url: str, *, ttl_s: float = DEFAULT_TTL_S) -> None:
        """Read the rules, look up their columns in the database, and unwrap the keys.

        The URL's role must be one that may read schema pgcrypt, as a proxy's.
        """
        if not 1 <= ttl_s <= DEFAULT_TTL_S:
            raise ValueError("ttl_s is between 1 and 300")
        with unwrapped():
            policy = load([Path(path) for path in rules])
            made = _Opened(database_url, policy, make_providers(policy.keyring), ttl_s)
            try:
                self._upkeep(made)
            except BaseException:
                _end(made)
                raise
        self.close()
        with self._lock:
            self._opened = made

    def close(self) -> None:
        """Forget the keys. It can be opened again."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                _end(opened)

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    def refresh(self) -> None:
        """Do now what would be due within the next seconds; raises when the database or the keys' provider is away.

        An application that calls it every few seconds, in a thread of its own, never waits for either in a query.
        """
        with unwrapped(), self._lock:
            self._upkeep(self._state())

    def __repr__(self) -> str:
        return f"Sealer({'open' if self.is_open else 'closed'})"

    # -- values

    def column(self, name: str, tenant: str = "") -> ProtectedColumn:
        """The sealed column called `table.column` or `schema.table.column`. `tenant` names its tenants."""
        with unwrapped(), self._lock:
            opened = self._state()
            self._current(opened)
            return self._column(opened, name, tenant)

    def beside(self, name: str, tenant: str) -> set[str]:
        """The columns of the same table, itself among them, that go by the same tenants."""
        with unwrapped(), self._lock:
            opened = self._state()
            self._current(opened)
            column = self._column(opened, name, tenant)
            assert opened.catalog is not None
            return {
                other.qualified_name
                for other in opened.catalog.protected_columns
                if other.relation_oid == column.relation_oid and other.has_tenant_column
            }

    def seal(self, name: str, value: Any, tenant: str = "", of: OfTenant | None = None) -> bytes:
        """The envelope of a Python value, which is not None. `of` says whose it is, where `tenant` names tenants."""
        with unwrapped(), self._lock:
            opened = self._state()
            values = self._current(opened)
            column = self._column(opened, name, tenant)
            text = natives.written(column.type, value)
            data = codec.from_text(codec.literal_type(column.type), text, values.settings)
            if column.tenant is not None:
                if of is None:
                    raise refuse_unknown(column)
                values.tenants.session = named(column, of.tenant)
                seal = values.sealer(
                    replace(column, tenant_value=TenantFrom.SESSION), is_binary=True, skips_bad_values=False
                )
                return self._with_tenants(opened, lambda: seal(data))
            if values.keyring.remaining_seals(column.data_class) == 0:
                values = self._granted(opened, column.data_class)
            return values.sealer(column, is_binary=True, skips_bad_values=False)(data)

    def unseal(self, name: str, envelope: bytes, tenant: str = "") -> Any:
        """The Python value of an envelope of that column."""
        with unwrapped(), self._lock:
            opened = self._state()
            values = self._current(opened)
            column = self._column(opened, name, tenant)
            opener = values.opener(column, 1)
            data = self._with_tenants(opened, lambda: opener(envelope))
            return natives.read(column.type, codec.to_text(column.type, data, values.settings))

    def term(self, name: str, value: Any, use: Use = Use.TERM, tenant: str = "") -> bytes:
        """The index term that a value is searched by: of equality, or with Use.PATTERN of ILIKE without wildcards."""
        with unwrapped(), self._lock:
            opened = self._state()
            values = self._current(opened)
            column = self._column(opened, name, tenant)
            _refuse_reindexing(opened.policy, column)
            if use is Use.TERM and "equality" not in column.search:
                raise refuse.needs_search(column, None)
            if use is Use.PATTERN and "equality_casefold" not in column.search:
                raise refuse.needs_folded(column, "ILIKE", "equality_casefold", None)
            text = natives.written(column.type, value)
            made = values.parameter(ParameterUse(0, use, column), 0, text, 0)
            assert made is not None
            return made

    # -- what they are done with; all of it under the lock

    def _state(self) -> _Opened:
        if self._opened is None:
            raise ConfigError("the keys are not open", hint="Call Sealer.open(rules, database_url) at start.")
        return self._opened

    def _column(self, opened: _Opened, name: str, tenant: str) -> ProtectedColumn:
        column = opened.columns.get((name, tenant))
        if column is None:
            if opened.catalog is None:
                raise ConfigError(
                    "the rules contradict the database", hint="`pgcrypt-proxy check` tells more.", sqlstate="55000"
                )
            spelled = name if name.count(".") == 2 else f"public.{name}"
            column = find_column(opened.catalog, spelled)
            check_stated(column, tenant)
            opened.columns[name, tenant] = column
        return column

    def _current(self, opened: _Opened) -> Values:
        """Something that seals and opens now. What cannot be renewed goes on as long as its time lasts."""
        if opened.values is None or self._clock() >= opened.look_at:
            try:
                self._upkeep(opened)
            except PgcryptError as error:
                opened.look_at = self._clock() + RETRY_S
                if opened.values is None:
                    raise
                _log.warning("keys not renewed: %s (%s)", error.message, error.code)
        assert opened.values is not None
        return opened.values

    def _with_tenants(self, opened: _Opened, action: Callable[[], T]) -> T:
        """What `action` gives, with the keys of tenants that it turns out to need."""
        for _ in range(3):
            try:
                return action()
            except KeyNotLoaded as wanted:
                assert opened.keyring is not None
                asked_at = self._clock()
                loaded = tenant_keys.load(self._store(opened), wanted, clock=self._clock)
                loaded.put(opened.keyring.tenants, seal_until=asked_at + SEAL_LEASE_S)
                if loaded.error is not None:
                    raise loaded.error from None
        return action()

    def _connected(self, opened: _Opened) -> psycopg.Connection:
        if opened.connection is None or opened.connection.closed:
            made = connect(opened.url)
            made.add_notify_handler(lambda _: setattr(opened, "is_stale", True))
            made.execute(f"LISTEN {CATALOG_CHANNEL}")
            opened.connection, opened.is_stale = made, True
        return opened.connection

    def _store(self, opened: _Opened) -> KeyringStore:
        return KeyringStore(self._connected(opened), opened.providers.current, opened.providers.previous)

    def _upkeep(self, opened: _Opened) -> None:
        """Renew the lease, the keys when half of their time is over or others are active, and with them the catalog."""
        keyring, now = opened.keyring, self._clock()
        is_young = keyring is not None and keyring.expires_at - now >= opened.ttl_s / 2
        active = active_ids(self._connected(opened))
        if keyring is None or not keyring.confirm_active(active, now + SEAL_LEASE_S) or not is_young:
            self._renew(opened)
        assert opened.keyring is not None
        held = opened.keyring.tenants.key_ids
        if held:
            states = tenant_keys.states(self._connected(opened), held)
            opened.keyring.tenants.confirm(states, held, now + SEAL_LEASE_S)
        if opened.is_stale:  # what was told came with the answers to the queries above
            opened.catalog = None
            opened.columns.clear()
            opened.catalog = catalog_loader.load(self._connected(opened), opened.policy)
            if not opened.keyring.index_generations.issuperset(
                c.index_generation for c in opened.catalog.protected_columns if c.search
            ):
                self._renew(opened)
            opened.is_stale = False
        opened.look_at = now + LOOK_EVERY_S

    def _renew(self, opened: _Opened) -> None:
        store, asked_at = self._store(opened), self._clock()
        with readable_errors("reading the keyring"):
            store.ensure_keys({rule.data_class for rule in opened.policy.rules if rule.tenant is None})
            locked = store.read()
            made = opened.providers.unlock(locked, ttl_s=opened.ttl_s, clock=self._clock)
            made.end_leases()
            store.note_access(made)
        made.confirm_active(locked.active_ids, asked_at + SEAL_LEASE_S)
        opened.is_stale = True
        older, opened.keyring = opened.keyring, made
        if older is not None:
            made.carry_grants(older)
            older.zeroise()
        observer = SilentObserver()
        opened.values = Values(made, observer, Meter(observer, self._clock))

    def _granted(self, opened: _Opened, data_class: str) -> Values:
        """Have more seals counted; where that made a new key, take it into use."""
        given = self._store(opened).grant(data_class, SEALS_AT_ONCE)
        assert opened.keyring is not None
        if opened.keyring.active_keys.get(data_class) != given.key_id:
            self._renew(opened)
        opened.keyring.grant_seals(given.key_id, given.count)
        assert opened.values is not None
        return opened.values

    def _forget(self) -> None:
        """In a forked child: keys' grants and the connection are the parent's, and who held the lock is not here."""
        self._lock = threading.Lock()
        if self._opened is not None:
            self._opened.connection = self._opened.keyring = self._opened.values = None


def _refuse_reindexing(policy: Policy, column: ProtectedColumn) -> None:
    if any(r.qualified_name == column.qualified_name and r.phase == REINDEXING for r in policy.rules):
        raise Refusal(
            f"{column.qualified_name} may get terms under another index key at any moment, and a search by one that is"
            " made here would find nothing then",
            hint="Search through the proxy as long as the rule's phase is reindexing.",
            sqlstate="55006",
        )


def _end(opened: _Opened) -> None:
    if opened.keyring is not None:
        opened.keyring.tenants.clear()
        opened.keyring.zeroise()
    if opened.connection is not None:
        opened.connection.close()


_sealers: weakref.WeakSet[Sealer] = weakref.WeakSet()


def _forget_all() -> None:
    for sealer in tuple(_sealers):
        sealer._forget()


os.register_at_fork(after_in_child=_forget_all)
