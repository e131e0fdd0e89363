"""`pgcrypt-proxy serve` as processes of its own: its log, its metrics, reloads."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tests.helpers.servers import PostgresServer

MAIN = (sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()")


class Ruled(Protocol):
    """A database of a server, and rules for it."""

    server: PostgresServer
    name: str
    rules: Path

    def direct(self) -> psycopg.Connection:
        """An autocommit connection to the server itself."""


def eventually(check: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(slots=True)
class Serving:
    """One process, or a supervisor with its workers."""

    db: Ruled
    process: subprocess.Popen[bytes]
    log: Path
    port: int
    metrics_port: int

    def dsn(self, user: str = "postgres", host: str = "127.0.0.1") -> str:
        return f"postgresql://{user}@/{self.db.name}?host={host}&port={self.port}&sslmode=disable"

    def connect(self, **keywords: Any) -> psycopg.Connection:
        return psycopg.connect(self.dsn(), autocommit=True, **keywords)

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (.+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def workers(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def await_ready(self) -> None:
        eventually(lambda: self._is_healthy() or self.process.poll() is not None, 40)
        assert self.process.poll() is None, self.log.read_text()

    def _is_healthy(self) -> bool:
        try:
            return self.get("/healthz") == (200, "ok\n")
        except OSError:
            return False

    def reload(self) -> None:
        before = self.metric('pgcrypt_reloads_total{status="ok"}'), self.metric('pgcrypt_reloads_total{status="error"}')
        self.process.send_signal(signal.SIGHUP)
        eventually(
            lambda: (
                (
                    self.metric('pgcrypt_reloads_total{status="ok"}'),
                    self.metric('pgcrypt_reloads_total{status="error"}'),
                )
                != before
            )
        )


@contextlib.contextmanager
def serving(db: Ruled, folder: Path, *arguments: str, is_awaited: bool = True, **environment: str) -> Iterator[Serving]:
    """A proxy with two workers, unless the environment says otherwise."""
    port, metrics_port = free_port(), free_port()
    log = folder / f"serve-{port}.log"
    values = {
        "PGCRYPT_DATABASE_URL": db.server.dsn(db.name),
        "PGCRYPT_RULES": str(db.rules),
        "PGCRYPT_LISTEN_PORT": str(port),
        "PGCRYPT_METRICS_PORT": str(metrics_port),
        "PGCRYPT_WORKERS": "2",
        "PGCRYPT_DRAIN_TIMEOUT_S": "60",
        **environment,
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*MAIN, "serve", *arguments],
            env={**os.environ, **values},
            stderr=stream,
            cwd=folder,
        )
    made = Serving(db, process, log, int(values["PGCRYPT_LISTEN_PORT"]), metrics_port)
    try:
        if is_awaited:
            made.await_ready()
        yield made
    finally:
        workers = made.workers()
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            for pid in (process.pid, *workers):
                os.kill(pid, signal.SIGKILL)
            process.wait()
            raise
    assert "Traceback" not in log.read_text()
