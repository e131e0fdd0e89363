"""`make bench`: every workload over every contestant, interleaved and repeated, in one run; prints one table."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.contestants import CIPHERTEXT, Contestant, all_contestants, connect
from bench.report import Cell, cell, machine, table
from bench.workloads import Workload, workloads
from pgcrypt_proxy import __version__

ROWS, WIDE_ROWS = 100_000, 200_000


def main() -> int:
    """Run, print the table, and write Markdown and JSON into --output."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer rounds and operations, about a minute")
    parser.add_argument("--only", default="", help="only workloads whose name has this text in it")
    parser.add_argument("--output", type=Path, default=Path("bench/results"), help="folder for the report")
    arguments = parser.parse_args()
    rounds = 5 if arguments.short else 15
    with all_contestants(ROWS, WIDE_ROWS) as (server, contestants):
        names = [c.name for c in contestants]
        about = (
            f"pgcrypt-proxy {__version__}, PostgreSQL {server.version} (fsync off), loopback, one client; {machine()}"
        )
        chosen = [w for w in workloads(short=arguments.short) if arguments.only in w.name]
        results = measure(contestants, rounds, chosen)
    text = table(names, results)
    head = f"{about}\nMedians of {rounds} interleaved rounds; ratio to direct in the same round, lowest and highest."
    print(f"\n{head}\n\n{text}\n")
    arguments.output.mkdir(parents=True, exist_ok=True)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    (arguments.output / f"{stamp}.md").write_text(f"{head}\n\n{text}\n")
    as_json = {w: {n: asdict(c) for n, c in cells.items()} for w, (_, cells) in results.items()}
    (arguments.output / f"{stamp}.json").write_text(json.dumps({"about": about, "results": as_json}, indent=1))
    return 0


def measure(
    contestants: list[Contestant], rounds: int, chosen: list[Workload]
) -> dict[str, tuple[str, dict[str, Cell]]]:
    """Seconds of every workload and contestant; the order turns from round to round."""
    connections = {c.name: connect(c) for c in contestants}
    results = {}
    for workload in chosen:
        taking_part = [c for c in contestants if workload.table == "wide" or c.name != CIPHERTEXT]
        times: dict[str, list[float]] = {c.name: [] for c in taking_part}
        for number in range(-1, rounds):  # the first round warms up and does not count
            shift = number % len(taking_part)
            for contestant in taking_part[shift:] + taking_part[:shift]:
                table = f"{contestant.kind}_{workload.table}"
                seconds = workload.run(connections[contestant.name], table, workload.operations)
                if number >= 0:
                    times[contestant.name].append(seconds)
            print(f"\r{workload.name}: round {number + 1} of {rounds} ", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        results[workload.name] = (
            workload.unit,
            {name: cell(t, times["direct"], workload.operations) for name, t in times.items()},
        )
    for connection in connections.values():
        connection.close()
    return results


if __name__ == "__main__":
    sys.exit(main())
