"""What an application does all day, through psycopg, seen from both sides of the proxy."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import tuple_row

from tests.helpers.proxies import ProtectedDatabase


def stored(db: ProtectedDatabase, query: str) -> list[tuple[object, ...]]:
    """What the server holds, read directly."""
    with db.direct() as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("prepare", [False, True], ids=["unnamed", "prepared"])
def test_round_trip_with_parameters(db: ProtectedDatabase, binary: bool, prepare: bool) -> None:
    with db.connect() as connection, connection.cursor(binary=binary, row_factory=tuple_row) as cursor:
        for _ in range(2):
            cursor.execute("DELETE FROM users", prepare=prepare)
            cursor.execute(
                "INSERT INTO users (email, name, ssn) VALUES (%s, %s, %s) RETURNING id, email",
                ["ann@planted-example.com", "Ann", "123-45-6789"],
                prepare=prepare,
            )
            row = cursor.fetchone()
            assert row is not None
            assert row[1] == "ann@planted-example.com"
            cursor.execute(
                "SELECT email, ssn, name FROM users WHERE email = %s", ["ann@planted-example.com"], prepare=prepare
            )
            assert cursor.fetchall() == [("ann@planted-example.com", "123-45-6789", "Ann")]
            cursor.execute("SELECT * FROM users WHERE email = %s", ["nobody@planted-example.com"], prepare=prepare)
            assert cursor.fetchall() == []
    ((email, ssn, name),) = stored(db, "SELECT email, ssn, name FROM users")
    assert isinstance(email, bytes)
    assert isinstance(ssn, bytes)
    assert email[0] == ssn[0] == 1
    assert len(email) == len("ann@planted-example.com") + 50
    assert len(ssn) == len("123-45-6789") + 34
    assert name == "Ann"


def test_round_trip_with_literals(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(
                "INSERT INTO users (email, ssn) VALUES (%s, %s), (%s, NULL)",
                ["o'neil@planted-x.de", "1\\2", "bob@planted-x.de"],
            )
            cursor.execute(
                "SELECT email, ssn FROM users WHERE email IN (%s, %s) ORDER BY id",
                ["o'neil@planted-x.de", "bob@planted-x.de"],
            )
            assert cursor.fetchall() == [("o'neil@planted-x.de", "1\\2"), ("bob@planted-x.de", None)]
            cursor.execute("SELECT id FROM users WHERE email = ANY(%s)", [["bob@planted-x.de", "zoe@planted-x.de"]])
            assert len(cursor.fetchall()) == 1
            cursor.execute("SELECT count(*), count(ssn) FROM users WHERE email <> %s", ["bob@planted-x.de"])
            assert cursor.fetchone() == (1, 1)
        rows = connection.execute("SELECT id FROM users WHERE email = ANY(%s)", [["bob@planted-x.de"]]).fetchall()
        assert len(rows) == 1
    assert "o'neil" not in db.logged().replace("''", "'")


def test_update_conflict_join_and_delete(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        connection.execute("INSERT INTO users (email) VALUES (%s)", ["a@planted-x"])
        connection.execute(
            "INSERT INTO users (email, name) VALUES (%s, %s) ON CONFLICT (email)"
            " DO UPDATE SET name = EXCLUDED.name, email = EXCLUDED.email",
            ["a@planted-x", "second"],
        )
        assert connection.execute("SELECT email, name FROM users").fetchall() == [("a@planted-x", "second")]
        connection.execute(
            "UPDATE users SET email = %s, born = %s WHERE email = %s", ["b@planted-x", "1990-02-03", "a@planted-x"]
        )
        connection.execute("INSERT INTO orders (contact, note) VALUES (%s, 'n')", ["b@planted-x"])
        row = connection.execute(
            "SELECT u.*, o.contact FROM users u JOIN orders o ON o.contact = u.email WHERE u.email = %s",
            ["b@planted-x"],
        ).fetchone()
        assert row is not None
        assert (row[1], str(row[4]), row[6]) == ("b@planted-x", "1990-02-03", "b@planted-x")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute("INSERT INTO users (email) VALUES (%s)", ["b@planted-x"])
        assert caught.value.diag.message_detail == "Key (email) already exists."
        assert connection.execute("DELETE FROM users WHERE email = %s", ["b@planted-x"]).rowcount == 1


def test_the_application_sees_the_declared_types(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        cursor = connection.execute("SELECT email, ssn, born, name FROM users")
        assert cursor.description is not None
        assert [c.type_code for c in cursor.description] == [25, 1043, 1082, 25]
        assert cursor.description[1].display_size == 11


def test_a_refusal_reaches_nobody_and_fails_the_transaction(db: ProtectedDatabase) -> None:
    marker = "refused-marker-4711"
    with db.connect() as connection:
        connection.execute("INSERT INTO items VALUES (1, 'before')")
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught, connection.transaction():  # noqa: PT012
            connection.execute("UPDATE items SET name = 'changed'")
            connection.execute("UPDATE users SET email = lower(%s)", [marker])
        assert "public.users.email" in str(caught.value)
        assert connection.execute("SELECT name FROM items").fetchone() == ("before",)
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute(f"SELECT '{marker}' FROM users WHERE email LIKE 'x%'")
        assert connection.info.transaction_status.name == "IDLE"
        connection.execute("SELECT 1")
    assert marker not in db.logged()


def test_simple_queries_with_several_statements(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(
            "INSERT INTO users (email) VALUES ('m1@planted-x'); SELECT 1;"
            " SELECT email FROM users WHERE email = 'm1@planted-x';"
            "INSERT INTO items VALUES (2, 'two')"
        )
        results = [cursor.fetchall() if cursor.description else cursor.statusmessage]
        while cursor.nextset():
            results.append(cursor.fetchall() if cursor.description else cursor.statusmessage)
        assert results == ["INSERT 0 1", [(1,)], [("m1@planted-x",)], "INSERT 0 1"]
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            cursor.execute("BEGIN; INSERT INTO items VALUES (3, 'x'); SELECT upper(email) FROM users; COMMIT")
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM items WHERE id = 3").fetchone() == (0,)


def test_going_round_the_proxy_stores_no_plaintext(db: ProtectedDatabase) -> None:
    with db.direct() as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO users (email) VALUES ('plain'::bytea)")


def test_pipeline(db: ProtectedDatabase) -> None:
    with db.connect() as connection, connection.pipeline():
        cursors = [
            connection.execute("INSERT INTO users (email) VALUES (%s) RETURNING email", [f"p{n}@planted-x"])
            for n in range(200)
        ]
        assert [c.fetchone() for c in cursors] == [(f"p{n}@planted-x",) for n in range(200)]


def test_names_in_two_schemas_follow_the_search_path(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        connection.execute("INSERT INTO users (email) VALUES ('pub@planted-x')")
        connection.execute("SET search_path = other, public")
        connection.execute("INSERT INTO users (id, email) VALUES (1, 'plain on purpose')")
        assert connection.execute("SELECT email FROM users").fetchall() == [("plain on purpose",)]
        assert connection.execute("SELECT email FROM public.users").fetchall() == [("pub@planted-x",)]
        with connection.transaction():
            connection.execute("SET LOCAL search_path = public")
            assert connection.execute("SELECT email FROM users").fetchall() == [("pub@planted-x",)]
        assert connection.execute("SELECT email FROM users").fetchall() == [("plain on purpose",)]
    assert stored(db, "SELECT email FROM other.users") == [("plain on purpose",)]


def test_bulk_insert_by_unnest(db: ProtectedDatabase) -> None:
    emails = ["u1@planted-x", 'q"uo,te\\@planted-x', "ü@planted-x"]
    sql = "INSERT INTO users (email, name) SELECT * FROM UNNEST((%s)::text[], (%s)::varchar[]) RETURNING email"
    with db.connect() as connection:
        assert connection.execute(sql, [emails, ["a", "b", None]]).fetchall() == [(e,) for e in emails]
        more = [f"c{e}" for e in emails]
        with psycopg.ClientCursor(connection) as cursor:
            assert cursor.execute(sql, [more, ["a", "b", None]]).fetchall() == [(e,) for e in more]
        assert connection.execute("SELECT count(*) FROM users WHERE email = ANY(%s)", [emails + more]).fetchone() == (
            6,
        )
    assert all(bytes(row[0])[0] == 1 for row in stored(db, "SELECT email FROM users"))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["email, name", "name, email"])
def test_one_parameter_for_a_protected_and_a_plain_column(db: ProtectedDatabase, order: str) -> None:
    with db.connect() as connection, psycopg.RawCursor(connection) as cursor:
        cursor.execute(f"INSERT INTO users ({order}) VALUES ($1, $1)", ["both"])
        cursor.execute("SELECT email, name FROM users WHERE email = $1 AND name = $1", ["both"])
        assert cursor.fetchall() == [("both", "both")]
    ((email, name),) = stored(db, "SELECT email, name FROM users")
    assert isinstance(email, bytes)
    assert email[0] == 1
    assert name == "both"
