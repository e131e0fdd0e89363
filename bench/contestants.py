"""The ways to one server: direct, through PgBouncer, and through the proxy to a plain and to a sealed table."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgcrypt_proxy.demo.scenario import seal_columns
from tests.helpers import servers
from tests.helpers.proxies import write_rules
from tests.helpers.servers import PostgresServer

START_TIMEOUT_S = 30.0
#: Reads what is stored: what envelopes cost before anybody opens them. Only for workloads that read whole tables.
CIPHERTEXT = "direct, ciphertext"
TABLE = """
CREATE TABLE {name} (
    id int PRIMARY KEY, email text NOT NULL, first_name text NOT NULL, last_name text NOT NULL,
    born date NOT NULL, visits int NOT NULL, note text NOT NULL
);
INSERT INTO {name}
SELECT g, 'user' || g || '@example.com', 'First' || g, 'Last' || g, date '1950-01-01' + g % 20000, 0, repeat('x', 40)
FROM generate_series(1, {rows}) g;
CREATE INDEX {name}_email ON {name} (email);
"""
WIDE = """
CREATE TABLE {name} (
    id int PRIMARY KEY, plain text NOT NULL, a text NOT NULL, b text NOT NULL, c text NOT NULL, d text NOT NULL,
    e text NOT NULL
);
INSERT INTO {name}
SELECT g, 'plain' || g, 'user' || g || '@example.com', 'First' || g, 'Last' || g, 'Street ' || g, 'City ' || g
FROM generate_series(1, {rows}) g;
"""
SEALED = """
{table: sealed_users, column: email, type: text, search: [equality]}
{table: sealed_users, column: first_name, type: text}
{table: sealed_users, column: last_name, type: text}
{table: sealed_wide, column: a, type: text, search: [equality]}
{table: sealed_wide, column: b, type: text}
{table: sealed_wide, column: c, type: text}
{table: sealed_wide, column: d, type: text}
{table: sealed_wide, column: e, type: text}
"""
PGBOUNCER_INI = """
[databases]
bench = host={host} port={port} dbname={dbname}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = session
max_client_conn = 200
default_pool_size = 100
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
ignore_startup_parameters = extra_float_digits
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way: where to connect, and which table it reads and writes."""

    name: str
    dsn: str
    kind: str  # of its tables: plain or sealed


@contextlib.contextmanager
def all_contestants(rows: int, wide_rows: int) -> Iterator[tuple[PostgresServer, list[Contestant]]]:
    """One server with plain and sealed tables, users of `rows` rows and wide ones, and every way to it."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        quiet = {"log_statement": "none", "shared_buffers": "256MB", "autovacuum": "off", "max_wal_size": "4GB"}
        server = stack.enter_context(servers.running(servers.chosen_flavour(), quiet))
        name = stack.enter_context(server.database())
        with server.connect(name) as connection:
            for kind in ("plain", "sealed"):
                connection.execute(TABLE.format(name=f"{kind}_users", rows=rows).encode())
                connection.execute(WIDE.format(name=f"{kind}_wide", rows=wide_rows).encode())
        rules, _ = write_rules(folder, SEALED)
        seal_columns(server, name, rules)
        with server.connect(name) as connection:
            for table in ("plain_users", "sealed_users", "plain_wide", "sealed_wide"):
                connection.execute(f"VACUUM ANALYZE {table}".encode())
        direct = f"{server.dsn(name, tcp=True)}?sslmode=disable"
        made = [Contestant("direct", direct, "plain")]
        made.append(Contestant(CIPHERTEXT, direct, "sealed"))
        pgbouncer = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if pgbouncer:
            port = stack.enter_context(_pgbouncer(pgbouncer, server, name, folder))
            made.append(Contestant("PgBouncer", _dsn(port, "bench"), "plain"))
        else:
            print("PgBouncer is not installed (apt-get install pgbouncer): left out", file=sys.stderr)
        port = stack.enter_context(_proxy(server, name, rules, folder))
        made.append(Contestant("proxy untouched", _dsn(port, name), "plain"))
        made.append(Contestant("proxy sealed", _dsn(port, name), "sealed"))
        yield server, made


def _dsn(port: int, dbname: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/{dbname}?sslmode=disable"


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


@contextlib.contextmanager
def _running(process: subprocess.Popen[bytes], port: int) -> Iterator[int]:
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _pgbouncer(program: str, server: PostgresServer, name: str, folder: Path) -> Iterator[int]:
    home = folder / "pgbouncer"
    home.mkdir()
    port = _free_port()
    (home / "users.txt").write_text('"postgres" ""\n')
    (home / "pgbouncer.ini").write_text(
        PGBOUNCER_INI.format(host=server.host, port=server.port, dbname=name, listen_port=port, folder=home)
    )
    account = None
    if os.geteuid() == 0:  # it refuses to run as root
        account = "nobody"
        record = pwd.getpwnam(account)
        for path in (home, *home.iterdir()):
            os.chown(path, record.pw_uid, record.pw_gid)
    process = subprocess.Popen([program, "-q", str(home / "pgbouncer.ini")], user=account, stderr=subprocess.DEVNULL)
    with _running(process, port):
        yield port


@contextlib.contextmanager
def _proxy(server: PostgresServer, name: str, rules: Path, folder: Path) -> Iterator[int]:
    port = _free_port()
    environment = {
        **os.environ,
        "PGCRYPT_DATABASE_URL": server.dsn(name, tcp=True),
        "PGCRYPT_RULES": str(rules),
        "PGCRYPT_LISTEN_PORT": str(port),
        "PGCRYPT_METRICS_PORT": str(_free_port()),
        "PGCRYPT_LOG_LEVEL": "warning",
    }
    with (folder / "proxy.log").open("wb") as log:
        command = [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()", "serve"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        with _running(process, port):
            yield port


def connect(contestant: Contestant) -> psycopg.Connection:
    return psycopg.connect(contestant.dsn, autocommit=True)
