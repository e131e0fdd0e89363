"""`make bench`: every workload over every contestant, interleaved and repeated, in one run and one report."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import bars, bulk, delay_line, idle, machine, maintenance, pgbench, plots, profiled, statements, transactions
from bench.places import place
from bench.processes import Database, find_pgbouncer
from bench.report import Report, as_json, markdown
from bench.results import Results
from bench.scripts import CRUD, SELECT_ONLY, TPCB
from bench.tables import SHORT, Sizes, create
from tests.helpers import servers
from tests.helpers.servers import PostgresServer

PARTS = ("statements", "bulk", "pgbench", "delayed", "idle", "maintenance", "profile")
ROUND_TRIPS_MS = (0.5, 1.0)
SETTINGS = {
    "log_statement": "none",
    "shared_buffers": "1GB",
    "autovacuum": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "max_connections": "300",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    is_short: bool
    rounds: int
    seconds: int
    sizes: Sizes
    idle_connections: int
    resealed: int = 200_000
    profile_seconds: int = 5


LONG_PLAN = Plan(is_short=False, rounds=5, seconds=2, sizes=Sizes(), idle_connections=2000)
SHORT_PLAN = Plan(
    is_short=True, rounds=3, seconds=1, sizes=SHORT, idle_connections=500, resealed=50_000, profile_seconds=2
)


def main() -> int:
    """Run, print the report, and write Markdown, JSON and plots into --output."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer rounds and rows, under five minutes")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"only these, with commas between: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="how often everything is repeated")
    parser.add_argument(
        "--profile",
        choices=(SELECT_ONLY, TPCB, CRUD),
        help="watch the proxy in this workload; without it, in the CRUD mix if a bar is missed",
    )
    parser.add_argument("--output", type=Path, default=Path("bench/results"), help="folder for the report")
    arguments = parser.parse_args()
    parts = set(arguments.parts.split(","))
    if not parts <= set(PARTS):
        parser.error(f"--parts: there are {', '.join(PARTS)}")
    plan = SHORT_PLAN if arguments.short else LONG_PLAN
    started, load = time.monotonic(), machine.load()
    report = run(plan, parts, arguments.rounds or plan.rounds, arguments.profile)
    report.machine["load before"] = load
    report.machine["run"] = (
        f"{'short' if plan.is_short else 'long'} form, {arguments.rounds or plan.rounds} rounds,"
        f" {time.monotonic() - started:.0f} s"
    )
    write(report, arguments.output)
    return 0


def run(plan: Plan, parts: set[str], rounds: int, profile: str | None) -> Report:
    """Everything in `parts`, on one server."""
    results = Results()
    bouncer = find_pgbouncer(results)
    with _folder() as folder:
        with servers.running(servers.chosen_flavour(), SETTINGS) as server, server.database() as name:
            program = pgbench.find(server.bin_dir)
            if program is None:
                results.notes.append("pgbench is not installed (apt-get install postgresql-contrib): left out.")
                parts = parts - {"pgbench", "delayed", "profile"}
            versions: dict[str, str | Path | None] = {"PgBouncer": bouncer, "pgbench": program}
            about = machine.describe(server.version, versions)
            report = Report("What the proxy costs", about, results, [])
            _on_this_server(report, plan, parts, rounds, profile, server, name, folder, program, bouncer)
        if "idle" in parts:
            idle.measure(results, folder, plan.idle_connections, bouncer)
    report.verdicts = bars.verdicts(results)
    return report


def _on_this_server(
    report: Report,
    plan: Plan,
    parts: set[str],
    rounds: int,
    profile: str | None,
    server: PostgresServer,
    name: str,
    folder: Path,
    program: Path | None,
    bouncer: str | None,
) -> None:
    results, sizes = report.results, plan.sizes
    print("tables", file=sys.stderr, flush=True)
    rules = create(server, name, folder, sizes)
    database = Database(server.host, server.port, name)
    if parts & {"statements", "bulk", "pgbench"}:
        with place(database, rules, folder, workers=2, bouncer=bouncer) as here:
            if "statements" in parts:
                statements.measure(results, here, rounds, 100 if plan.is_short else 400)
            if "bulk" in parts:
                bulk.measure_selects(results, here, rounds, sizes)
                bulk.measure_copy(results, here, server, min(rounds, 3), sizes)
                bulk.measure_growth(results, here)
            if "pgbench" in parts and program:
                cases = transactions.loopback_cases(short=plan.is_short)
                transactions.measure(results, here, cases, program, rounds, plan.seconds, sizes)
    if "delayed" in parts and program:
        _delayed(report, plan, rounds, database, rules, folder, program, bouncer)
    if "maintenance" in parts:
        maintenance.measure(results, server, plan.resealed)
    if "profile" in parts and program and (profile or any(not v.is_met for v in bars.verdicts(results))):
        seconds = plan.profile_seconds
        report.profiles = profiled.profile(database, rules, folder, program, profile or CRUD, seconds, sizes)


def _delayed(
    report: Report,
    plan: Plan,
    rounds: int,
    database: Database,
    rules: Path,
    folder: Path,
    program: Path,
    bouncer: str | None,
) -> None:
    if not shutil.which("gcc"):
        report.results.notes.append("gcc is not installed: nothing was measured behind the delay line.")
        return
    with delay_line.line(delay_line.build(folder), database.host, database.port, 0) as port:
        through = Database("127.0.0.1", port, database.name)
        report.probes.append(delay_line.probe(database.dsn, through.dsn, 0))
    cases = transactions.delayed_cases(short=plan.is_short)
    for round_trip_ms in ROUND_TRIPS_MS:
        with place(database, rules, folder, round_trip_ms=round_trip_ms, bouncer=bouncer) as there:
            assert there.probe is not None
            report.probes.append(there.probe)
            transactions.measure(report.results, there, cases, program, rounds, plan.seconds, plan.sizes)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """One that other accounts may enter, since PgBouncer does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(report: Report, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    report.plots = plots.draw(output, stamp, report.results, report.verdicts)
    text = markdown(report)
    (output / f"{stamp}.md").write_text(text)
    (output / f"{stamp}.json").write_text(as_json(report))
    print(text)


if __name__ == "__main__":
    sys.exit(main())
