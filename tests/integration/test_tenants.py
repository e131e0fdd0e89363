"""Columns whose values are sealed with a key for each tenant: what clients see, and what the database holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg import errors

from pgcrypt_proxy.server.run import start
from tests.helpers.proxies import ProtectedDatabase, awaited, protected, settings_for
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE events (id int PRIMARY KEY, tenant_id text, payload text, note text);
CREATE UNIQUE INDEX events_of_tenant ON events (tenant_id, id);
CREATE TABLE jobs (id int PRIMARY KEY, secret text);
CREATE TABLE plain (id int PRIMARY KEY, email text);
CREATE TABLE numbered (id int PRIMARY KEY, tenant_id int, amount numeric);
CREATE TABLE named (id int PRIMARY KEY, tenant_id uuid, amount int);
"""
COLUMNS = """
{table: public.events, column: payload, type: text, search: [equality], tenant: {column: tenant_id}}
{table: public.jobs, column: secret, type: text, data_class: jobs, tenant: {setting: pgcrypt.tenant}}
{table: public.plain, column: email, type: text, search: [equality]}
{table: public.numbered, column: amount, type: numeric, tenant: {column: tenant_id}}
{table: public.named, column: amount, type: int, tenant: {column: tenant_id}}
"""
NOT_SET = "pgcrypt.tenant is not set"


@pytest.fixture(scope="module")
def shared(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("tenants"), SCHEMA, COLUMNS) as database:
        yield database


@pytest.fixture
def tenants(shared: ProtectedDatabase) -> ProtectedDatabase:
    with shared.direct() as connection:
        connection.execute("TRUNCATE events, jobs, plain, numbered, named")
    return shared


def owners(database: ProtectedDatabase, table: str, column: str) -> dict[int, str]:
    """Whose key each stored envelope names, by the row's id."""
    with database.direct() as connection:
        rows = connection.execute(f"SELECT id, {column}::bytea FROM {table} WHERE {column} IS NOT NULL").fetchall()
        keys = dict(connection.execute("SELECT id, tenant FROM pgcrypt.keyring").fetchall())
    return {number: keys[int.from_bytes(envelope[2:6])] for number, envelope in rows}


def copied(connection: psycopg.Connection, statement: str, data: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(data)


def read(connection: psycopg.Connection, statement: str) -> bytes:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(part) for part in copy)


# -- a column names the tenant


def test_each_row_is_sealed_for_its_tenant(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("INSERT INTO events VALUES (1, 'acme', 'for acme', 'n')")
        connection.execute("INSERT INTO events (id, payload, tenant_id) VALUES (%s, %s, %s)", [2, "for bolt", "bolt"])
        values = ["acme", "three", "bolt", "four"]
        connection.execute("INSERT INTO events (tenant_id, id, payload) VALUES (%s, 3, %s), (%s, 4, %s)", values)
        connection.execute("INSERT INTO events (id, tenant_id, payload) SELECT 5, %s::text, %s::text", ["acme", "five"])
        rows = connection.execute("SELECT id, payload FROM events ORDER BY id").fetchall()
        assert rows == [(1, "for acme"), (2, "for bolt"), (3, "three"), (4, "four"), (5, "five")]
        found = connection.execute("SELECT id FROM events WHERE payload = %s", ["three"]).fetchall()
        assert found == [(3,)]
    assert owners(tenants, "events", "payload") == {1: "acme", 2: "bolt", 3: "acme", 4: "bolt", 5: "acme"}


@pytest.mark.parametrize("is_binary", [False, True])
def test_tenants_have_one_name_in_all_forms(tenants: ProtectedDatabase, is_binary: bool) -> None:
    marker = "%b" if is_binary else "%t"
    name = uuid.UUID("00000000-0000-0000-0000-00000000000A")
    with tenants.connect() as connection:
        connection.execute(f"INSERT INTO numbered VALUES (1, {marker}, 1.5)".replace("1.5", "%s"), [7, "1.5"])
        connection.execute("INSERT INTO numbered VALUES (2, 7, 2.5)")
        connection.execute("INSERT INTO numbered VALUES (3, '007', 3)")
        connection.execute(f"INSERT INTO named VALUES (1, {marker}, {marker})", [name, 5])
        connection.execute("INSERT INTO named VALUES (2, '{00000000-0000-0000-0000-00000000000A}', 6)")
        rows = connection.execute("SELECT amount FROM numbered ORDER BY id", binary=is_binary).fetchall()
        assert [float(amount) for (amount,) in rows] == [1.5, 2.5, 3.0]
        rows = connection.execute("SELECT amount FROM named ORDER BY id", binary=is_binary).fetchall()
        assert rows == [(5,), (6,)]
    assert set(owners(tenants, "numbered", "amount").values()) == {"7"}
    assert set(owners(tenants, "named", "amount").values()) == {str(name)}


REFUSED: list[tuple[str, list[Any], str]] = [
    ("INSERT INTO events (id, payload) VALUES (1, %s)", ["x"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, DEFAULT, %s)", ["x"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, lower(%s), %s)", ["acme", "x"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) OVERRIDING USER VALUE VALUES (1, 'acme', %s)", ["x"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, NULL, %s)", ["x"], "23502"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, %s, %s)", [None, "x"], "23502"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, %s, %s)", ["", "x"], "22023"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, %s, %s)", ["x" * 201, "x"], "22023"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, %s, %s)", [" acme", "x"], "22023"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, %s, 'x')", ["acme"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) VALUES (1, %s::varchar(2), %s)", ["acme", "x"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) SELECT id + 1, tenant_id, %s::text FROM events", ["x"], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) SELECT id + 1, 'bolt', payload FROM events", [], "0A000"),
    ("INSERT INTO events (id, tenant_id, payload) SELECT id + 1, tenant_id, payload FROM events", [], "0A000"),
    ("INSERT INTO events VALUES (7, 'acme', 'x', '') ON CONFLICT (id) DO UPDATE SET payload = excluded.payload", [], "0A000"),
    ("INSERT INTO events VALUES (7, 'acme', 'x', '') ON CONFLICT (id) DO UPDATE SET tenant_id = 'bolt'", [], "0A000"),
    ("UPDATE events SET payload = %s WHERE id = 7", ["x"], "0A000"),
    ("UPDATE events SET payload = %s WHERE id = 7 OR tenant_id = %s", ["x", "acme"], "0A000"),
    ("UPDATE events SET payload = %s WHERE NOT tenant_id = %s", ["x", "acme"], "0A000"),
    ("UPDATE events SET payload = %s WHERE tenant_id <> %s", ["x", "acme"], "0A000"),
    ("UPDATE events SET payload = %s FROM plain p WHERE p.id = 1 AND p.email = %s", ["x", "acme"], "0A000"),
    ("UPDATE events SET payload = %s WHERE (SELECT true FROM events e WHERE e.tenant_id = %s LIMIT 1)", ["x", "acme"], "0A000"),
    ("UPDATE events SET tenant_id = %s WHERE id = 7", ["bolt"], "0A000"),
    ("UPDATE events SET tenant_id = %s, payload = payload WHERE id = 7", ["bolt"], "0A000"),
    ("UPDATE events SET payload = (SELECT e.payload FROM events e WHERE e.id = 8) WHERE tenant_id = %s", ["acme"], "0A000"),
    ("MERGE INTO events e USING (VALUES (7)) s (id) ON e.id = s.id WHEN MATCHED THEN UPDATE SET payload = 'x'", [], "0A000"),
    ("MERGE INTO events e USING (VALUES (7)) s (id) ON e.id = s.id WHEN MATCHED THEN UPDATE SET tenant_id = 'bolt'", [], "0A000"),
    ("SELECT COALESCE(payload, %s) FROM events", ["x"], "0A000"),
    ("PREPARE p AS INSERT INTO events (id, tenant_id, payload) VALUES (1, $1, $2)", [], "0A000"),
    ("ALTER TABLE events ALTER COLUMN payload SET DEFAULT 'x'", [], "0A000"),
    ("ALTER TABLE jobs ALTER COLUMN secret SET DEFAULT 'x'", [], "0A000"),
    ("ALTER TABLE events RENAME COLUMN tenant_id TO owner", [], "0A000"),
    ("ALTER TABLE events DROP COLUMN tenant_id", [], "0A000"),
    ("ALTER TABLE events ALTER COLUMN tenant_id TYPE varchar(9)", [], "0A000"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "parameters", "sqlstate"), REFUSED)
def test_what_is_not_known_to_be_of_a_tenant_is_refused(
    tenants: ProtectedDatabase, statement: str, parameters: list[Any], sqlstate: str
) -> None:
    with tenants.connect() as connection:
        connection.execute("INSERT INTO events VALUES (7, 'acme', 'kept', ''), (8, 'bolt', 'its', '')")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement, parameters or None)
        assert caught.value.sqlstate == sqlstate, caught.value
        rows = connection.execute("SELECT id, tenant_id, payload FROM events ORDER BY id").fetchall()
    assert rows == [(7, "acme", "kept"), (8, "bolt", "its")]
    assert owners(tenants, "events", "payload") == {7: "acme", 8: "bolt"}


ALLOWED: list[tuple[str, list[Any], tuple[str, str | None]]] = [
    ("UPDATE events SET payload = %s WHERE tenant_id = %s AND id = 7", ["new", "acme"], ("acme", "new")),
    ("UPDATE events e SET payload = %s WHERE e.id = 7 AND (%s = e.tenant_id AND note = '')", ["new", "acme"], ("acme", "new")),
    ("UPDATE events SET payload = 'new' WHERE tenant_id = 'acme' AND id = 7", [], ("acme", "new")),
    ("UPDATE events SET payload = %s WHERE tenant_id = %s AND id = 7", ["new", "bolt"], ("acme", "kept")),
    ("UPDATE events SET tenant_id = %s, payload = %s WHERE id = 7", ["bolt", "new"], ("bolt", "new")),
    ("UPDATE events SET (payload, tenant_id) = (%s, %s) WHERE id = 7", ["new", "bolt"], ("bolt", "new")),
    ("UPDATE events SET payload = payload, note = 'n' WHERE id = 7", [], ("acme", "kept")),
    ("UPDATE events SET payload = COALESCE(payload, %s) WHERE tenant_id = %s", ["new", "acme"], ("acme", "kept")),
    ("UPDATE events SET note = %s WHERE id = 7", ["n"], ("acme", "kept")),
    ("UPDATE events SET payload = NULL WHERE id = 7", [], ("acme", None)),
    ("INSERT INTO events VALUES (7, 'acme', 'x', '') ON CONFLICT DO NOTHING", [], ("acme", "kept")),
    ("INSERT INTO events VALUES (7, 'acme', 'new', '') ON CONFLICT (tenant_id, id) DO UPDATE SET payload = excluded.payload", [], ("acme", "new")),
    ("INSERT INTO events VALUES (7, %s, %s, '') ON CONFLICT (tenant_id, id) DO UPDATE SET payload = %s", ["acme", "x", "new"], ("acme", "new")),
    ("WITH u AS (UPDATE events SET payload = %s WHERE tenant_id = %s RETURNING payload) SELECT * FROM u", ["new", "acme"], ("acme", "new")),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "parameters", "expected"), ALLOWED)
def test_what_is_known_to_be_of_a_tenant_is_sealed_for_it(
    tenants: ProtectedDatabase, statement: str, parameters: list[Any], expected: tuple[str, str | None]
) -> None:
    with tenants.connect() as connection:
        connection.execute("INSERT INTO events VALUES (7, 'acme', 'kept', '')")
        connection.execute(statement, parameters or None)
        (row,) = connection.execute("SELECT tenant_id, payload FROM events").fetchall()
    assert row == expected
    assert set(owners(tenants, "events", "payload").values()) == ({expected[0]} if expected[1] else set())


def test_merge_inserts(tenants: ProtectedDatabase) -> None:
    merge = (
        "MERGE INTO events e USING (VALUES (%s::int, %s::text, %s::text)) s (id, t, p) ON e.id = s.id"
        " WHEN NOT MATCHED THEN INSERT (id, tenant_id, payload) VALUES (s.id, s.t, s.p)"
    )
    with tenants.connect() as connection:
        connection.execute(merge, [1, "acme", "merged"])
        assert connection.execute("SELECT payload FROM events").fetchall() == [("merged",)]
    assert owners(tenants, "events", "payload") == {1: "acme"}


def test_rows_without_value_need_no_tenant(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("INSERT INTO events (id, payload) VALUES (1, NULL)")
        connection.execute("INSERT INTO events (id, tenant_id, payload) VALUES (2, %s, %s)", [None, None])
        assert connection.execute("SELECT payload FROM events").fetchall() == [(None,), (None,)]


def test_rows_of_values_in_from_are_of_their_tenants(tenants: ProtectedDatabase) -> None:
    """As SQLAlchemy writes many rows."""
    insert = (
        "INSERT INTO events (tenant_id, id, payload) SELECT p0::varchar, p1::integer, p2::varchar FROM (VALUES"
        " (%s, %s, %s, 0), (%s, %s, %s, 1), (%s, %s, %s, 2)) AS v (p0, p1, p2, n) ORDER BY n RETURNING id, payload"
    )
    values = ["acme", 1, "one", "bolt", 2, "two", "acme", 3, "three"]
    with tenants.connect() as connection:
        assert connection.execute(insert, values).fetchall() == [(1, "one"), (2, "two"), (3, "three")]
        for wrong in (
            "INSERT INTO events (tenant_id, id, payload) SELECT v.a, w.n, w.b FROM (VALUES ('acme', 'x', 8),"
            " ('bolt', 'y', 9)) v (a, b, n), (VALUES ('acme', 'x', 8), ('bolt', 'y', 9)) w (a, b, n)",
            "WITH c (a, b, n) AS (VALUES ('acme', 'x', 8), ('bolt', 'y', 9)) INSERT INTO events (tenant_id, id, payload)"
            " SELECT s.a, s.n, s.b FROM (SELECT v.a, w.b, w.n FROM c v, c w) s",
            "INSERT INTO events (tenant_id, id, payload) SELECT v.a::varchar(1), v.n, v.b FROM (VALUES ('acme', 'x', 8),"
            " ('bolt', 'y', 9)) v (a, b, n)",
            "INSERT INTO events (tenant_id, id, payload) SELECT lower(v.a), v.n, v.b FROM (VALUES ('acme', 'x', 8),"
            " ('bolt', 'y', 9)) v (a, b, n)",
        ):
            with pytest.raises(errors.FeatureNotSupported):
                connection.execute(wrong)
    assert owners(tenants, "events", "payload") == {1: "acme", 2: "bolt", 3: "acme"}


@pytest.mark.parametrize("is_binary", [False, True])
def test_elements_of_arrays_are_of_their_tenants(tenants: ProtectedDatabase, is_binary: bool) -> None:
    """As Django writes many rows."""
    marker = "%b" if is_binary else "%t"
    markers = f"({marker})::integer[], ({marker})::text[], ({marker})::text[]"
    insert = f"INSERT INTO events (id, tenant_id, payload) SELECT * FROM UNNEST({markers}) RETURNING id, payload"
    with tenants.connect() as connection:
        rows = connection.execute(insert, [[1, 2, 3, 4], ["acme", "bolt", None, "acme"], ["one", "two", None, "four"]])
        assert rows.fetchall() == [(1, "one"), (2, "two"), (3, None), (4, "four")]
        with pytest.raises(errors.NotNullViolation):
            connection.execute(insert, [[5, 6], ["acme"], ["one", "two"]])
        connection.execute(
            f"INSERT INTO numbered SELECT * FROM UNNEST(({marker})::int[], ({marker})::int[], ({marker})::numeric[])",
            [[1, 2], [7, 8], [Decimal("1.5"), Decimal("2.5")]],
        )
        for wrong in (
            "INSERT INTO events (id, tenant_id, payload) SELECT u.a, w.b, u.c FROM UNNEST(%s::int[], %s::text[], %s::text[])"
            " u (a, b, c), UNNEST(%s::int[], %s::text[], %s::text[]) w (a, b, c)",
            "INSERT INTO events (id, tenant_id, payload) SELECT u.a, lower(u.b), u.c FROM UNNEST(%s::int[], %s::text[],"
            " %s::text[]) u (a, b, c) WHERE 0 < ALL (ARRAY[%s]::int[]) AND %s::text[] IS NOT NULL AND %s::text[] IS NOT NULL",
        ):
            values = [[9], ["acme"], ["x"]] * 2
            with pytest.raises(errors.FeatureNotSupported):
                connection.execute(wrong, values)
    assert owners(tenants, "events", "payload") == {1: "acme", 2: "bolt", 4: "acme"}
    assert owners(tenants, "numbered", "amount") == {1: "7", 2: "8"}


def test_sqlalchemy_inserts_many_rows(tenants: ProtectedDatabase) -> None:
    url = tenants.dsn().replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    columns = [sqlalchemy.Column(name, sqlalchemy.Text) for name in ("tenant_id", "payload", "note")]
    events = sqlalchemy.Table(
        "events", sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True), *columns
    )
    rows = [{"id": n, "tenant_id": f"t{n % 3}", "payload": f"value {n}"} for n in range(50)]
    with engine.begin() as connection:
        insert = sqlalchemy.insert(events).returning(events.c.id, sort_by_parameter_order=True)
        assert [row.id for row in connection.execute(insert, rows)] == list(range(50))
        found = connection.execute(sqlalchemy.select(events.c.payload).order_by(events.c.id)).scalars().all()
    engine.dispose()
    assert found == [f"value {n}" for n in range(50)]
    assert owners(tenants, "events", "payload") == {n: f"t{n % 3}" for n in range(50)}


# -- COPY

COPIES = {
    "": b"1\tacme\tone\tn\n2\tbolt\ttwo\tn\n3\tacme\t\\N\tn\n4\tcrow\tfo\\tur\tn\n",
    "(FORMAT csv)": b'1,acme,one,n\n2,"bolt","two",n\n3,acme,,n\n4,crow,fo\tur,n\n',
}


@pytest.mark.parametrize("options", list(COPIES))
@pytest.mark.parametrize("columns", ["(id, tenant_id, payload, note)", "(id, payload, note, tenant_id)"])
def test_copy_seals_each_row_for_its_tenant(tenants: ProtectedDatabase, options: str, columns: str) -> None:
    data = COPIES[options]
    delimiter = b"," if "csv" in options else b"\t"
    if columns.endswith("tenant_id)"):
        lines = (line.split(delimiter) for line in data.splitlines())
        data = b"".join(delimiter.join((a, c, d, b)) + b"\n" for a, b, c, d in lines)
    with tenants.connect() as connection:
        copied(connection, f"COPY events {columns} FROM STDIN {options}", data)
        rows = connection.execute("SELECT id, tenant_id, payload FROM events ORDER BY id").fetchall()
    assert rows == [(1, "acme", "one"), (2, "bolt", "two"), (3, "acme", None), (4, "crow", "fo\tur")]
    assert owners(tenants, "events", "payload") == {1: "acme", 2: "bolt", 4: "crow"}


def test_binary_copy_goes_round(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        with connection.cursor() as cursor, cursor.copy("COPY numbered FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "int4", "numeric"])
            for number in range(1, 400):
                copy.write_row((number, number % 40, number))
        data = read(connection, "COPY numbered TO STDOUT (FORMAT binary)")
        connection.execute("TRUNCATE numbered")
        copied(connection, "COPY numbered FROM STDIN (FORMAT binary)", data)
        assert read(connection, "COPY numbered TO STDOUT (FORMAT binary)") == data
    found = owners(tenants, "numbered", "amount")
    assert found == {number: str(number % 40) for number in range(1, 400)}


@pytest.mark.parametrize(
    ("statement", "data", "sqlstate"),
    [
        ("COPY events (id, payload) FROM STDIN", b"1\tx\n", "0A000"),
        ("COPY events (id, tenant_id, payload) FROM STDIN", b"1\tacme\tx\n2\t\\N\tx\n", "23502"),
        ("COPY events (id, tenant_id, payload) FROM STDIN", b"1\tacme\tx\n2\t \tx\n", "22023"),
        ("COPY events (id, tenant_id, payload) FROM STDIN", b"1\tacme\tx\n2\tx\n", "22P04"),
        ("COPY jobs FROM STDIN", b"1\tx\n", "42501"),
    ],
)
def test_copy_of_rows_without_tenant_is_refused(
    tenants: ProtectedDatabase, statement: str, data: bytes, sqlstate: str
) -> None:
    with tenants.connect() as connection:
        with pytest.raises(psycopg.Error) as caught:
            copied(connection, statement, data)
        assert caught.value.sqlstate == sqlstate, caught.value
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


# -- the setting names the tenant


def test_without_a_tenant_nothing_is_written_or_read(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        for statement in (
            "INSERT INTO jobs VALUES (1, 'x')",
            "SELECT secret FROM jobs",
            "UPDATE jobs SET secret = 'x'",
        ):
            with pytest.raises(errors.InsufficientPrivilege, match=NOT_SET):
                connection.execute(statement)
            with pytest.raises(errors.InsufficientPrivilege, match=NOT_SET):
                connection.execute(statement, prepare=True)
        connection.execute("DELETE FROM jobs WHERE id = 1")
        assert connection.execute("SELECT count(*), max(id) FROM jobs").fetchone() == (0, None)
        connection.execute("INSERT INTO plain VALUES (1, 'a@b')")


def test_the_setting_is_what_the_server_says(tenants: ProtectedDatabase) -> None:
    """Set, set local, rolled back, reset: as PostgreSQL has it."""
    number = iter(range(1, 100))
    expected: dict[int, str] = {}

    def write(connection: psycopg.Connection, tenant: str | None) -> None:
        at = next(number)
        if tenant is None:
            with pytest.raises(errors.InsufficientPrivilege, match=NOT_SET):
                connection.execute("INSERT INTO jobs VALUES (%s, %s)", [at, "x"])
            return
        connection.execute("INSERT INTO jobs VALUES (%s, %s)", [at, "x"])
        expected[at] = tenant

    with tenants.connect() as connection:
        write(connection, None)
        connection.execute("SET pgcrypt.tenant = 'acme'")
        write(connection, "acme")
        with connection.transaction():
            connection.execute("SET LOCAL pgcrypt.tenant = 'bolt'")
            write(connection, "bolt")
        write(connection, "acme")
        with connection.transaction(force_rollback=True):
            connection.execute("SET pgcrypt.tenant = 'crow'")
        write(connection, "acme")
        with connection.transaction():
            with connection.transaction():
                connection.execute("SET pgcrypt.tenant = 'dune'")
                write(connection, "dune")
            write(connection, "dune")
            with connection.transaction(force_rollback=True):
                connection.execute("SELECT set_config('pgcrypt.tenant', 'elm', false)")
            write(connection, "dune")
            connection.execute("SELECT set_config('pgcrypt.tenant', %s, true)", ["fern"])
            write(connection, "fern")
        write(connection, "dune")
        connection.execute("DO $$ BEGIN PERFORM set_config('pgcrypt.tenant', 'gull', false); END $$")
        write(connection, "gull")
        connection.execute("RESET pgcrypt.tenant")
        write(connection, None)
        connection.execute("SET pgcrypt.tenant = 'acme'")
        connection.execute("RESET ALL")
        write(connection, None)
        connection.execute("SET pgcrypt.tenant TO acme")
        connection.execute("DISCARD ALL")
        write(connection, None)
        connection.execute("SET pgcrypt.tenant TO ''")
        write(connection, None)
    with psycopg.connect(tenants.dsn(options="-cpgcrypt.tenant%3Dstart"), autocommit=True) as connection:
        write(connection, "start")
        connection.execute("SET pgcrypt.tenant = 'other'")
        write(connection, "other")
        connection.execute("RESET pgcrypt.tenant")
        write(connection, "start")
    assert owners(tenants, "jobs", "secret") == expected


def test_what_is_of_others_is_not_shown(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("SET pgcrypt.tenant = 'acme'")
        connection.execute("INSERT INTO jobs VALUES (1, 'of acme')")
        connection.execute("SET pgcrypt.tenant = 'bolt'")
        connection.execute("INSERT INTO jobs VALUES (2, 'of bolt')")
        assert connection.execute("SELECT secret FROM jobs WHERE id = 2").fetchall() == [("of bolt",)]
        with pytest.raises(psycopg.Error, match="belongs to another tenant") as caught:
            connection.execute("SELECT secret FROM jobs ORDER BY id")
        assert caught.value.sqlstate == "42501"


def test_copy_is_for_the_tenant_of_the_session(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        with pytest.raises(errors.InsufficientPrivilege, match=NOT_SET):
            read(connection, "COPY (SELECT secret FROM jobs) TO STDOUT")
        for tenant in ("acme", "bolt"):
            with connection.transaction():
                connection.execute(f"SET LOCAL pgcrypt.tenant = '{tenant}'")
                number = 1 + (tenant == "bolt")
                copied(connection, "COPY jobs FROM STDIN", f"{number}\tof {tenant}\n".encode())
                text = read(connection, f"COPY (SELECT secret FROM jobs WHERE id = {number}) TO STDOUT")
                assert text == f"of {tenant}\n".encode()
    assert owners(tenants, "jobs", "secret") == {1: "acme", 2: "bolt"}


def test_a_migration_makes_a_table_of_tenants(postgres: PostgresServer, tmp_path: Path) -> None:
    columns = "{table: public.events, column: payload, type: text, tenant: {column: tenant_id}}"
    with awaited(postgres, tmp_path, columns) as database, database.connect() as connection:
        with connection.transaction():
            connection.execute("CREATE TABLE events (id int PRIMARY KEY, payload text)")
            with pytest.raises(errors.FeatureNotSupported), connection.transaction():
                connection.execute("INSERT INTO events VALUES (1, 'x')")
            connection.execute("ALTER TABLE events ADD COLUMN tenant_id text")
            connection.execute("INSERT INTO events VALUES (1, 'x', 'acme')")
        connection.execute("INSERT INTO events VALUES (2, %s, %s)", ["y", "bolt"])
        assert connection.execute("SELECT payload FROM events ORDER BY id").fetchall() == [("x",), ("y",)]
        assert owners(database, "events", "payload") == {1: "acme", 2: "bolt"}


def test_a_cursor_opens_for_the_tenant_of_the_fetch(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("SET pgcrypt.tenant = 'acme'")
        connection.execute("INSERT INTO jobs SELECT 1, 'a'")
        with connection.transaction(), connection.cursor("c") as cursor:
            cursor.execute("SELECT secret FROM jobs")
            assert cursor.fetchall() == [("a",)]


def test_the_tenant_is_not_changed_within_one_text(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        for text in (
            "SET pgcrypt.tenant = 'acme'; INSERT INTO jobs VALUES (1, 'x')",
            "BEGIN; SET LOCAL pgcrypt.tenant = 'acme'; INSERT INTO jobs VALUES (1, 'x'); COMMIT",
            "SELECT set_config('pgcrypt.tenant', 'acme', false); SELECT secret FROM jobs",
        ):
            with pytest.raises(errors.FeatureNotSupported, match="same text"):
                connection.execute(text)
            connection.execute("ROLLBACK")
        connection.execute("SET pgcrypt.tenant = 'acme'")
        connection.execute("BEGIN; INSERT INTO jobs VALUES (1, 'x'); COMMIT")
    assert owners(tenants, "jobs", "secret") == {1: "acme"}


def fail_and_insert(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("SELECT 1/0")
        connection.execute("INSERT INTO jobs VALUES (%s, %s)", [9, "x"])


def test_a_pipeline_knows_the_tenant_of_each_statement(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        with connection.pipeline():
            for number, tenant in enumerate(["acme", "bolt", "acme"], 1):
                connection.execute(f"SET pgcrypt.tenant = '{tenant}'")
                connection.execute("INSERT INTO jobs VALUES (%s, %s)", [number, "x"])
        with pytest.raises(errors.DivisionByZero):
            fail_and_insert(connection)
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
    assert owners(tenants, "jobs", "secret") == {1: "acme", 2: "bolt", 3: "acme"}


def test_prepared_values_of_another_tenant_are_refused(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("SET pgcrypt.tenant = 'acme'")
        insert = "INSERT INTO jobs SELECT coalesce(max(id), 0) + 1, 'x' FROM jobs"
        connection.execute(insert, prepare=True)
        connection.execute(insert, prepare=True)
        connection.execute("SET pgcrypt.tenant = 'bolt'")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="another tenant"):
            connection.execute(insert, prepare=True)
    assert owners(tenants, "jobs", "secret") == {1: "acme", 2: "acme"}


# -- many tenants, two proxies


def test_keys_are_loaded_when_they_are_needed(postgres: PostgresServer, tenants: ProtectedDatabase) -> None:
    count = 700
    with tenants.connect() as connection:
        rows = "".join(f"{n}\tt{n}\tvalue {n}\t\n" for n in range(count))
        copied(connection, "COPY events FROM STDIN", rows.encode())
    expected = b"".join(b"%d\tvalue %d\n" % (n, n) for n in range(count))
    running = start(settings_for(postgres, tenants.name, tenants.rules))
    try:
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{running.port}/{tenants.name}?sslmode=disable") as other:
            assert read(other, "COPY (SELECT id, payload FROM events ORDER BY id) TO STDOUT") == expected
            running.call(running.proxy.world.keyring.tenants.clear)
            assert other.execute("SELECT payload FROM events WHERE id = 5").fetchall() == [("value 5",)]
            found = other.execute("SELECT id, payload FROM events ORDER BY id").fetchall()
            assert found == [(n, f"value {n}") for n in range(count)]
            found = other.execute("SELECT id, payload FROM events ORDER BY id", binary=True).fetchall()
            assert found == [(n, f"value {n}") for n in range(count)]
    finally:
        running.stop()
    with tenants.direct() as connection:
        made = connection.execute("SELECT tenant, count(*) FROM pgcrypt.keyring WHERE tenant LIKE 't%' GROUP BY 1")
        assert {number for _, number in made.fetchall()} == {1}


def test_copy_takes_more_tenants_than_are_kept_at_once(
    tenants: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tenants.running.proxy.world.keyring.tenants
    monkeypatch.setattr(keys, "max_keys", 40)
    monkeypatch.setattr("pgcrypt_proxy.session.copy.STRETCH_BYTES", 100)
    monkeypatch.setattr("pgcrypt_proxy.session.opening.MAX_KEYS_AHEAD", 10)
    with tenants.connect() as connection:
        rows = "".join(f"{n}\tm{n % 90}\tv{n}\t\n" for n in range(300))
        copied(connection, "COPY events FROM STDIN", rows.encode())
        found = connection.execute("SELECT id, payload FROM events ORDER BY id").fetchall()
        assert found == [(n, f"v{n}") for n in range(300)]
        assert read(connection, "COPY events TO STDOUT (FORMAT csv)").count(b"\n") == 300
        values = [value for n in range(400, 430) for value in (n, f"m{n}", "x")]
        insert = "INSERT INTO events (id, tenant_id, payload) VALUES " + ", ".join(["(%s, %s, %s)"] * 30)
        with pytest.raises(errors.ProgramLimitExceeded, match="more than 20 tenants at once"):
            connection.execute(insert, values)
    assert len(keys) <= 40
    assert owners(tenants, "events", "payload") == {n: f"m{n % 90}" for n in range(300)}


def test_two_proxies_make_one_key(postgres: PostgresServer, tenants: ProtectedDatabase) -> None:
    running = start(settings_for(postgres, tenants.name, tenants.rules))
    try:
        dsn = f"postgresql://postgres@127.0.0.1:{running.port}/{tenants.name}?sslmode=disable"
        with psycopg.connect(dsn, autocommit=True) as other, tenants.connect() as connection:
            for number in range(20):
                values = [f"new{number}", "x"]
                with connection.pipeline(), other.pipeline():
                    connection.execute("INSERT INTO events VALUES (%s, %s, %s)", [2 * number, *values])
                    other.execute("INSERT INTO events VALUES (%s, %s, %s)", [2 * number + 1, *values])
    finally:
        running.stop()
    with tenants.direct() as connection:
        made = connection.execute("SELECT count(*) FROM pgcrypt.keyring WHERE tenant LIKE 'new%'").fetchone()
    assert made == (20,)


def test_tables_without_tenants_are_as_before(tenants: ProtectedDatabase) -> None:
    with tenants.connect() as connection:
        connection.execute("INSERT INTO plain VALUES (1, 'a@b'), (2, %s)", ["c@d"])
        assert connection.execute("SELECT email FROM plain ORDER BY id").fetchall() == [("a@b",), ("c@d",)]
    assert set(owners(tenants, "plain", "email").values()) == {""}
