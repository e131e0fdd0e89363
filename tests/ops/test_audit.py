"""The audit trail: who did what to which key, and whether anything of it was changed or removed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from tests.ops.conftest import OpenProvider

Change = Callable[[str], None]


def events(connection: psycopg.Connection) -> list[tuple[str, int | None]]:
    return [(event.event, event.key_id) for event in audit.events(connection)]


@pytest.fixture
def trail(connection: psycopg.Connection) -> psycopg.Connection:
    """Five events: two keys made, three unlocked."""
    store = KeyringStore(connection, OpenProvider())
    for _ in range(3):
        store.unlock(["pii"]).zeroise()
    return connection


@pytest.fixture
def change(trail: psycopg.Connection) -> Change:
    """Runs SQL on the trail as somebody who has switched its triggers off."""

    def run(sql: str) -> None:
        trail.execute("ALTER TABLE pgcrypt.audit DISABLE TRIGGER ALL")
        trail.execute(sql.encode())
        trail.execute("ALTER TABLE pgcrypt.audit ENABLE TRIGGER ALL")

    return run


def test_who_what_and_when(trail: psycopg.Connection) -> None:
    first, second, *rest = audit.events(trail)
    assert [e.event for e in (first, second, *rest)] == ["key_generated"] * 2 + ["key_accessed"] * 3
    assert (first.key_id, second.key_id) == (1, 2)
    assert first.role == "postgres"
    assert first.actor == audit.actor()
    assert "@" in first.actor
    assert second.detail == "data key of data class pii, generation 1, wrapped by open open:1"
    assert rest[0].detail == "unwrapped data keys 2"
    assert first.at <= second.at


def test_a_whole_trail_is_whole(trail: psycopg.Connection) -> None:
    verdict = audit.verify(trail)
    assert (verdict.events, verdict.problems) == (5, ())
    assert audit.verify(trail, verdict.head).problems == ()
    audit.record(trail, "key_accessed")
    assert audit.verify(trail, verdict.head).problems == ()


@pytest.mark.parametrize(
    "sql",
    ["UPDATE pgcrypt.audit SET detail = ''", "DELETE FROM pgcrypt.audit", "TRUNCATE pgcrypt.audit"],
)
def test_nothing_is_changed_in_passing(trail: psycopg.Connection, sql: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        trail.execute(sql.encode())
    assert audit.verify(trail).problems == ()


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        *(
            (f"UPDATE pgcrypt.audit SET {column} = {value} WHERE id = 3", "event 3 was changed")
            for column, value in (
                ("at", "at + interval '1 us'"),
                ("event", "'key_accessed '"),
                ("role", "'somebody'"),
                ("actor", "'somebody'"),
                ("key_id", "7"),
                ("detail", "''"),
            )
        ),
        ("UPDATE pgcrypt.audit SET hash = '\\x00' WHERE id = 3", "event 3 was changed"),
        ("DELETE FROM pgcrypt.audit WHERE id = 3", "event 3 is missing"),
        ("DELETE FROM pgcrypt.audit WHERE id < 3", "events 1 to 2 are missing"),
        ("DELETE FROM pgcrypt.audit WHERE id > 3", "events 4 to 5 are missing"),
        ("DELETE FROM pgcrypt.audit", "events 1 to 5 are missing"),
        ("UPDATE pgcrypt.audit SET id = id + 10 WHERE id = 5", "events 5 to 14 are missing"),
        (
            "DELETE FROM pgcrypt.audit WHERE id = 3; UPDATE pgcrypt.audit SET id = id - 1 WHERE id > 3;"
            "UPDATE pgcrypt.meta SET audit_count = 4",
            "event 3 was changed, or does not follow",
        ),
        ("UPDATE pgcrypt.meta SET audit_hash = '\\x00'", "the trail's end"),
    ],
)
def test_a_change_is_found(trail: psycopg.Connection, change: Change, sql: str, problem: str) -> None:
    change(sql)
    assert problem in "; ".join(audit.verify(trail).problems)


def test_a_trail_made_anew_has_another_head(trail: psycopg.Connection, change: Change) -> None:
    head = audit.verify(trail).head
    change("DELETE FROM pgcrypt.audit; UPDATE pgcrypt.meta SET audit_count = 0, audit_hash = ''")
    for _ in range(5):
        audit.record(trail, "key_accessed")
    assert audit.verify(trail).problems == ()
    assert f"the head {head} is not in the trail" in audit.verify(trail, head).problems[0]


def test_many_writers_make_one_chain(postgres, database, connection: psycopg.Connection) -> None:
    def write() -> None:
        with connect(postgres.dsn(database)) as own:
            for _ in range(20):
                audit.record(own, "key_accessed")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    verdict = audit.verify(connection)
    assert (verdict.events, verdict.problems) == (80, ())


def test_an_event_stands_or_falls_with_what_it_tells(connection: psycopg.Connection) -> None:
    class Broken(OpenProvider):
        def wrap(self, key: bytes, context: object) -> bytes:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        KeyringStore(connection, Broken()).ensure_keys(["pii"])
    assert events(connection) == []
    assert audit.verify(connection) == audit.Verdict(0, "0:", ())
