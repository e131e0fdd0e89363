"""Clients that want the proxy to stop serving others, or to be led astray: limits, deadlines, fairness."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.server.run import Running, start
from tests.helpers.gate import Gate
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for
from tests.helpers.raw_peers import eventually
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text, name text); CREATE TABLE items (id int)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
CANCEL = struct.pack("!iIii", 16, 80877102, 1, 2)


@pytest.fixture(scope="module")
def small(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("hostile"), SCHEMA, COLUMNS) as made:
        yield made


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def is_served(small: ProtectedDatabase, running: Running) -> bool:
    try:
        with psycopg.connect(small.dsn().replace(f":{small.running.port}/", f":{running.port}/")) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def test_a_startup_packet_that_drips_ends_at_the_deadline(small: ProtectedDatabase) -> None:
    running = start(settings_for(small.server, small.name, small.rules, authentication_timeout_s=0.5))
    try:
        with connect(running.port) as sock:
            started = time.monotonic()
            with contextlib.suppress(ConnectionError):
                for byte in struct.pack("!iI", 9000, 3 << 16) + b"user\0" + b"x" * 8000:
                    sock.sendall(bytes([byte]))
                    time.sleep(0.02)
            assert time.monotonic() - started < 3
        eventually(lambda: not running.proxy.listener._connections)
    finally:
        running.stop()


def test_cancels_of_nobody_are_bounded(small: ProtectedDatabase) -> None:
    """To a server that does not answer, too: what waits counts as pending, and real clients get in afterwards."""
    gate = Gate("127.0.0.1", small.server.port)
    url = f"postgresql://postgres@127.0.0.1:{gate.port}/{small.name}"
    limits = {"max_pending_logins": 40, "connect_timeout_s": 1.0, "authentication_timeout_s": 2.0}
    settings = settings_for(small.server, small.name, small.rules, **limits)
    running = start(dataclasses.replace(settings, database_url=url))
    sockets = []
    try:
        gate.mode = "silent"
        for _ in range(200):
            sockets.append(connect(running.port))
            with contextlib.suppress(ConnectionError):
                sockets[-1].sendall(CANCEL)
        assert len(running.proxy.listener._connections) <= 40
        eventually(lambda: not running.proxy.listener._connections, 15)
        gate.mode = "open"
        eventually(lambda: is_served(small, running), 15)  # some of the 200 may still have been in the backlog
    finally:
        for sock in sockets:
            sock.close()
        running.stop()
        gate.stop()


def test_a_proxy_without_file_descriptors_recovers(small: ProtectedDatabase, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PGCRYPT_DATABASE_URL": small.server.dsn(small.name),
        "PGCRYPT_RULES": str(small.rules),
        "PGCRYPT_METRICS_PORT": "0",
        "PGCRYPT_LISTEN_PORT": str(port),
        "PGCRYPT_DRAIN_TIMEOUT_S": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()", "serve"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    try:
        assert process.stderr is not None
        assert any('"ready"' in line for line in process.stderr)
        sockets = [connect(port) for _ in range(120)]
        time.sleep(0.5)
        for sock in sockets:
            sock.close()

        def is_served() -> bool:
            dsn = small.dsn(connect_timeout="3").replace(f":{small.running.port}/", f":{port}/")
            try:
                with psycopg.connect(dsn) as connection:
                    return connection.execute("SELECT 1").fetchone() == (1,)
            except psycopg.OperationalError:
                return False

        eventually(is_served, 15)
        assert process.poll() is None
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert "Traceback" not in said


def test_a_client_that_opens_many_values_leaves_others_their_turn(small: ProtectedDatabase) -> None:
    with small.connect() as connection:
        connection.execute("DELETE FROM users")
        connection.execute("INSERT INTO users (id, email) VALUES (1, 'planted-many')")
    is_done = threading.Event()

    def work() -> None:
        try:
            with small.connect() as connection, connection.cursor(binary=True) as cursor:
                cursor.execute("SELECT email FROM users, generate_series(1, 200000)")
                assert cursor.rowcount == 200_000
        finally:
            is_done.set()

    worker = threading.Thread(target=work)
    waits = []
    with small.connect() as other:
        other.execute("SELECT 1")
        worker.start()
        while not is_done.is_set():
            started = time.monotonic()
            other.execute("SELECT 1")
            waits.append(time.monotonic() - started)
            time.sleep(0.005)
    worker.join()
    assert statistics.median(waits) < 0.25
    assert max(waits) < 2


class TestSearchPath:
    """Names that the proxy asks the server about are asked in the client's session, and cannot be made to lie."""

    @pytest.mark.parametrize("how", ["options", "parameter", "set"])
    def test_functions_and_operators_of_others_are_not_called(self, small: ProtectedDatabase, how: str) -> None:
        with small.direct() as direct:
            direct.execute(
                b"DROP SCHEMA IF EXISTS evil CASCADE; CREATE SCHEMA evil; CREATE TABLE evil.calls (what text);"
                b"CREATE FUNCTION evil.said(text) RETURNS bool LANGUAGE sql AS"
                b" 'INSERT INTO evil.calls VALUES ($1) RETURNING true';"
                b"CREATE FUNCTION evil.eq(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT evil.said(''eq''); SELECT $1';"
                b"CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE sql AS"
                b" 'SELECT evil.said(''regclass''); SELECT NULL::regclass';"
                b"CREATE FUNCTION evil.same(bytea, bytea) RETURNS bool LANGUAGE sql AS 'SELECT evil.said(''='')';"
                b"CREATE OPERATOR evil.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = evil.same);"
                b"CREATE TABLE evil.pg_class (oid oid, relname name)"
            )
        small.running.refresh_catalog()
        path = "evil,pg_catalog,public"
        extra = {"options": f"-csearch_path={path}"} if how == "options" else {}
        with psycopg.connect(small.dsn(), autocommit=True, **extra) as connection:
            if how != "options":
                connection.execute(f"SELECT set_config('search_path', '{path}', false)".encode())
            connection.execute("DELETE FROM users")
            connection.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [1, "planted-path"])
            sql = "SELECT email FROM users WHERE email = %s"
            assert connection.execute(sql, ["planted-path"]).fetchall() == [("planted-path",)]
            assert connection.execute(sql, ["planted-none"]).fetchall() == []
        with small.direct() as direct:
            assert direct.execute("SELECT what FROM evil.calls").fetchall() == []
            direct.execute("DROP SCHEMA evil CASCADE")


def test_sixty_four_sessions_see_their_own_values(small: ProtectedDatabase) -> None:
    """Cancelled, failing and long ones among them."""
    failures: list[object] = []

    def work(number: int) -> None:
        try:
            with small.connect() as connection:
                mine = f"planted-{number}-" + "x" * (number * 50)
                for turn in range(6):
                    key = 1000 + number * 10 + turn
                    connection.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [key, mine])
                    with contextlib.suppress(psycopg.Error):
                        connection.execute("SELECT email FROM users WHERE email = %s AND 1/(id - id) = 1", [mine])
                    rows = connection.execute("SELECT email FROM users WHERE id = %s", [key]).fetchall()
                    if rows != [(mine,)]:
                        failures.append(number)
        except psycopg.Error as error:
            failures.append(error)

    for half in range(2):
        threads = [threading.Thread(target=work, args=(half * 32 + n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
