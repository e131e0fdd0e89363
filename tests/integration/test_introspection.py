"""What tools read in the catalogs through the proxy is what they read in a plain twin."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.demo import scenario
from tests.helpers.proxies import ProtectedDatabase, awaited, sealed_demo
from tests.helpers.servers import PostgresServer

ROOT = Path(__file__).parents[2]
COLUMNS = """
{table: users, column: email, type: varchar(254), search: [equality, equality_casefold]}
{table: users, column: Nick, type: text, search: [equality, equality_upper]}
{table: users, column: note, type: text}
{table: users, column: born, type: date, search: [equality]}
{table: users, column: amount, type: "numeric(10,2)"}
{table: users, column: spent, type: interval day to second(3)}
{table: users, column: mood, type: public.mood, search: [equality]}
{table: users, column: size, type: public.size}
{table: codes, column: code, type: char(8), search: [equality]}
"""
TYPES = "CREATE TYPE public.mood AS ENUM ('sad', 'ok'); CREATE DOMAIN public.size AS varchar(7); CREATE ROLE {reader}"
TABLES = """
CREATE TABLE users (
    id serial PRIMARY KEY, email varchar(254) NOT NULL UNIQUE, "Nick" text, note text, born date,
    amount numeric(10,2), spent interval day to second(3), mood public.mood, size public.size,
    name text DEFAULT 'plain' NOT NULL, UNIQUE ("Nick", name)
);
CREATE TABLE codes (code char(8) PRIMARY KEY, label varchar(3) UNIQUE);
CREATE INDEX users_born ON users (born DESC, id);
CREATE INDEX ON users (mood);
CREATE INDEX users_lower ON users (lower(email));
CREATE INDEX users_upper ON users (upper("Nick"));
CREATE UNIQUE INDEX users_unique ON users (born, "Nick") WHERE id > 5;
ALTER TABLE users ADD CONSTRAINT again UNIQUE NULLS NOT DISTINCT (born);
CREATE VIEW mails AS SELECT id, email, born FROM users
"""


class Twin:
    """A protected database through its proxy, and a plain one, in which the same was done."""

    def __init__(self, db: ProtectedDatabase, plain: PostgresServer, name: str) -> None:
        self.db = db
        self.plain = plain
        self.name = name
        self.sealed = db.connect()
        self.twin = plain.connect(name)

    def both(self, statement: str, parameters: list[object] | None = None) -> list[list[tuple[Any, ...]]]:
        """The rows of both, with the names and types of their columns before them."""
        found = []
        for connection in (self.sealed, self.twin):
            cursor = connection.execute(statement, parameters)  # type: ignore[arg-type]
            described = [(column.name, column.type_code) for column in cursor.description or ()]
            found.append([tuple(described), *cursor.fetchall()])
        return found

    def psql(self, *commands: str) -> list[str]:
        """What psql prints."""
        printed = []
        for url in (self.db.dsn(), self.plain.dsn(self.name)):
            done = subprocess.run(
                [shutil.which("psql") or "psql", "-X", *(word for c in commands for word in ("-c", c)), url],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            printed.append(done.stdout + done.stderr)
        return printed


@pytest.fixture(scope="module")
def twin(
    postgres: PostgresServer, plain_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Twin]:
    def types(server: PostgresServer) -> str:
        with server.connect("postgres") as connection:
            connection.execute("DROP ROLE IF EXISTS introspection_reader")
        return TYPES.format(reader="introspection_reader")

    with (
        awaited(postgres, tmp_path_factory.mktemp("rules"), COLUMNS, types(postgres)) as db,
        plain_server.database() as name,
        plain_server.connect(name) as plain,
    ):
        plain.execute(types(plain_server).encode())
        made = Twin(db, plain_server, name)
        for statement in TABLES.split(";\n"):
            made.sealed.execute(statement.encode())
            made.twin.execute(statement.encode())
        yield made
        made.sealed.close()
        made.twin.close()
    for server in (postgres, plain_server):
        with server.connect("postgres") as connection:
            connection.execute("DROP ROLE introspection_reader")


OF_TABLES = "('users'::regclass, 'codes'::regclass, 'mails'::regclass)"
SAME = {
    "types": f"""
        SELECT a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attlen, a.attbyval, a.attalign,
               a.attstorage, a.attcollation::regcollation, a.attndims, a.attnotnull, a.atthasdef, a.attmissingval
        FROM pg_attribute a WHERE a.attrelid IN {OF_TABLES} ORDER BY a.attrelid::regclass::text, a.attnum""",
    "joined with types, schema written": f"""
        SELECT pg_catalog.pg_attribute.attname, t.typname, t.typtype FROM pg_catalog.pg_attribute
        JOIN pg_catalog.pg_type t ON pg_catalog.pg_attribute.atttypid = t.oid
        WHERE pg_catalog.pg_attribute.attrelid IN {OF_TABLES} AND pg_catalog.pg_attribute.attnum > 0
        ORDER BY pg_catalog.pg_attribute.attrelid::regclass::text, pg_catalog.pg_attribute.attnum""",
    "defaults": """
        SELECT a.attname, (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef)
        FROM pg_attribute a WHERE a.attrelid = 'users'::regclass AND a.attnum > 0 ORDER BY a.attnum""",
    "indexes": f"""
        SELECT c.relname, c.reloptions, i.indkey, i.indisunique, i.indisprimary, i.indoption, i.indexprs IS NULL,
               i.indnkeyatts, pg_get_indexdef(i.indexrelid), pg_catalog.pg_get_indexdef(i.indexrelid, 1, true) AS first,
               pg_get_indexdef(c.oid, 0, false), (SELECT count(*) FROM pg_constraint k WHERE k.conindid = c.oid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid IN {OF_TABLES} ORDER BY c.relname""",
    "indexes with whole rows": f"""
        SELECT (i).indkey, i.indkey[0], key, number
        FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k (key, number)
        WHERE indrelid IN {OF_TABLES} AND indexprs IS NULL ORDER BY indexrelid::regclass::text, number""",
    "constraints": f"""
        SELECT conname, contype, conrelid::regclass, conkey, conindid::regclass, connamespace::regnamespace,
               condeferrable, convalidated, confrelid, confupdtype, conislocal, coninhcount, conbin, confkey,
               pg_get_constraintdef(oid), pg_get_constraintdef(c.oid, true) FROM pg_constraint c
        WHERE conrelid IN {OF_TABLES} AND contype IN ('u', 'p') ORDER BY conname""",
    "no rows, all columns": "SELECT * FROM pg_attribute, pg_constraint, pg_index, pg_attrdef, pg_class WHERE false",
    "pg_indexes": "SELECT * FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
    "information_schema": """
        SELECT * FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position""",
    "information_schema, schema written": """
        SELECT information_schema.columns.column_name, columns.data_type FROM information_schema.columns
        WHERE information_schema.columns.table_name = 'users' ORDER BY columns.ordinal_position""",
    "constraints of information_schema": """
        SELECT * FROM information_schema.table_constraints
        WHERE table_schema = 'public' AND constraint_type IN ('UNIQUE', 'PRIMARY KEY') ORDER BY constraint_name""",
    "their columns": """
        SELECT * FROM information_schema.key_column_usage
        WHERE table_schema = 'public' ORDER BY constraint_name, ordinal_position""",
    "the columns that they use": """
        SELECT * FROM information_schema.constraint_column_usage
        WHERE table_schema = 'public' ORDER BY constraint_name, column_name""",
    "in a subquery, alias with columns": """
        SELECT x.b FROM (SELECT DISTINCT z.b::regtype FROM pg_attribute AS z (a, n, b)
        WHERE a = 'users'::regclass) x ORDER BY 1""",
    "row to JSON": "SELECT to_jsonb(a) ->> 'attname', to_jsonb(a) ? 'atttypid' FROM pg_attribute a"
    " WHERE attrelid = 'users'::regclass AND attnum = 2",
    "system columns": "SELECT tableoid::regclass, ctid IS NULL FROM pg_attribute LIMIT 1",
    "the whole command": "SELECT count(*) > 0 FROM (TABLE pg_index) x",
    "locks": "SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum = 2 FOR UPDATE",
    "with": "WITH pg_index AS (SELECT 1 AS indkey) SELECT * FROM pg_index",
    "grouped": "SELECT pg_get_indexdef(indexrelid), count(*) FROM pg_index WHERE indrelid = 'codes'::regclass"
    " GROUP BY pg_get_indexdef(indexrelid) ORDER BY 1",
    "grouped by a key": """
        SELECT relname, reloptions, count(*) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relname = 'codes' GROUP BY pg_class.oid""",
    "nothing there": "SELECT pg_get_indexdef(0), pg_get_constraintdef('1')",
}


@pytest.mark.parametrize("what", SAME)
def test_the_catalogs_say_what_a_plain_database_says(twin: Twin, what: str) -> None:
    def comparable(rows: list[tuple[Any, ...]]) -> str:
        return re.sub("test_[0-9a-f]{12}", "DATABASE", re.sub(r"PGRES|0x[0-9a-f]+", "", "\n".join(map(repr, rows))))

    sealed, plain = twin.both(SAME[what])
    assert comparable(sealed) == comparable(plain)


def test_parameters_and_prepared_statements(twin: Twin) -> None:
    for prepare in (False, True):
        for connection in (twin.sealed, twin.twin):
            found = connection.execute(
                "SELECT format_type(atttypid, atttypmod), %s::text FROM pg_attribute WHERE attrelid = %s::regclass"
                " AND attname = %s",
                ["x", "users", "email"],
                prepare=prepare,
            ).fetchall()
            assert found == [("character varying(254)", "x")]


def test_prepared_statements_stay_good_when_the_catalog_changes(twin: Twin) -> None:
    with twin.db.connect() as connection, twin.db.connect() as other:
        asked = (
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'users'::regclass AND attname = 'email' AND %s"
        )
        for _ in range(3):
            assert connection.execute(asked, [True], prepare=True).fetchall() == [("character varying(254)",)]
            other.execute("CREATE TABLE extra (id int)")
            assert connection.execute(asked, [True], prepare=True).fetchall() == [("character varying(254)",)]
            other.execute("DROP TABLE extra")


def test_values_in_texts_that_differ_in_them_only(twin: Twin) -> None:
    for name, expected in (("email", "character varying(254)"), ("note", "text"), ("born", "date"), ("id", "integer")):
        statement = (
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            f" WHERE attrelid = 'users'::regclass AND attname = '{name}'"
        )
        for _ in range(2):
            assert twin.sealed.execute(statement.encode()).fetchall() == [(expected,)]


def test_errors_have_their_place_in_the_clients_text(twin: Twin) -> None:
    statement = "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'users'::regclass AND nonsense"
    places = []
    for connection in (twin.sealed, twin.twin):
        with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
            connection.execute(statement.encode())
        places.append((caught.value.diag.message_primary, caught.value.diag.statement_position))
    assert places[0] == places[1]


def test_a_sealed_default_is_not_shown(twin: Twin) -> None:
    with twin.db.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("ALTER TABLE users ALTER COLUMN note SET DEFAULT 'planted-default'")
        shown = connection.execute(
            "SELECT a.atthasdef, d.adbin, c.column_default FROM pg_attribute a"
            " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            " JOIN information_schema.columns c ON c.table_name = 'users' AND c.column_name = a.attname"
            " WHERE a.attrelid = 'users'::regclass AND a.attname = 'note'"
        ).fetchall()
        assert shown == [(False, None, None)]
    assert "planted-default" not in twin.db.logged()


def test_nobody_sees_more_than_before(twin: Twin) -> None:
    for connection in (twin.sealed, twin.twin):
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL ROLE introspection_reader")
            for view in ("columns", "table_constraints", "key_column_usage", "constraint_column_usage"):
                shown = f"SELECT table_name FROM information_schema.{view} WHERE table_name = 'users'"
                assert connection.execute(shown.encode()).fetchall() == []
            assert connection.execute("SELECT count(*) FROM pg_attribute WHERE atttypid = 0").fetchone() is not None
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("SELECT note FROM users")


def test_what_is_made_in_an_open_transaction_is_shown_there(twin: Twin) -> None:
    with twin.db.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("DROP VIEW mails")
        connection.execute("DROP TABLE users")
        connection.execute("CREATE TABLE users (email varchar(254) CONSTRAINT one_mail UNIQUE)")
        shown = connection.execute(
            "SELECT format_type(atttypid, atttypmod), conname, pg_get_constraintdef(c.oid) FROM pg_attribute a"
            " JOIN pg_constraint c ON conrelid = attrelid AND conkey = ARRAY[attnum]"
            " WHERE attrelid = 'users'::regclass"
        ).fetchall()
        assert shown == [("character varying(254)", "one_mail", "UNIQUE (email)")]


def test_the_database_itself_still_says_how_columns_are_stored(twin: Twin) -> None:
    with twin.db.direct() as direct:
        stored = direct.execute(
            "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'email'"
        ).fetchone()
    assert stored is not None
    assert stored[0].startswith("pgcrypt.sealed_")


def test_a_batch_behind_a_change_of_settings_is_sent_as_it_came(twin: Twin) -> None:
    cursor = twin.sealed.execute(
        "SET extra_float_digits = 3; SET client_encoding TO 'UTF8'; SELECT attname, atttypid FROM pg_attribute LIMIT 1"
    )
    while cursor.nextset():
        pass
    assert len(cursor.fetchall()) == 1


ASKED = "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = %s"


def test_a_pipeline_behind_a_change_of_settings_goes_on(twin: Twin) -> None:
    with twin.db.connect() as connection, connection.pipeline():
        before = connection.execute(ASKED, ["email"], prepare=True)
        assert before.fetchall() == [("character varying",)]
        connection.execute("SET TimeZone TO 'Asia/Tokyo'")
        again = connection.execute(ASKED, ["email"], prepare=True)
        first = connection.execute(f"{ASKED} AND attnum > 0", ["email"])
        assert again.fetchall() == [("character varying",)]
        assert len(first.fetchall()) == 1


def test_in_an_encoding_that_cannot_be_rewritten_the_database_is_asked_itself(twin: Twin) -> None:
    with twin.db.connect() as connection:
        assert connection.execute(ASKED, ["email"], prepare=True).fetchall() == [("character varying",)]
        connection.execute("SET client_encoding TO 'EUC_JP'")
        assert connection.execute(ASKED, ["email"], prepare=True).fetchall() == [("character varying",)]
        ((stored,),) = connection.execute(f"{ASKED} AND attnum > 0", ["email"]).fetchall()
        assert stored.startswith("pgcrypt.sealed_")


@pytest.mark.skipif(shutil.which("psql") is None, reason="there is no psql")
def test_psql_describes_tables(twin: Twin) -> None:
    sealed, plain = twin.psql(r"\d users", r"\d+ codes", r"\d mails", r"\di", r"\dt", r"\d users_pkey")
    assert sealed == plain
    assert "character varying(254)" in sealed


def test_a_dump_of_the_schema_is_the_databases_own(twin: Twin) -> None:
    def dump(url: str) -> str:
        program = twin.db.server.bin_dir / "pg_dump"
        made = subprocess.run([program, "--schema-only", url], capture_output=True, text=True, timeout=60, check=True)
        return re.sub(r"\\(un)?restrict \w+", "", made.stdout)

    through = dump(twin.db.dsn())
    assert through == dump(twin.db.server.dsn(twin.db.name))
    assert "email pgcrypt.sealed_" in through


def read_by_tools(host: str, port: int, database: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.integration.orm.introspection"],
        env=scenario.environment_for(host, port, database),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def is_for_like(table: str, index: str) -> bool:
    """Django's index beside each unique text column, which is not made over a protected one."""
    return table == "auth_user" and index.endswith("_like")


class TestTools:
    def test_migrated_through_the_proxy(
        self, postgres: PostgresServer, plain_server: PostgresServer, tmp_path: Path
    ) -> None:
        lines = [line.split("- ", 1)[1] for line in scenario.RULES.splitlines() if line.startswith("  - ")]
        lines.append("{table: auth_user, column: username, type: varchar(150), search: [equality]}")
        with plain_server.database() as name:
            scenario.create_tables(plain_server, name)
            plain = read_by_tools(plain_server.host, plain_server.port, name)
        with awaited(postgres, tmp_path, "\n".join(lines)) as db:
            scenario.run_application("django_app", "migrate", "127.0.0.1", db.running.port, db.name)
            scenario.run_application("sqlalchemy_app", "create", "127.0.0.1", db.running.port, db.name)
            sealed = read_by_tools("127.0.0.1", db.running.port, db.name)
        assert sealed["django"]["inspectdb"] == plain["django"]["inspectdb"]
        assert "No changes detected" in sealed["django"]["drift"]
        assert sealed["alembic"] == plain["alembic"] == []
        for table, found in plain["sqlalchemy"].items():
            found["indexes"] = [index for index in found["indexes"] if not is_for_like(table, index["name"])]
        for table, found in plain["django"]["constraints"].items():
            plain["django"]["constraints"][table] = {n: c for n, c in found.items() if not is_for_like(table, n)}
        assert sealed["sqlalchemy"] == plain["sqlalchemy"]
        assert sealed["django"]["constraints"] == plain["django"]["constraints"]

    def test_sealed_later(self, postgres: PostgresServer, plain_server: PostgresServer, tmp_path: Path) -> None:
        with plain_server.database() as name:
            scenario.create_tables(plain_server, name)
            plain = read_by_tools(plain_server.host, plain_server.port, name)
        with sealed_demo(postgres, tmp_path) as (name, _, running):
            sealed = read_by_tools("127.0.0.1", running.port, name)
        assert sealed["django"]["inspectdb"] == plain["django"]["inspectdb"]
        assert sealed["alembic"] == []
        for table, found in plain["sqlalchemy"].items():
            for part in ("columns", "primary key", "unique"):
                assert sealed["sqlalchemy"][table][part] == found[part]
