"""Failed logins make the next ones wait, longer each time, for one client address and user.

Several workers have one `Throttle` between them, which the supervisor keeps.

Bounded: the oldest failures are forgotten first. Decides how long; waits for nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pgcrypt_proxy.errors import PgcryptError

#: Mistakes that cost nothing: a typing error is no attack.
FREE_FAILURES = 3
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 16.0
#: Whoever would wait longer, because others wait already, is refused at once.
MAX_WAIT_S = 30.0
FORGET_AFTER_S = 600.0
MAX_ENTRIES = 10_000

Key = tuple[str, str]  # client address, user


class TooManyFailures(PgcryptError):
    """Too many logins of this kind failed or wait."""

    severity = "FATAL"
    sqlstate = "53300"
    kind = "limit"


def too_many_failures() -> TooManyFailures:
    return TooManyFailures("too many failed logins", hint="Try again later.")


class LoginThrottle(Protocol):
    """A `Throttle` here or elsewhere."""

    async def wait_s(self, key: Key) -> float: ...

    def failed(self, key: Key) -> None: ...

    def succeeded(self, key: Key) -> None: ...


@dataclass(slots=True)
class _Entry:
    failures: int
    last_s: float
    next_s: float  # when the next login may begin


class Throttle:
    """Counts failures by (address, user)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def wait_s(self, key: Key) -> float:
        """How long the login that begins now must wait; takes its place in the queue. Raises TooManyFailures."""
        entry, now = self._entries.get(key), self._clock()
        if entry is None:
            return 0.0
        if now - entry.last_s > FORGET_AFTER_S:
            del self._entries[key]
            return 0.0
        if entry.failures < FREE_FAILURES:
            return 0.0
        doublings = min(entry.failures - FREE_FAILURES, 10)
        delay = min(FIRST_DELAY_S * (1 << doublings), MAX_DELAY_S)
        starts = max(now, entry.next_s) + delay
        if starts - now > MAX_WAIT_S:
            raise too_many_failures()
        entry.next_s = starts
        return starts - now

    def failed(self, key: Key) -> None:
        """A login failed for want of the right password."""
        now = self._clock()
        entry = self._entries.setdefault(key, _Entry(0, now, now))
        entry.failures = min(entry.failures + 1, 1000)
        entry.last_s = now
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def succeeded(self, key: Key) -> None:
        """A login succeeded: what failed before is forgiven."""
        self._entries.pop(key, None)


class OwnThrottle:
    """The throttle of a process without others."""

    def __init__(self) -> None:
        self._throttle = Throttle()
        self.failed = self._throttle.failed
        self.succeeded = self._throttle.succeeded

    async def wait_s(self, key: Key) -> float:
        return self._throttle.wait_s(key)
