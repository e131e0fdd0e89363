"""Calls over a network that may fail: again after a random pause, elsewhere, and never longer than agreed.

Full jitter: each pause is random between nothing and a limit that doubles, so
that many proxies do not come back all at once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_RANDOM = secrets.SystemRandom()


class TryAgain(Exception):
    """A call failed in a way that may be over in a moment. `reason` is a fixed text of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Attempts:
    """How long and how often. No call begins after `deadline_s`, so the whole takes that and one call at most."""

    deadline_s: float
    first_pause_s: float = 0.1
    longest_pause_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, calls: Sequence[Callable[[], T]]) -> T:
        """The first answer. `calls` are asked in order, each place once a round. Raises the last TryAgain."""
        end = self.clock() + self.deadline_s
        limit = self.first_pause_s
        while True:
            failed = TryAgain("there was no time to ask")
            for call in calls:
                if self.clock() >= end:
                    raise failed
                try:
                    return call()
                except TryAgain as again:
                    failed = again
            pause = _RANDOM.uniform(0, limit)
            if self.clock() + pause >= end:
                raise failed
            self.sleep(pause)
            limit = min(2 * limit, self.longest_pause_s)
