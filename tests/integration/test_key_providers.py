"""A keyring that moves from a file to AWS KMS and on to Vault, under an application that does not notice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_deks, rotate_kek
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.server.run import start
from tests.helpers import fake_kms
from tests.helpers.fake_vault import FakeVault, TransitKey
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
FILE = "{provider: file, path: keyring.kek}"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_kms.FakeKms]:
    with fake_kms.running(monkeypatch) as running:
        yield running


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    made = FakeVault(keys={"pgcrypt": TransitKey(derived=True)}, approles={"app": "secret"})
    made.start()
    yield made
    made.stop()


def use(db: ProtectedDatabase, keyring: str) -> None:
    """Rules with that keyring, in force in the running proxy."""
    db.rules.write_text(re.sub("keyring: .*", f"keyring: {keyring}", db.rules.read_text()))
    world = db.running.proxy.world
    before = world.keyring
    asyncio.run_coroutine_threadsafe(db.running.proxy.reload(), db.running._loop).result(timeout=20)
    assert world.keyring is not before


def move(db: ProtectedDatabase, old: str, new: str) -> None:
    """As docs/keys.md says: both in the rules, `rotate kek`, the new one alone."""
    use(db, f"{new[:-1]}, previous: [{old}]}}")
    providers = make_providers(load([db.rules]).keyring)
    with connect(db.server.dsn(db.name)) as own:
        assert rotate_kek(KeyringStore(own, providers.current, providers.previous)) >= 2
    use(db, new)


def check(connection: psycopg.Connection, number: int) -> None:
    email = f"planted-{number}"
    connection.execute("INSERT INTO users VALUES (%s, %s)", [number, email])
    assert connection.execute("SELECT id FROM users WHERE email = %s", [email]).fetchall() == [(number,)]
    expected = [(f"planted-{n}",) for n in range(1, number + 1)]
    assert sorted(connection.execute("SELECT email FROM users").fetchall()) == expected


def test_from_a_file_to_kms_and_on_to_vault(
    postgres: PostgresServer, tmp_path: Path, kms: fake_kms.FakeKms, vault: FakeVault
) -> None:
    (tmp_path / "secret-id").write_text("secret")
    arn = kms.create_key(multi_region=True)
    replica = kms.replicate(arn)
    in_kms = f"{{provider: aws-kms, key_id: '{arn}', replicas: ['{replica}'], endpoint_url: '{kms.endpoint}'}}"
    in_vault = (
        f"{{provider: vault, address: '{vault.address}', key: pgcrypt, auth: approle, role_id: app,"
        f" secret_id_file: '{tmp_path / 'secret-id'}'}}"
    )
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db, db.connect() as connection:
        check(connection, 1)
        move(db, FILE, in_kms)
        db.kek.unlink()
        check(connection, 2)
        providers = make_providers(load([db.rules]).keyring)
        with connect(postgres.dsn(db.name)) as own:  # a key that KMS makes itself
            rotate_deks(KeyringStore(own, providers.current), sleep=lambda _: None)
        check(connection, 3)
        move(db, in_kms, in_vault)
        check(connection, 4)
        with db.direct() as direct:
            rows = direct.execute("SELECT DISTINCT provider, kek_id FROM pgcrypt.keyring").fetchall()
            assert rows == [("vault", "transit/pgcrypt")]
            assert audit.verify(direct).problems == ()
        fresh = start(settings_for(postgres, db.name, db.rules))
        try:
            dsn = f"postgresql://postgres@127.0.0.1:{fresh.port}/{db.name}?sslmode=disable"
            with psycopg.connect(dsn, autocommit=True) as another:
                check(another, 5)
        finally:
            fresh.stop()
