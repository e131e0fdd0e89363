"""Keys of tenants are loaded once for all who want them, renewed while in use, and dropped when they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from pgcrypt_proxy.crypto.deks import Dek, KeyRecord
from pgcrypt_proxy.errors import KeyNotLoaded, KeyUnavailable, PgcryptError
from pgcrypt_proxy.ops import tenant_keys
from pgcrypt_proxy.ops.keyring_store import Providers
from pgcrypt_proxy.ops.tenant_keys import Loaded
from pgcrypt_proxy.server.database import Database
from pgcrypt_proxy.server.tenant_keeper import TenantKeeper


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Stands for the database and the provider: has the keys of tenants by id, and notes what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[set[int], Mapping[tuple[str, str], int]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.states: dict[int, str] = {}
        self.missing: set[str] = set()
        monkeypatch.setattr(tenant_keys, "load", self._load)
        monkeypatch.setattr(tenant_keys, "states", lambda _, ids: {i: self.states.get(i, "active") for i in ids})

    async def run(self, work: Callable[[Any], Any]) -> Any:
        await self.gate.wait()
        return work(None)

    def _load(self, store: object, wanted: KeyNotLoaded, **_: object) -> Loaded:
        self.asked.append((set(wanted.key_ids), dict(wanted.seals)))
        loaded = Loaded(self.clock())
        for key_id in wanted.key_ids:
            loaded.deks.append(dek(key_id, f"t{key_id}"))
        for _, tenant in wanted.seals:
            if tenant in self.missing:
                loaded.error = KeyUnavailable("away")
            else:
                loaded.deks.append(dek(int(tenant[1:]), tenant))
        return loaded


def dek(key_id: int, tenant: str) -> Dek:
    made = Dek.of(KeyRecord(key_id, "dek", "pii", tenant, 1, "active", b"", ""), bytes(32))
    made.granted = 1000
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Source:
    return Source(monkeypatch, clock)


@pytest.fixture
async def keeper(source: Source, clock: Clock) -> TenantKeeper:
    return TenantKeeper(cast(Database, source), cast(Providers, Providers(cast(Any, None))), ttl_s=60, clock=clock)


def seals(*tenants: str) -> KeyNotLoaded:
    return KeyNotLoaded(seals={("pii", tenant): 1 for tenant in tenants})


async def test_who_asks_at_once_is_answered_at_once(keeper: TenantKeeper, source: Source) -> None:
    wanted = [seals("t1"), seals("t1"), seals("t2"), KeyNotLoaded(key_ids=[3])]
    assert await asyncio.gather(*(keeper.fetch(one) for one in wanted)) == [None] * 4
    assert source.asked == [({3}, {}), (set(), {("pii", "t1"): 2, ("pii", "t2"): 1})]
    assert keeper.keys.sealing("pii", "t1").record.id == 1


async def test_what_came_meanwhile_is_not_loaded_again(keeper: TenantKeeper, source: Source) -> None:
    source.gate.clear()
    first = asyncio.ensure_future(keeper.fetch(seals("t1")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.ensure_future(keeper.fetch(seals("t1", "t2")))
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(first, second) == [None, None]
    assert [asked for _, asked in source.asked] == [{("pii", "t1"): 1}, {("pii", "t2"): 1}]


async def test_an_error_is_for_those_who_lack_something(keeper: TenantKeeper, source: Source) -> None:
    source.missing = {"t9"}
    found: list[PgcryptError | None] = list(await asyncio.gather(keeper.fetch(seals("t1")), keeper.fetch(seals("t9"))))
    assert found[0] is None
    assert isinstance(found[1], KeyUnavailable)


async def test_many_are_asked_for_in_parts(keeper: TenantKeeper, source: Source) -> None:
    await keeper.fetch(KeyNotLoaded(key_ids=range(1, 601)))
    assert [len(ids) for ids, _ in source.asked] == [256, 256, 88]


async def test_nobody_waits_for_a_tick_behind_a_load(keeper: TenantKeeper, source: Source) -> None:
    await keeper.fetch(seals("t1", "t2"))
    source.states = {1: "destroyed"}
    source.gate.clear()
    for _ in range(2):
        keeper.tick_soon()
        await asyncio.sleep(0)
    assert len(keeper.keys) == 2
    source.gate.set()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
    assert keeper.keys.key_ids == (2,)


async def test_destroyed_keys_are_dropped_at_the_next_tick(keeper: TenantKeeper, source: Source) -> None:
    await keeper.tick()
    await keeper.fetch(seals("t1", "t2"))
    source.states = {1: "destroyed"}
    await keeper.tick()
    assert keeper.keys.key_ids == (2,)
    with pytest.raises(KeyUnavailable, match="was destroyed"):
        keeper.keys.opening(1)


async def test_leases_are_renewed_and_keys_in_use_loaded_anew(
    keeper: TenantKeeper, source: Source, clock: Clock
) -> None:
    await keeper.fetch(seals("t1"))
    clock.now = 9.0
    await keeper.tick()
    clock.now = 18.0
    assert keeper.keys.sealing("pii", "t1")
    clock.now = 31.0
    await keeper.tick()
    await asyncio.sleep(0.01)
    assert source.asked[-1] == ({1}, {})
    clock.now = 80.0
    assert keeper.keys.opening(1)
    await keeper.stop()
