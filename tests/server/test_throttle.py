"""Failed logins make the next ones wait; memory and waiting are bounded."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.server import throttle
from pgcrypt_proxy.server.throttle import FREE_FAILURES, Throttle, TooManyFailures
from tests.helpers.session_doubles import Clock

KEY = ("10.0.0.1", "app")


def failed(made: Throttle, times: int) -> None:
    for _ in range(times):
        made.failed(KEY)


def test_some_mistakes_cost_nothing() -> None:
    made = Throttle(Clock())
    assert made.wait_s(KEY) == 0
    failed(made, FREE_FAILURES - 1)
    assert made.wait_s(KEY) == 0


def test_waiting_grows_and_others_do_not_wait() -> None:
    clock = Clock()
    made = Throttle(clock)
    failed(made, FREE_FAILURES)
    waits = []
    for _ in range(8):
        waits.append(made.wait_s(KEY))
        clock.now += waits[-1]
        made.failed(KEY)
    assert waits == [0.5, 1, 2, 4, 8, 16, 16, 16]
    assert made.wait_s(("10.0.0.2", "app")) == made.wait_s(("10.0.0.1", "other")) == 0


def test_those_who_come_at_once_queue_up_and_then_are_refused() -> None:
    made = Throttle(Clock())
    failed(made, FREE_FAILURES + 3)
    assert [made.wait_s(KEY) for _ in range(7)] == [4, 8, 12, 16, 20, 24, 28]
    with pytest.raises(TooManyFailures) as caught:
        made.wait_s(KEY)
    assert (caught.value.code, caught.value.severity) == ("53300", "FATAL")


def test_success_and_time_forgive() -> None:
    clock = Clock()
    made = Throttle(clock)
    failed(made, 50)
    made.succeeded(KEY)
    assert made.wait_s(KEY) == 0
    failed(made, 50)
    clock.now += throttle.FORGET_AFTER_S + 1
    assert made.wait_s(KEY) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_ENTRIES", 10)
    made = Throttle(Clock())
    for number in range(100):
        made.failed(("10.0.0.1", str(number)))
    assert len(made._entries) == 10
