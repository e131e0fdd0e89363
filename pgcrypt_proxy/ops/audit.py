"""The audit trail of keys, `pgcrypt.audit`: appends events, and finds what was changed or removed.

Knows who acts (database role, operating system user, host) and which key, never
what a key is. The chain is made by the database (schema_2.sql); here it is
computed again, apart from it.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pgcrypt_proxy.ops.connect import readable_errors

GENERATED, ROTATED, REWRAPPED = "key_generated", "key_rotated", "key_rewrapped"
DESTROYED, ACCESSED, BACKED_UP = "key_destroyed", "key_accessed", "backup_made"
ERASED, READMITTED = "tenant_erased", "tenant_readmitted"

_ROWS = """
SELECT id, at, event, role, actor, key_id, detail, hash,
       (extract(epoch FROM at) * 1000000)::bigint
FROM pgcrypt.audit ORDER BY id
"""
BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the trail. `microseconds` is `at` as the chain has it."""

    id: int
    at: datetime
    event: str
    role: str
    actor: str
    key_id: int | None
    detail: str
    hash: bytes
    microseconds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `head` is the chain's end: a copy of it elsewhere shows if all was made anew."""

    events: int
    head: str
    problems: tuple[str, ...]


def actor() -> str:
    """The operating system's user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def record(connection: psycopg.Connection, event: str, key_id: int | None = None, detail: str = "") -> None:
    """Append an event, in the caller's transaction if there is one."""
    with readable_errors("writing the audit trail"):
        connection.execute(
            "INSERT INTO pgcrypt.audit (event, actor, key_id, detail) VALUES (%s, %s, %s, %s)",
            [event, actor(), key_id, detail],
        )


def events(connection: psycopg.Connection) -> Iterator[Event]:
    """Every event in order, a batch at a time; all of one snapshot when the caller has one."""
    with (
        readable_errors("reading the audit trail"),
        connection.transaction(),
        connection.cursor("pgcrypt_audit") as cursor,
    ):
        cursor.itersize = BATCH_ROWS
        for row in cursor.execute(_ROWS):
            yield Event(*row)


def chained(previous: bytes, event: Event) -> bytes:
    """The hash that the row must have."""
    digest = hashlib.sha256(previous)
    key_id = "" if event.key_id is None else str(event.key_id)
    for text in (str(event.id), str(event.microseconds), event.event, event.role, event.actor, key_id, event.detail):
        raw = text.encode()
        digest.update(struct.pack("!i", len(raw)) + raw)
    return digest.digest()


def verify(connection: psycopg.Connection, expected_head: str | None = None) -> Verdict:
    """Compute the chain anew. `expected_head` is a head that an earlier verify gave: it must be in the chain."""
    problems: list[str] = []
    previous, number, count = b"", 0, 0
    heads: set[str] = set()
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for event in events(connection):
            if event.id != number + 1:
                problems.append(_missing(number + 1, event.id - 1))
            elif chained(previous, event) != event.hash:
                problems.append(f"event {event.id} was changed, or does not follow the one before it")
            previous, number, count = event.hash, event.id, count + 1
            if expected_head is not None:
                heads.add(_head(number, previous))
        with readable_errors("reading the audit trail's end"):
            end = connection.execute("SELECT audit_count, audit_hash FROM pgcrypt.meta").fetchone()
    if end is None or int(end[0]) > number:
        problems.append(_missing(number + 1, int(end[0]) if end else number + 1))
    elif (int(end[0]), bytes(end[1])) != (number, previous):
        problems.append("the trail's end is not the one that was written last")
    if expected_head is not None and expected_head not in heads:
        problems.append(f"the head {expected_head} is not in the trail: it was made anew since")
    return Verdict(count, _head(number, previous), tuple(problems))


def _missing(first: int, last: int) -> str:
    if last < first:
        return f"event {last} stands twice, or out of order"
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"


def _head(number: int, digest: bytes) -> str:
    return f"{number}:{digest.hex()}"
