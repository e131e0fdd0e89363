"""How fast values are written: pauses, and standbys that must not fall behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

LAG_EVERY_S = 1.0
#: About as long may rows be held that others wait for: a machine that is busy gets smaller batches.
HELD_S = 0.2

_LAG = """
SELECT COALESCE(pg_catalog.max(EXTRACT(epoch FROM replay_lag)), 0)::double precision
FROM pg_catalog.pg_stat_replication
"""


@dataclass(slots=True)
class Pace:
    """`pause_s` behind each batch; `max_lag_s` is the replay lag of standbys that is waited for, 0 for none."""

    pause_s: float = 0.0
    max_lag_s: float = 0.0
    sleep: Callable[[float], None] = time.sleep
    _asked_at: float = field(default=0.0, init=False)

    def keep(self, connection: psycopg.Connection) -> None:
        """Behind a batch that has written something, outside a transaction."""
        if self.pause_s:
            self.sleep(self.pause_s)
        while self.max_lag_s and time.monotonic() - self._asked_at >= LAG_EVERY_S:
            if lag(connection) <= self.max_lag_s:
                self._asked_at = time.monotonic()
                return
            self.sleep(LAG_EVERY_S)


class Portion:
    """How much is written at once: of `most`, as much as takes a fraction of a second."""

    def __init__(self, most: int, first: int | None = None) -> None:
        self._most = most
        self.size = min(most, first or most)

    def took(self, seconds: float, done: int) -> None:
        """`done` took so long. Makes the next one smaller or larger."""
        if seconds > HELD_S:
            self.size = max(1, min(self.size, done) // 2)
        elif seconds < HELD_S / 4 and done >= self.size:
            self.size = min(self._most, 2 * self.size)


def lag(connection: psycopg.Connection) -> float:
    """Seconds that the slowest standby is behind. Only superusers and pg_monitor see it."""
    row = connection.execute(_LAG).fetchone()
    return float(row[0]) if row else 0.0
