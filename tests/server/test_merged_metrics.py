"""Metrics of several processes as one."""

from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from pgcrypt_proxy.server.merged_metrics import added, lasting, merged, snapshot
from pgcrypt_proxy.server.metrics import Metrics


class Given(Collector):
    def __init__(self, *snapshots):
        self.snapshots = snapshots

    def collect(self):
        return merged(self.snapshots)


def text(*snapshots) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given(*snapshots))
    return generate_latest(registry).decode()


def worker(connections: int, seconds_left: float, *latencies: float):
    metrics = Metrics()
    metrics.connections_total.inc(connections)
    metrics.connections.set(connections)
    metrics.key_expiry.set(seconds_left)
    for seconds in latencies:
        metrics.latency.observe(seconds)
    metrics.statement("rewritten", 1e-5)
    return json.loads(json.dumps(snapshot(metrics.registry)))


def test_sums() -> None:
    both = text(worker(2, 200.0, 0.02), worker(3, 100.0, 0.02, 0.7))
    for line in (
        "pgcrypt_connections_accepted_total 5.0",
        "pgcrypt_connections_open 5.0",
        "pgcrypt_keyring_seconds_left 100.0",
        'pgcrypt_statements_total{disposition="rewritten"} 2.0',
        'pgcrypt_login_seconds_bucket{le="0.025"} 2.0',
        'pgcrypt_login_seconds_bucket{le="+Inf"} 3.0',
        "pgcrypt_login_seconds_count 3.0",
        "pgcrypt_login_seconds_sum 0.74",
        "# TYPE pgcrypt_login_seconds histogram",
    ):
        assert line in both
    assert both.count("# TYPE pgcrypt_connections_open ") == 1


def test_one_process_alone_reads_as_its_own_registry() -> None:
    metrics = Metrics()
    metrics.statement("untouched", 0.1)
    metrics.key_expiry.set(7)
    assert text(snapshot(metrics.registry)) == generate_latest(metrics.registry).decode()


def test_of_the_dead_the_counts_remain() -> None:
    gone = added((lasting(worker(2, 200.0, 0.02)), lasting(worker(1, 1.0))))
    assert "pgcrypt_connections_open" not in text(gone)
    both = text(gone, worker(3, 100.0))
    assert "pgcrypt_connections_accepted_total 6.0" in both
    assert "pgcrypt_connections_open 3.0" in both
    assert "pgcrypt_keyring_seconds_left 100.0" in both
