"""The demo's parts: rules, the applications as processes, sealing, and a proxy before it all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.demo.postgres import PostgresServer
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.install import install
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.protect import Options, protect
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.server.settings import Settings

RULES = """\
version: 1
keyring: {provider: file, path: ./keyring.kek}
defaults: {data_class: pii}
columns:
  - {table: public.auth_user, column: email, type: varchar(254), search: [equality, equality_upper]}
  - {table: public.auth_user, column: first_name, type: varchar(150)}
  - {table: public.auth_user, column: last_name, type: varchar(150)}
  - {table: public.django_admin_log, column: object_repr, type: varchar(200)}
  - {table: public.customers, column: email, type: varchar(320), search: [equality]}
  - {table: public.customers, column: name, type: varchar}
  - {table: public.customers, column: born, type: date}
  - {table: public.customers, column: balance, type: "numeric(12,2)"}
  - {table: public.customers, column: preferences, type: jsonb}
  - {table: public.addresses, column: street, type: varchar}
"""
APPLICATION_TIMEOUT_S = 120


class DemoFailed(PgcryptError):
    """A step did not give what it must."""

    kind = "demo"


def write_rules(folder: Path) -> Path:
    """The rule file and a fresh KEK beside it; returns the rule file."""
    FileProvider.create(folder / "keyring.kek")
    rules = folder / "rules.yaml"
    rules.write_text(RULES)
    return rules


def environment_for(host: str, port: int, database: str) -> dict[str, str]:
    """This process's environment, with a database for applications that know nothing else of it."""
    return {
        **os.environ,
        "PGHOST": host,
        "PGPORT": str(port),
        "PGDATABASE": database,
        "PGUSER": "postgres",
        "PGSSLMODE": "disable",
        "DEMO_URL": f"postgresql://postgres@{host}:{port}/{database}?sslmode=disable",
    }


def run_application(name: str, action: str, host: str, port: int, database: str, **environment: str) -> None:
    """One of the applications as a process of its own, led to `host` and `port`. Raises DemoFailed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"pgcrypt_proxy.demo.{name}", action],
        env={**environment_for(host, port, database), **environment},
        capture_output=True,
        text=True,
        timeout=APPLICATION_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise DemoFailed(f"{name} {action} failed", detail=done.stderr[-3000:])


def create_tables(server: PostgresServer, database: str) -> None:
    """Both applications make their tables, on direct connections."""
    run_application("django_app", "migrate", server.host, server.port, database)
    run_application("sqlalchemy_app", "create", server.host, server.port, database)


def seal_columns(server: PostgresServer, database: str, rules: Path) -> int:
    """`init` and `protect --all`; returns how many columns were sealed."""
    policy = load([rules])
    url = server.dsn(database)
    with connect(url) as connection, connect(url) as keys:
        install(connection)
        store = KeyringStore(keys, FileProvider(policy.keyring.options["path"]))
        for rule in policy.rules:
            protect(connection, store, rule, Options())
    return len(policy.rules)


def settings_for(server: PostgresServer, database: str, rules: Path) -> Settings:
    """A proxy on any free port before this database."""
    return Settings(
        database_url=server.dsn(database), rules=(rules,), listen_port=0, metrics_port=0, drain_timeout_s=5.0
    )
