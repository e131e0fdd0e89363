"""`python -m tests.exercise --rows N`: everything that is done to columns of live tables, under load and kills.

Real processes: two proxies, the commands, and an embedded PostgreSQL of its own. Prints what clients noticed of each
step. The exit status is 1 when an error reached a client or a value was wrong; how long statements were blocked is
said, and judged by who reads it: it depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.exercise.run import exercise, quiet_server
from tests.helpers import servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exercise", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between a client's operations")
    parser.add_argument("--seed", type=int, default=None, help="by default any")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"seed {seed}, {options.rows:,} rows, {os.cpu_count()} CPUs, load before: {load}", flush=True)
    with tempfile.TemporaryDirectory(prefix="exercise-") as folder, quiet_server(servers.running) as server:
        result = asyncio.run(
            exercise(
                server,
                Path(folder),
                options.rows,
                options.kills,
                seed=seed,
                pause_s=options.pause,
                say=lambda line: print(line, flush=True),
            )
        )
    longest = max((phase for phase, _, _ in result.phases), key=lambda phase: phase.longest_s)
    print(f"{len(result.kills)} kills; the longest statement took {longest.longest_s:.2f} s, in {longest.name}")
    print(*result.faults[:50], f"{len(result.faults)} faults", sep="\n")
    return 1 if result.faults else 0


sys.exit(main())
