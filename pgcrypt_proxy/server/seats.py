"""How many connections there are, over all workers: counts in memory that they share, each writing its own only.

A seat is taken first and counted then, so that two workers which take the last
one at the same moment may both be refused, but never both get it.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum

_BYTES = 8


class Seat(IntEnum):
    """What is counted."""

    CONNECTION = 0
    PENDING_LOGIN = 1


class Seats:
    """The counts of one worker, and the sums over all."""

    def __init__(self, memory: bytearray | mmap.mmap, worker: int = 0) -> None:
        self._counts = memoryview(memory).cast("q")
        self._first = worker * len(Seat)

    @classmethod
    def alone(cls) -> Seats:
        """For a process without others."""
        return cls(bytearray(_BYTES * len(Seat)))

    @classmethod
    def shared(cls, descriptor: int, worker: int = 0) -> Seats:
        """In the memory behind a file descriptor, which may be closed then."""
        return cls(mmap.mmap(descriptor, os.fstat(descriptor).st_size), worker)

    def take(self, seat: Seat, limit: int) -> bool:
        """Whether there was one left."""
        self._counts[self._first + seat] += 1
        if self.total(seat) > limit:
            self.give(seat)
            return False
        return True

    def give(self, seat: Seat) -> None:
        """One that was taken is free again."""
        self._counts[self._first + seat] -= 1

    def total(self, seat: Seat) -> int:
        """How many are taken, over all workers."""
        return sum(self._counts[seat :: len(Seat)])

    def clear(self, worker: int) -> None:
        """That worker is dead, and its connections with it."""
        for seat in Seat:
            self._counts[worker * len(Seat) + seat] = 0


def make_memory(workers: int) -> int:
    """The file descriptor of memory for so many workers."""
    descriptor = os.memfd_create("pgcrypt-seats", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _BYTES * len(Seat) * workers)
    return descriptor
