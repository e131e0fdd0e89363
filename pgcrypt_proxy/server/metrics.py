"""Prometheus metrics, and the Observer that sessions tell of what they do. Labels never carry values."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.recorder import StatementRecorder

_FAST = (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 1e-1, 1.0)


class Metrics:
    """All metrics of one proxy, in a registry of their own. Implements `session.observer.Observer`.

    `recorder` takes the texts of statements, if anything does.
    """

    def __init__(self, recorder: StatementRecorder | None = None) -> None:
        self._recorder = recorder
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"pgcrypt_{name}", text, labels, registry=self.registry)

        self._operations = counter("operations", "Values sealed, opened, termed", "operation", "status", "data_class")
        self._failures = counter("failures", "Failures by kind", "error_type")
        self._refusals = counter("refusals", "Statements refused", "sqlstate")
        self._statements = counter("statements", "Statement texts by what was done with them", "disposition")
        self._cache_hits = counter("key_cache_hits", "Values for which the key was in memory", "key_type")
        self._cache_misses = counter("key_cache_misses", "Keys unwrapped by their provider", "key_type")
        self._kms_calls = counter("kms_calls", "Calls of the key provider", "operation", "status")
        self.connections_total = counter("connections_accepted", "Client connections accepted")
        self.connections_refused = counter("connections_refused", "Client connections refused at the limit")
        self.logins_failed = counter("logins_failed", "Logins with a wrong password")
        self.logins_delayed = counter("logins_delayed", "Logins that waited because others failed")
        self.cancels = counter("cancel_requests", "CancelRequests relayed")
        self.catalog_loads = counter("catalog_loads", "Catalogs loaded", "status")
        self.reloads = counter("reloads", "Reloads of rules, certificates, users and settings", "status")
        self.connections = Gauge("pgcrypt_connections_open", "Client connections open", registry=self.registry)
        self.key_expiry = Gauge(
            "pgcrypt_keyring_seconds_left", "Seconds until the keys in memory expire", registry=self.registry
        )
        self._duration = Histogram(
            "pgcrypt_duration_seconds",
            "Time for one value or plan",
            ["operation"],
            buckets=_FAST,
            registry=self.registry,
        )
        self._kms_latency = Histogram(
            "pgcrypt_kms_latency_seconds", "Time of a call of the key provider", ["operation"], registry=self.registry
        )
        # To find a metric by its labels costs as much as to open a value.
        self._labelled: dict[tuple[str, str], tuple[Counter, Histogram, Counter]] = {}
        self.latency = Histogram(
            "pgcrypt_login_seconds", "Time from connect to the first ReadyForQuery", registry=self.registry
        )

    # -- Observer

    def operations(self, operation: str, data_class: str, count: int, seconds: float) -> None:
        labelled = self._labelled.get((operation, data_class))
        if labelled is None:
            labelled = self._labelled[operation, data_class] = (
                self._operations.labels(operation, "ok", data_class),
                self._duration.labels(operation),
                self._cache_hits.labels("index" if operation == "term" else "dek"),
            )
        operations, duration, cache_hits = labelled
        operations.inc(count)
        duration.observe(seconds / count if count else seconds)
        cache_hits.inc(count)

    def failed(self, operation: str, error: PgcryptError, column: str = "") -> None:
        self._operations.labels(operation, "error", "").inc()
        self._failures.labels(error.kind).inc()
        log.get().warning("failed", operation=operation, sqlstate=error.code, error=error.kind, column=column)

    def statement(self, disposition: str, seconds: float, count: int = 1) -> None:
        self._statements.labels(disposition).inc(count)
        if seconds:
            self._duration.labels("plan").observe(seconds)

    def refused(self, refusal: PgcryptError) -> None:
        self._refusals.labels(refusal.code).inc()
        log.get().info("statement refused", sqlstate=refusal.code)

    def text(self, sql: str) -> None:
        if self._recorder is not None:
            self._recorder.add(sql)

    def keys_unwrapped(self, counts: Mapping[str, int]) -> None:
        """So many keys of each type were unwrapped by their provider."""
        for key_type, count in counts.items():
            self._cache_misses.labels(key_type).inc(count)

    def kms_call(self, operation: str, status: str, seconds: float) -> None:
        """A call of the key provider: wrap, unwrap or generate; ok or error."""
        self._kms_calls.labels(operation, status).inc()
        self._kms_latency.labels(operation).observe(seconds)


class _Server(ThreadingHTTPServer):
    """Tells its errors by the log alone: most are of clients that have gone."""

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            log.failure("metrics not served", error)


class MetricsServer:
    """Serves /metrics and /healthz over HTTP from threads; nothing else, and nobody's data.

    `health` gives whether clients can be served, and a word for it; it is called in those threads, as `registry` is.
    """

    def __init__(
        self,
        registry: Collector,
        host: str,
        port: int,
        health: Callable[[], tuple[bool, str]] = lambda: (True, "ok"),
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif self.path == "/healthz":
                    is_well, word = health()
                    self._answer(200 if is_well else 503, "text/plain", f"{word}\n".encode())
                else:
                    self._answer(404, "text/plain", b"/metrics or /healthz\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """No access log."""

        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen for metrics on {host}:{port}: {error.strerror}", hint="Set metrics_port, or 0 for any."
            ) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
