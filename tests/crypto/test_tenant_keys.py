"""Keys of tenants in memory: few of many, each for its time, and none that was destroyed."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.crypto.deks import Dek, KeyRecord
from pgcrypt_proxy.crypto.tenant_keys import TenantKeys
from pgcrypt_proxy.errors import KeyNotLoaded, KeyUnavailable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def dek(key_id: int, tenant: str = "acme", state: str = "active", granted: int = 10) -> Dek:
    made = Dek.of(KeyRecord(key_id, "dek", "pii", tenant, key_id, state, b"", ""), bytes(32))  # type: ignore[arg-type]
    made.granted = granted
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> TenantKeys:
    return TenantKeys(ttl_s=60, clock=clock, max_keys=3)


def test_what_is_not_here_is_asked_for(keys: TenantKeys) -> None:
    with pytest.raises(KeyNotLoaded) as opening:
        keys.opening(7)
    assert opening.value.key_ids == {7}
    with pytest.raises(KeyNotLoaded) as sealing:
        keys.sealing("pii", "acme", 4)
    assert sealing.value.seals == {("pii", "acme"): 4}
    assert not keys.is_known(7)


def test_a_key_seals_what_was_granted_until_its_lease_ends(keys: TenantKeys, clock: Clock) -> None:
    made = dek(1)
    made.seal_until = 110.0
    keys.put(made, clock())
    assert keys.sealing("pii", "acme", 10) is made
    assert keys.missing({("pii", "acme"): 10, ("pii", "bolt"): 1}) == {("pii", "bolt"): 1}
    with pytest.raises(KeyNotLoaded):
        keys.sealing("pii", "acme", 11)
    clock.now = 110.0
    with pytest.raises(KeyNotLoaded):
        keys.sealing("pii", "acme")
    assert keys.opening(1) is made


def test_a_key_that_is_loaded_again_keeps_its_grant_and_lease(keys: TenantKeys, clock: Clock) -> None:
    first, second = dek(1, granted=3), dek(1, granted=5)
    first.seal_until, second.seal_until = 120.0, 110.0
    keys.put(first, clock())
    keys.put(second, clock())
    assert (second.granted, second.seal_until) == (8, 120.0)
    assert keys.sealing("pii", "acme", 8) is second


def test_the_time_of_a_key_ends(keys: TenantKeys, clock: Clock) -> None:
    keys.put(dek(1), clock())
    clock.now += 60
    with pytest.raises(KeyNotLoaded):
        keys.opening(1)
    assert len(keys) == 0


def test_the_least_used_key_goes(keys: TenantKeys, clock: Clock) -> None:
    for number in (1, 2, 3):
        keys.put(dek(number, f"t{number}"), clock())
    keys.opening(1)
    keys.put(dek(4, "t4"), clock())
    assert set(keys.key_ids) == {1, 3, 4}
    with pytest.raises(KeyNotLoaded):
        keys.sealing("pii", "t2")


def test_destroyed_keys_go_and_are_named(keys: TenantKeys, clock: Clock) -> None:
    keys.put(dek(1), clock())
    keys.confirm({1: "destroyed"}, (1,), clock() + 10)
    with pytest.raises(KeyUnavailable, match="key 1, was destroyed") as caught:
        keys.opening(1)
    assert not isinstance(caught.value, KeyNotLoaded)
    with pytest.raises(KeyNotLoaded):
        keys.sealing("pii", "acme")


def test_rotated_keys_are_loaded_anew(keys: TenantKeys, clock: Clock) -> None:
    keys.put(dek(1), clock())
    keys.put(dek(2, "bolt"), clock())
    keys.put(dek(3, "crow", "retired"), clock())
    keys.confirm({1: "retired", 2: "active", 3: "retired"}, (1, 2, 3), clock() + 10)
    assert set(keys.key_ids) == {2, 3}
    assert keys.sealing("pii", "bolt").seal_until == clock() + 10
    keys.confirm({}, (2,), clock() + 10)
    assert set(keys.key_ids) == {3}


def test_no_such_key_is_believed_for_a_while(keys: TenantKeys, clock: Clock) -> None:
    keys.note_absent(9)
    assert keys.opening(9) is None
    assert keys.is_known(9)
    clock.now += 5
    with pytest.raises(KeyNotLoaded):
        keys.opening(9)


def test_keys_in_use_are_due_once(keys: TenantKeys, clock: Clock) -> None:
    keys.put(dek(1), clock())
    assert keys.due(30) == ()
    clock.now += 31
    assert keys.due(30) == (1,)
    assert keys.due(30) == ()
    keys.opening(1)
    assert keys.due(30) == (1,)
    keys.clear()
    assert len(keys) == 0
