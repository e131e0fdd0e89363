"""Values move to the active key under the eyes of writers, and none is lost, doubled or changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.errors import ConfigError, OpenError
from pgcrypt_proxy.ops import key_usage
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_destruction import destroy
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore, hold_active_keys
from pgcrypt_proxy.ops.reseal import reseal, states
from pgcrypt_proxy.policy.load import load
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

ROWS = 4000
SCHEMA = f"""
CREATE TABLE users (id int PRIMARY KEY, email text, age int, note text NOT NULL DEFAULT '');
INSERT INTO users SELECT i, CASE WHEN i % 10 > 0 THEN 'word-' || i END, i FROM generate_series(1, {ROWS}) i;
CREATE TABLE parts (id int, word text);
"""
COLUMNS = """
{table: users, column: email, type: text, search: [equality, equality_casefold]}
{table: users, column: age, type: int4, data_class: other}
{table: parts, column: word, type: text}
"""
EMAILS, AGES = "public.users.email", "public.users.age"


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as made:
        with made.direct() as direct:
            direct.execute("CREATE TABLE whole (LIKE parts) PARTITION BY RANGE (id)")
            direct.execute("ALTER TABLE whole ATTACH PARTITION parts FOR VALUES FROM (0) TO (10)")
            direct.execute("CREATE TABLE parts_b PARTITION OF whole FOR VALUES FROM (10) TO (20)")
        made.running.refresh_catalog()
        with made.connect() as connection:
            connection.execute("INSERT INTO whole VALUES (1, 'word-1'), (11, 'word-11')")
        yield made


@pytest.fixture
def own(db: ProtectedDatabase) -> Iterator[psycopg.Connection]:
    with connect(db.server.dsn(db.name)) as connection:
        yield connection


@pytest.fixture
def store(db: ProtectedDatabase) -> Iterator[KeyringStore]:
    with connect(db.server.dsn(db.name)) as connection:
        yield KeyringStore(connection, FileProvider(db.kek))


def rotate(db: ProtectedDatabase, store: KeyringStore) -> None:
    """With a proxy that follows, so that nothing has to be waited for."""
    before = db.running.proxy.world.keyring
    rotate_deks(store, sleep=lambda _: None)
    deadline = time.monotonic() + 10
    while db.running.proxy.world.keyring is before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def by_key(connection: psycopg.Connection) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for usage in key_usage.envelopes_by_place(connection):
        found.setdefault(usage.place, set()).add(usage.key_id)
    return found


def test_all_values_move_and_mean_the_same(db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore) -> None:
    rotate(db, store)
    old = {key for keys in by_key(own).values() for key in keys}
    terms = own.execute("SELECT id, pgcrypt.eq(email), pgcrypt.eqci(email) FROM public.users ORDER BY id").fetchall()
    done = reseal(own, store, load([db.rules]))
    assert {(s.place, s.resealed, s.is_finished) for s in done} == {
        (EMAILS, ROWS * 9 // 10, True),
        (AGES, ROWS, True),
        ("public.parts.word", 1, True),
        ("public.parts_b.word", 1, True),
        ("public.whole.word", 0, True),
    }
    after = by_key(own)
    assert all(len(keys) == 1 and not keys & old for keys in after.values())
    assert (
        own.execute("SELECT id, pgcrypt.eq(email), pgcrypt.eqci(email) FROM public.users ORDER BY id").fetchall()
        == terms
    )
    with db.connect() as connection:
        rows = connection.execute("SELECT id, email, age FROM users").fetchall()
        assert sorted(rows) == [(i, f"word-{i}" if i % 10 else None, i) for i in range(1, ROWS + 1)]
        assert connection.execute("SELECT id FROM users WHERE email = 'word-77'").fetchall() == [(77,)]
        assert sorted(connection.execute("SELECT word FROM whole").fetchall()) == [("word-1",), ("word-11",)]
    for key in old:
        destroy(own, key)
    with db.connect() as connection:
        assert connection.execute("SELECT age FROM users WHERE id = 5").fetchall() == [(5,)]


def test_a_second_run_has_nothing_to_do(db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore) -> None:
    assert {s.resealed for s in reseal(own, store, load([db.rules]))} == {0}
    envelopes = own.execute("SELECT email FROM public.users ORDER BY id").fetchall()
    reseal(own, store, load([db.rules]))
    assert own.execute("SELECT email FROM public.users ORDER BY id").fetchall() == envelopes


def test_writers_lose_nothing(db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore) -> None:
    rotate(db, store)
    stop, failures = threading.Event(), []
    expected: dict[int, tuple[str | None, str]] = {}

    def write() -> None:
        try:
            with db.connect() as connection:
                number = 0
                while not stop.is_set():
                    number += 1
                    row = number * 37 % ROWS + 1
                    email, note = f"word-new-{number}", f"n{number}"
                    if number % 3 == 0:
                        connection.execute("UPDATE users SET note = %s WHERE id = %s", [note, row])
                        before = expected.get(row, (f"word-{row}" if row % 10 else None, ""))
                        expected[row] = before[0], note
                    elif number % 3 == 1:
                        connection.execute("UPDATE users SET email = %s, note = %s WHERE id = %s", [email, note, row])
                        expected[row] = email, note
                    else:
                        connection.execute(
                            "INSERT INTO users (id, email, age, note) VALUES (%s, %s, 1, '')", [ROWS + number, email]
                        )
                        expected[ROWS + number] = email, ""
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    own.execute("SET default_transaction_isolation = 'serializable'")  # as the database or role may have it
    try:
        reseal(own, store, load([db.rules]), pause_s=0.02)
    finally:
        stop.set()
        writer.join(10)
    assert failures == []
    assert len(expected) > 50
    assert all(len(keys) == 1 for keys in by_key(own).values())
    with db.connect() as connection:
        found = {row[0]: row[1:] for row in connection.execute("SELECT id, email, note FROM users").fetchall()}
    untouched = {i: (f"word-{i}" if i % 10 else None, "") for i in range(1, ROWS + 1)}
    assert found == {**untouched, **expected}


def test_a_value_that_is_being_written_is_not_overwritten(
    db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore
) -> None:
    """The row is locked by a writer when it is to be exchanged, and has another value once the lock is free."""
    rotate(db, store)
    with db.connect() as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE users SET email = 'word-late' WHERE id = 1")
        commit = threading.Timer(0.7, lambda: writer.execute("COMMIT"))
        commit.start()
        reseal(own, store, load([db.rules]))
        commit.join()
    with db.connect() as connection:
        assert connection.execute("SELECT email FROM users WHERE id = 1").fetchall() == [("word-late",)]


def test_a_killed_run_goes_on_where_it_was(db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore) -> None:
    rotate(db, store)
    program = "from pgcrypt_proxy.cli import main; main()"
    run = subprocess.Popen(
        [sys.executable, "-c", program, "reseal", "--pause", "0.3", "--rules", str(db.rules)],
        env={**os.environ, "PGCRYPT_DATABASE_URL": db.server.dsn(db.name)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not any(s.resealed for s in states(own)):
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(10)
    killed = {s.place: s for s in states(own)}
    part = killed[EMAILS] if EMAILS in killed and not killed[EMAILS].is_finished else killed[AGES]
    assert 0 < part.next_block < part.blocks
    assert {s.resealed for s in reseal(own, store, load([db.rules])) if s.place == EMAILS} == {ROWS * 9 // 10}
    assert all(len(keys) == 1 for keys in by_key(own).values())
    with db.connect() as connection:
        rows = connection.execute("SELECT id, email, age FROM users").fetchall()
    assert sorted(rows) == [(i, f"word-{i}" if i % 10 else None, i) for i in range(1, ROWS + 1)]


def test_triggers_do_not_fire(db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore) -> None:
    own.execute(
        "CREATE FUNCTION public.mark() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.note := 'touched'; RETURN NEW; END $$;"
        "CREATE TRIGGER mark BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.mark()"
    )
    rotate(db, store)
    reseal(own, store, load([db.rules]))
    assert own.execute("SELECT count(*) FROM public.users WHERE note <> ''").fetchone() == (0,)


def test_a_value_that_does_not_open_stops_it(
    db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore
) -> None:
    own.execute("UPDATE public.users SET age = (SELECT age FROM public.users WHERE id = 2) WHERE id = 1")
    own.execute("UPDATE public.users SET age = set_byte(age::bytea, 30, 255 - get_byte(age::bytea, 30)) WHERE id = 3")
    rotate(db, store)
    with pytest.raises(OpenError) as caught:
        reseal(own, store, load([db.rules]))
    assert str(caught.value.detail).startswith("public.users.age, row (")


def test_a_locked_row_is_left_for_later(
    db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgcrypt_proxy.ops.reseal.LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr("pgcrypt_proxy.ops.reseal.MAX_PASSES", 2)
    rotate(db, store)
    with db.direct() as other:
        with other.transaction():
            other.execute("SELECT FROM users WHERE id = 1 FOR UPDATE")
            with pytest.raises(ConfigError, match="are left after 2 passes"):
                reseal(own, store, load([db.rules]))
        monkeypatch.setattr("pgcrypt_proxy.ops.reseal.MAX_PASSES", 10)
        assert all(s.is_finished for s in reseal(own, store, load([db.rules])))
    assert all(len(keys) == 1 for keys in by_key(own).values())


def test_a_rotation_waits_for_the_batch_under_way(
    db: ProtectedDatabase, own: psycopg.Connection, store: KeyringStore
) -> None:
    """Rotated again in the middle: the rest, and then all, goes to the newest key."""
    rotate(db, store)
    once: list[int] = []

    def rotate_once(_: str, done: int, __: int) -> None:
        if not once:
            once.append(done)
            with connect(db.server.dsn(db.name)) as another:
                rotate_deks(KeyringStore(another, FileProvider(db.kek)), sleep=lambda _: None)

    reseal(own, store, load([db.rules]), progress=rotate_once)
    assert once
    newest = {r.id for r in store.records() if r.kind == "dek" and r.state == "active"}
    assert {key for keys in by_key(own).values() for key in keys} <= newest
    with own.transaction():
        hold_active_keys(own)  # and nothing holds it any more
