"""Keys in an application: rotation, outages, grants, threads, forks, and columns that become others meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.crypto.envelope import parse
from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online.reindex import Rotation
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.sqlalchemy import SealedColumnError, Sealer
from pgcrypt_proxy.sqlalchemy.sealer import LOOK_EVERY_S, SEALS_AT_ONCE
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    schema = "CREATE TABLE users (id int PRIMARY KEY, email text, nick text)"
    rules = "{table: users, column: email, type: text, search: [equality]}\n{table: users, column: nick, type: text}"
    with protected(postgres, tmp_path, schema, rules) as made:
        yield made


@pytest.fixture
def opened(db: ProtectedDatabase) -> Iterator[Callable[..., Sealer]]:
    made: list[Sealer] = []

    def open_one(clock: Callable[[], float] = time.monotonic) -> Sealer:
        sealer = Sealer(clock=clock)
        made.append(sealer)
        sealer.open([db.rules], db.server.dsn(db.name))
        return sealer

    yield open_one
    for sealer in made:
        sealer.close()


def rotate(db: ProtectedDatabase) -> None:
    with connect(db.server.dsn(db.name)) as connection:
        rotate_deks(KeyringStore(connection, FileProvider(db.kek)), sleep=lambda _: None)


def test_a_new_key_is_used_after_the_next_look(db: ProtectedDatabase, opened: Callable[..., Sealer]) -> None:
    clock = Clock()
    sealer = opened(clock)
    old = sealer.seal("users.email", "ada")
    rotate(db)
    clock.now += LOOK_EVERY_S
    new = sealer.seal("users.email", "ada")
    assert parse(new).key_id > parse(old).key_id
    assert sealer.unseal("users.email", old) == sealer.unseal("public.users.email", new) == "ada"
    assert parse(old).terms == parse(new).terms == (sealer.term("users.email", "ada"),)


def test_without_the_database_it_seals_for_the_lease_and_opens_for_the_keys_time(
    db: ProtectedDatabase, opened: Callable[..., Sealer], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    sealer = opened(clock)
    sealed = sealer.seal("users.email", "ada")
    with db.direct() as direct:
        direct.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgcrypt-proxy'"
        )
    with monkeypatch.context() as patched:
        patched.setattr("pgcrypt_proxy.sqlalchemy.sealer.connect", _unreachable)
        clock.now += SEAL_LEASE_S - 1
        assert sealer.unseal("users.email", sealer.seal("users.email", "bob")) == "bob"
        with pytest.raises(SealedColumnError):
            sealer.refresh()
        clock.now += 2
        with pytest.raises(SealedColumnError) as caught:
            sealer.seal("users.email", "bob")
        assert caught.value.code == "58030"
        assert sealer.unseal("users.email", sealed) == "ada"
        clock.now += 300
        with pytest.raises(SealedColumnError) as caught:
            sealer.unseal("users.email", sealed)
        assert caught.value.code == "58030"
    clock.now += 1
    assert sealer.unseal("users.email", sealer.seal("users.email", "bob")) == "bob"


def _unreachable(_url: str) -> psycopg.Connection:
    from pgcrypt_proxy.errors import ConfigError

    raise ConfigError("cannot connect to the database", sqlstate="08001")


def test_keys_are_unwrapped_anew_ahead_of_their_end(db: ProtectedDatabase, opened: Callable[..., Sealer]) -> None:
    clock = Clock()
    sealer = opened(clock)
    sealed = sealer.seal("users.email", "ada")
    for _ in range(4):
        clock.now += 151
        assert sealer.unseal("users.email", sealed) == "ada"
    with connect(db.server.dsn(db.name)) as connection:
        assert len([e for e in audit.events(connection) if e.event == audit.ACCESSED]) >= 5


def test_every_seal_is_counted_before_it_is_made(db: ProtectedDatabase, opened: Callable[..., Sealer]) -> None:
    def seals() -> int:
        with db.direct() as direct:
            row = direct.execute("SELECT sum(seals)::int FROM pgcrypt.keyring").fetchone()
        assert row is not None
        return int(row[0])

    before = seals()
    sealer = opened()
    assert seals() == before
    for _ in range(3):
        sealer.seal("users.email", "ada")
    assert seals() == before + SEALS_AT_ONCE


def test_threads_share_one(opened: Callable[..., Sealer]) -> None:
    sealer = opened()
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(50):
                value = f"{number}-{turn}"
                assert sealer.unseal("users.email", sealer.seal("users.email", value)) == value
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_has_grants_and_a_connection_of_its_own(
    db: ProtectedDatabase, opened: Callable[..., Sealer]
) -> None:
    sealer = opened()
    sealed = sealer.seal("users.email", "ada")
    with db.direct() as direct:
        query = "SELECT sum(seals)::int FROM pgcrypt.keyring"
        before = direct.execute(query).fetchone()
        child = os.fork()
        if child == 0:
            try:
                made = sealer.seal("users.email", "bob")
                right = sealer.unseal("users.email", made) == "bob" and sealer.unseal("users.email", sealed) == "ada"
                os._exit(0 if right else 1)
            except BaseException:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        after = direct.execute(query).fetchone()
    assert before is not None
    assert after == (before[0] + SEALS_AT_ONCE,)
    assert sealer.unseal("users.email", sealer.seal("users.email", "eve")) == "eve"
    sealer.refresh()


def test_a_column_that_becomes_another_is_refused(db: ProtectedDatabase, opened: Callable[..., Sealer]) -> None:
    clock = Clock()
    sealer = opened(clock)
    sealer.seal("users.nick", "ada")
    with db.direct() as direct:
        direct.execute("ALTER TABLE users RENAME nick TO other")
    clock.now += LOOK_EVERY_S
    with pytest.raises(SealedColumnError):
        sealer.seal("users.nick", "ada")
    with db.direct() as direct:
        direct.execute("ALTER TABLE users RENAME other TO nick")
    clock.now += LOOK_EVERY_S
    assert sealer.unseal("users.nick", sealer.seal("users.nick", "ada")) == "ada"


@pytest.mark.parametrize("name", ["users.id", "users.absent", "email", "other.users.email", ""])
def test_only_sealed_columns_are_known(opened: Callable[..., Sealer], name: str) -> None:
    with pytest.raises(SealedColumnError):
        opened().seal(name, "planted")


def test_closed_it_does_nothing(opened: Callable[..., Sealer]) -> None:
    sealer = opened()
    sealed = sealer.seal("users.email", "ada")
    assert repr(sealer) == "Sealer(open)"
    sealer.close()
    for work in (lambda: sealer.seal("users.email", "ada"), lambda: sealer.unseal("users.email", sealed)):
        with pytest.raises(SealedColumnError, match="not open"):
            work()
    assert repr(sealer) == "Sealer(closed)"


def test_the_database_url_is_not_shown(db: ProtectedDatabase, opened: Callable[..., Sealer]) -> None:
    sealer = opened()
    state = sealer._opened
    assert state is not None
    assert db.name not in repr(state)
    with pytest.raises(SealedColumnError) as caught:
        Sealer().open([db.rules], "postgresql://postgres:planted@127.0.0.1:1/x?sslmode=disable")
    assert "planted" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


def test_a_column_that_is_reindexed_is_sealed_as_it_is_and_not_searched(
    db: ProtectedDatabase, opened: Callable[..., Sealer]
) -> None:
    db.rules.write_text(db.rules.read_text().replace("[equality]", "[equality], phase: reindexing"))
    clock = Clock()
    sealer = opened(clock)
    old = sealer.seal("users.email", "ada")
    with pytest.raises(SealedColumnError, match="may get terms under another index key at any moment"):
        sealer.term("users.email", "ada")
    url, policy = db.server.dsn(db.name), load([db.rules])
    with connect(url) as connection, connect(url) as own:
        Rotation(connection, KeyringStore(own, FileProvider(db.kek)), policy, settle_s=0).to_the_end()
    clock.now += LOOK_EVERY_S
    new = sealer.seal("users.email", "ada")
    assert (parse(old).generation, parse(new).generation) == (1, 2)
    assert sealer.unseal("users.email", new) == "ada"
    with db.direct() as direct:
        direct.execute("INSERT INTO users (id, email) VALUES (1, %s)", [new])
        with pytest.raises(psycopg.errors.CheckViolation):
            direct.execute("INSERT INTO users (id, email) VALUES (2, %s)", [old])
