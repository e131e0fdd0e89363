"""Real clients, a real server, and between them nothing but the session."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncpg
import psycopg
import pytest
from psycopg import errors

from pgcrypt_proxy.crypto.keyring import KeyRecord, Keyring
from pgcrypt_proxy.ops import install
from pgcrypt_proxy.session.events import WorldChanged
from pgcrypt_proxy.session.observer import SilentObserver
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.values.types import type_by_name
from tests.helpers.pump import Pump, pumping
from tests.helpers.servers import PostgresServer

MARKER = "Zq7-canary"
KEYRING_ID = bytes(16)
COLUMNS = {"email": ("text", {"equality"}), "birth": ("date", {"equality"}), "age": ("int4", {"equality"})}
TABLE = """
    CREATE DOMAIN pgcrypt.sealed_1 AS pgcrypt.sealed;
    CREATE DOMAIN pgcrypt.sealed_2 AS pgcrypt.sealed;
    CREATE DOMAIN pgcrypt.sealed_3 AS pgcrypt.sealed;
    CREATE TABLE users (
        id int PRIMARY KEY, email pgcrypt.sealed_1, birth pgcrypt.sealed_2, age pgcrypt.sealed_3, note text
    );
    CREATE UNIQUE INDEX users_email ON users (pgcrypt.eq(email));
    CREATE SCHEMA other;
    CREATE TABLE other.users (id int, email text);
"""


class OpenProvider:
    """Wraps nothing."""

    name = "open"
    kek_id = "open"

    def wrap(self, key: bytes, context: object) -> bytes:
        return key

    def unwrap(self, wrapped: bytes, context: object) -> bytes:
        return wrapped


def unlocked() -> Keyring:
    records = [
        KeyRecord(1, "index", "", "", 1, "active", b"\1" * 32, "open"),
        KeyRecord(2, "dek", "pii", "", 1, "active", b"\2" * 32, "open"),
    ]
    keyring = Keyring.unlock(KEYRING_ID, records, OpenProvider())
    keyring.grant_seals(2, 1_000_000)
    return keyring


def loaded(connection: psycopg.Connection, version: int) -> Catalog:
    """Every relation of the test's schemas; public.users is the protected one."""
    relations = []
    for oid, schema, name in connection.execute(
        "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('public', 'other') AND c.relkind = 'r'"
    ).fetchall():
        columns = []
        for attname, number, type_oid in connection.execute(
            "SELECT attname, attnum, atttypid FROM pg_attribute"
            " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [oid],
        ).fetchall():
            protected = None
            if (schema, name) == ("public", "users") and attname in COLUMNS:
                type_name, search = COLUMNS[attname]
                protected = ProtectedColumn(
                    list(COLUMNS).index(attname) + 1, schema, name, attname, oid, number, type_oid,
                    type_by_name(type_name), "pii", frozenset(search), f"users.{attname}", index_generation=1,
                )  # fmt: skip
            columns.append(Column(attname, number, type_oid, protected))
        relations.append(Relation(oid, schema, name, "r", tuple(columns)))
    return Catalog.build(version, relations)


@dataclass
class Shop:
    """A database with a protected table, and a pump in front of it."""

    server: PostgresServer
    database: str
    direct: psycopg.Connection
    keyring: Keyring = field(default_factory=unlocked)
    version: int = 0

    def world(self) -> WorldChanged:
        self.version += 1
        return WorldChanged(Planner(loaded(self.direct, self.version)), self.keyring)

    def session(self) -> Session:
        world = self.world()
        return Session(world.planner, world.keyring, SilentObserver(), database_name=self.database)

    def connect(self, pump: Pump, **options: object) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=pump.port, dbname=self.database, user="postgres", autocommit=True, **options
        )  # type: ignore[arg-type]


@pytest.fixture
def shop(postgres: PostgresServer, database: str) -> Iterator[Shop]:
    with postgres.connect(database) as direct:
        direct.autocommit = True
        install.install(direct)
        direct.execute(TABLE)
        yield Shop(postgres, database, direct)


@pytest.fixture
def pump(shop: Shop) -> Iterator[Pump]:
    with pumping((shop.server.host, shop.server.port), shop.session, shop.world) as pump:
        yield pump


@pytest.fixture
def client(shop: Shop, pump: Pump) -> Iterator[psycopg.Connection]:
    with shop.connect(pump) as connection:
        yield connection


def test_values_are_envelopes_in_the_database_and_values_in_the_application(shop: Shop, client: psycopg.Connection):
    client.execute(
        "INSERT INTO users (id, email, birth, age) VALUES (%s, %s, '2001-02-03', %s), (2, NULL, NULL, -7)",
        [1, f"{MARKER}@x.y", 42],
    )
    rows = client.execute("SELECT email, birth, age FROM users ORDER BY id").fetchall()
    assert [(e, str(b), a) for e, b, a in rows] == [(f"{MARKER}@x.y", "2001-02-03", 42), (None, "None", -7)]
    (stored,) = shop.direct.execute("SELECT email FROM users WHERE id = 1").fetchone() or (None,)
    assert stored is not None
    assert MARKER.encode() not in stored
    assert MARKER not in shop.server.log_text()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_equality_search(client: psycopg.Connection, binary: bool, prepare: bool):
    client.execute("INSERT INTO users (id, email, age) VALUES (1, 'a@b.c', 5), (2, 'd@e.f', 6)")
    with client.cursor(binary=binary) as cursor:
        for email, found in (("a@b.c", [(1, "a@b.c", 5)]), ("d@e.f", [(2, "d@e.f", 6)]), ("none", [])):
            cursor.execute("SELECT id, email, age FROM users WHERE email = %s", [email], prepare=prepare)
            assert cursor.fetchall() == found
        cursor.execute("SELECT id FROM users WHERE age = ANY(%s)", [[5, 7]], prepare=prepare)
        assert cursor.fetchall() == [(1,)]


def test_described_types_are_logical(client: psycopg.Connection):
    cursor = client.execute("SELECT email, birth, age FROM users")
    assert [column.type_code for column in cursor.description or ()] == [25, 1082, 23]


def test_a_refusal_fails_the_transaction_as_an_error_of_the_server_does(client: psycopg.Connection):
    def run() -> None:
        with client.transaction():
            client.execute("INSERT INTO users (id) VALUES (9)")
            client.execute(f"SELECT email || '{MARKER}' FROM users")

    with pytest.raises(errors.FeatureNotSupported) as caught:
        run()
    assert "public.users.email" in str(caught.value)
    assert client.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_after_a_refusal_the_transaction_is_aborted(client: psycopg.Connection):
    client.execute("BEGIN")
    with pytest.raises(errors.FeatureNotSupported):
        client.execute("SELECT lower(email) || 'x' FROM users")
    with pytest.raises(errors.InFailedSqlTransaction):
        client.execute("SELECT email FROM users")
    assert client.execute("COMMIT").statusmessage == "ROLLBACK"


def test_bad_values_are_errors_of_the_type(client: psycopg.Connection):
    with pytest.raises(errors.InvalidTextRepresentation):
        client.execute("INSERT INTO users (id, age) VALUES (1, 'x')")
    with pytest.raises(errors.InvalidDatetimeFormat):
        client.execute("INSERT INTO users (id, birth) VALUES (1, %s)", ["someday"])
    assert client.execute("SELECT 1").fetchone() == (1,)


def test_unique_violation_tells_the_column_and_no_bytes(client: psycopg.Connection):
    client.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.c')")
    with pytest.raises(errors.UniqueViolation) as caught:
        client.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [2, "a@b.c"])
    assert caught.value.diag.message_detail == "Key (email) already exists."


def test_error_position_is_in_the_clients_text(client: psycopg.Connection):
    text = "SELECT id FROM users WHERE email = 'a@b.c' AND nowhere = 1"
    with pytest.raises(errors.UndefinedColumn) as caught:
        client.execute(text)
    assert caught.value.diag.statement_position == str(text.index("nowhere") + 1)


def test_pipeline(client: psycopg.Connection):
    with client.pipeline():
        cursors = [
            client.execute("INSERT INTO users (id, email) VALUES (%s, %s) RETURNING email", [n, f"{n}@x"])
            for n in range(50)
        ]
        found = client.execute("SELECT count(*) FROM users WHERE email = %s", ["7@x"])
    assert [cursor.fetchone() for cursor in cursors] == [(f"{n}@x",) for n in range(50)]
    assert found.fetchone() == (1,)


def test_pipeline_with_a_refusal_in_the_middle(client: psycopg.Connection):
    def run() -> None:
        with client.pipeline():
            client.execute("INSERT INTO users (id, email) VALUES (1, 'a')")
            client.execute("SELECT email || 'x' FROM users")
            client.execute("INSERT INTO users (id, email) VALUES (2, %s)", [MARKER])

    with pytest.raises(errors.FeatureNotSupported):
        run()
    assert client.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_names_are_resolved_in_the_clients_own_session(client: psycopg.Connection):
    client.execute("INSERT INTO public.users (id, email) VALUES (1, 'a@b.c')")
    client.execute("INSERT INTO other.users (id, email) VALUES (2, 'plain')")
    assert client.execute("SELECT email FROM users").fetchall() == [("a@b.c",)]
    client.execute("SET search_path = other, public")
    assert client.execute("SELECT email FROM users").fetchall() == [("plain",)]
    assert client.execute("SELECT email FROM users WHERE id = %s", [2]).fetchall() == [("plain",)]
    with client.pipeline():
        inside = client.execute("SELECT email FROM users WHERE id = %s", [2])
    assert inside.fetchall() == [("plain",)]


def test_prepared_statement_does_not_write_to_another_table_than_it_was_planned_for(client: psycopg.Connection):
    text = "INSERT INTO users (id, email) VALUES (%s, %s)"
    client.execute("SET search_path = other")
    client.execute(text, [1, "plain"], prepare=True)
    client.execute("SET search_path = public")
    with pytest.raises(errors.FeatureNotSupported):
        client.execute(text, [2, MARKER], prepare=True)


def test_copy_of_other_tables_passes(client: psycopg.Connection):
    client.execute("CREATE TABLE plain (a int, b text)")
    with client.cursor() as cursor:
        with cursor.copy("COPY plain FROM STDIN") as copy:
            for n in range(1000):
                copy.write_row((n, "x" * 100))
        with cursor.copy("COPY plain TO STDOUT") as copy:
            assert len(list(copy)) >= 1000
        with pytest.raises(errors.InvalidTextRepresentation), cursor.copy("COPY plain FROM STDIN") as copy:
            copy.write(b"x")
    assert client.execute("SELECT count(*) FROM plain").fetchone() == (1000,)


def test_copy_of_protected_columns(shop: Shop, client: psycopg.Connection):
    with client.cursor() as cursor:
        with cursor.copy("COPY users FROM STDIN") as copy:
            for n in range(500):
                copy.write_row((n, f"{MARKER}-{n}", None, n, "x"))
        with cursor.copy("COPY users (email, age) TO STDOUT") as copy:
            assert [bytes(row) for row in copy] == [b"%s-%d\t%d\n" % (MARKER.encode(), n, n) for n in range(500)]
        with pytest.raises(errors.FeatureNotSupported), cursor.copy("COPY users FROM PROGRAM 'cat'") as copy:
            copy.write_row((1, MARKER, None, None, None))
    stored = shop.direct.execute("SELECT email::bytea FROM users").fetchall()
    assert not any(MARKER.encode() in value for (value,) in stored)


def test_new_table_is_known_at_once(client: psycopg.Connection):
    client.execute("CREATE TABLE fresh (id int)")
    client.execute("INSERT INTO fresh VALUES (1)")
    assert client.execute("SELECT id FROM fresh").fetchall() == [(1,)]


def test_tampered_envelope_is_never_shown(shop: Shop, client: psycopg.Connection):
    client.execute("INSERT INTO users (id, email) VALUES (1, 'a@b.c'), (2, 'd@e.f')")
    shop.direct.execute("DROP INDEX users_email")
    shop.direct.execute("UPDATE users SET email = set_byte(email, octet_length(email) - 1, 0)::bytea WHERE id = 1")
    shop.direct.execute("UPDATE users SET email = set_byte(email, octet_length(email) - 1, 1)::bytea WHERE id = 1")
    with pytest.raises(psycopg.Error) as caught:
        client.execute("SELECT email FROM users ORDER BY id")
    assert caught.value.diag.sqlstate == "XX001"
    assert client.closed or client.broken


def test_server_side_prepared_statements_survive_other_statements(client: psycopg.Connection):
    for n in range(10):
        client.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [n, f"{n}@x"], prepare=True)
        assert client.execute("SELECT email FROM users WHERE id = %s", [n], prepare=True).fetchone() == (f"{n}@x",)
    client.execute("DEALLOCATE ALL")
    assert client.execute("SELECT email FROM users WHERE id = 1").fetchone() == ("1@x",)


def test_cancel(shop: Shop, pump: Pump, client: psycopg.Connection):
    async def run() -> str:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=pump.port, user="postgres", database=shop.database, ssl=False
        )
        try:
            with pytest.raises(TimeoutError):
                await connection.fetch("SELECT pg_sleep(20)", timeout=0.3)
            return str(await connection.fetchval("SELECT 'alive'"))
        finally:
            await connection.close()

    assert asyncio.run(run()) == "alive"


def test_asyncpg(shop: Shop, pump: Pump):
    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=pump.port, user="postgres", database=shop.database, ssl=False
        )
        try:
            await connection.executemany(
                "INSERT INTO users (id, email, age) VALUES ($1, $2, $3)", [(n, f"{n}@x", n * 2) for n in range(20)]
            )
            async with connection.transaction():
                rows = [
                    tuple(row)
                    async for row in connection.cursor("SELECT email, age FROM users WHERE id < $1 ORDER BY id", 15)
                ]
            row = await connection.fetchrow("SELECT age FROM users WHERE email = ANY($1)", ["3@x"])
            return [*rows, tuple(row)]
        finally:
            await connection.close()

    assert asyncio.run(run()) == [*((f"{n}@x", n * 2) for n in range(15)), (6,)]


def test_nothing_that_was_protected_is_in_the_servers_log(shop: Shop, client: psycopg.Connection):
    marker = f"{MARKER}-{secrets.token_hex(4)}"
    client.execute(f"INSERT INTO users (id, email) VALUES (1, '{marker}')")
    client.execute("SELECT id FROM users WHERE email = %s", [marker])
    with pytest.raises(psycopg.Error):
        client.execute(f"INSERT INTO users (id, email) VALUES (1, '{marker}')")
    with pytest.raises(errors.FeatureNotSupported):
        client.execute(f"SELECT email || '{marker}' FROM users")
    with pytest.raises(errors.FeatureNotSupported):
        client.execute("SELECT email || %s FROM users", [marker])
    assert client.execute("SELECT email FROM users").fetchall() == [(marker,)]
    assert marker not in shop.server.log_text()
