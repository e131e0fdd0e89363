"""Timings become a table: medians, ratios to direct, and the spread of each."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cell:
    """Median seconds for one operation, and the ratio to direct of the same round (median, low, high)."""

    median_s: float
    ratio: float
    low: float
    high: float


def cell(times: list[float], direct: list[float], operations: int) -> Cell:
    """Ratios are taken round by round, so that a machine whose speed drifts does not move them."""
    ratios = sorted(t / d for t, d in zip(times, direct, strict=True))
    return Cell(statistics.median(times) / operations, statistics.median(ratios), ratios[0], ratios[-1])


def machine() -> str:
    """The machine in a line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter(()),
        platform.processor(),
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def table(names: list[str], results: dict[str, tuple[str, dict[str, Cell]]]) -> str:
    """Markdown: a row for each workload, a column for each contestant."""
    lines = ["| workload | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for workload, (unit, cells) in results.items():
        shown = []
        for name in names:
            c = cells.get(name)
            if c is None:
                shown.append("")
                continue
            time = f"{c.median_s * 1e6:.2f} us/{unit}"
            ratio = "" if name == "direct" else f" **{c.ratio:.2f} x** ({c.low:.2f} to {c.high:.2f})"
            shown.append(time + ratio)
        lines.append(f"| {workload} | " + " | ".join(shown) + " |")
    return "\n".join(lines)
