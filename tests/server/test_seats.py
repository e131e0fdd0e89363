"""Counts that several processes share."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pgcrypt_proxy.server.seats import Seat, Seats, make_memory


def test_alone() -> None:
    seats = Seats.alone()
    assert [seats.take(Seat.CONNECTION, 2) for _ in range(3)] == [True, True, False]
    assert seats.take(Seat.PENDING_LOGIN, 1)
    seats.give(Seat.CONNECTION)
    assert seats.take(Seat.CONNECTION, 2)


def test_workers_have_one_limit_and_the_dead_have_no_seats() -> None:
    memory = make_memory(2)
    one, two = Seats.shared(memory, 0), Seats.shared(memory, 1)
    assert one.take(Seat.CONNECTION, 2)
    assert two.take(Seat.CONNECTION, 2)
    assert not one.take(Seat.CONNECTION, 2)
    Seats.shared(memory).clear(1)
    os.close(memory)
    assert one.take(Seat.CONNECTION, 2)
    assert not two.take(Seat.CONNECTION, 2)


@pytest.mark.slow
def test_the_limit_holds_while_processes_race() -> None:
    """Each takes and gives; nobody may ever see more taken than there are."""
    memory = make_memory(3)
    script = (
        "import sys\n"
        "from pgcrypt_proxy.server.seats import Seat, Seats\n"
        "seats = Seats.shared(int(sys.argv[1]), int(sys.argv[2]))\n"
        "held = 0\n"
        "for turn in range(60000):\n"
        "    if turn % 3 == 2 and held:\n"
        "        seats.give(Seat.CONNECTION); held -= 1\n"
        "    elif seats.take(Seat.CONNECTION, 10):\n"
        "        held += 1\n"
        "print(held)\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(memory), str(number)], pass_fds=[memory], stdout=subprocess.PIPE
        )
        for number in range(3)
    ]
    held = sum(int(run.communicate(timeout=60)[0]) for run in runs)
    seats = Seats.shared(memory)
    os.close(memory)
    assert 0 < held <= 10
    assert [seats.take(Seat.CONNECTION, 10) for _ in range(11)].count(True) == 10 - held
