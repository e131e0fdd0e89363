"""The report's plots, where matplotlib is installed (extra `bench`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.bars import Verdict
from bench.results import CONTESTANTS, P50, THROUGHPUT, About, Measurement, Results
from bench.scripts import PREPARED

COLOURS = ("#444444", "#999999", "#4c78a8", "#59a14f", "#e15759", "#8cd17d", "#ff9d9a")


def draw(folder: Path, stamp: str, results: Results, verdicts: list[Verdict]) -> list[str]:
    """Files made, by name; none, and a note, without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        results.notes.append("No plots: matplotlib is not installed (pip install -e '.[bench]').")
        return []
    mpl.use("Agg")
    from matplotlib import pyplot

    loopback: About = {"protocol": PREPARED, "round_trip_ms": 0.0}
    delayed = [m for m in results.find(figure=P50, protocol=PREPARED) if m.about["round_trip_ms"]]
    made = []
    for name, title, found in (
        ("throughput", "Throughput on loopback, prepared statements", results.find(figure=THROUGHPUT, **loopback)),
        ("p50", "Median latency on loopback, prepared statements", results.find(figure=P50, **loopback)),
        ("delayed", "Median latency behind the delay line", delayed),
        ("bulk", "Bulk SELECT and COPY", _bulk(results)),
    ):
        if found:
            made.append(_save(pyplot, folder / f"{stamp}-{name}.png", title, found))
    ratios = [v for v in verdicts if v.unit == "x"]
    if ratios:
        made.append(_bars(pyplot, folder / f"{stamp}-bars.png", ratios))
    return made


def _bulk(results: Results) -> list[Measurement]:
    return [m for m in results.find(figure="time") if m.part in ("Bulk SELECT", "COPY")]


def _save(pyplot: Any, path: Path, title: str, found: list[Measurement]) -> str:
    """Medians as bars, lowest and highest as whiskers; all relative to the first contestant of each row."""
    names = [name for name in CONTESTANTS if any(name in m.values for m in found)]
    figure, axes = pyplot.subplots(figsize=(10, 1.2 + 0.22 * len(found) * len(names)), layout="constrained")
    height = 0.8 / len(names)
    for number, name in enumerate(names):
        rows = [(row, m) for row, m in enumerate(found) if name in m.values]
        ratios = [m.ratio(name, next(iter(m.values))) for _, m in rows]
        axes.barh(
            [row + number * height for row, _ in rows],
            [r.median for r in ratios],
            height,
            xerr=[[r.median - r.low for r in ratios], [r.high - r.median for r in ratios]],
            label=name,
            color=COLOURS[CONTESTANTS.index(name)],
            error_kw={"linewidth": 0.7},
        )
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(found))], [f"{m.name} [{m.unit}]" for m in found])
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.7)
    axes.set_xlabel(f"ratio to {next(iter(found[0].values))}")
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path.name


def _bars(pyplot: Any, path: Path, verdicts: list[Verdict]) -> str:
    """Every ratio that has a bar, and the bar."""
    figure, axes = pyplot.subplots(figsize=(11, 1.2 + 0.24 * len(verdicts)), layout="constrained")
    for row, v in enumerate(verdicts):
        colour = "#59a14f" if v.is_met else "#e15759"
        axes.plot([v.value.low, v.value.high], [row, row], color=colour, linewidth=1)
        axes.plot(v.value.median, row, "o", color=colour, markersize=5)
        axes.plot(v.limit, row, "|", color="black", markersize=12)
    axes.set_yticks(range(len(verdicts)), [f"{v.bar}: {v.case}, {v.compared}" for v in verdicts], fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("ratio (dot: median, line: lowest to highest, bar: what is wanted)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path.name
