"""One pgbench workload with the proxy watched: the part of the report that says where the time goes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from bench import pgbench, profiling
from bench.places import OWNERS, Contestant
from bench.processes import SERVE, Database, proxy
from bench.profiling import Profile
from bench.results import SEALED, UNTOUCHED
from bench.scripts import PREPARED
from bench.tables import Sizes

CLIENTS = 8


def profile(
    database: Database, rules: Path, folder: Path, program: Path, workload: str, seconds: int, sizes: Sizes
) -> list[Profile]:
    """The proxy with sealed and with untouched tables, prepared statements, 8 clients, nothing between."""
    found = []
    for name, kind in ((SEALED, "sealed"), (UNTOUCHED, "plain")):
        print(f"profile of {workload}, {name}", file=sys.stderr, flush=True)
        title = f"{workload}, {PREPARED}, {CLIENTS} clients, {name}"
        py_spy, stats = profiling.find_py_spy(), folder / f"{kind}.pstats"
        made: list[Profile] = []
        with proxy(database, rules, folder) as middle:
            contestant = Contestant(name, replace(database, port=middle.port), kind, OWNERS[name], middle)

            def work(contestant: Contestant = contestant) -> None:
                pgbench.run(program, contestant, workload, PREPARED, CLIENTS, seconds, sizes)

            if py_spy:
                made = profiling.py_spy(py_spy, middle.pid, seconds, folder, title, work)
            by_perf = profiling.perf(middle.pid, seconds, folder, title, work)
        if not made:
            watched = ("-c", profiling.UNDER_CPROFILE, str(stats), SERVE[-1])
            with proxy(database, rules, folder, program=watched) as middle:
                work(replace(contestant, database=replace(database, port=middle.port), middle=middle))
            made = [profiling.cprofile(stats, title)]
        found += [*made, *by_perf]
    return found
