"""The plan cache is bounded by number and by bytes."""

from __future__ import annotations

from pgcrypt_proxy.sql.plan_cache import CHARACTER_BYTES, ENTRY_BYTES, PlanCache


def test_the_least_recently_used_goes_first() -> None:
    cache: PlanCache[int] = PlanCache(2, 1 << 20)
    cache.put("a", 1, 1)
    cache.put("b", 2, 1)
    assert cache.get("a") == 1
    cache.put("c", 3, 1)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    assert (cache.hits, cache.misses, len(cache)) == (3, 1, 2)


def test_bytes_are_bounded() -> None:
    size = ENTRY_BYTES + CHARACTER_BYTES * 1000
    cache: PlanCache[int] = PlanCache(100, 3 * size)
    for number in range(10):
        cache.put(number, number, 1000)
    assert (len(cache), cache.bytes) == (3, 3 * size)
    cache.put(9, -9, 0)
    assert (cache.get(9), cache.bytes) == (-9, 2 * size + ENTRY_BYTES)
    cache.put("too long", 1, 1 << 20)
    assert cache.get("too long") is None
    assert len(cache) == 3
