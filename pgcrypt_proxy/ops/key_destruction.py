"""Destroys a retired key once the database itself proves that nothing needs it.

The proof is a constraint on domain `pgcrypt.sealed` (and on those that are not over it) that no value names the key:
added unchecked first, so that from then on nothing new can name it, not even an
envelope that was made long ago and waits in a prepared statement; then, when all
transactions that began before have ended, checked against every stored value.
It stays, and keeps old envelopes from coming back. An index key is needed as long as `pgcrypt.columns`
has a type for terms under it: types take no others.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import audit, key_usage, sealed_types
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.install import INSTALL_LOCK
from pgcrypt_proxy.ops.key_usage import KeyUsage

POLL_S = 0.1
LOCK_TIMEOUT_S = 5.0

#: Transactions of this database other than ours. pg_locks shows everybody's to everybody.
_TRANSACTIONS = """
SELECT l.virtualxid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock'
  AND l.pid <> pg_catalog.pg_backend_pid() AND a.datname = pg_catalog.current_database()
"""


def check(connection: psycopg.Connection, key_id: int) -> None:
    """Raises ConfigError when the key is not a retired DEK, or envelopes need it."""
    found = [key for key in key_usage.list_keys(connection) if key.id == key_id]
    if not found:
        raise ConfigError(f"there is no key {key_id}", hint="`pgcrypt-proxy keys` lists them.")
    key = found[0]
    if key.state == "destroyed":
        raise ConfigError(f"key {key_id} is destroyed already")
    if key.kind == "index":
        _check_index_key(connection, key)
        return
    if key.state == "active":
        tenant = f" --tenant {key.tenant}" if key.tenant else ""
        raise ConfigError(
            f"key {key_id} is active", hint=f"First: pgcrypt-proxy rotate dek --data-class {key.data_class}{tenant}"
        )
    places = [usage for usage in key_usage.envelopes_by_place(connection) if usage.key_id == key_id]
    if places:
        raise ConfigError(
            f"key {key_id} is needed by {sum(place.count for place in places):,} stored envelopes",
            detail="\n".join(f"{place.place}: {place.count:,}" for place in places),
            hint="Seal them under the active key first: pgcrypt-proxy reseal",
            sqlstate="55006",
        )


def _check_index_key(connection: psycopg.Connection, key: KeyUsage) -> None:
    if key.state == "active":
        raise ConfigError(f"key {key.id} is the active index key", hint="First: pgcrypt-proxy rotate index")
    columns = key_usage.columns_by_generation(connection).get(key.generation, [])
    if columns:
        raise ConfigError(
            f"key {key.id} is needed by the index terms of {len(columns)} columns",
            detail="\n".join(columns),
            hint="Give them terms under the active index key first: pgcrypt-proxy rotate index",
            sqlstate="55006",
        )


def destroy(
    connection: psycopg.Connection, key_id: int, *, wait_s: float = 60.0, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Remove the key's wrapped form for good. Raises ConfigError, with nothing changed, when it is needed.

    `wait_s`: how long transactions that are under way may take to end.
    """
    check(connection, key_id)
    if any(key.id == key_id and key.kind == "index" for key in key_usage.list_keys(connection)):
        _destroy_index_key(connection, key_id)
        return
    name = f"key_{key_id}_is_destroyed"
    with readable_errors(f"destroying key {key_id}"):
        _refuse_new_values(connection, key_id, name)
        try:
            await_transactions(connection, f"key {key_id} was not destroyed", wait_s, sleep)
            _prove_and_destroy(connection, key_id, name)
        except BaseException:
            for domain in sealed_types.bases(connection):
                connection.execute(f"ALTER DOMAIN {domain} DROP CONSTRAINT IF EXISTS {name}".encode())
            raise


def _destroy_index_key(connection: psycopg.Connection, key_id: int) -> None:
    try:
        with readable_errors(f"destroying key {key_id}"), connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}".encode())
            # whoever is making a type for terms under it holds this lock
            connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [sealed_types.INDEX_DOMAIN_LOCK])
            check(connection, key_id)
            _remove(connection, key_id, "no column has terms under it")
    except pg_errors.LockNotAvailable:
        raise ConfigError(
            "a column is being protected", hint="Try again when that has ended.", sqlstate="55P03"
        ) from None


def _remove(connection: psycopg.Connection, key_id: int, why: str) -> None:
    done = connection.execute(
        "UPDATE pgcrypt.keyring SET state = 'destroyed', wrapped = NULL, destroyed_at = pg_catalog.now(),"
        " destroyed_by = session_user || ' ' || %s::text WHERE id = %s AND state = 'retired'",
        [audit.actor(), key_id],
    )
    if done.rowcount != 1:
        raise ConfigError(f"key {key_id} was changed by somebody else meanwhile", sqlstate="55006")
    audit.record(connection, audit.DESTROYED, key_id, why)


def _refuse_new_values(connection: psycopg.Connection, key_id: int, name: str) -> None:
    """The constraint may be there already: left by a run that was killed."""
    literal = f"'\\x{key_id:08x}'::pg_catalog.bytea"
    with connection.transaction():
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])  # no bare type comes now
        for domain in sealed_types.bases(connection):
            connection.execute(f"ALTER DOMAIN {domain} DROP CONSTRAINT IF EXISTS {name}".encode())
            connection.execute(
                f"ALTER DOMAIN {domain} ADD CONSTRAINT {name} CHECK"
                f" (pg_catalog.substr(VALUE, 3, 4) OPERATOR(pg_catalog.<>) {literal}) NOT VALID".encode()
            )


def await_transactions(
    connection: psycopg.Connection, refusal: str, wait_s: float, sleep: Callable[[float], None]
) -> None:
    """Those under way may have been planned without the constraint, and their rows are not seen yet."""
    waiting = {row[0] for row in connection.execute(_TRANSACTIONS)}
    left = wait_s
    while waiting:
        if left <= 0:
            raise ConfigError(
                f"{refusal}: {len(waiting)} transactions have been open for {wait_s:g} s",
                hint="End them, or give --wait more seconds.",
                sqlstate="55006",
            )
        sleep(POLL_S)
        left -= POLL_S
        waiting &= {row[0] for row in connection.execute(_TRANSACTIONS)}


def _prove_and_destroy(connection: psycopg.Connection, key_id: int, name: str) -> None:
    try:
        with connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}".encode())
            connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
            for domain in sealed_types.bases(connection):
                connection.execute(f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {name}".encode())
            _remove(connection, key_id, "no stored envelope names it")
    except pg_errors.CheckViolation:
        raise ConfigError(
            f"key {key_id} is needed by envelopes that were stored just now", hint="Try again.", sqlstate="55006"
        ) from None
    except pg_errors.FeatureNotSupported:
        raise ConfigError(
            f"key {key_id} cannot be destroyed: a sealed type is used inside an array or composite column, where "
            "the database cannot look",
            hint="`pgcrypt-proxy verify` and \\dT+ help to find it.",
            sqlstate="55006",
        ) from None
