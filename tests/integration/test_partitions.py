"""A partitioned table with sealed columns, its partitions and inheritance children, through the proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE events (id int NOT NULL, email text, note text);
CREATE TABLE people (id int PRIMARY KEY, email text);
"""
COLUMNS = """
{table: events, column: email, type: text, search: [equality], index_domain: email}
{table: people, column: email, type: text, search: [equality], index_domain: email}
"""
# The way from a table to a partitioned one: it becomes the first partition.
PARTITIONS = """
BEGIN;
ALTER TABLE events RENAME TO events_0;
CREATE TABLE events (LIKE events_0, PRIMARY KEY (id)) PARTITION BY RANGE (id);
ALTER TABLE events ATTACH PARTITION events_0 FOR VALUES FROM (0) TO (100);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (100) TO (200);
CREATE UNIQUE INDEX events_1_email ON events_1 (pgcrypt.eq(email));
CREATE TABLE members (since date) INHERITS (people);
COMMIT;
"""


@pytest.fixture(scope="module")
def partitioned(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("rules"), SCHEMA, COLUMNS) as made:
        with made.direct() as connection:
            connection.execute(PARTITIONS)
        yield made


@pytest.fixture
def db(partitioned: ProtectedDatabase) -> ProtectedDatabase:
    with partitioned.direct() as connection:
        connection.execute("TRUNCATE events, people")
    return partitioned


@pytest.fixture(params=[psycopg.Cursor, psycopg.ClientCursor], ids=["parameters", "literals"])
def cursors(request: pytest.FixtureRequest) -> type[psycopg.Cursor]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def run(db: ProtectedDatabase, cursors: type[psycopg.Cursor]) -> Iterator[Callable[..., list[tuple[object, ...]]]]:
    """Runs a statement through the proxy; its rows."""
    with db.connect(cursor_factory=cursors) as connection:

        def run(query: str, *values: object) -> list[tuple[object, ...]]:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

        yield run


def stored(db: ProtectedDatabase, table: str) -> dict[object, bytes]:
    """Which rows the server holds in that very table, and their envelopes."""
    with db.direct() as connection:
        rows = connection.execute(f"SELECT id, email::bytea FROM ONLY {table}").fetchall()  # type: ignore[arg-type]
    assert all(value[0] == 1 and b"planted-" not in value for _, value in rows)
    return dict(rows)


Run = Callable[..., list[tuple[object, ...]]]


def test_the_parent_in_all_ways(db: ProtectedDatabase, run: Run) -> None:
    assert run("INSERT INTO events VALUES (%s, %s, 'n') RETURNING *", 1, "planted-a") == [(1, "planted-a", "n")]
    run("INSERT INTO events (email, id) VALUES (%s, 101), (%s, 102)", "planted-b", "planted-c")
    assert set(stored(db, "events_0")) == {1}
    assert set(stored(db, "events_1")) == {101, 102}
    assert run("SELECT email, note FROM events ORDER BY id") == [
        ("planted-a", "n"),
        ("planted-b", None),
        ("planted-c", None),
    ]
    assert run("SELECT id FROM events WHERE email = %s", "planted-b") == [(101,)]
    assert run("SELECT id FROM events WHERE email IN (%s, %s) ORDER BY 1", "planted-a", "planted-c") == [(1,), (102,)]
    assert run("UPDATE events SET email = %s WHERE email = %s RETURNING id, email", "planted-d", "planted-b") == [
        (101, "planted-d")
    ]
    # to the other partition and back: the envelope goes along
    before = stored(db, "events_1")[101]
    run("UPDATE events SET id = 2 WHERE id = 101")
    assert stored(db, "events_0")[2] == before
    assert run("SELECT email FROM events WHERE id = 2") == [("planted-d",)]
    run(
        "INSERT INTO events (id, email) VALUES (2, %s) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email",
        "planted-e",
    )
    assert run("SELECT email FROM events WHERE id = 2") == [("planted-e",)]
    assert run("DELETE FROM events WHERE email = %s RETURNING id", "planted-e") == [(2,)]
    assert run("SELECT count(*), count(email) FROM events") == [(2, 2)]


def test_a_partition_by_its_own_name(db: ProtectedDatabase, run: Run) -> None:
    assert run("INSERT INTO events_1 VALUES (%s, %s) RETURNING email, id", 150, "planted-p") == [("planted-p", 150)]
    run(
        "INSERT INTO events_1 (id, email) VALUES (151, %s) ON CONFLICT (email) DO UPDATE SET note = 'again'",
        "planted-p",
    )
    assert run("SELECT * FROM events_1 WHERE email = %s", "planted-p") == [(150, "planted-p", "again")]
    assert run("SELECT id FROM events WHERE email = %s", "planted-p") == [(150,)]
    run("UPDATE events_1 SET email = %s WHERE id = 150", "planted-q")
    assert set(stored(db, "events_1")) == {150}
    assert run("SELECT p.email FROM events e JOIN events_1 p ON p.email = e.email") == [("planted-q",)]
    run("DELETE FROM events_1 WHERE email = %s", "planted-q")
    assert run("SELECT count(*) FROM events") == [(0,)]


def test_types_and_errors_are_those_of_a_plain_table(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        for table in ("events", "events_1"):
            cursor = connection.execute(f"SELECT email, id FROM {table}")  # type: ignore[arg-type]
            assert cursor.description is not None
            assert [column.type_code for column in cursor.description] == [25, 23]
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            connection.execute("INSERT INTO events_1 VALUES (1, 'planted-x')")
        assert caught.value.diag.message_detail is None, "it would show the row"
        connection.execute("INSERT INTO events_1 VALUES (160, 'planted-x')")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute("INSERT INTO events VALUES (161, 'planted-x')")
        assert caught.value.diag.message_detail == "Key (email) already exists."
        with pytest.raises(psycopg.errors.FeatureNotSupported, match=r"public\.events_1\.email"):
            connection.execute("SELECT id FROM events_1 WHERE email LIKE 'planted-%'")
    with db.direct() as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("INSERT INTO events_1 VALUES (170, 'plain'::bytea)")


def test_partitions_that_come_and_go(db: ProtectedDatabase, run: Run) -> None:
    run("INSERT INTO events VALUES (101, %s)", "planted-before")
    with db.direct() as connection:
        connection.execute(
            "CREATE TABLE events_2 (note text, email pgcrypt.sealed_1, id int NOT NULL);"
            "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (200) TO (300);"
            "ALTER TABLE events DETACH PARTITION events_1;"
        )
    try:
        run("INSERT INTO events_2 VALUES ('n', %s, 201)", "planted-new")
        run("INSERT INTO events VALUES (202, %s, 'n')", "planted-newer")
        assert run("SELECT * FROM events ORDER BY id") == [
            (201, "planted-new", "n"),
            (202, "planted-newer", "n"),
        ]
        assert run("SELECT email FROM events_2 WHERE email = %s", "planted-newer") == [("planted-newer",)]
        assert set(stored(db, "events_2")) == {201, 202}
        # detached, it is a table of its own, and as protected as before
        assert run("SELECT id, email FROM events_1") == [(101, "planted-before")]
        run("INSERT INTO events_1 VALUES (999, %s)", "planted-alone")
        assert run("SELECT id FROM events_1 WHERE email = %s", "planted-alone") == [(999,)]
        assert set(stored(db, "events_1")) == {101, 999}
    finally:
        with db.direct() as connection:
            connection.execute(
                "DROP TABLE events_2; DELETE FROM events_1;"
                "ALTER TABLE events ATTACH PARTITION events_1 FOR VALUES FROM (100) TO (200);"
            )


def test_inheritance(db: ProtectedDatabase, run: Run) -> None:
    run("INSERT INTO people VALUES (1, %s)", "planted-parent")
    run("INSERT INTO members VALUES (2, %s, '2020-01-01')", "planted-child")
    assert run("SELECT id, email FROM people ORDER BY id") == [(1, "planted-parent"), (2, "planted-child")]
    assert run("SELECT email FROM ONLY people") == [("planted-parent",)]
    assert run("SELECT * FROM members WHERE email = %s", "planted-child")[0][:2] == (2, "planted-child")
    assert run("UPDATE people SET email = %s WHERE email = %s RETURNING id", "planted-other", "planted-child") == [(2,)]
    assert run("SELECT email FROM members") == [("planted-other",)]
    assert run("SELECT m.id FROM members m JOIN people p ON p.email = m.email WHERE p.id = 2") == [(2,)]
    assert set(stored(db, "members")) == {2}
