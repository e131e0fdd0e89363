"""Once through the table, a stretch of blocks at a time, by one filler or by several at once.

Rows that come meanwhile, or that somebody holds, are left to the index of what is left to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from pgcrypt_proxy.ops.column_rows import Progress
from pgcrypt_proxy.ops.online import moves
from pgcrypt_proxy.ops.online.fill import Batch, Filler
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.online.pace import Pace

Stretch = tuple[int, int]


class FirstPass:
    """From where the last run left off to `blocks`, the table's size when it began. `values` were written."""

    def __init__(self, move: Move, blocks: int, batch_blocks: int, pace: Pace, progress: Progress) -> None:
        self._move, self._blocks, self._batch_blocks = move, blocks, batch_blocks
        self._pace, self._progress = pace, progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._next = self._done_to = move.next_block
        self._done_ahead: dict[int, int] = {}  # start and end of stretches that are done behind one that is not
        self.values = 0

    def run(self, fillers: Sequence[Filler]) -> None:
        """Each filler has a connection of its own."""
        if len(fillers) == 1:
            self._work(fillers[0])
            return
        with ThreadPoolExecutor(len(fillers), "fill") as pool:
            works = [pool.submit(self._work, filler) for filler in fillers]
            try:
                for work in as_completed(works):
                    work.result()
            finally:
                self._stop.set()

    def _work(self, filler: Filler) -> None:
        while not self._stop.is_set():
            with self._lock:
                start = self._next
                end = self._next = min(start + self._batch_blocks, self._blocks)
            if start >= end:
                return
            self._fill(filler, start, end)

    def _fill(self, filler: Filler, start: int, end: int) -> None:
        where = f"t.ctid >= '({start},0)'::tid AND t.ctid < '({end},0)'::tid"
        while not self._stop.is_set():
            done = self._batch(filler, where, start, end)
            if done.moved:
                self._pace.keep(filler.connection)
            if done.is_last:
                self._note(start, end)
                return

    def _batch(self, filler: Filler, where: str, start: int, end: int) -> Batch:
        started = time.monotonic()
        with filler.connection.transaction():
            done = filler.batch(where)
            with self._lock:
                self.values += done.moved
                following = end if done.is_last and start == self._done_to else self._done_to
            seconds = time.monotonic() - started
            moves.step(filler.connection, self._move, following, self._blocks, done.moved, seconds)
        return done

    def _note(self, start: int, end: int) -> None:
        with self._lock:
            self._done_ahead[start] = end
            while self._done_to in self._done_ahead:
                self._done_to = self._done_ahead.pop(self._done_to)
            self._progress("filling", self._done_to, self._blocks)
