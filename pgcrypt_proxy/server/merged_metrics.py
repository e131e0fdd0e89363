"""The metrics of several processes as one: what each counts is added up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector

#: One process's metrics as JSON has them: [name, text, type, [[sample, labels, value], ...]] for each.
Snapshot = list[list[Any]]

#: Of these the smallest is told: a sum of times means nothing.
SMALLEST = frozenset({"pgcrypt_keyring_seconds_left"})
_CREATED = "_created"


def snapshot(registry: Collector) -> Snapshot:
    return [
        [m.name, m.documentation, m.type, [[s.name, s.labels, s.value] for s in m.samples]] for m in registry.collect()
    ]


def lasting(found: Snapshot) -> Snapshot:
    """What a process has counted stays true when it is gone; what it had does not."""
    return [metric for metric in found if metric[2] != "gauge"]


def merged(snapshots: Iterable[Snapshot]) -> Iterator[Metric]:
    """Counters, histograms and gauges, added up."""
    metrics: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for found in snapshots:
        for name, text, kind, samples in found:
            metrics.setdefault(name, Metric(name, text, kind))
            sums = values.setdefault(name, {})
            for sample, labels, value in samples:
                key = sample, tuple(sorted(labels.items()))
                if key not in sums:
                    sums[key] = value
                elif name in SMALLEST or sample.endswith(_CREATED):
                    sums[key] = min(sums[key], value)
                else:
                    sums[key] += value
    for name, metric in metrics.items():
        for (sample, labels), value in values[name].items():
            metric.add_sample(sample, dict(labels), value)
        yield metric


def added(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Several as one."""
    return [
        [m.name, m.documentation, m.type, [[s.name, s.labels, s.value] for s in m.samples]] for m in merged(snapshots)
    ]
