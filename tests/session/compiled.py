"""Sessions as a connection runs them, with compiled code and without, and with real keys."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.session.commands import SendData
from pgcrypt_proxy.session.events import BackendOpened, DataReceived, Side
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.sql.planner import Planner
from tests.crypto.test_keyring import record, ring
from tests.helpers.session_doubles import RecordingObserver
from tests.session.conversations import AUTHENTICATED, STARTUP, ready, status


def keyring() -> Keyring:
    """By the clock that compiled code reads, which the tests must not be at the end of."""
    made = ring(record(1), record(2, "index"), grant=10**6, clock=time.monotonic)  # type: ignore[arg-type]
    made.expires_at = float("inf")
    return made


KEYS = keyring()


class Run:
    """A session with a keyring of its own, of the same keys, as a connection runs it."""

    def __init__(self, planner: Planner, *, is_compiled: bool) -> None:
        self.observer = RecordingObserver()
        self.keyring = keyring()
        self.session = Session(planner, self.keyring, self.observer)
        self.session.handle(DataReceived(Side.FRONTEND, STARTUP))
        self.session.handle(BackendOpened())
        said = [AUTHENTICATED, status("client_encoding", "UTF8"), ready()]
        self.session.handle(DataReceived(Side.BACKEND, b"".join(said)))
        self._course = self.session.course if is_compiled else None
        self.taken = 0

    def feed(self, side: Side, data: bytes) -> dict[Side, bytes]:
        """What is sent to each side."""
        if self._course is not None:
            take = self._course.requests if side is Side.FRONTEND else self._course.replies
            if (made := take(data)) is not None:
                self.taken += 1
                return {Side.BACKEND if side is Side.FRONTEND else Side.FRONTEND: made}
        commands = self.session.handle(DataReceived(side, data))
        if self._course is not None:
            self.session.arm()
        return {command.side: command.data for command in commands if isinstance(command, SendData)}

    def counts(self) -> Counter[tuple[str, str]]:
        """How many values went through each operation, as metrics have it."""
        self.session.report()
        made: Counter[tuple[str, str]] = Counter()
        for what, *rest in self.observer.told:
            if what == "operations":
                operation, data_class, count = rest
                made[operation, data_class] += count
        return made


def mutated(rng: Random, data: bytes) -> bytes:
    """Damaged in one place, cut, or with something more."""
    made, at = bytearray(data), rng.randrange(len(data))
    fate = rng.randrange(4)
    if fate == 0:
        made[at] = rng.choice([0, 1, 0x7F, 0xFF, made[at] ^ 1, rng.randrange(256)])
    elif fate == 1:
        del made[at:]
    elif fate == 2:
        made[at:at] = rng.randbytes(rng.randint(1, 4))
    else:
        made += data
    return bytes(made)
