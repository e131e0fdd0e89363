"""Rotation: a new DEK for new values, a new index key for columns to come, or a new KEK around all keys.

After `rotate_deks` no value is sealed under an old DEK any more, by anybody: proxies
seal on a lease that they renew only while the database says that their key is
active, so it waits for the longest one; tools that seal hold a lock that
makes it wait. Old DEKs stay, and open what they sealed.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S, KeyRecord, wrap_context
from pgcrypt_proxy.crypto.providers import KekProvider, Rewraps, holder
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.keyring_store import KEY_USE_LOCK, KeyringStore

#: More than the lease, for clocks that do not run alike.
LET_GO_S = SEAL_LEASE_S * 1.05
LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Rotated:
    """A data class and its DEKs: the one that was active, and the one that is."""

    data_class: str
    old_id: int
    new_id: int


def rotate_deks(
    store: KeyringStore,
    data_class: str | None = None,
    *,
    tenant: str = "",
    on_committed: Callable[[list[Rotated]], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Rotated]:
    """New active DEKs, for one data class or for all, of one tenant or of none.

    Returns when nobody can seal under the old ones any more.

    Raises ConfigError, with nothing changed, when there is no such data class or a
    tool is sealing, and KeyUnavailable.
    """
    connection = store.connection
    with readable_errors("rotating data keys"), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        # before the lock of `store.lock`, which who holds this one in another connection may want
        hold_keys_in_use(connection)
        store.lock()
        found = store.find("kind = 'dek' AND state = 'active' AND tenant = %(tenant)s", {"tenant": tenant})
        active = sorted(r.data_class for r in found)
        wanted = active if data_class is None else [data_class]
        of_tenant = f' of tenant "{tenant}"' if tenant else ""
        if (data_class is not None and data_class not in active) or (tenant and not active):
            what = f' of data class "{data_class}"' if data_class is not None else ""
            raise ConfigError(
                f"no key{what}{of_tenant} is active", hint=f"Data classes: {', '.join(active) or 'none'}."
            )
        new_keys = [store.new_key("dek", name, tenant) for name in wanted]
        rotated = [Rotated(new.data_class, *store.roll(new, "by command")) for new in new_keys]
    on_committed(rotated)
    if rotated:
        sleep(LET_GO_S)
    return rotated


def hold_keys_in_use(connection: psycopg.Connection) -> None:
    """Until the transaction ends no tool seals. Raises ConfigError while one does."""
    connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}".encode())
    try:
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [KEY_USE_LOCK])
    except pg_errors.LockNotAvailable:
        raise ConfigError(
            "values are being sealed by `protect` or `reseal`", hint="Try again when that has ended.", sqlstate="55P03"
        ) from None


def rotate_index_key(store: KeyringStore) -> int:
    """A new index key, for columns to come and for `ops.online.reindex`; its generation. Raises KeyUnavailable."""
    store.ensure_keys(())
    with readable_errors("rotating the index key"), store.connection.transaction():
        store.connection.execute("SET LOCAL synchronous_commit = on")
        store.lock()
        new = store.new_key("index", "")
        store.roll(new, "by command")
    return new.generation


def rotate_kek(store: KeyringStore) -> int:
    """Wrap every key anew under the present KEK, all or none; how many. No value is touched.

    Each new wrapping is unwrapped and compared before anything is stored. Raises
    KeyUnavailable when a key cannot be unwrapped, wrapped or proved.
    """
    connection, current = store.connection, store.providers.current
    keyring_id = store.keyring_id()
    with readable_errors("wrapping the keyring anew"), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        store.lock()
        # all calls of the provider first: from the UPDATE on, proxies wait for their grants
        made = [(r.id, _rewrapped(store, keyring_id, r)) for r in store.records() if r.wrapped is not None]
        for key_id, wrapped in made:
            connection.execute(
                "UPDATE pgcrypt.keyring SET wrapped = %s, provider = %s, kek_id = %s,"
                " rewrapped_at = pg_catalog.now() WHERE id = %s",
                [wrapped, current.name, current.kek_id, key_id],
            )
            audit.record(connection, audit.REWRAPPED, key_id, f"wrapped by {current.name} {current.kek_id}")
    return len(made)


def _rewrapped(store: KeyringStore, keyring_id: bytes, record: KeyRecord) -> bytes:
    providers = store.providers
    assert record.wrapped is not None
    context = wrap_context(keyring_id, record.kind, record.data_class, record.tenant, record.generation)
    old = holder((providers.current, *providers.previous), record.provider, record.kek_id)
    key = old.unwrap(record.wrapped, context)
    wrapped = _moved(providers.current, record, context) or providers.current.wrap(key, context)
    if not hmac.compare_digest(providers.current.unwrap(wrapped, context), key):
        raise KeyUnavailable(
            f"key {record.id} does not come back from the new key encryption key as it was; nothing was changed"
        )
    return wrapped


def _moved(current: KekProvider, record: KeyRecord, context: dict[str, str]) -> bytes | None:
    """Wrapped anew by the provider itself, where it can do that; else None."""
    if not isinstance(current, Rewraps) or current.name != record.provider or record.wrapped is None:
        return None
    try:
        return current.rewrap(record.wrapped, context, record.kek_id)
    except KeyUnavailable:  # another region or engine, say: the longer way is as good
        return None
