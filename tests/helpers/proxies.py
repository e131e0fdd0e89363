"""A protected database behind a running proxy, for integration tests: real server, real rules, real keys."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.demo import scenario
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.install import install
from pgcrypt_proxy.server.run import Running, start
from pgcrypt_proxy.server.settings import Settings
from tests.helpers.servers import PostgresServer


@dataclass(slots=True)
class ProtectedDatabase:
    """One database with sealed columns. `direct` goes to the server, `dsn` through the proxy."""

    server: PostgresServer
    name: str
    rules: Path
    kek: Path
    running: Running
    log_start: int = 0  # how long the server's log was before the database was made

    def dsn(self, user: str = "postgres", **parameters: str) -> str:
        """A URI through the proxy."""
        query = "&".join(f"{k}={v}" for k, v in {"sslmode": "disable", **parameters}.items())
        return f"postgresql://{user}@127.0.0.1:{self.running.port}/{self.name}?{query}"

    def connect(self, **keywords: Any) -> psycopg.Connection:
        """An autocommit psycopg connection through the proxy."""
        return psycopg.connect(self.dsn(), autocommit=True, **keywords)

    def direct(self) -> psycopg.Connection:
        """An autocommit connection to the server itself."""
        return self.server.connect(self.name)

    def logged(self) -> str:
        """All that the server has logged of this database: other tests plant their values on the same server."""
        with self.server.log_path.open("rb") as log:
            log.seek(self.log_start)
            text = log.read().decode("utf-8", "replace")
        entries = re.split(r"^(?=\d{4}-\d\d-\d\d )", text, flags=re.MULTILINE)
        return "".join(entry for entry in entries if f"@{self.name} " in entry.partition("\n")[0])


def write_rules(folder: Path, columns: str) -> tuple[Path, Path]:
    """(rule file, KEK file) with `columns`, one YAML flow mapping for each line."""
    kek = folder / "keyring.kek"
    FileProvider.create(kek)
    rules = folder / "rules.yaml"
    lines = "".join(f"  - {line.strip()}\n" for line in columns.strip().splitlines())
    rules.write_text(
        f"version: 1\nkeyring: {{provider: file, path: keyring.kek}}\ncolumns:{' []' * (not lines)}\n{lines}"
    )
    return rules, kek


def settings_for(server: PostgresServer, name: str, rules: Path, **changes: Any) -> Settings:
    """Settings of a proxy for tests: any free port, no waiting at the end."""
    values: dict[str, Any] = {
        "database_url": server.dsn(name),
        "rules": (rules,),
        "listen_port": 0,
        "metrics_port": 0,
        "drain_timeout_s": 2.0,
    }
    return Settings(**{**values, **changes})


@contextlib.contextmanager
def protected(
    server: PostgresServer,
    folder: Path,
    schema: str,
    columns: str,
    world: dict[str, Any] | None = None,
    *,
    sealed: str = "",
    **changes: Any,
) -> Iterator[ProtectedDatabase]:
    """A fresh database with `schema`, its `columns` sealed, behind a proxy of its own.

    `sealed` is SQL that is run before the proxy starts; `world` is for `start`.
    """
    rules, kek = write_rules(folder, columns)
    log_start = server.log_path.stat().st_size
    with server.database() as name:
        with server.connect(name) as connection:
            connection.execute(schema.encode())
        scenario.seal_columns(server, name, rules)
        if sealed:
            with server.connect(name) as connection:
                connection.execute(sealed.encode())
        running = start(settings_for(server, name, rules, **changes), **(world or {}))
        try:
            yield ProtectedDatabase(server, name, rules, kek, running, log_start)
        finally:
            running.stop()


@contextlib.contextmanager
def awaited(
    server: PostgresServer, folder: Path, columns: str, schema: str = "", **changes: Any
) -> Iterator[ProtectedDatabase]:
    """A fresh database with `schema` and schema pgcrypt, behind a proxy whose rules wait for their columns."""
    rules, kek = write_rules(folder, columns)
    log_start = server.log_path.stat().st_size
    with server.database() as name:
        with connect(server.dsn(name)) as connection:
            install(connection)
            if schema:
                connection.execute(schema.encode())
        running = start(settings_for(server, name, rules, absent_columns="wait", **changes))
        try:
            yield ProtectedDatabase(server, name, rules, kek, running, log_start)
        finally:
            running.stop()


@contextlib.contextmanager
def sealed_demo(server: PostgresServer, folder: Path) -> Iterator[tuple[str, Path, Running]]:
    """A database with both of the demo's applications' tables, sealed: its name, its rules, and the proxy before it."""
    with server.database() as name:
        scenario.create_tables(server, name)
        rules = scenario.write_rules(folder)
        scenario.seal_columns(server, name, rules)
        running = start(scenario.settings_for(server, name, rules))
        try:
            yield name, rules, running
        finally:
            running.stop()
