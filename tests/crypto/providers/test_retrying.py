from __future__ import annotations

import pytest

from pgcrypt_proxy.crypto.providers.retrying import Attempts, TryAgain


class Time:
    now = 0.0

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def attempts(time: Time, deadline_s: float = 10.0) -> Attempts:
    return Attempts(deadline_s, clock=lambda: time.now, sleep=time.sleep)


def test_places_are_asked_in_order_before_any_pause() -> None:
    time, asked = Time(), []

    def place(name: str, works: bool) -> str:
        asked.append(name)
        if not works:
            raise TryAgain(name)
        return name

    calls = [lambda: place("a", False), lambda: place("b", True), lambda: place("c", True)]
    assert attempts(time).run(calls) == "b"
    assert (asked, time.pauses) == (["a", "b"], [])


def test_pauses_are_random_under_a_growing_limit() -> None:
    time = Time()

    def never() -> None:
        raise TryAgain("no")

    with pytest.raises(TryAgain, match="no"):
        attempts(time).run([never])
    limits = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert len(time.pauses) > 4
    assert all(0 <= pause <= limit for pause, limit in zip(time.pauses, limits, strict=False))
    assert len(set(time.pauses)) == len(time.pauses)
    assert time.now < 10


def test_slow_calls_do_not_pass_the_deadline_together() -> None:
    time = Time()

    def slow() -> None:
        time.now += 3
        raise TryAgain("slow")

    with pytest.raises(TryAgain):
        attempts(time).run([slow] * 100)
    assert 10 <= time.now < 13
