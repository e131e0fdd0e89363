"""pgbench over every contestant, on loopback and behind the delay line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench import pgbench
from bench.places import Place
from bench.results import (
    DIRECT,
    P50,
    PGBOUNCER,
    SEALED,
    SEALED_WORKERS,
    THROUGHPUT,
    UNTOUCHED,
    UNTOUCHED_WORKERS,
    About,
    Results,
    interleaved,
)
from bench.scripts import CRUD, EXTENDED, LOOKUP, PREPARED, SELECT_ONLY, SIMPLE, TPCB
from bench.tables import Sizes

ALL = (DIRECT, PGBOUNCER, UNTOUCHED, SEALED)
WITH_WORKERS = (*ALL, UNTOUCHED_WORKERS, SEALED_WORKERS)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the report."""

    workload: str
    protocol: str = PREPARED
    clients: int = 1
    contestants: tuple[str, ...] = ALL

    @property
    def name(self) -> str:
        return f"{self.workload}, {self.protocol}, {self.clients} client{'s' * (self.clients > 1)}"


def _contestants(workload: str, protocol: str, clients: int) -> tuple[str, ...]:
    has_workers = workload == SELECT_ONLY and protocol == PREPARED and clients > 1
    return WITH_WORKERS if has_workers else ALL


def loopback_cases(*, short: bool) -> list[Case]:
    """The long form: every workload in every protocol with 1, 8 and 64 clients."""
    if short:
        chosen = [(SELECT_ONLY, PREPARED, 8), (SELECT_ONLY, PREPARED, 64), (TPCB, PREPARED, 8), (CRUD, PREPARED, 1)]
        chosen += [(CRUD, PREPARED, 8), (CRUD, PREPARED, 64), (CRUD, SIMPLE, 8)]
    else:
        chosen = [
            (workload, protocol, clients)
            for workload in (SELECT_ONLY, TPCB, CRUD)
            for protocol in (SIMPLE, EXTENDED, PREPARED)
            for clients in (1, 8, 64)
        ]
    cases = [Case(*each, _contestants(*each)) for each in chosen]
    return [*cases, Case(LOOKUP, contestants=(DIRECT, UNTOUCHED, SEALED))]


def delayed_cases(*, short: bool) -> list[Case]:
    clients = (1,) if short else (1, 8)
    return [Case(workload, clients=count) for workload in (CRUD, TPCB) for count in clients]


def measure(
    results: Results, place: Place, cases: list[Case], program: Path, rounds: int, seconds: int, sizes: Sizes
) -> None:
    """Every case in interleaved rounds; adds throughput, p50, p50 by statement, and CPU of what is in the middle."""
    for case in cases:
        where = f" at {place.round_trip_ms:g} ms" if place.round_trip_ms else ""
        print(f"{case.name}{where}", file=sys.stderr, flush=True)
        try:
            runs = interleaved(
                place.names(*case.contestants),
                rounds,
                lambda name, case=case: pgbench.run(  # type: ignore[misc]
                    program, place[name], case.workload, case.protocol, case.clients, seconds, sizes
                ),
                warm_up=False,
            )
        except pgbench.PgbenchFailed as error:
            results.notes.append(f"{case.name}{where} failed and is left out: {' '.join(str(error).split())[-300:]}")
            continue
        about: About = {
            "workload": case.workload,
            "protocol": case.protocol,
            "clients": case.clients,
            "round_trip_ms": place.round_trip_ms,
        }
        part = f"pgbench at {place.round_trip_ms:g} ms" if place.round_trip_ms else "pgbench"
        of_all = {
            (THROUGHPUT, "tps"): {name: [run.tps for run in found] for name, found in runs.items()},
            (P50, "us"): {name: [run.p50_us for run in found] for name, found in runs.items()},
        }
        for (figure, unit), values in of_all.items():
            results.add(f"{part}, {figure}", f"{case.name}{where}", unit, values, figure=figure, **about)
        every = [run.by_script for found in runs.values() for run in found]
        scripts = [script for script in every[0] if all(script in one for one in every)]
        if len(scripts) > 1:
            for script in scripts:
                values = {n: [run.by_script[script] for run in found] for n, found in runs.items()}
                name = f"{case.name}{where}: {script}"
                results.add(f"{part}, p50 by statement", name, "us", values, figure="p50 by statement", **about)
        values = {n: [run.cpu_us for run in found] for n, found in runs.items() if place[n].middle}
        results.add(f"{part}, CPU in the middle", f"{case.name}{where}", "us", values, figure="cpu", **about)
