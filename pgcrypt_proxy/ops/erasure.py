"""Erases a tenant: destroys its keys on purpose, so that nothing sealed with them can ever be opened again.

First its keys are retired, and it gets no new ones: when every lease to seal is over,
no value can come any more, and what is counted is all there is. Then the keys go,
in one transaction with the event of the audit trail that tells of it. A certificate
says what cannot be opened any more; its digest is in that event, whose hash is in
the trail's chain. Killed between the two steps, it goes on when it is run again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import audit, key_usage
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.key_destruction import await_transactions
from pgcrypt_proxy.ops.key_rotation import LET_GO_S, hold_keys_in_use
from pgcrypt_proxy.ops.key_usage import KeyUsage, PlaceUsage
from pgcrypt_proxy.ops.keyring_store import KEY_MAKER_LOCK
from pgcrypt_proxy.ops.online import moves

FORMAT = "pgcrypt-proxy certificate of erasure, version 1"
REMAINS = (
    "index terms of the erased values, until their rows are deleted: keyed hashes by which equal values can be found,"
    " and guesses be tried by whoever has the index key; the wrapped keys in backups, replicas' and archived WAL from"
    " before, until those end"
)


@dataclass(frozen=True, slots=True)
class Extent:
    """What an erasure concerns: the tenant's keys, and the stored envelopes that name them."""

    tenant: str
    keys: tuple[KeyUsage, ...]
    places: tuple[PlaceUsage, ...]

    @property
    def count(self) -> int:
        return sum(place.count for place in self.places)


def extent(connection: psycopg.Connection, tenant: str) -> Extent:
    """Raises ConfigError when the tenant has no key that could be destroyed, or may have values in plain form."""
    _refuse_moving(connection)
    keys = tuple(key for key in key_usage.list_keys(connection) if tenant and key.tenant == tenant)
    if not keys:
        raise ConfigError(f'tenant "{tenant}" has no keys', hint="`pgcrypt-proxy keys --tenants` lists them.")
    left = {key.id for key in keys if key.state != "destroyed"}
    if not left:
        raise ConfigError(f'the keys of tenant "{tenant}" are destroyed already')
    places = tuple(usage for usage in key_usage.envelopes_by_place(connection) if usage.key_id in left)
    return Extent(tenant, tuple(key for key in keys if key.id in left), places)


def erase(
    connection: psycopg.Connection,
    tenant: str,
    *,
    wait_s: float = 60.0,
    on_waiting: Callable[[float], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Destroy the tenant's keys; the certificate. Raises ConfigError.

    `wait_s`: how long transactions that are under way may take to end, as their rows are not counted before.
    """
    extent(connection, tenant)
    _retire(connection, tenant)
    on_waiting(LET_GO_S)
    sleep(LET_GO_S)
    with readable_errors(f"erasing tenant {tenant}"):
        await_transactions(connection, f"tenant {tenant} was not erased", wait_s, sleep)
    with readable_errors(f"erasing tenant {tenant}"), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        hold_keys_in_use(connection)
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [KEY_MAKER_LOCK])
        found = extent(connection, tenant)
        body = _body(connection, found)
        for key in found.keys:
            connection.execute(
                "UPDATE pgcrypt.keyring SET state = 'destroyed', wrapped = NULL, destroyed_at = pg_catalog.now(),"
                " destroyed_by = session_user || ' ' || %s::text WHERE id = %s AND tenant = %s",
                [audit.actor(), key.id, tenant],
            )
            audit.record(connection, audit.DESTROYED, key.id, f"tenant {tenant} is erased")
        event = _record(connection, tenant, found, _digest(body))
        connection.execute("UPDATE pgcrypt.erased_tenants SET audit_id = %s WHERE tenant = %s", [event[0], tenant])
    with readable_errors("cleaning the keyring"):
        connection.execute("VACUUM pgcrypt.keyring")  # the wrapped keys were in it still, as dead rows
    return {**body, "audit": {"event": event[0], "hash": bytes(event[1]).hex()}, "digest": _digest(body)}


def _retire(connection: psycopg.Connection, tenant: str) -> None:
    with readable_errors(f"erasing tenant {tenant}"), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        hold_keys_in_use(connection)
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [KEY_MAKER_LOCK])
        _refuse_moving(connection)  # again: none begins from here on
        connection.execute(
            "INSERT INTO pgcrypt.erased_tenants (tenant, erased_by) VALUES (%s, session_user || ' ' || %s::text)"
            " ON CONFLICT (tenant) DO NOTHING",
            [tenant, audit.actor()],
        )
        connection.execute(
            "UPDATE pgcrypt.keyring SET state = 'retired', retired_at = pg_catalog.now(),"
            " retired_by = session_user || ' ' || %s::text WHERE tenant = %s AND state = 'active'",
            [audit.actor(), tenant],
        )


def _refuse_moving(connection: psycopg.Connection) -> None:
    """Beside a column on its way there is another, with plain values or such as are still to be opened."""
    for move in moves.of_tenants(connection):
        raise ConfigError(
            f"{move.qualified_name} has tenants, and is on its way by {move.command}",
            hint="Run that to its end, or with --abandon, first.",
            sqlstate="55006",
        )


def _body(connection: psycopg.Connection, found: Extent) -> dict[str, Any]:
    row = connection.execute(
        "SELECT m.keyring_id::text, pg_catalog.current_database(), pg_catalog.now(), session_user FROM pgcrypt.meta m"
    ).fetchone()
    assert row is not None
    counts: dict[str, int] = {}
    for place in found.places:
        counts[place.place] = counts.get(place.place, 0) + place.count
    return {
        "certificate": FORMAT,
        "tenant": found.tenant,
        "keyring": row[0],
        "database": row[1],
        "erased_at": row[2].astimezone(UTC).isoformat(),
        "erased_by": f"{row[3]} {audit.actor()}",
        "keys": [{"id": key.id, "data_class": key.data_class, "generation": key.generation} for key in found.keys],
        "columns": [{"column": place, "values": count} for place, count in sorted(counts.items())],
        "values": found.count,
        "remains": REMAINS,
    }


def _digest(body: Mapping[str, Any]) -> str:
    """SHA-256 over the body's JSON with sorted keys and no spaces."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _record(connection: psycopg.Connection, tenant: str, found: Extent, digest: str) -> tuple[Any, ...]:
    ids = ", ".join(str(key.id) for key in found.keys)
    detail = f"tenant {tenant}: keys {ids}, {found.count} values, certificate sha256:{digest}"
    audit.record(connection, audit.ERASED, None, detail)
    row = connection.execute(
        "SELECT id, hash FROM pgcrypt.audit WHERE event = %s ORDER BY id DESC LIMIT 1", [audit.ERASED]
    ).fetchone()
    assert row is not None
    return tuple(row)


def check(connection: psycopg.Connection, certificate: Mapping[str, Any]) -> list[str]:
    """What speaks against a certificate, nothing if it is true: its text, its event, the chain, and its keys' rows."""
    body = {name: value for name, value in certificate.items() if name not in ("audit", "digest")}
    event, digest = certificate.get("audit"), certificate.get("digest")
    if body.get("certificate") != FORMAT or not isinstance(event, dict) or not isinstance(digest, str):
        return ["it is no certificate of erasure"]
    problems = []
    if _digest(body) != digest:
        problems.append("its text was changed")
    row = connection.execute(
        "SELECT event, detail, hash FROM pgcrypt.audit WHERE id = %s", [int(event.get("event", 0))]
    ).fetchone()
    if row is None or row[0] != audit.ERASED or not str(row[1]).endswith(f"sha256:{digest}"):
        problems.append("the audit trail has no such event")
    elif bytes(row[2]).hex() != event.get("hash"):
        problems.append("the audit trail was made anew since")
    verdict = audit.verify(connection)
    problems += [f"audit trail: {problem}" for problem in verdict.problems]
    states = {key.id: (key.state, key.tenant) for key in key_usage.list_keys(connection)}
    for key in body.get("keys", ()):
        if states.get(key["id"]) != ("destroyed", body.get("tenant")):
            problems.append(f"key {key['id']} is not destroyed in this keyring")
    return problems


def text_of(certificate: Mapping[str, Any]) -> list[str]:
    """The certificate for people, line by line."""
    keys = ", ".join(
        f"{key['id']} ({key['data_class']}, generation {key['generation']})" for key in certificate["keys"]
    )
    columns = [f"  {one['column']}: {one['values']:,}" for one in certificate["columns"]]
    return [
        f"Tenant {certificate['tenant']} was erased on {certificate['erased_at']} by {certificate['erased_by']}.",
        f"Destroyed in keyring {certificate['keyring']} (database {certificate['database']}): keys {keys}.",
        f"{certificate['values']:,} stored values cannot be opened any more:",
        *(columns or ["  none"]),
        f"What remains: {certificate['remains']}.",
        f"Audit event {certificate['audit']['event']}, hash {certificate['audit']['hash']}.",
        f"Certificate sha256:{certificate['digest']}",
    ]


def readmit(connection: psycopg.Connection, tenant: str) -> None:
    """Let an erased tenant's name get keys again. What was sealed before stays closed. Raises ConfigError."""
    with readable_errors(f"readmitting tenant {tenant}"), connection.transaction():
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [KEY_MAKER_LOCK])
        done = connection.execute("DELETE FROM pgcrypt.erased_tenants WHERE tenant = %s", [tenant])
        if done.rowcount != 1:
            raise ConfigError(f'tenant "{tenant}" is not erased')
        audit.record(connection, audit.READMITTED, None, f"tenant {tenant} may get new keys")
