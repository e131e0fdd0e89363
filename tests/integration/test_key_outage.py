"""Vault cannot be reached, seen by a proxy that is a process of its own: its keys last for seconds here."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_kek
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.policy.load import load
from tests.helpers.fake_vault import FakeVault, TransitKey
from tests.helpers.gate import Gate
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer
from tests.helpers.serving import Serving, eventually, serving

SCHEMA = "CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY, email text, name text)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
#: Ten seconds here are a bit more than two minutes with five minutes.
TTL_S = 20.0
SEALED = (
    "INSERT INTO users (email) VALUES ('planted-b')",
    "SELECT email FROM users LIMIT 1",
    "SELECT id FROM users WHERE email = 'planted-a' LIMIT 1",
)
UNTOUCHED = ("SELECT name FROM users LIMIT 1", "BEGIN; INSERT INTO users (name) VALUES ('x'); COMMIT")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Before a Vault; the rules name the gate."""
    vault = FakeVault(keys={"pgcrypt": TransitKey()})
    vault.start()
    monkeypatch.setenv("VAULT_TOKEN", vault.make_token())
    gate = Gate("127.0.0.1", int(vault.address.rsplit(":", 1)[1]))
    yield gate
    gate.stop()
    vault.stop()


def in_vault(db: ProtectedDatabase, gate: Gate) -> None:
    """The keyring is wrapped by what is behind the gate, and the rules say so."""
    new = f"provider: vault, address: 'http://127.0.0.1:{gate.port}', key: pgcrypt, timeout_s: 1, deadline_s: 2"
    text = db.rules.read_text()
    both = f"keyring: {{{new}, previous: [{{provider: file, path: keyring.kek}}]}}"
    db.rules.write_text(re.sub("keyring: .*", both, text))
    providers = make_providers(load([db.rules]).keyring)
    with connect(db.server.dsn(db.name)) as own:
        rotate_kek(KeyringStore(own, providers.current, providers.previous))
    db.rules.write_text(re.sub("keyring: .*", f"keyring: {{{new}}}", text))
    db.kek.unlink()


def codes(connection: psycopg.Connection, statements: tuple[str, ...]) -> set[str]:
    """The SQLSTATEs of the answers; "" where there was no error."""
    found = set()
    for sql in statements:
        try:
            connection.execute(sql.encode())
        except psycopg.Error as error:
            found.add(error.sqlstate or "?")
        else:
            found.add("")
    return found


@pytest.mark.slow
@pytest.mark.one_server
def test_an_outage(postgres: PostgresServer, tmp_path: Path, gate: Gate) -> None:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db:
        in_vault(db, gate)
        with (
            serving(db, tmp_path, PGCRYPT_WORKERS="1", PGCRYPT_KEY_TTL_S=str(TTL_S)) as proxy,
            proxy.connect(prepare_threshold=None) as one,  # a term that was made before needs no key
        ):
            one.execute("INSERT INTO users (email, name) VALUES ('planted-a', 'A')")
            less_than_the_keys_time(proxy, one, gate)
            more_than_the_keys_time(proxy, one, gate)


def less_than_the_keys_time(proxy: Serving, one: psycopg.Connection, gate: Gate) -> None:
    """Three fifths of it: three of five minutes."""
    failed = 'pgcrypt_kms_calls_total{operation="unwrap",status="error"}'
    before = proxy.metric(failed)
    gate.mode = "shut"
    until = time.monotonic() + 0.6 * TTL_S
    while time.monotonic() < until:
        assert codes(one, (*SEALED, *UNTOUCHED)) == {""}
        time.sleep(0.05)
    assert proxy.metric(failed) > before
    gate.mode = "open"
    eventually(lambda: proxy.metric("pgcrypt_keyring_seconds_left") > 0.7 * TTL_S)
    assert codes(one, (*SEALED, *UNTOUCHED)) == {""}


def more_than_the_keys_time(proxy: Serving, one: psycopg.Connection, gate: Gate) -> None:
    """On the same connection all the while."""
    gate.mode = "shut"
    eventually(lambda: codes(one, SEALED) == {"58030"}, 2 * TTL_S)
    for _ in range(20):
        assert codes(one, SEALED) == {"58030"}
        assert codes(one, UNTOUCHED) == {""}
        time.sleep(0.05)
    with pytest.raises(psycopg.OperationalError) as caught:
        one.execute("SELECT email FROM users")
    assert "keys are not available" in str(caught.value)
    gate.mode = "open"
    eventually(lambda: codes(one, SEALED) == {""})
    assert one.execute("SELECT id FROM users WHERE email = 'planted-a'").fetchall() == [(1,)]
    assert proxy.process.poll() is None


@pytest.mark.slow
def test_a_value_in_a_prepared_text_is_not_stored_past_the_lease(postgres: PostgresServer, tmp_path: Path) -> None:
    """Not even by a course that is well known by then: its envelope was made when it was prepared."""
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db, db.connect(prepare_threshold=0) as one:
        in_the_text = "INSERT INTO users (email, name) VALUES ('planted-c', %s)"
        for number in range(20):
            one.execute(in_the_text, [str(number)])
        with db.direct() as direct, direct.transaction():
            # the proxy's look at the keyring waits here, as if the database were far away
            direct.execute("LOCK TABLE pgcrypt.keyring IN ACCESS EXCLUSIVE MODE")
            time.sleep(SEAL_LEASE_S + 1)
            with pytest.raises(psycopg.Error) as caught:
                one.execute(in_the_text, ["late"])
            assert caught.value.sqlstate == "58030"
        eventually(lambda: codes(one, (SEALED[0],)) == {""})
        one.execute(in_the_text, ["later"])
