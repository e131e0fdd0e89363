"""The programs in the middle as processes of their own: the proxy and PgBouncer, and what /proc says of them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.results import Results

START_TIMEOUT_S = 30.0
MAX_CLIENTS = 2300
SERVE = ("-c", "from pgcrypt_proxy.cli import main; main()", "serve")
PGBOUNCER_INI = """
[databases]
{dbname} = host={host} port={port} dbname={dbname}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = session
max_client_conn = {max_clients}
default_pool_size = {max_clients}
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
ignore_startup_parameters = extra_float_digits
"""


@dataclass(frozen=True, slots=True)
class Database:
    """Where a server is reached, directly or at the end of a delay line."""

    host: str
    port: int
    name: str

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/{self.name}?sslmode=disable"


@dataclass(slots=True)
class Middle:
    """A running program that listens on `port`. `pid` is its first process."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of it and its children until now, the kernel's work for them included."""
        return sum(_cpu_s(pid) for pid in self._pids())

    def memory_kib(self) -> int:
        """Resident memory of it and its children."""
        return sum(_memory_kib(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _listening(process: subprocess.Popen[bytes], port: int) -> Iterator[Middle]:
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"nothing listens on port {port}")
            time.sleep(0.05)
        yield Middle(port, process.pid)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def find_pgbouncer(results: Results) -> str | None:
    """The program; a note where there is none."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        results.notes.append("PgBouncer is not installed (apt-get install pgbouncer): left out.")
    return program


@contextlib.contextmanager
def pgbouncer(program: str, database: Database, folder: Path) -> Iterator[Middle]:
    """PgBouncer in session mode before `database`. `folder` is one that everybody may enter."""
    port = free_port()
    home = folder / f"pgbouncer-{port}"
    home.mkdir()
    (home / "users.txt").write_text('"postgres" ""\n')
    (home / "pgbouncer.ini").write_text(
        PGBOUNCER_INI.format(
            host=database.host,
            port=database.port,
            dbname=database.name,
            listen_port=port,
            folder=home,
            max_clients=MAX_CLIENTS,
        )
    )
    account = None
    if os.geteuid() == 0:  # it refuses to run as root
        account = "nobody"
        record = pwd.getpwnam(account)
        for path in (home, *home.iterdir()):
            os.chown(path, record.pw_uid, record.pw_gid)
    command = [program, "-q", str(home / "pgbouncer.ini")]
    process = subprocess.Popen(command, user=account, stderr=subprocess.DEVNULL)
    with _listening(process, port) as middle:
        yield middle


def proxy_environment(database: Database, rules: Path, port: int, workers: int = 1) -> dict[str, str]:
    """What `serve` is told. Its bytecode is kept from one start to the next, as an installed package's is."""
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PGCRYPT_DATABASE_URL": database.dsn,
        "PGCRYPT_RULES": str(rules),
        "PGCRYPT_LISTEN_PORT": str(port),
        "PGCRYPT_METRICS_PORT": str(free_port()),
        "PGCRYPT_LOG_LEVEL": "warning",
        "PGCRYPT_MAX_CONNECTIONS": str(MAX_CLIENTS),
        "PGCRYPT_WORKERS": str(workers),
    }


@contextlib.contextmanager
def proxy(
    database: Database, rules: Path, folder: Path, *, workers: int = 1, program: Sequence[str] = SERVE
) -> Iterator[Middle]:
    """The proxy before `database`; its log is in `folder`. `program` is what Python runs."""
    port = free_port()
    with (folder / f"proxy-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *program],
            env=proxy_environment(database, rules, port, workers),
            stdout=log,
            stderr=log,
        )
        with _listening(process, port) as middle:
            yield middle
