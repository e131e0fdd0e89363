"""Columns whose values are sealed with a key for each tenant: real server, real drivers, and what the database holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE events (id int PRIMARY KEY, tenant_id text, payload text, note text);
CREATE UNIQUE INDEX events_of_tenant ON events (tenant_id, id);
CREATE TABLE jobs (id int PRIMARY KEY, secret text);
CREATE TABLE plain (id int PRIMARY KEY, email text);
"""
COLUMNS = """
{table: public.events, column: payload, type: text, search: [equality], tenant: {column: tenant_id}}
{table: public.jobs, column: secret, type: text, data_class: jobs, tenant: {setting: pgcrypt.tenant}}
{table: public.plain, column: email, type: text, search: [equality]}
"""


@pytest.fixture
def tenants(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as database:
        yield database


def owners(database: ProtectedDatabase, table: str, column: str) -> dict[int, str]:
    """Whose key each stored envelope names, by the row's id."""
    with database.direct() as connection:
        rows = connection.execute(f"SELECT id, {column}::bytea FROM {table} WHERE {column} IS NOT NULL").fetchall()
        keys = dict(connection.execute("SELECT id, tenant FROM pgcrypt.keyring").fetchall())
    return {number: keys[int.from_bytes(envelope[2:6])] for number, envelope in rows}


def test_each_row_is_sealed_for_its_tenant(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("INSERT INTO events VALUES (1, 'acme', 'for acme', 'n')")
        connection.execute("INSERT INTO events (id, payload, tenant_id) VALUES (%s, %s, %s)", [2, "for bolt", "bolt"])
        connection.execute(
            "INSERT INTO events (tenant_id, id, payload) VALUES (%s, 3, %s), (%s, 4, %s)", ["acme", "three", "bolt", "four"]
        )
        rows = connection.execute("SELECT id, payload FROM events ORDER BY id").fetchall()
    assert rows == [(1, "for acme"), (2, "for bolt"), (3, "three"), (4, "four")]
    assert owners(tenants, "events", "payload") == {1: "acme", 2: "bolt", 3: "acme", 4: "bolt"}


def test_the_setting_decides(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="pgcrypt.tenant is not set"):
            connection.execute("INSERT INTO jobs VALUES (1, 'secret')")
        connection.execute("SET pgcrypt.tenant = 'acme'")
        connection.execute("INSERT INTO jobs VALUES (1, 'secret')")
        connection.execute("INSERT INTO jobs VALUES (2, %s)", ["other secret"])
        assert connection.execute("SELECT secret FROM jobs ORDER BY id").fetchall() == [("secret",), ("other secret",)]
    assert owners(tenants, "jobs", "secret") == {1: "acme", 2: "acme"}
