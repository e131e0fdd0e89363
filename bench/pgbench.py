"""Runs pgbench once and reads what it says: transactions a second, and the time of every transaction."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.places import Contestant
from bench.scripts import WORKLOADS
from bench.tables import Sizes

#: Of every client: in these, statements are prepared and planned.
FIRST_TRANSACTIONS = 5
#: The first statements of so many clients are a good part of a short run, so nothing of its first second counts.
MANY_CLIENTS = 9
WARM_UP_S = 1
#: On a machine so busy that a run was too short.
LONGER = 10
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_COUNT = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


class PgbenchFailed(Exception):
    """It did not run to its end, or a statement failed."""


class TooShort(PgbenchFailed):
    """Not one transaction was done in time."""


@dataclass(frozen=True, slots=True)
class Run:
    """`p50_us` over all transactions, `by_script` for each file, `cpu_us` of the middle for one transaction."""

    tps: float
    p50_us: float
    by_script: dict[str, float]
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Transaction:
    """`ended_us` is since 1970."""

    client: int
    script: int
    us: int
    ended_us: int


def find(bin_dir: Path) -> Path | None:
    """Debian's newest, the PATH's, or what the server brings."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("pgbench")
    found = [*debian[-1:], *([Path(on_path)] if on_path else []), bin_dir / "pgbench"]
    return next((path for path in found if path.exists()), None)


def parse_log(lines: Iterable[str]) -> list[Transaction]:
    """pgbench --log: client, number, microseconds, script, epoch, microseconds; skipped and failed ones left out."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[2].isdigit():
            ended_us = int(fields[4]) * 1_000_000 + int(fields[5])
            found.append(Transaction(int(fields[0]), int(fields[3]), int(fields[2]), ended_us))
    return found


def steady(transactions: Sequence[Transaction]) -> list[Transaction]:
    """Without each client's first ones, unless nothing would be left."""
    seen: defaultdict[int, int] = defaultdict(int)
    kept = []
    for transaction in transactions:
        seen[transaction.client] += 1
        if seen[transaction.client] > FIRST_TRANSACTIONS:
            kept.append(transaction)
    return kept or list(transactions)


def warm(transactions: Sequence[Transaction]) -> tuple[list[Transaction], float]:
    """(Those after the first WARM_UP_S, how many that are a second). Raises TooShort where none are left."""
    ends = [t.ended_us for t in transactions]
    begins = min(ends, default=0) + WARM_UP_S * 1_000_000
    kept = [t for t in transactions if t.ended_us > begins]
    if not kept:
        raise TooShort("nothing was done after the warm-up")
    return kept, len(kept) / (max(ends) - begins) * 1e6


def parse_output(text: str) -> tuple[float, int]:
    """(transactions a second without the time of connecting, how many there were). Raises PgbenchFailed."""
    tps, count, failed = _TPS.search(text), _COUNT.search(text), _FAILED.search(text)
    if count is not None and not int(count[1]):
        raise TooShort(text[-2000:])
    if tps is None or count is None or (failed is not None and int(failed[1])):
        raise PgbenchFailed(text[-2000:])
    return float(tps[1]), int(count[1])


def run(
    program: Path, contestant: Contestant, workload: str, protocol: str, clients: int, seconds: int, sizes: Sizes
) -> Run:
    """One run against one contestant; a longer one where nothing was done in time. Raises PgbenchFailed."""
    try:
        return _run(program, contestant, workload, protocol, clients, seconds, sizes)
    except TooShort:
        return _run(program, contestant, workload, protocol, clients, seconds * LONGER, sizes)


def _run(
    program: Path, contestant: Contestant, workload: str, protocol: str, clients: int, seconds: int, sizes: Sizes
) -> Run:
    scripts = WORKLOADS[workload]
    is_warmed_up = clients >= MANY_CLIENTS
    with tempfile.TemporaryDirectory(prefix="bench-pgbench-") as name:
        folder = Path(name)
        files = [f"--file={s.write(folder, contestant, protocol, sizes)}@{s.weight}" for s in scripts]
        cpu = contestant.middle.cpu_s() if contestant.middle else 0.0
        database = contestant.database
        done = subprocess.run(
            [
                program,
                "--no-vacuum",
                f"--protocol={protocol}",
                f"--client={clients}",
                f"--jobs={min(clients, 2)}",
                f"--time={seconds + WARM_UP_S * is_warmed_up}",
                "--log",
                f"--log-prefix={folder / 'log'}",
                *files,
                f"--host={database.host}",
                f"--port={database.port}",
                "--username=postgres",
                database.name,
            ],
            env={**os.environ, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        cpu = contestant.middle.cpu_s() - cpu if contestant.middle else 0.0
        if done.returncode != 0:
            raise PgbenchFailed(done.stderr[-2000:])
        tps, count = parse_output(done.stdout)
        logged = [t for path in folder.glob("log.*") for t in parse_log(path.read_text().splitlines())]
    if is_warmed_up:
        logged, tps = warm(logged)
    else:
        logged = steady(logged)
    by_script = {
        script.name: float(statistics.median(t.us for t in logged if t.script == number))
        for number, script in enumerate(scripts)
        if any(t.script == number for t in logged)
    }
    return Run(tps, float(statistics.median(t.us for t in logged)), by_script, cpu / max(count, 1) * 1e6)
