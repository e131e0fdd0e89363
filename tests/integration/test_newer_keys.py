"""A proxy is shown values under a key that another one has just begun to use, before it has heard of that key."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.server.key_keeper import KeyKeeper
from pgcrypt_proxy.server.run import start
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for
from tests.helpers.raw_peers import eventually
from tests.helpers.servers import PostgresServer

READ = "SELECT id, email FROM users ORDER BY id"
COPY = "COPY (SELECT id, email FROM users ORDER BY id) TO STDOUT"


@pytest.fixture(scope="module")
def database(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    schema, columns = "CREATE TABLE users (id int PRIMARY KEY, email text)", "{table: users, column: email, type: text}"
    with protected(postgres, tmp_path_factory.mktemp("newer"), schema, columns) as made:
        yield made


Late = tuple[psycopg.Connection, KeyKeeper]


@pytest.fixture
def late(database: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Late]:
    """Through a proxy that never looks by itself whether the keyring has changed, and what keeps its keys."""
    keepers: list[KeyKeeper] = []
    opened, tick = KeyKeeper.open, KeyKeeper.tick

    def noted(self: KeyKeeper, data_classes: tuple[str, ...]) -> None:
        keepers.append(self)
        opened(self, data_classes)

    async def ticked(self: KeyKeeper, data_classes: tuple[str, ...]) -> None:
        if self not in keepers:
            await tick(self, data_classes)

    monkeypatch.setattr(KeyKeeper, "open", noted)
    monkeypatch.setattr(KeyKeeper, "tick", ticked)
    proxy = start(settings_for(database.server, database.name, database.rules))
    try:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database.name}?sslmode=disable"
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection, keepers[0]
    finally:
        proxy.stop()


def key_ids(database: ProtectedDatabase) -> set[int]:
    with database.direct() as direct:
        rows = direct.execute("SELECT DISTINCT substr(email::bytea, 3, 4) FROM users").fetchall()
    return {int.from_bytes(value) for (value,) in rows}


def by_prepared_statement(connection: psycopg.Connection) -> list[tuple[int, str]]:
    return connection.execute(READ, prepare=True, binary=True).fetchall()


def by_text(connection: psycopg.Connection) -> list[tuple[int, str]]:
    return connection.execute(READ, prepare=False).fetchall()


def by_copy(connection: psycopg.Connection) -> list[tuple[int, str]]:
    with connection.cursor().copy(COPY) as copy:
        copy.set_types(["int4", "text"])
        return list(copy.rows())  # type: ignore[arg-type]


def by_cursor(connection: psycopg.Connection) -> list[tuple[int, str]]:
    with connection.transaction(), connection.cursor("c") as cursor:
        return cursor.execute(READ).fetchall()


@pytest.mark.parametrize("read", [by_prepared_statement, by_text, by_copy, by_cursor])
def test_they_are_read(
    database: ProtectedDatabase,
    late: Late,
    read: Callable[[psycopg.Connection], list[tuple[int, str]]],
) -> None:
    reader, keeper = late
    with database.connect() as writer:
        writer.execute("TRUNCATE users")
        writer.execute("INSERT INTO users VALUES (1, 'planted-old')")
        for _ in range(3):
            assert read(reader) == [(1, "planted-old")]
        policy = load([database.rules])
        with contextlib.closing(connect(database.server.dsn(database.name))) as own:
            (rotated,) = rotate_deks(KeyringStore(own, make_providers(policy.keyring).current), sleep=lambda _: None)
        values = [(1, "planted-old")]

        def is_sealed_anew() -> bool:
            values.append((len(values) + 1, "planted-new"))
            writer.execute("INSERT INTO users VALUES (%s, %s)", values[-1])
            return rotated.new_id in key_ids(database)

        eventually(is_sealed_anew)
        assert not keeper.keyring.has_keys([rotated.new_id])
        assert read(reader) == values
        assert keeper.keyring.has_keys([rotated.new_id])
        assert read(reader) == values


def test_a_key_that_there_is_not_is_not_waited_for(database: ProtectedDatabase, late: Late) -> None:
    reader, _ = late
    with database.connect() as writer, database.direct() as direct:
        writer.execute("TRUNCATE users")
        writer.execute("INSERT INTO users VALUES (1, 'planted-old')")
        (kind,) = direct.execute(
            "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'email'"
        ).fetchone() or ("",)
        direct.execute(
            f"UPDATE users SET email = overlay(email::bytea PLACING '\\x00ffffff'::bytea FROM 3)::{kind}".encode()
        )
    for read in (by_prepared_statement, by_text):
        with pytest.raises(psycopg.Error) as caught:
            read(reader)
        assert caught.value.sqlstate == "XX001"
        if reader.closed:
            break
