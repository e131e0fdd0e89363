"""The file of statements: each once, no values, kept from run to run."""

from __future__ import annotations

import stat
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.cli.statement_files import Form, open_source
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server import recorder
from pgcrypt_proxy.server.recorder import StatementRecorder
from tests.helpers.proxies import awaited
from tests.helpers.servers import PostgresServer


def read(path: Path) -> list[str]:
    with open_source(path, Form.AUTO) as source:
        assert source.form is Form.CSV
        return [found.text for found in source.statements()]


def test_each_statement_once(tmp_path: Path) -> None:
    path = tmp_path / "statements.csv"
    made = StatementRecorder(path)
    for sql in ("SELECT 'planted-a'", "SELECT 'planted-b'", 'SELECT "x,""y"', "SELECT $1", "SELECT 'planted"):
        made.add(sql)
    made.close()
    assert read(path) == ["SELECT $1", 'SELECT "x,""y"']
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = StatementRecorder(path)
    again.add("SELECT 'planted-c'")
    again.add("SELECT 1, 2")
    again.close()
    assert read(path) == ["SELECT $1", 'SELECT "x,""y"', "SELECT $1 , $2"]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_STATEMENTS", 3)
    monkeypatch.setattr(recorder, "MAX_TEXTS", 2)
    path = tmp_path / "statements.csv"
    made = StatementRecorder(path)
    for number in range(10):
        made.add(f"SELECT a{number}")
    made.close()
    assert len(read(path)) == 4


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_what_is_no_such_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="statements cannot be recorded in"):
        StatementRecorder(path)


@pytest.mark.integration
def test_a_proxy_that_passes_everything_records(postgres: PostgresServer, tmp_path: Path) -> None:
    path = tmp_path / "statements.csv"
    with awaited(postgres, tmp_path, "", record_statements=path) as db, db.connect() as client:
        client.execute("CREATE TABLE t (a text)")
        client.execute("INSERT INTO t VALUES ('secret-literal')")
        client.execute("SELECT a FROM t WHERE a = %s", ["secret-parameter"])
        client.execute("SET application_name TO secret")
        with pytest.raises(psycopg.errors.SyntaxError):
            client.execute("SELEC 'secret-broken'")
    assert read(path) == ["CREATE TABLE t ( a text )", "INSERT INTO t VALUES ( $1 )", "SELECT a FROM t WHERE a = $1"]
    assert "secret" not in path.read_text()
