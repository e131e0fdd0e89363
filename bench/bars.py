"""What the product wants of itself, and whether a run shows it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.results import DIRECT, P50, PGBOUNCER, SEALED, THROUGHPUT, UNTOUCHED, About, Measurement, Results, Spread
from bench.scripts import CRUD, LOOKUP, PREPARED

TAX, END_TO_END, SATURATED = "1. encryption tax", "2. end to end", "3. saturated"
BULK, LOOKUPS, GROWTH, RESOURCES = "4. bulk", "5. lookup", "5. growth", "6. resources"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar on one measurement. `unit` is x for a ratio."""

    bar: str
    case: str
    compared: str
    limit: float
    is_upper: bool
    value: Spread
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        return self.value.median <= self.limit if self.is_upper else self.value.median >= self.limit

    @property
    def distance_percent(self) -> float:
        """How far from the limit, in per cent of it; the sign says nothing."""
        return abs(self.value.median - self.limit) / self.limit * 100

    @property
    def said(self) -> str:
        return f"{'met' if self.is_met else 'missed'} by {self.distance_percent:.1f} %"

    @property
    def limit_said(self) -> str:
        return f"{'at most' if self.is_upper else 'at least'} {self.limit:g} {self.unit}"


def verdicts(results: Results) -> list[Verdict]:
    """Every bar on every measurement that it speaks of; none where nothing was measured."""
    return [
        *_tax(results),
        *_end_to_end(results),
        *_saturated(results),
        *_bulk(results),
        *_lookup(results),
        *_absolute(results),
    ]


def _ratio(
    bar: str, measurement: Measurement, contestant: str, base: str, limit: float, *, is_upper: bool
) -> list[Verdict]:
    if not measurement.has(contestant, base):
        return []
    case = f"{measurement.name}: {measurement.about['figure']}"
    value = measurement.ratio(contestant, base)
    return [Verdict(bar, case, f"{contestant} / {base}", limit, is_upper, value)]


def _tax(results: Results) -> list[Verdict]:
    found = []
    for m in results.find(workload=CRUD, figure=P50):
        found += _ratio(TAX, m, SEALED, UNTOUCHED, 1.05, is_upper=True)
    for m in results.find(workload=CRUD, figure=THROUGHPUT):
        found += _ratio(TAX, m, SEALED, UNTOUCHED, 0.95, is_upper=False)
    return found


def _end_to_end(results: Results) -> list[Verdict]:
    found = []
    for round_trip_ms, limit in ((1.0, 1.05), (0.5, 1.08)):
        for m in results.find(figure=P50, round_trip_ms=round_trip_ms):
            found += _ratio(END_TO_END, m, SEALED, DIRECT, limit, is_upper=True)
    return found


def _saturated(results: Results) -> list[Verdict]:
    found = []
    for m in results.find(figure=THROUGHPUT, protocol=PREPARED, round_trip_ms=0.0):
        if m.about["clients"] != 1:
            found += _ratio(SATURATED, m, UNTOUCHED, PGBOUNCER, 0.95, is_upper=False)
            found += _ratio(SATURATED, m, SEALED, PGBOUNCER, 0.85, is_upper=False)
    return found


def _bulk(results: Results) -> list[Verdict]:
    found = []
    for sealed, limit in ((1, 1.15), (5, 1.5)):
        for m in results.find(sealed=sealed, figure="time"):
            found += _ratio(BULK, m, SEALED, DIRECT, limit, is_upper=True)
    for m in results.find(copy="in"):
        found += _ratio(BULK, m, SEALED, DIRECT, 1.3, is_upper=True)
    return found


def _lookup(results: Results) -> list[Verdict]:
    found = []
    for m in results.find(workload=LOOKUP, figure=P50):
        found += _ratio(LOOKUPS, m, SEALED, UNTOUCHED, 1.1, is_upper=True)
    return found


def _absolute(results: Results) -> list[Verdict]:
    wanted: tuple[tuple[str, About, float], ...] = (
        (GROWTH, {"figure": "growth", "value": "unindexed"}, 34.0),
        (GROWTH, {"figure": "growth", "value": "searchable"}, 50.0),
        (RESOURCES, {"figure": "idle memory"}, 64.0),
        (RESOURCES, {"figure": "start"}, 1.0),
    )
    return [
        Verdict(bar, f"{m.part}: {m.name}", SEALED, limit, True, m.spread(SEALED), m.unit)
        for bar, about, limit in wanted
        for m in results.find(**about)
    ]
