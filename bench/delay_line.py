"""A longer wire before the server: `delay_line.c`, compiled at first use, and what it really adds."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

SOURCE = Path(__file__).with_name("delay_line.c")
PROBES = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """Median time of `SELECT 1` over one connection, without the line and through it."""

    nominal_us: float
    without_us: float
    through_us: float

    @property
    def added_us(self) -> float:
        return self.through_us - self.without_us

    def as_dict(self) -> dict[str, float]:
        return {**asdict(self), "added_us": self.added_us}


def build(folder: Path, compiler: str = "gcc") -> Path:
    """The program, made in `folder`. Raises CalledProcessError or FileNotFoundError."""
    program = folder / "delay_line"
    if not program.exists():
        subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


@contextlib.contextmanager
def line(program: Path, host: str, port: int, round_trip_ms: float) -> Iterator[int]:
    """The loopback port that leads to host and port, half of the round trip in each direction."""
    one_way_us = round(round_trip_ms * 500)
    process = subprocess.Popen(
        [program, str(one_way_us), host, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()  # which ends it
        process.stdout.close()
        process.wait()


def probe(direct: str, through: str, round_trip_ms: float) -> Probe:
    """What the line adds to a statement that costs nearly nothing: in turns, so that both see the same machine."""
    times: dict[str, list[float]] = {direct: [], through: []}
    with psycopg.connect(direct, autocommit=True) as one, psycopg.connect(through, autocommit=True) as other:
        for _ in range(PROBES):
            for dsn, connection in ((direct, one), (through, other)):
                started = time.perf_counter()
                connection.execute("SELECT 1", prepare=True)
                times[dsn].append((time.perf_counter() - started) * 1e6)
    return Probe(round_trip_ms * 1e3, statistics.median(times[direct]), statistics.median(times[through]))
