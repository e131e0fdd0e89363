"""The report's arithmetic: medians, ratios within a round, bars, and the same figures in Markdown and JSON."""

from __future__ import annotations

import json

import pytest

from bench.bars import verdicts
from bench.delay_line import Probe
from bench.profiling import Profile
from bench.report import Report, as_json, markdown
from bench.results import DIRECT, P50, PGBOUNCER, SEALED, THROUGHPUT, UNTOUCHED, Results, Spread, interleaved
from bench.scripts import CRUD, PREPARED


def crud(results: Results, figure: str, values: dict[str, list[float]], **about: str | float) -> None:
    said = {"workload": CRUD, "protocol": PREPARED, "clients": 8, "round_trip_ms": 0.0, "figure": figure, **about}
    results.add("pgbench", "CRUD mix", "us", values, **said)


def test_ratios_are_taken_within_a_round() -> None:
    results = Results()
    crud(results, P50, {DIRECT: [10.0, 100.0, 1000.0], SEALED: [20.0, 150.0, 1100.0]})
    (m,) = results.measurements
    assert m.spread(SEALED) == Spread(150.0, 20.0, 1100.0)
    assert m.ratio(SEALED, DIRECT) == Spread(1.5, 1.1, 2.0)  # and not 150 / 100 of medians by accident
    assert m.has(DIRECT, SEALED)
    assert not m.has(PGBOUNCER)


def test_who_begins_turns_and_the_first_round_does_not_count() -> None:
    asked: list[str] = []

    def run(name: str) -> int:
        asked.append(name)
        return len(asked)

    found = interleaved(["a", "b", "c"], 3, run)
    rounds = ["".join(asked[at : at + 3]) for at in range(0, len(asked), 3)]
    assert rounds[1:] == ["abc", "bca", "cab"]
    assert len(rounds) == 4
    assert found == {"a": [4, 9, 11], "b": [5, 7, 12], "c": [6, 8, 10]}


def test_a_bar_for_throughput_wants_more_and_one_for_latency_wants_less() -> None:
    results = Results()
    crud(results, P50, {UNTOUCHED: [100.0], SEALED: [104.0]})
    crud(results, THROUGHPUT, {PGBOUNCER: [1000.0], UNTOUCHED: [960.0], SEALED: [800.0]})
    said = {(v.bar, v.compared, v.is_upper): v.said for v in verdicts(results)}
    assert said == {
        ("1. encryption tax", f"{SEALED} / {UNTOUCHED}", True): "met by 1.0 %",
        ("1. encryption tax", f"{SEALED} / {UNTOUCHED}", False): "missed by 12.3 %",
        ("3. saturated", f"{UNTOUCHED} / {PGBOUNCER}", False): "met by 1.1 %",
        ("3. saturated", f"{SEALED} / {PGBOUNCER}", False): "missed by 5.9 %",
    }


@pytest.mark.parametrize(("round_trip_ms", "limit"), [(0.5, 1.08), (1.0, 1.05)])
def test_behind_the_delay_line_direct_is_what_counts(round_trip_ms: float, limit: float) -> None:
    results = Results()
    crud(results, P50, {DIRECT: [1000.0], UNTOUCHED: [1060.0], SEALED: [1060.0]}, round_trip_ms=round_trip_ms)
    (verdict,) = [v for v in verdicts(results) if v.bar == "2. end to end"]
    assert verdict.limit == limit
    assert verdict.is_met == (limit > 1.06)


def test_bars_without_a_ratio() -> None:
    results = Results()
    results.add("Memory", "2000 idle connections, each", "KiB", {SEALED: [80.0]}, figure="idle memory")
    results.add("Bytes", "unindexed", "bytes", {SEALED: [34.0]}, figure="growth", value="unindexed")
    growth, memory = verdicts(results)
    assert growth.said == "met by 0.0 %"
    assert memory.limit_said == "at most 64 KiB"
    assert memory.said == "missed by 25.0 %"


def test_a_contestant_that_is_not_there_is_left_out() -> None:
    results = Results()
    crud(results, THROUGHPUT, {DIRECT: [1000.0], UNTOUCHED: [960.0], SEALED: [800.0]})
    assert [v.bar for v in verdicts(results)] == ["1. encryption tax"]


def test_markdown_and_json_say_the_same() -> None:
    results = Results(notes=["PgBouncer is not installed"])
    crud(results, P50, {DIRECT: [100.0, 110.0], UNTOUCHED: [200.0, 220.0], SEALED: [300.0, 330.0]})
    report = Report("title", {"row code": "compiled"}, results, verdicts(results), [Probe(1000, 50, 1100)])
    text, data = markdown(report), json.loads(as_json(report))
    assert "| row code | compiled |" in text
    assert "* PgBouncer is not installed" in text
    assert "0 of 1 met" in text
    assert "**missed by 42.9 %**" in text
    assert "| CRUD mix [us] | 105.0 (100.0 to 110.0) | 210.0; **2.00 x** | 315.0; **3.00 x** |" in text
    assert "| 1 ms | 50 us | 1100 us | 1050 us |" in text
    assert data["bars"][0]["said"] == "missed by 42.9 %"
    assert data["measurements"][0]["ratios_to_direct"][SEALED] == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert data["delay_line"][0]["added_us"] == 1050


def test_where_the_time_goes_is_there_when_a_bar_is_missed() -> None:
    results = Results()
    crud(results, P50, {UNTOUCHED: [100.0], SEALED: [101.0]})
    report = Report("title", {}, results, verdicts(results))
    assert "Where the time goes" not in markdown(report)
    crud(results, P50, {UNTOUCHED: [100.0], SEALED: [201.0]})
    report.verdicts = verdicts(results)
    assert "Where the time goes" in markdown(report)
    report.profiles = [Profile("CRUD mix", "py-spy", [(46.4, "write (connection.py:253)")])]
    assert "| 46.4 % | `write (connection.py:253)` |" in markdown(report)
