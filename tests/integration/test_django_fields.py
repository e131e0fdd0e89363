"""Django: a project with every field type is migrated, used and inspected through the proxy as without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pgcrypt_proxy.demo import scenario
from tests.helpers.proxies import awaited
from tests.helpers.servers import PostgresServer

ROOT = Path(__file__).parents[2]
#: Every column but the key and `positive`, with the type that Django gives it.
TYPES = {
    "char": "varchar(40)",
    "text": "text",
    "slug": "varchar(50)",
    "url": "varchar(200)",
    "file": "varchar(100)",
    "image_path": "varchar(100)",
    "key": "uuid",
    "flag": "boolean",
    "small": "smallint",
    "whole": "integer",
    "big": "bigint",
    "real": "double precision",
    "amount": "numeric(8,2)",
    "day": "date",
    "moment": "timestamp with time zone",
    "clock": "time without time zone",
    "span": "interval",
    "raw": "bytea",
    "data": "jsonb",
    "address": "inet",
    "tags": "varchar(20)[]",
    "numbers": "integer[]",
}
SEARCHED = {"code": "varchar(12)", "email": "varchar(254)", "slug": "varchar(50)"}


def run(host: str, port: int, database: str, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.integration.orm.django_fields", str(folder)],
        env=scenario.environment_for(host, port, database),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_every_field_type(postgres: PostgresServer, plain_server: PostgresServer, tmp_path: Path) -> None:
    lines = [
        f'{{table: fields_everything, column: {name}, type: "{type_}", data_class: all}}'
        for name, type_ in TYPES.items()
        if name not in SEARCHED
    ]
    lines += [
        f"{{table: fields_everything, column: {name}, type: {type_}, data_class: all, search: [equality]}}"
        for name, type_ in SEARCHED.items()
    ]
    with plain_server.database() as name:
        plain = run(plain_server.host, plain_server.port, name, tmp_path / "plain")
    with awaited(postgres, tmp_path, "\n".join(lines)) as db:
        sealed = run("127.0.0.1", db.running.port, db.name, tmp_path / "sealed")
        with db.direct() as connection:
            columns = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'fields_everything'::regclass AND attnum > 0"
                " AND atttypid::regtype::text NOT LIKE 'pgcrypt.sealed%'"
            ).fetchall()
            stored = connection.execute("SELECT f::text FROM fields_everything f").fetchall()
    assert sealed == plain
    assert "No changes detected" in sealed["drift"]
    assert "No migrations to apply" in sealed["migrated again"]
    assert sorted(columns) == [("id",), ("positive",)]
    assert len(stored) == 3
    assert "planted" not in str(stored)


@pytest.mark.parametrize("name", ["positive"])
def test_what_django_checks_is_refused(postgres: PostgresServer, tmp_path: Path, name: str) -> None:
    line = f"{{table: fields_everything, column: {name}, type: integer, data_class: all}}"
    with awaited(postgres, tmp_path, line) as db:
        with pytest.raises(AssertionError, match="CHECK is not possible on protected column"):
            run("127.0.0.1", db.running.port, db.name, tmp_path / "sealed")
        with db.direct() as connection:
            assert connection.execute("SELECT to_regclass('fields_everything')").fetchone() == (None,)
