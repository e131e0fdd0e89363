"""Memory of connections that do nothing, and how soon a proxy serves: on a server with room for all of them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from bench.processes import SERVE, Database, Middle, free_port, pgbouncer, proxy, proxy_environment, stop
from bench.results import PGBOUNCER, SEALED, Results
from bench.tables import seal
from tests.helpers import servers
from tests.helpers.proxies import write_rules

RULES = "{table: people, column: email, type: text, search: [equality]}"
PEOPLE = "CREATE TABLE people (id int PRIMARY KEY, email text NOT NULL); INSERT INTO people VALUES (1, 'a@example.com')"
READ = "SELECT email FROM people WHERE id = 1"
ROUNDS = 3
START_TIMEOUT_S = 30.0


@contextlib.contextmanager
def _prepared(folder: Path, connections: int) -> Iterator[tuple[Database, Path]]:
    settings = {"max_connections": str(connections + 100), "log_statement": "none", "autovacuum": "off"}
    with servers.running(servers.chosen_flavour(), settings) as server, server.database() as name:
        with server.connect(name) as connection:
            connection.execute(PEOPLE)
        place = folder / "idle"
        place.mkdir(mode=0o755)
        rules, kek = write_rules(place, RULES)
        seal(server, name, rules, kek)
        yield Database(server.host, server.port, name), rules


def measure(results: Results, folder: Path, connections: int, bouncer: str | None) -> None:
    with _prepared(folder, connections) as (database, rules):
        print("start of the proxy", file=sys.stderr, flush=True)
        seconds = [_seconds_to_answer(database, rules) for _ in range(ROUNDS)]
        results.add("Start", "process start to first answer", "s", {SEALED: seconds}, figure="start")
        print(f"memory of {connections} idle connections", file=sys.stderr, flush=True)
        values = {}
        with proxy(database, rules, folder) as middle:
            values[SEALED] = [_kib_each(middle, database.name, connections)]
        if bouncer is not None:
            with pgbouncer(bouncer, database, folder) as middle:
                values[PGBOUNCER] = [_kib_each(middle, database.name, connections)]
        results.add("Memory", f"{connections} idle connections, each", "KiB", values, figure="idle memory")


def _kib_each(middle: Middle, name: str, count: int) -> float:
    """Growth of resident memory for each connection that has asked once and waits."""
    dsn = Database("127.0.0.1", middle.port, name).dsn
    with psycopg.connect(dsn, autocommit=True) as first:
        first.execute(READ)
    before = middle.memory_kib()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(psycopg.connect(dsn, autocommit=True)).execute(READ)
        return (middle.memory_kib() - before) / count


def _seconds_to_answer(database: Database, rules: Path) -> float:
    port = free_port()
    dsn = Database("127.0.0.1", port, database.name).dsn
    environment = proxy_environment(database, rules, port)
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *SERVE], env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with psycopg.connect(dsn, autocommit=True) as connection:
                    row = connection.execute(READ).fetchone()
                assert row == ("a@example.com",)
                return time.monotonic() - started
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() - started > START_TIMEOUT_S:
                    raise
                time.sleep(0.01)
    finally:
        stop(process)
