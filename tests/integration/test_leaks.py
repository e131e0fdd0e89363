"""Nothing of a protected value is anywhere on the server: not in logs, statistics, table files or WAL."""

from __future__ import annotations

import contextlib
import io
import secrets

import psycopg
import pytest
from prometheus_client import generate_latest

from pgcrypt_proxy.server import log
from tests.helpers.leaks import traces
from tests.helpers.proxies import ProtectedDatabase
from tests.helpers.servers import PostgresServer

#: Every kind of statement that may carry a protected value; {} is the value, as a literal's inside.
STATEMENTS = [
    "INSERT INTO users (email, ssn) VALUES ('{}', 'x')",
    "INSERT INTO users (email) VALUES (E'{}-e'), ($${}-d$$), (U&'{}-u'), ('{}'\n'-c')",
    "INSERT INTO users (email) VALUES ('{}-r') RETURNING email",
    "INSERT INTO users (email) VALUES ('{}-o') ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email",
    "INSERT INTO users (email) SELECT * FROM unnest(ARRAY['{}-n'])",
    "INSERT INTO users (email) SELECT '{}'",
    "UPDATE users SET email = '{}-2' WHERE email = '{}'",
    "UPDATE users SET email = lower('{}')",
    "UPDATE users SET (email, name) = ('{}', 'x')",
    "SELECT id FROM users WHERE email = '{}'",
    "SELECT id FROM users WHERE email IN ('{}', '{}-2') OR email = ANY ('{{{}}}')",
    "SELECT id FROM users WHERE email LIKE '{}%'",
    "SELECT id FROM users WHERE email > '{}' ORDER BY email",
    "SELECT id FROM users WHERE lower(email) = '{}'",
    "SELECT * FROM (SELECT email AS e FROM users) s WHERE s.e = '{}'",
    "DELETE FROM users WHERE email = '{}-gone'",
    "SELECT 1; UPDATE users SET email = '{}' WHERE id = 0; SELECT 2",
    "BEGIN; UPDATE users SET email = upper('{}'); COMMIT",
    "ROLLBACK",
    "EXPLAIN SELECT id FROM users WHERE email = '{}'",
    "EXPLAIN ANALYZE INSERT INTO users (email) VALUES ('{}-x')",
    "PREPARE p AS SELECT * FROM users WHERE email = '{}'",
    "DECLARE c CURSOR FOR SELECT * FROM users WHERE email = '{}'",
    "COPY (SELECT * FROM users WHERE email = '{}') TO STDOUT",
    "COPY users (email) FROM STDIN",
    "COPY users (born) FROM STDIN",
    "COPY users (email, name) FROM STDIN",
    "COPY users (email, plain) FROM STDIN (DELIMITER '-', NULL 'x')",
    "COPY users (email) FROM STDIN CSV HEADER",
    "COPY users (email) FROM STDIN (FORMAT csv, HEADER MATCH)",
    "COPY users (email) FROM STDIN WHERE email = '{}'",
    "COPY users TO '/tmp/{}'",
    "CREATE TABLE copy AS SELECT * FROM users WHERE email = '{}'",
    "CREATE VIEW w AS SELECT * FROM users WHERE email = '{}'",
    "DO $$ BEGIN UPDATE users SET email = '{}'; END $$",
    "ALTER TABLE users ALTER COLUMN email SET DEFAULT '{}'",
    "MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET email = '{}'",
    "WITH w AS (INSERT INTO users (email) VALUES ('{}-w') RETURNING *) SELECT email FROM w",
    "SELEC '{}' FROM users",
    "INSERT INTO users (email) VALUES ('{}', 'too many')",
    "INSERT INTO users (email, nosuch) VALUES ('{}', 1)",
    "INSERT INTO users (email, plain) VALUES ('{}-err', 1/0)",
    "INSERT INTO users (born) VALUES ('{}')",
    "INSERT INTO kinds (id, i4) VALUES (1, '{}')",
    "INSERT INTO kinds (id, j) VALUES (1, '{{\"a\": \"{}\"}}'), (2, '\"{}\"')",
    "SELECT * FROM kinds WHERE j = '\"{}\"'",
    "INSERT INTO users (email, ssn) VALUES ('{}-long', '{}')",
]  # fmt: skip
PARAMETERS = [
    "INSERT INTO users (email) VALUES (%s)",
    "INSERT INTO users (email, name) VALUES (%s, 'n') ON CONFLICT (email) DO NOTHING RETURNING *",
    "UPDATE users SET email = %s WHERE id = -1",
    "SELECT * FROM users WHERE email = %s",
    "SELECT * FROM users WHERE %s = email AND id = 1/0",
    "SELECT * FROM users WHERE email LIKE %s",
    "SELECT * FROM users WHERE email = lower(%s)",
    "INSERT INTO users (born) VALUES (%s)",
    "INSERT INTO kinds (id, n) VALUES (1, %s)",
    "SELECT %s::text FROM users WHERE email = upper('x')",
]


@pytest.fixture
def marker() -> str:
    return f"planted-{secrets.token_hex(8)}"


def run(connection: psycopg.Connection, text: str, marker: str) -> None:
    """The statement; a COPY gets the marker as its data."""
    if not text.startswith("COPY"):
        connection.execute(text)  # type: ignore[arg-type]
        return
    with connection.cursor().copy(text) as copy:  # type: ignore[arg-type]
        if "FROM STDIN" in text:
            copy.write(f"{marker}-1\n{marker}-2\n")
        else:
            list(copy)


def test_no_statement_leaves_a_trace(db: ProtectedDatabase, marker: str) -> None:
    """Nor in what the proxy itself writes: its log, at the most talkative level, and its metrics."""
    logged = io.StringIO()
    log.configure("debug", logged)
    with db.connect() as connection:
        for statement in STATEMENTS:
            text = statement.replace("{{", "\0").replace("}}", "\1").replace("{}", marker)
            with contextlib.suppress(psycopg.Error):
                run(connection, text.replace("\0", "{").replace("\1", "}"), marker)
            assert not connection.closed, statement
    with db.connect() as connection:
        for statement in PARAMETERS:
            for binary in (False, True):
                for prepare in (False, True):
                    with contextlib.suppress(psycopg.Error):
                        connection.cursor(binary=binary).execute(statement, [marker], prepare=prepare)  # type: ignore[arg-type]
                    assert not connection.closed, statement
    with db.direct() as direct:
        row = direct.execute("SELECT count(*) FROM users").fetchone()
        assert row is not None
        assert row[0] >= 8  # much of it was stored, sealed
    assert traces(db.server, marker) == []
    said = logged.getvalue() + generate_latest(db.running.proxy.metrics.registry).decode()
    assert "invalid_value" in said
    assert marker not in said
    assert marker.encode().hex() not in said


def test_the_search_for_traces_finds_what_is_there(postgres: PostgresServer, database: str) -> None:
    control = f"control-{secrets.token_hex(8)}"
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE plain (v text)")
        connection.execute(f"INSERT INTO plain VALUES ('{control}')".encode())
    places = traces(postgres, control)
    assert "server.log" in places
    assert any(p.startswith("data/base/") for p in places)
    assert any(p.startswith("data/pg_wal/") for p in places)
