"""What was measured, as plain data: values of each contestant for each round, and ratios within a round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
#: What a measurement says of itself, and bars and plots look for.
About = dict[str, str | int | float]

DIRECT, CIPHERTEXT, PGBOUNCER = "direct", "direct, ciphertext", "PgBouncer"
UNTOUCHED, SEALED = "proxy untouched", "proxy sealed"
UNTOUCHED_WORKERS, SEALED_WORKERS = "proxy untouched, 2 workers", "proxy sealed, 2 workers"
#: The order of columns in tables and of bars in plots.
CONTESTANTS = (DIRECT, CIPHERTEXT, PGBOUNCER, UNTOUCHED, SEALED, UNTOUCHED_WORKERS, SEALED_WORKERS)

THROUGHPUT, P50 = "throughput", "p50"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of the rounds, lowest, highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(slots=True)
class Measurement:
    """One figure of one workload: `values` by contestant, one for each round. Bars look for `about`."""

    part: str
    name: str
    unit: str
    about: About
    values: dict[str, list[float]] = field(default_factory=dict)

    def spread(self, contestant: str) -> Spread:
        return Spread.of(self.values[contestant])

    def ratio(self, contestant: str, base: str) -> Spread:
        """Round by round, so that a machine whose speed drifts does not move it."""
        pairs = zip(self.values[contestant], self.values[base], strict=True)
        return Spread.of([value / other for value, other in pairs])

    def has(self, *contestants: str) -> bool:
        return all(self.values.get(c) for c in contestants)


@dataclass(slots=True)
class Results:
    """All measurements of a run, and notes of what could not be measured."""

    measurements: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, **about: str | int | float) -> list[Measurement]:
        """Those that say all that of themselves."""
        return [m for m in self.measurements if all(m.about.get(key) == value for key, value in about.items())]

    def add(self, part: str, name: str, unit: str, values: dict[str, list[float]], **about: str | int | float) -> None:
        self.measurements.append(Measurement(part, name, unit, about, values))


def interleaved(
    contestants: Sequence[str], rounds: int, run: Callable[[str], T], *, warm_up: bool = True
) -> dict[str, list[T]]:
    """`run` for every contestant in every round; who begins turns. The first round warms up and does not count."""
    found: dict[str, list[T]] = {name: [] for name in contestants}
    for number in range(-1 if warm_up else 0, rounds):
        shift = number % len(contestants)
        for name in (*contestants[shift:], *contestants[:shift]):
            value = run(name)
            if number >= 0:
                found[name].append(value)
    return found
