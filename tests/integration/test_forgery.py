"""Somebody writes to the database itself: envelopes moved, changed, made up, and offered for opening."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text, phone text, note text, raw bytea);
CREATE TABLE orders (id int PRIMARY KEY, contact text);
"""
COLUMNS = """
{table: users, column: email, type: text, search: [equality], index_domain: who}
{table: users, column: phone, type: text, search: [equality], index_domain: who}
{table: orders, column: contact, type: text, search: [equality], index_domain: who}
{table: users, column: raw, type: bytea}
"""


@pytest.fixture(scope="module")
def database(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("forgery"), SCHEMA, COLUMNS) as made:
        yield made


@pytest.fixture
def db(database: ProtectedDatabase) -> ProtectedDatabase:
    with database.connect() as connection:
        connection.execute("TRUNCATE users, orders")
        connection.execute(
            "INSERT INTO users (id, email, phone, note) VALUES"
            " (1, 'planted-a', 'planted-1', 'n'), (2, 'planted-b', 'x', '')"
        )
        connection.execute("INSERT INTO orders VALUES (1, 'planted-a')")
    return database


def stored(db: ProtectedDatabase, query: str = "SELECT email::bytea FROM users WHERE id = 1") -> bytes:
    with db.direct() as direct:
        row = direct.execute(query.encode()).fetchone()
    assert row is not None
    return bytes(row[0])


def put(db: ProtectedDatabase, value: bytes, column: str = "email", *, is_checked: bool = True) -> None:
    """Store bytes in that column of row 1, by who owns the database."""
    with db.direct() as direct:
        kind = direct.execute(
            "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = %s",
            [column],
        ).fetchone()
        assert kind is not None
        if is_checked:
            direct.execute(f"UPDATE users SET {column} = %s::{kind[0]} WHERE id = 1".encode(), [value])
            return
        with direct.transaction():
            constraints = direct.execute(
                "SELECT contypid::regtype::text, conname, pg_get_constraintdef(oid)"
                " FROM pg_constraint WHERE contypid <> 0"
            ).fetchall()
            for domain, name, _ in constraints:
                direct.execute(f"ALTER DOMAIN {domain} DROP CONSTRAINT {name}".encode())
            direct.execute(f"UPDATE users SET {column} = %s::{kind[0]} WHERE id = 1".encode(), [value])
            for domain, name, definition in constraints:
                direct.execute(f"ALTER DOMAIN {domain} ADD CONSTRAINT {name} {definition} NOT VALID".encode())


def error_of(db: ProtectedDatabase, query: str = "SELECT email FROM users WHERE id = 1") -> psycopg.Error:
    """How reading fails: the connection ends, since what the statement did cannot be taken back."""
    for binary in (False, True):
        with db.connect() as connection, connection.cursor(binary=binary) as cursor:
            with pytest.raises(psycopg.Error) as caught:
                cursor.execute(query)
            said = str(caught.value) + str(caught.value.diag.message_detail) + str(caught.value.diag.message_hint)
            assert "planted" not in said
            assert "\\x" not in said
    return caught.value


class TestMoved:
    def test_between_rows_of_a_column_is_not_noticed(self, db: ProtectedDatabase) -> None:
        """The row is not part of what is authenticated: the threat model says so."""
        put(db, stored(db, "SELECT email::bytea FROM users WHERE id = 2"))
        with db.connect() as connection:
            assert connection.execute("SELECT email FROM users ORDER BY id").fetchall() == [("planted-b",)] * 2

    def test_an_old_value_of_the_cell_is_not_noticed(self, db: ProtectedDatabase) -> None:
        old = stored(db)
        with db.connect() as connection:
            connection.execute("UPDATE users SET email = 'planted-new' WHERE id = 1")
            put(db, old)
            assert connection.execute("SELECT email FROM users WHERE id = 1").fetchone() == ("planted-a",)

    @pytest.mark.parametrize(
        "source", ["SELECT phone::bytea FROM users WHERE id = 1", "SELECT contact::bytea FROM orders"]
    )
    def test_between_columns_and_tables(self, db: ProtectedDatabase, source: str) -> None:
        """Though they share their terms, and the value may be the same."""
        put(db, stored(db, source))
        failed = error_of(db)
        assert failed.sqlstate == "XX001"
        assert "users.email" in str(failed.diag.message_detail)

    def test_between_databases(self, db: ProtectedDatabase, postgres: PostgresServer, tmp_path: object) -> None:
        with protected(postgres, tmp_path, SCHEMA, COLUMNS) as other:  # type: ignore[arg-type]
            with other.connect() as connection:
                connection.execute("INSERT INTO users (id, email) VALUES (1, 'planted-a')")
            put(db, stored(other))
        assert error_of(db).sqlstate in ("XX001", "58030")

    def test_through_the_proxy(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            for sql in (
                "UPDATE users SET email = phone",
                "UPDATE users SET note = email",
                "INSERT INTO orders SELECT id + 5, email FROM users",
                "UPDATE users SET email = (SELECT contact FROM orders)",
                "INSERT INTO users (id, email) SELECT 9, phone FROM users LIMIT 1",
            ):
                with pytest.raises(psycopg.errors.FeatureNotSupported):
                    connection.execute(sql.encode())


class TestChanged:
    def test_any_change_is_one_and_the_same_error(self, db: ProtectedDatabase) -> None:
        """Which part of it was wrong is not told."""
        good = stored(db)
        changed = [
            bytes([2]) + good[1:],  # version
            good[:1] + bytes([good[1] ^ 0x80]) + good[2:],  # flags
            good[:6] + bytes([good[6] ^ 1]) + good[7:],  # term
            good[:-17] + bytes([good[-17] ^ 1]) + good[-16:],  # ciphertext
            good[:-1] + bytes([good[-1] ^ 1]),  # tag
            good[:-1],
            good + b"\0",
            b"\0" * len(good),
            b"forged-a",
            b"forged-" + b"a" * 80,
        ]
        said = set()
        for value in changed:
            put(db, value, is_checked=False)
            failed = error_of(db)
            said.add((failed.sqlstate, failed.diag.severity, str(failed.diag.message_primary)))
            assert "users.email" in str(failed.diag.message_detail)
        assert len(said) == 1
        assert next(iter(said))[0] == "XX001"

    def test_a_key_that_nobody_has(self, db: ProtectedDatabase) -> None:
        good = stored(db)
        put(db, good[:2] + bytes([good[2] ^ 0x40]) + good[3:], is_checked=False)
        assert error_of(db).sqlstate in ("XX001", "58030")

    @pytest.mark.parametrize("value", [b"", b"forged-a", b"\1", b"\1" * 20])
    def test_the_column_itself_refuses_what_is_no_envelope(self, db: ProtectedDatabase, value: bytes) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            put(db, value)

    def test_copy_and_returning_fail_the_same_way(self, db: ProtectedDatabase) -> None:
        put(db, stored(db)[:-1] + b"\0", is_checked=False)
        for query in ("UPDATE users SET note = 'x' WHERE id = 1 RETURNING email", "SELECT email, phone FROM users"):
            assert error_of(db, query).sqlstate == "XX001"
        with (
            db.connect() as connection,
            pytest.raises(psycopg.Error) as caught,
            connection.cursor().copy("COPY users (email) TO STDOUT") as copy,
        ):
            list(copy)
        assert caught.value.sqlstate == "XX001"


class TestOffered:
    """The proxy opens what comes from a protected column, whatever other bytes look like."""

    def test_an_envelope_as_a_value_is_a_value(self, db: ProtectedDatabase) -> None:
        envelope = stored(db)
        text = "\\x" + envelope.hex()
        with db.connect() as connection:
            connection.execute("INSERT INTO users (id, email, raw) VALUES (%s, %s, %s)", [3, text, envelope])
            row = connection.execute("SELECT email, raw FROM users WHERE email = %s", [text]).fetchone()
        assert row == (text, envelope)
        assert stored(db, "SELECT email::bytea FROM users WHERE id = 3") != envelope
        assert stored(db, "SELECT raw::bytea FROM users WHERE id = 3") != envelope

    def test_a_literal_or_a_plain_column_is_never_opened(self, db: ProtectedDatabase) -> None:
        envelope = stored(db)
        text = "\\x" + envelope.hex()
        with db.connect() as connection:
            connection.execute("UPDATE users SET note = %s", [text])
            for sql, expected in (
                (f"SELECT '{text}'::bytea", envelope),
                (f"SELECT '{text}'", text),
                ("SELECT note FROM users WHERE id = 1", text),
                ("SELECT note::bytea FROM users WHERE id = 1", envelope),
                (f"SELECT coalesce(note, '{text}') FROM users WHERE id = 1", text),
            ):
                assert connection.execute(sql.encode()).fetchone() == (expected,), sql
            assert connection.execute("SELECT %s::bytea", [envelope]).fetchone() == (envelope,)

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT email AS x FROM users WHERE id = 2 UNION ALL SELECT '{}'",
            "SELECT email AS x FROM users WHERE id = 2 UNION ALL SELECT '{}'::bytea",
            "SELECT email AS x FROM users WHERE id = 2 UNION ALL SELECT note FROM users",
            "SELECT coalesce(NULLIF(email, email), '{}') FROM users",
            "SELECT CASE WHEN id = 1 THEN '{}' ELSE email END FROM users",
            "SELECT coalesce(e, '{}') FROM users LEFT JOIN (SELECT id, email AS e FROM users WHERE false) s USING (id)",
            "WITH w (x) AS (VALUES ('{}')) SELECT x FROM w UNION ALL SELECT email FROM users",
            "SELECT email FROM (SELECT email FROM users UNION ALL SELECT '{}') s (email)",
            "SELECT '{}'::pgcrypt.sealed_1",
            "SELECT ('{}'::bytea)::pgcrypt.sealed_1 FROM users",
        ],
    )
    def test_beside_a_protected_column(self, db: ProtectedDatabase, sql: str) -> None:
        """What is in the column's place is sealed and opened again, or refused; it is not opened as it is."""
        text = "\\x" + stored(db, "SELECT phone::bytea FROM users WHERE id = 1").hex()
        with db.connect() as connection:
            connection.execute("UPDATE users SET note = %s", [text])
            for query in (sql, sql.replace("'{}'", "%s::text")):
                try:
                    found = connection.execute(
                        query.format(text).encode(), [text] if "%s" in query else None
                    ).fetchall()
                except psycopg.Error:
                    continue
                assert "planted-1" not in str(found)
                connection.execute("SELECT 1")
