"""One run as Markdown and as JSON, from the same results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.bars import Verdict
from bench.delay_line import Probe
from bench.profiling import Profile
from bench.results import (
    CONTESTANTS,
    DIRECT,
    PGBOUNCER,
    SEALED_WORKERS,
    THROUGHPUT,
    UNTOUCHED_WORKERS,
    Measurement,
    Results,
    Spread,
)


@dataclass(slots=True)
class Report:
    """Everything that is shown."""

    title: str
    machine: dict[str, str]
    results: Results
    verdicts: list[Verdict]
    probes: list[Probe] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    plots: list[str] = field(default_factory=list)


def markdown(report: Report) -> str:
    """The report. Missed bars have a section of their own on where the time goes."""
    missed = [v for v in report.verdicts if not v.is_met]
    parts = [
        f"# {report.title}",
        _table(("what", "is"), report.machine.items()),
        *([_bullets(report.results.notes)] if report.results.notes else []),
        "## Bars",
        f"{len(report.verdicts) - len(missed)} of {len(report.verdicts)} met. Ratios are medians of the ratios within "
        "one round; lowest and highest in brackets.",
        _bars(report.verdicts),
        *(f"![{name}]({name})" for name in report.plots),
        *_delay_line(report.probes),
        *_against_pgbouncer(report.results),
    ]
    for part in dict.fromkeys(m.part for m in report.results.measurements):
        parts += [f"## {part}", _measurements([m for m in report.results.measurements if m.part == part])]
    if missed or report.profiles:
        parts += ["## Where the time goes", *_where_the_time_goes(report)]
    return "\n\n".join(parts) + "\n"


def as_json(report: Report) -> str:
    data: dict[str, Any] = {
        "title": report.title,
        "machine": report.machine,
        "notes": report.results.notes,
        "bars": [{**asdict(v), "is_met": v.is_met, "said": v.said} for v in report.verdicts],
        "delay_line": [p.as_dict() for p in report.probes],
        "measurements": [_measurement(m) for m in report.results.measurements],
        "profiles": [asdict(p) for p in report.profiles],
    }
    return json.dumps(data, indent=1)


def _measurement(m: Measurement) -> dict[str, Any]:
    spreads = {name: asdict(m.spread(name)) for name in m.values}
    ratios = {name: asdict(m.ratio(name, DIRECT)) for name in m.values if m.has(DIRECT) and name != DIRECT}
    return {**asdict(m), "medians": spreads, "ratios_to_direct": ratios}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _bars(verdicts: Sequence[Verdict]) -> str:
    rows = [
        (v.bar, v.case, v.compared, v.limit_said, _ratio(v.value), v.said if v.is_met else f"**{v.said}**")
        for v in verdicts
    ]
    return _table(("bar", "case", "compared", "wanted", "measured", ""), rows)


def _measurements(found: Sequence[Measurement]) -> str:
    names = [name for name in CONTESTANTS if any(name in m.values for m in found)]
    rows = [(f"{m.name} [{m.unit}]", *(_cell(m, name) for name in names)) for m in found]
    return _table(("", *names), rows)


def _cell(m: Measurement, name: str) -> str:
    if name not in m.values:
        return ""
    text = f"{_number(m.spread(name).median)}"
    if name == DIRECT or not m.has(DIRECT):
        spread = m.spread(name)
        return text if spread.low == spread.high else f"{text} ({_number(spread.low)} to {_number(spread.high)})"
    return f"{text}; {_ratio(m.ratio(name, DIRECT), bold=True)}"


def _ratio(spread: Spread, *, bold: bool = False) -> str:
    mark = "**" if bold else ""
    text = f"{mark}{spread.median:.2f}{' x' if bold else ''}{mark}"
    return text if spread.low == spread.high else f"{text} ({spread.low:.2f} to {spread.high:.2f})"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _delay_line(probes: Sequence[Probe]) -> list[str]:
    if not probes:
        return []
    rows = [
        (f"{p.nominal_us / 1000:g} ms", *(f"{us:.0f} us" for us in (p.without_us, p.through_us, p.added_us)))
        for p in probes
    ]
    about = (
        "Median of `SELECT 1` on a direct connection, without the line and through it. What it adds beyond its nominal "
        "round trip is its own cost, the same for every contestant."
    )
    return ["## The delay line", about, _table(("nominal", "without", "through", "added"), rows)]


def _against_pgbouncer(results: Results) -> list[str]:
    rows = [
        (m.name, *(_ratio(m.ratio(name, PGBOUNCER), bold=True) for name in (UNTOUCHED_WORKERS, SEALED_WORKERS)))
        for m in results.find(figure=THROUGHPUT)
        if m.has(PGBOUNCER, UNTOUCHED_WORKERS, SEALED_WORKERS)
    ]
    if not rows:
        return []
    head = ("throughput / PgBouncer's (one process)", UNTOUCHED_WORKERS, SEALED_WORKERS)
    return ["## Two workers against PgBouncer", _table(head, rows)]


def _where_the_time_goes(report: Report) -> list[str]:
    if not report.profiles:
        return ["Not profiled in this run: see `--profile`."]
    parts = []
    for profile in report.profiles:
        parts += [f"### {profile.title}", profile.about]
        rows = [(f"{share:.1f} %", f"`{what}`") for share, what in profile.lines]
        parts.append(_table(("share", "where"), rows))
    return parts
