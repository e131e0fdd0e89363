"""New DEKs and KEKs: what changes in the keyring, and what stays readable."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
import pytest

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S, SealContext
from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.providers.local import LocalKek
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from pgcrypt_proxy.ops import audit
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import LET_GO_S, Rotated, rotate_deks, rotate_kek
from pgcrypt_proxy.ops.keyring_store import KeyringStore, hold_active_keys

CONTEXT = SealContext(7, "pii")


def kek(number: int, name: str = "file") -> LocalKek:
    return LocalKek(name, SecretKey(bytes([number]) * 32))


@pytest.fixture
def store(connection: psycopg.Connection) -> KeyringStore:
    made = KeyringStore(connection, kek(1))
    made.ensure_keys(["pii", "other"])
    return made


def states(store: KeyringStore) -> list[tuple[int, str, int, str]]:
    return [(r.id, r.data_class, r.generation, r.state) for r in store.records() if r.kind == "dek"]


def no_sleep(_: float) -> None: ...


def test_one_data_class_or_all(store: KeyringStore) -> None:
    slept: list[float] = []
    assert rotate_deks(store, "pii", sleep=slept.append) == [Rotated("pii", 3, 4)]
    assert states(store) == [(2, "other", 1, "active"), (3, "pii", 1, "retired"), (4, "pii", 2, "active")]
    assert [one.data_class for one in rotate_deks(store, sleep=slept.append)] == ["other", "pii"]
    assert slept == [LET_GO_S] * 2
    assert LET_GO_S > SEAL_LEASE_S
    rotated = [(e.key_id, e.detail) for e in audit.events(store.connection) if e.event == "key_rotated"]
    assert rotated[0] == (3, "data class pii: key 4 follows, by command")
    row = store.connection.execute("SELECT retired_by, retired_at FROM pgcrypt.keyring WHERE id = 3").fetchone()
    assert row is not None
    assert row[0] == f"postgres {audit.actor()}"
    assert row[1] is not None


def test_old_values_open_and_new_ones_have_the_new_key(store: KeyringStore) -> None:
    old = store.unlock_with_grants({"pii": 1}).seal(CONTEXT, b"ada")
    rotate_deks(store, sleep=no_sleep)
    keyring = store.unlock_with_grants({"pii": 1})
    new = keyring.seal(CONTEXT, b"ada")
    assert (old[2:6], new[2:6]) == (b"\0\0\0\3", b"\0\0\0\5")
    assert keyring.open(CONTEXT, old) == keyring.open(CONTEXT, new) == b"ada"


def test_an_unknown_data_class_changes_nothing(store: KeyringStore) -> None:
    with pytest.raises(ConfigError, match='no key of data class "pi"') as caught:
        rotate_deks(store, "pi", sleep=no_sleep)
    assert caught.value.hint == "Data classes: other, pii."
    assert {state for *_, state in states(store)} == {"active"}


def test_a_provider_that_is_down_changes_nothing(store: KeyringStore) -> None:
    class Down(LocalKek):
        def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
            raise KeyUnavailable("down")

    down = KeyringStore(store.connection, Down("file", SecretKey(bytes(32))))
    before = store.records()
    for use in (lambda: rotate_deks(down, sleep=no_sleep), lambda: rotate_kek(down)):
        with pytest.raises(KeyUnavailable):
            use()
    assert store.records() == before


def test_rotation_waits_for_a_tool_that_seals(
    postgres, database, store: KeyringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgcrypt_proxy.ops.key_rotation.LOCK_TIMEOUT_S", 0.2)
    with connect(postgres.dsn(database)) as tool, tool.transaction():
        hold_active_keys(tool)
        with pytest.raises(ConfigError, match="`protect` or `reseal`"):
            rotate_deks(store, sleep=no_sleep)
        assert {state for *_, state in states(store)} == {"active"}
    assert len(rotate_deks(store, sleep=no_sleep)) == 2


def test_a_new_kek_wraps_the_same_keys(store: KeyringStore) -> None:
    rotate_deks(store, "pii", sleep=no_sleep)
    sealed = store.unlock_with_grants({"pii": 1}).seal(CONTEXT, b"ada")
    before = [record.wrapped for record in store.records()]
    new = KeyringStore(store.connection, kek(2, "env"), [kek(1)])
    assert rotate_kek(new) == 4
    after = new.records()
    assert not set(before) & {record.wrapped for record in after}
    assert {(r.provider, r.kek_id) for r in after} == {("env", kek(2).kek_id)}
    alone = KeyringStore(store.connection, kek(2, "env"))
    assert alone.unlock().open(CONTEXT, sealed) == b"ada"
    with pytest.raises(KeyUnavailable, match='"env", which the rules do not name'):
        store.unlock()
    assert [e.key_id for e in audit.events(store.connection) if e.event == "key_rewrapped"] == [1, 2, 3, 4]


def test_until_then_both_keks_open_the_keyring(store: KeyringStore) -> None:
    both = KeyringStore(store.connection, kek(2), [kek(1)])
    both.unlock().zeroise()
    rotate_deks(both, "pii", sleep=no_sleep)  # new keys under the new one
    assert {record.kek_id for record in both.records()} == {kek(1).kek_id, kek(2).kek_id}
    both.unlock().zeroise()
    with pytest.raises(KeyUnavailable):
        store.unlock()


def test_a_kek_that_does_not_give_back_what_it_took_is_found(store: KeyringStore) -> None:
    class Forgetful(LocalKek):
        def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
            return bytes(32)

    before = store.records()
    with pytest.raises(KeyUnavailable, match="nothing was changed"):
        rotate_kek(KeyringStore(store.connection, Forgetful("other", SecretKey(bytes(32))), [kek(1)]))
    assert store.records() == before


def test_a_provider_wraps_anew_by_itself_where_it_can(store: KeyringStore) -> None:
    moved: list[str] = []

    class Server(LocalKek):
        def rewrap(self, wrapped: bytes, context: Mapping[str, str], old_kek_id: str) -> bytes:
            if moved:
                raise KeyUnavailable("not that one")  # then unwrap and wrap do
            moved.append(old_kek_id)
            return self.wrap(kek(1).unwrap(wrapped, context), context)

    server = Server("file", SecretKey(b"s" * 32))
    assert rotate_kek(KeyringStore(store.connection, server, [kek(1)])) == 3
    assert moved == [kek(1).kek_id]
    KeyringStore(store.connection, server).unlock().zeroise()
