"""A database with rules and a key file, and a way to run command lines on it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from pgcrypt_proxy.cli import app

RULES = """\
version: 1
keyring: {provider: file, path: keyring.kek}
defaults: {data_class: pii}
columns:
  - {table: public.users, column: email, type: text, search: [equality]}
  - {table: public.users, column: age, type: integer}
"""

TABLES = """
CREATE TABLE public.users (id int PRIMARY KEY, email text UNIQUE, age int);
INSERT INTO public.users VALUES (1, 'ada@example.com', 41), (2, 'bo@example.com', NULL);
CREATE TABLE public.notes (id int, text text);
"""


class Result(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(postgres, database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line with rules, key file and database URL in place."""
    (tmp_path / "rules.yaml").write_text(RULES)
    monkeypatch.setenv("PGCRYPT_RULES", str(tmp_path / "rules.yaml"))
    monkeypatch.setenv("PGCRYPT_DATABASE_URL", postgres.dsn(database))
    monkeypatch.delenv("PGCRYPT_DATABASE_URL_FILE", raising=False)

    def run(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()
        status = app.run(arguments)
        sys.stdout.flush()
        return Result(status, *capfd.readouterr())

    return run


@pytest.fixture
def prepared(postgres, database, run: Run, tmp_path: Path) -> Iterator[psycopg.Connection]:
    """A direct connection to the database, which has tables, schema pgcrypt and keys, and nothing sealed."""
    assert run("keygen", str(tmp_path / "keyring.kek")).status == 0
    with postgres.connect(database) as connection:
        connection.execute(TABLES)
        assert run("init").status == 0
        yield connection
