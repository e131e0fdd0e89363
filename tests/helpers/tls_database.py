"""A protected database on a server that takes SCRAM over TLS and nothing else, and proxies before it.

The server is Debian's: the embedded one is built without TLS. Roles: `owner`
(superuser, the proxy's own) and `app`; their passwords are PASSWORDS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.demo.scenario import seal_columns
from pgcrypt_proxy.server.run import Running, start
from pgcrypt_proxy.server.settings import Settings
from tests.helpers import servers
from tests.helpers.certificates import Authority, Issued
from tests.helpers.proxies import write_rules
from tests.helpers.servers import PostgresServer

HOST_BASED_AUTHENTICATION = b"""\
local all all trust
hostssl all certified 127.0.0.1/32 cert
hostssl all app_md5 127.0.0.1/32 md5
hostssl all app_clear 127.0.0.1/32 password
hostssl all trusted 127.0.0.1/32 trust
hostssl all all 127.0.0.1/32 scram-sha-256
"""
SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text);
GRANT ALL ON users TO PUBLIC;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
PASSWORDS = {
    "owner": "planted-owner-password",
    "app": "planted-app-password",
    "app_md5": "planted-md5-password",
    "app_clear": "planted-clear-password",
    "fixed": "planted-fixed-password",
}


@dataclass(slots=True)
class TlsDatabase:
    """`folder` holds the certificates of `authority` as files."""

    server: PostgresServer
    name: str
    rules: Path
    folder: Path
    authority: Authority

    def url(self, port: int | None = None, user: str = "owner", **parameters: str) -> str:
        """The proxy's own URL, to the server or to what stands at `port`."""
        words = {"sslmode": "verify-full", "sslrootcert": str(self.folder / "root.crt"), **parameters}
        query = "&".join(f"{name}={value}" for name, value in words.items() if value)
        secret = f":{PASSWORDS[user]}" if user in PASSWORDS else ""
        return f"postgresql://{user}{secret}@localhost:{port or self.server.port}/{self.name}?{query}"

    def settings(self, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": self.url(),
            "rules": (self.rules,),
            "listen_port": 0,
            "metrics_port": 0,
            "drain_timeout_s": 2.0,
            "connect_timeout_s": 5.0,
        }
        return Settings(**{**values, **changes})

    def client_tls(self) -> dict[str, Any]:
        """Settings for TLS with clients."""
        return {
            "tls": "require",
            "tls_certificate": self.folder / "proxy.crt",
            "tls_key": self.folder / "proxy.key",
        }

    @contextlib.contextmanager
    def proxy(self, **changes: Any) -> Iterator[TlsProxy]:
        running = start(self.settings(**changes))
        try:
            yield TlsProxy(self, running)
        finally:
            running.stop()

    def direct(self) -> psycopg.Connection:
        return self.server.connect(self.name)

    def write(self, name: str, issued: Issued) -> None:
        """`name`.crt and `name`.key in the folder."""
        (self.folder / f"{name}.crt").write_bytes(issued.certificate)
        key = self.folder / f"{name}.key"
        key.touch(mode=0o600)
        key.write_bytes(issued.private_key)


@dataclass(slots=True)
class TlsProxy:
    """A proxy before the database."""

    db: TlsDatabase
    running: Running

    def dsn(self, user: str = "app", *, host: str = "localhost", **parameters: str) -> str:
        """A URI through the proxy, by default as demanding as libpq can be."""
        words = {"sslmode": "verify-full", "sslrootcert": str(self.db.folder / "root.crt"), **parameters}
        query = "&".join(f"{name}={value}" for name, value in words.items())
        return f"postgresql://{user}@{host}:{self.running.port}/{self.db.name}?{query}"

    def connect(self, user: str = "app", password: str | None = None, **parameters: str) -> psycopg.Connection:
        password = PASSWORDS.get(user, "") if password is None else password
        return psycopg.connect(self.dsn(user, **parameters), password=password, autocommit=True)


@contextlib.contextmanager
def tls_database(folder: Path, authority: Authority) -> Iterator[TlsDatabase]:
    """A server of its own, for the time of a `with` block."""
    try:
        servers.bin_dir_of("debian")
    except servers.ServerUnavailable as unavailable:
        pytest.skip(str(unavailable))
    issued = authority.issue("localhost", "localhost", "127.0.0.1")
    files = {
        "server.crt": issued.certificate,
        "server.key": issued.private_key,
        "root.crt": authority.certificate,
        "hba.conf": HOST_BASED_AUTHENTICATION,
    }
    settings = {
        "ssl": "on",
        "ssl_ca_file": "root.crt",
        "hba_file": "data/hba.conf",
        "password_encryption": "scram-sha-256",
        "log_connections": "on",
    }
    rules, _ = write_rules(folder, COLUMNS)
    (folder / "root.crt").write_bytes(authority.certificate)
    with servers.running("debian", settings, files=files) as server, server.database() as name:
        with server.connect(name) as connection:
            connection.execute(SCHEMA.encode())
            for role in ("certified", "trusted", *PASSWORDS):
                connection.execute(f"CREATE ROLE {role} LOGIN".encode())
            connection.execute("ALTER ROLE owner SUPERUSER")
            for role, password in PASSWORDS.items():
                method = "md5" if role == "app_md5" else "scram-sha-256"
                connection.execute(f"SET password_encryption = '{method}'".encode())
                connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'".encode())
        seal_columns(server, name, rules)
        db = TlsDatabase(server, name, rules, folder, authority)
        db.write("proxy", authority.issue("localhost", "localhost", "127.0.0.1"))
        yield db
