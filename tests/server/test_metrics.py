"""Metrics over HTTP: what is counted, and that labels carry no values."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from pgcrypt_proxy.errors import ConfigError, OpenError, Refusal
from pgcrypt_proxy.server.metrics import Metrics, MetricsServer
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer


@pytest.fixture
def served() -> Iterator[tuple[Metrics, str]]:
    metrics = Metrics()
    server = MetricsServer(metrics.registry, "127.0.0.1", 0)
    yield metrics, f"http://127.0.0.1:{server.port}"
    server.stop()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_what_a_session_tells_is_served(served: tuple[Metrics, str]) -> None:
    metrics, url = served
    metrics.operations("seal", "pii", 3, 0.001)
    metrics.operations("term", "pii", 2, 0.001)
    metrics.failed("open", OpenError("planted-text"), "public.users.email")
    metrics.refused(Refusal("planted-text"))
    metrics.statement("rewritten", 0.01)
    metrics.keys_unwrapped({"dek": 2, "index": 1})
    metrics.kms_call("unwrap", "error", 0.02)
    text = get(f"{url}/metrics")
    for line in (
        'pgcrypt_operations_total{data_class="pii",operation="seal",status="ok"} 3.0',
        'pgcrypt_operations_total{data_class="",operation="open",status="error"} 1.0',
        'pgcrypt_failures_total{error_type="open"} 1.0',
        'pgcrypt_refusals_total{sqlstate="0A000"} 1.0',
        'pgcrypt_statements_total{disposition="rewritten"} 1.0',
        'pgcrypt_key_cache_hits_total{key_type="dek"} 3.0',
        'pgcrypt_key_cache_hits_total{key_type="index"} 2.0',
        'pgcrypt_key_cache_misses_total{key_type="dek"} 2.0',
        'pgcrypt_key_cache_misses_total{key_type="index"} 1.0',
        'pgcrypt_kms_calls_total{operation="unwrap",status="error"} 1.0',
        'pgcrypt_kms_latency_seconds_sum{operation="unwrap"} 0.02',
    ):
        assert line in text
    assert "planted-text" not in text


def test_health_and_nothing_else(served: tuple[Metrics, str]) -> None:
    _, url = served
    assert get(f"{url}/healthz") == "ok\n"
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(f"{url}/keys")
    caught.value.close()


def test_a_taken_port_is_a_clear_error(served: tuple[Metrics, str]) -> None:
    port = int(served[1].rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match="cannot listen for metrics"):
        MetricsServer(Metrics().registry, "127.0.0.1", port)


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: object) -> Iterator[ProtectedDatabase]:
    columns = "{table: users, column: email, type: text, search: [equality]}"
    with protected(postgres, tmp_path, "CREATE TABLE users (id int, email text)", columns) as made:  # type: ignore[arg-type]
        yield made


def test_a_running_proxy_counts(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        connection.execute("INSERT INTO users VALUES (1, 'planted-m')")
        connection.execute("SELECT email FROM users WHERE email = 'planted-m'").fetchall()
        text = get(f"http://127.0.0.1:{db.running.metrics_port}/metrics")
    assert "planted" not in text
    assert 'pgcrypt_operations_total{data_class="default",operation="open",status="ok"} 1.0' in text
    assert 'operation="seal",status="ok"} 1.0' in text
    assert "pgcrypt_connections_open 1.0" in text
    assert 'pgcrypt_kms_calls_total{operation="unwrap",status="ok"} 2.0' in text
