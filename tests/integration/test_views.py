"""Views over sealed columns through the proxy, each compared with the same view over plain tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, ssn varchar(20), age int);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, contact text, total int);
"""
SCHEMA = TABLES + "CREATE SCHEMA twin; SET search_path = twin;" + TABLES
COLUMNS = """
{table: users, column: email, type: text, search: [equality], index_domain: email}
{table: users, column: ssn, type: varchar(20)}
{table: orders, column: contact, type: text, search: [equality], index_domain: email}
"""
VIEWS = """
CREATE VIEW people AS SELECT id, email, ssn, age FROM users;
CREATE VIEW adults AS SELECT id AS number, email AS mail, age FROM people WHERE age >= 18 WITH CASCADED CHECK OPTION;
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM users WHERE age > 10;
CREATE VIEW bought AS SELECT u.email, o.contact, o.total, u.ssn AS "the ssn" FROM users u
    LEFT JOIN orders o ON o.user_id = u.id;
CREATE VIEW ages AS SELECT age, count(email) AS emails, count(*) AS n FROM people GROUP BY age;
CREATE VIEW both_ends AS SELECT id, email FROM users WHERE id < 3 UNION ALL SELECT id, email FROM users WHERE id > 3;
CREATE VIEW tangled AS WITH x AS (SELECT mail, number FROM adults) SELECT x.mail, b.total FROM x
    LEFT JOIN bought b ON b.total = x.number * 10;
CREATE VIEW first_email AS SELECT id, (SELECT u.email FROM users u WHERE u.id = o.user_id) AS email FROM orders o;
CREATE MATERIALIZED VIEW snapshot AS SELECT email, age FROM people WHERE id > 1;
"""
REFUSED = """
CREATE VIEW found AS SELECT id FROM users WHERE email = '\\x01';
CREATE VIEW sorted AS SELECT email FROM users ORDER BY email;
CREATE VIEW above AS SELECT id FROM found;
CREATE FUNCTION peek() RETURNS SETOF bytea LANGUAGE sql AS 'SELECT email::bytea FROM users';
CREATE VIEW called AS SELECT * FROM peek();
CREATE VIEW triggered AS SELECT id, email FROM users;
CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t INSTEAD OF INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION on_insert();
"""
#: (id, email, ssn, age) and (id, user_id, contact, total)
USERS = [(1, "a", "s1", 40), (2, "b", None, 9), (3, None, "s3", 18), (4, "d", "s4", None), (5, "e", "s5", 40)]
ORDERS = [(1, 1, "b", 10), (2, 1, "a", 20), (3, 5, None, 30)]

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def viewed(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("rules"), SCHEMA, COLUMNS) as made:
        with made.direct() as connection:
            connection.execute(VIEWS + REFUSED)
            connection.execute("SET search_path = twin")
            connection.execute(VIEWS)
        yield made


class Twins:
    """Runs a statement on sealed tables through the proxy and on plain ones directly: both must say the same."""

    def __init__(self, sealed: psycopg.Connection, plain: psycopg.Connection) -> None:
        self.sealed, self.plain = sealed, plain

    def run(self, query: str, *values: object) -> Rows:
        """The rows; texts among `values` and in rows go without the prefix that marks them on each side."""
        sealed = self._rows(self.sealed, query, values, "planted-")
        plain = self._rows(self.plain, query, values, "twinned-")
        assert sealed == plain
        return sealed

    def _rows(self, connection: psycopg.Connection, query: str, values: tuple[object, ...], prefix: str) -> Rows:
        marked = [prefix + value if isinstance(value, str) else value for value in values]
        cursor = connection.execute(query, marked)  # type: ignore[arg-type]
        if cursor.description is None:
            return [(cursor.rowcount,)]
        names = tuple(column.name for column in cursor.description)
        types = tuple(column.type_code for column in cursor.description)
        rows = [tuple(v.removeprefix(prefix) if isinstance(v, str) else v for v in row) for row in cursor]
        return [names, types, *rows]


@pytest.fixture(params=[psycopg.Cursor, psycopg.ClientCursor], ids=["parameters", "literals"])
def twins(viewed: ProtectedDatabase, request: pytest.FixtureRequest) -> Iterator[Twins]:
    with viewed.direct() as connection:
        connection.execute("TRUNCATE users, orders, twin.users, twin.orders")
    with viewed.connect(cursor_factory=request.param) as sealed, viewed.direct() as plain:
        plain.execute("SET search_path = twin")
        made = Twins(sealed, plain)
        for row in USERS:
            made.run("INSERT INTO people VALUES (%s, %s, %s, %s)", *row)
        for row in ORDERS:
            made.run("INSERT INTO orders VALUES (%s, %s, %s, %s)", *row)
        yield made


def stored(db: ProtectedDatabase, query: str) -> Rows:
    with db.direct() as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "values", "count"),
    [
        ("SELECT * FROM people ORDER BY id", [], 5),
        ("SELECT p.email, p.ssn FROM people AS p WHERE p.email = %s", ["b"], 1),
        ("SELECT id FROM people WHERE email IN (%s, %s, %s) ORDER BY id", ["a", "e", "z"], 2),
        ("SELECT id FROM people WHERE email = ANY(ARRAY[%s, %s])", ["a", "z"], 1),
        ("SELECT id FROM people WHERE email <> %s ORDER BY id", ["a"], 3),
        ("SELECT number FROM adults WHERE mail IS NULL", [], 1),
        ("SELECT mail, number FROM adults WHERE mail = %s", ["b"], 0),
        ("SELECT * FROM adults ORDER BY number", [], 3),
        ("SELECT email, ssn FROM barrier WHERE email = %s", ["e"], 1),
        ("SELECT * FROM barrier ORDER BY id", [], 3),
        ('SELECT * FROM bought ORDER BY total, contact IS NULL, "the ssn" IS NULL LIMIT 3', [], 3),
        ('SELECT "the ssn", total FROM bought WHERE contact = %s', ["b"], 1),
        ("SELECT b.total FROM bought b JOIN people p ON p.email = b.contact WHERE p.id = 2", [], 1),
        ("SELECT total FROM bought WHERE email = contact", [], 1),
        ("SELECT * FROM ages ORDER BY age", [], 4),
        ("SELECT email FROM both_ends WHERE id <> 1 ORDER BY id", [], 3),
        ("SELECT id FROM both_ends WHERE email = %s", ["d"], 1),
        ("SELECT mail, total FROM tangled ORDER BY total NULLS LAST, mail IS NULL LIMIT 1", [], 1),
        ("WITH w AS (SELECT email AS e, id FROM people) SELECT e FROM w WHERE e = %s", ["e"], 1),
        ("SELECT s.m FROM (SELECT mail AS m FROM adults WHERE number = 5) s", [], 1),
        ("SELECT email FROM people WHERE EXISTS (SELECT FROM adults WHERE mail = email) ORDER BY id", [], 2),
        ("SELECT count(mail), count(*) FROM adults", [], 1),
        ("SELECT * FROM first_email ORDER BY id", [], 3),
        ("SELECT id FROM first_email WHERE email = %s", ["e"], 1),
        ("SELECT email, count(*) FROM people WHERE id IN (1, 5) GROUP BY email ORDER BY min(id)", [], 2),
        ("SELECT count(DISTINCT mail) FROM adults", [], 1),
        ("SELECT id, email FROM people UNION ALL SELECT id, email FROM users ORDER BY 1 LIMIT 3", [], 3),
    ],
)
def test_reading(twins: Twins, query: str, values: list[object], count: int) -> None:
    assert len(twins.run(query, *values)[2:]) == count


def test_writing_through_simple_views(viewed: ProtectedDatabase, twins: Twins) -> None:
    assert twins.run("INSERT INTO adults (number, mail, age) VALUES (%s, %s, 30) RETURNING *", 6, "f")[2:] == [
        (6, "f", 30)
    ]
    assert twins.run("UPDATE adults SET mail = %s WHERE mail = %s RETURNING number, mail", "g", "a")[2:] == [(1, "g")]
    assert twins.run("UPDATE people SET ssn = %s, email = DEFAULT WHERE email = %s", "s9", "b") == [(1,)]
    twins.run(
        "INSERT INTO people (id, email, age) VALUES (7, %s, 7) ON CONFLICT (email)"
        " DO UPDATE SET age = EXCLUDED.age, email = EXCLUDED.email",
        "f",
    )
    twins.run(
        "INSERT INTO people (id, email, age) VALUES (6, %s, 7) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email",
        "h",
    )
    assert twins.run("DELETE FROM barrier WHERE email = %s RETURNING id", "e")[2:] == [(5,)]
    rows = twins.run("SELECT id, email, ssn, age FROM users ORDER BY id")[2:]
    assert rows == [
        (1, "g", "s1", 40),
        (2, None, "s9", 9),
        (3, None, "s3", 18),
        (4, "d", "s4", None),
        (6, "h", None, 7),
    ]
    sealed = stored(viewed, "SELECT email::bytea, ssn::bytea FROM users")
    values = [bytes(value) for row in sealed for value in row if value is not None]
    assert len(values) == 7
    assert all(value[0] == 1 and b"planted-" not in value for value in values)


def test_an_index_serves_a_search_through_views(twins: Twins) -> None:
    twins.sealed.execute("SET enable_seqscan = off")
    for query in (
        "SELECT id FROM people WHERE email = 'planted-a'",
        "SELECT number FROM adults WHERE mail IN ('planted-a', 'planted-b')",
        "SELECT id FROM both_ends WHERE email = 'planted-a'",
    ):
        plan = "\n".join(row[0] for row in twins.sealed.execute(f"EXPLAIN {query}"))  # type: ignore[arg-type]
        assert "users_email_key" in plan, plan


def test_check_option_and_unique_errors_show_no_envelope(twins: Twins) -> None:
    for query, values, error in (
        ("INSERT INTO adults VALUES (8, %s, 3)", ["x"], psycopg.errors.WithCheckOptionViolation),
        ("UPDATE adults SET age = 3 WHERE number = 1", [], psycopg.errors.WithCheckOptionViolation),
        ("INSERT INTO people (id, email) VALUES (8, %s)", ["a"], psycopg.errors.UniqueViolation),
        ("INSERT INTO people (id, email) VALUES (1, %s)", ["y"], psycopg.errors.UniqueViolation),
    ):
        with pytest.raises(error) as plain:
            twins._rows(twins.plain, query, tuple(values), "twinned-")
        with pytest.raises(error) as sealed:
            twins._rows(twins.sealed, query, tuple(values), "planted-")
        assert sealed.value.diag.message_primary == plain.value.diag.message_primary
        assert "\\x" not in str(sealed.value)
        assert "pgcrypt" not in str(sealed.value)


def test_a_materialised_view_stores_envelopes(viewed: ProtectedDatabase, twins: Twins) -> None:
    with viewed.direct() as connection:
        connection.execute("REFRESH MATERIALIZED VIEW snapshot; REFRESH MATERIALIZED VIEW twin.snapshot")
    rows = twins.run("SELECT email, age FROM snapshot ORDER BY age NULLS FIRST, email IS NULL")[2:]
    assert rows == [("d", None), ("b", 9), (None, 18), ("e", 40)]
    assert twins.run("SELECT age FROM snapshot WHERE email = %s", "b")[2:] == [(9,)]
    twins.run("DELETE FROM users")
    assert len(twins.run("SELECT email FROM snapshot")[2:]) == 4
    values = [bytes(value) for (value,) in stored(viewed, "SELECT email::bytea FROM snapshot WHERE email IS NOT NULL")]
    assert len(values) == 3
    assert all(value[0] == 1 for value in values)


@pytest.mark.parametrize("view", ["found", "sorted", "above", "called", "triggered"])
def test_views_that_ciphertext_would_make_wrong_are_refused(viewed: ProtectedDatabase, view: str) -> None:
    with viewed.connect() as connection:
        for query in (f"SELECT * FROM {view}", f"INSERT INTO {view} VALUES (9)", f"SELECT count(*) FROM {view}"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match=view):
                connection.execute(query)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT upper(email) FROM people",
        "SELECT people FROM people",
        "SELECT mail FROM adults WHERE mail LIKE 'planted-%'",
        "SELECT id FROM people WHERE ssn = 'planted-s1'",
        "INSERT INTO people (id, email) SELECT 1, ssn FROM people",
        "UPDATE people SET email = ssn",
        "COPY (SELECT upper(email) FROM people) TO STDOUT",
        "COPY people TO '/tmp/people'",
        "CREATE TABLE more AS SELECT email FROM people",
        "CREATE VIEW more AS SELECT id FROM people WHERE email = 'planted-a'",
    ],
)
def test_a_view_of_a_protected_column_is_as_protected(viewed: ProtectedDatabase, query: str) -> None:
    with viewed.connect() as connection, pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute(query)  # type: ignore[arg-type]


def test_copy_through_a_view_is_copy_of_its_query(viewed: ProtectedDatabase, twins: Twins) -> None:
    for connection, value in ((twins.sealed, "planted-a"), (twins.plain, "twinned-a")):
        with connection.cursor() as cursor:
            query = f"COPY (SELECT mail, number FROM adults WHERE mail = '{value}') TO STDOUT"
            with cursor.copy(query) as copy:  # type: ignore[arg-type]
                assert [bytes(row) for row in copy] == [f"{value}\t1\n".encode()]
            with pytest.raises(psycopg.errors.WrongObjectType), cursor.copy("COPY adults TO STDOUT") as copy:
                copy.read()


def test_a_view_that_is_made_meanwhile(viewed: ProtectedDatabase, twins: Twins) -> None:
    with viewed.direct() as connection:
        connection.execute("CREATE VIEW late AS SELECT email FROM users WHERE id = 1")
        assert twins.sealed.execute("SELECT email FROM late").fetchall() == [("planted-a",)]
        connection.execute("CREATE VIEW later AS SELECT email FROM users WHERE id = 1")  # within the same second
        assert twins.sealed.execute("SELECT email FROM later").fetchall() == [("planted-a",)]
        connection.execute("DROP VIEW late; DROP VIEW later")
