"""Rules for columns that are not in the database: refused at start, or waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError, PolicyError
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.install import install
from pgcrypt_proxy.server.run import start
from tests.helpers.proxies import awaited, settings_for, write_rules
from tests.helpers.servers import PostgresServer

COLUMNS = "{table: users, column: email, type: text, search: [equality]}"


def test_without_the_setting_the_proxy_does_not_start(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    rules, _ = write_rules(tmp_path, COLUMNS)
    with connect(postgres.dsn(database)) as connection:
        install(connection)
    with pytest.raises(PolicyError, match=r"not sealed: public\.users") as caught:
        start(settings_for(postgres, database, rules))
    assert "absent_columns" in (caught.value.hint or "")


def test_another_word_is_refused(postgres: PostgresServer, tmp_path: Path) -> None:
    rules, _ = write_rules(tmp_path, COLUMNS)
    with pytest.raises(ConfigError, match='absent_columns is "weit"') as caught:
        settings_for(postgres, "any", rules, absent_columns="weit")
    assert caught.value.hint == 'Did you mean "wait"?'


def test_a_plain_column_is_refused_even_so(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    rules, _ = write_rules(tmp_path, COLUMNS)
    with connect(postgres.dsn(database)) as connection:
        install(connection)
        connection.execute("CREATE TABLE public.users (email text)")
    with pytest.raises(PolicyError, match=r"not sealed: public\.users\.email"):
        start(settings_for(postgres, database, rules, absent_columns="wait"))


def test_a_database_that_folds_otherwise_is_refused_at_start(postgres: PostgresServer, tmp_path: Path) -> None:
    rules, _ = write_rules(tmp_path, COLUMNS.replace("[equality]", "[equality, equality_upper]"))
    name = "folds_in_c"
    with postgres.connect() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'".encode())
        try:
            with connect(postgres.dsn(name)) as connection:
                install(connection)
            with pytest.raises(ConfigError, match=r"upper\(\) in the database's collation"):
                start(settings_for(postgres, name, rules, absent_columns="wait"))
        finally:
            admin.execute(f"DROP DATABASE {name}".encode())


def test_rules_that_are_reloaded_wait_too(postgres: PostgresServer, tmp_path: Path) -> None:
    with awaited(postgres, tmp_path, COLUMNS) as db, db.connect() as connection:
        db.rules.write_text(db.rules.read_text() + "  - {table: visits, column: place, type: text}\n")
        asyncio.run_coroutine_threadsafe(db.running.proxy.reload(), db.running._loop).result(timeout=10)
        connection.execute("CREATE TABLE visits (place text)")
        with db.direct() as direct, pytest.raises(psycopg.errors.CheckViolation):
            direct.execute("INSERT INTO visits VALUES ('plain')")
