from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pgcrypt_proxy.crypto.keyring import SealContext
from pgcrypt_proxy.errors import ConfigError, SealError
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from tests.ops.conftest import OpenProvider


@pytest.fixture
def store(connection) -> KeyringStore:
    return KeyringStore(connection, OpenProvider())


def states(store: KeyringStore) -> list[tuple[str, str, int, str]]:
    return [(r.kind, r.data_class, r.generation, r.state) for r in store.records()]


def test_keys_are_made_once_for_each_data_class(store):
    store.ensure_keys(["pii", "restricted", "pii"])
    store.ensure_keys(["pii"])
    assert states(store) == [
        ("index", "", 1, "active"),
        ("dek", "pii", 1, "active"),
        ("dek", "restricted", 1, "active"),
    ]
    wrapped = [record.wrapped for record in store.records()]
    assert len(set(wrapped)) == 3


def test_what_is_sealed_opens_after_another_unlock(store):
    context = SealContext(7, "pii")
    envelope = store.unlock_with_grants({"pii": 1}).seal(context, b"ada")
    assert store.unlock().open(context, envelope) == b"ada"


def test_an_unlocked_keyring_seals_nothing_without_a_grant(store):
    with pytest.raises(SealError):
        store.unlock(["pii"]).seal(SealContext(7, "pii"), b"ada")


def test_grants_are_counted_before_they_are_used(store):
    store.ensure_keys(["pii"])
    first, second = store.grant("pii", 10), store.grant("pii", 5)
    assert first.key_id == second.key_id
    assert [record.seals for record in store.records() if record.kind == "dek"] == [15]


def test_a_used_up_key_is_retired_for_a_new_one(connection):
    store = KeyringStore(connection, OpenProvider(), seal_limit=10)
    store.ensure_keys(["pii"])
    keys = [store.grant("pii", count).key_id for count in (6, 4, 1)]
    assert keys[0] == keys[1] != keys[2]
    assert states(store)[1:] == [("dek", "pii", 1, "retired"), ("dek", "pii", 2, "active")]
    assert [record.seals for record in store.records()][1:] == [10, 1]


def test_old_envelopes_open_with_the_retired_key(connection):
    store = KeyringStore(connection, OpenProvider(), seal_limit=3)
    context = SealContext(7, "pii")
    envelope = store.unlock_with_grants({"pii": 3}).seal(context, b"ada")
    keyring = store.unlock_with_grants({"pii": 3})
    assert keyring.open(context, envelope) == b"ada"
    assert keyring.seal(context, b"ada")[2:6] != envelope[2:6]


def test_two_proxies_at_once_make_one_new_key(postgres, database, connection):
    KeyringStore(connection, OpenProvider(), seal_limit=10).ensure_keys(["pii"])
    barrier = threading.Barrier(4)
    failures: list[Exception] = []

    def take() -> None:
        try:
            with connect(postgres.dsn(database)) as own:
                mine = KeyringStore(own, OpenProvider(), seal_limit=10)
                barrier.wait(10)
                for _ in range(5):
                    mine.grant("pii", 2)
        except Exception as error:  # re-raised by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    records = [r for r in KeyringStore(connection, OpenProvider()).records() if r.kind == "dek"]
    assert [r.seals for r in records] == [10, 10, 10, 10]
    assert [r.state for r in records] == ["retired"] * 3 + ["active"]


def test_a_lost_keyring_id_is_said(connection, store):
    connection.execute("DELETE FROM pgcrypt.meta")
    with pytest.raises(ConfigError, match="keyring's id is lost"):
        store.keyring_id()


@pytest.fixture
def role(postgres, database) -> Iterator[str]:
    name = f"reader_{database}"
    with postgres.connect() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    with postgres.connect() as admin:
        admin.execute(f"DROP ROLE {name}")


def test_a_role_that_may_not_read_the_keyring_is_told(postgres, database, connection, role):
    with (
        connect(postgres.dsn(database, role)) as other,
        pytest.raises(ConfigError, match="reading the keyring") as caught,
    ):
        KeyringStore(other, OpenProvider()).records()
    assert caught.value.code == "42501"
