"""Migrations through the proxy: what they make is sealed, under the names asked for, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.demo import scenario
from pgcrypt_proxy.ops import verify
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.policy.load import load
from tests.helpers.proxies import ProtectedDatabase, awaited
from tests.helpers.servers import PostgresServer

ROOT = Path(__file__).parents[2]
COLUMNS = """
{table: users, column: email, type: varchar(254), search: [equality, equality_casefold]}
{table: users, column: phone, type: text, search: [equality]}
{table: users, column: note, type: text}
{table: clients, column: email, type: varchar(254), search: [equality, equality_casefold]}
{table: clients, column: note, type: text}
{table: app.people, column: born, type: date, search: [equality]}
"""
USERS = "CREATE TABLE users (id serial PRIMARY KEY, email varchar(254) NOT NULL UNIQUE, note text, name text)"

Rows = list[tuple[object, ...]]


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    with awaited(postgres, tmp_path, COLUMNS, "CREATE SCHEMA app; CREATE SCHEMA other") as made:
        yield made


def sealed(db: ProtectedDatabase) -> set[str]:
    """The columns that have sealed types, seen directly."""
    with db.direct() as direct:
        return {
            name
            for (name,) in direct.execute(
                "SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a"
                " JOIN pg_class c ON c.oid = a.attrelid"
                " JOIN pg_type t ON t.oid = a.atttypid WHERE t.typname LIKE 'sealed\\_%' AND c.relkind IN ('r', 'p')"
                " AND NOT a.attisdropped"
            )
        }


def indexes(db: ProtectedDatabase, table: str) -> dict[str, str]:
    """Definitions of a table's indexes from USING on, by their names, seen directly."""
    with db.direct() as direct:
        found = direct.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
        shown = {name: sql.replace(" WITH (deduplicate_items='on')", "") for name, sql in found}
        return {name: ("UNIQUE " if " UNIQUE " in sql else "") + sql.split(" USING ")[1] for name, sql in shown.items()}


def code(act: Callable[[], object]) -> str:
    with pytest.raises(psycopg.Error) as caught:
        act()
    return caught.value.sqlstate or ""


def eventually(check: Callable[[], bool], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def passes(connection: psycopg.Connection, sql: str) -> bool:
    try:
        connection.execute(sql)  # type: ignore[arg-type]
    except psycopg.Error:
        return False
    return True


class TestTables:
    def test_a_table_is_made_sealed_and_used_in_one_transaction(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection, connection.transaction():
            made = connection.execute(USERS)
            assert made.statusmessage == "CREATE TABLE"
            connection.execute("INSERT INTO users (email, note) VALUES (%s, 'planted-note')", ["planted-a"])
            found = connection.execute("SELECT email, note FROM users WHERE email = 'planted-a'").fetchall()
            assert found == [("planted-a", "planted-note")]
        assert sealed(db) == {"users.email", "users.note"}
        assert indexes(db, "users")["users_email_key"] == "UNIQUE btree (pgcrypt.eq((email)::bytea))"
        with db.direct() as direct:
            (stored,) = direct.execute("SELECT email::bytea FROM users").fetchone() or (b"",)
            assert b"planted" not in stored
            assert code(lambda: direct.execute("UPDATE users SET email = 'plain'")) == "23514"
        assert "planted-" not in db.logged()

    def test_every_value_opens_and_every_column_refuses_plaintext(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute(USERS)
            connection.execute("ALTER TABLE users ADD COLUMN phone text DEFAULT 'planted-0' NOT NULL")
            connection.execute("INSERT INTO users (email) VALUES ('planted-a'), ('planted-b')")
        url = db.server.dsn(db.name)
        with connect(url) as connection, connect(url) as keys:
            report = verify.verify(connection, KeyringStore(keys, FileProvider(db.kek)), load([db.rules]))
        opened = {c.column: c.opened for c in report.columns}
        assert opened == {"public.users.email": 2, "public.users.note": 0, "public.users.phone": 2}
        assert all(not c.problems and not c.failed for c in report.columns)

    def test_what_is_rolled_back_leaves_nothing(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("BEGIN")
            connection.execute(USERS)
            connection.execute("INSERT INTO users (email) VALUES ('planted-a')")
            connection.execute("ROLLBACK")
            assert code(lambda: connection.execute("SELECT * FROM users")) == "55000"
            connection.execute(USERS)
            assert connection.execute("SELECT * FROM users").fetchall() == []
        assert sealed(db) == {"users.email", "users.note"}

    def test_savepoints_take_tables_back_and_forth(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection, connection.transaction():
            connection.execute(USERS)
            connection.execute("SAVEPOINT here")
            connection.execute("ALTER TABLE users DROP COLUMN note")
            connection.execute("INSERT INTO users (email) VALUES ('planted-a')")
            assert connection.execute("SELECT * FROM users").fetchall() == [(1, "planted-a", None)]
            connection.execute("ROLLBACK TO SAVEPOINT here")
            connection.execute("INSERT INTO users (email, note) VALUES ('planted-a', 'planted-note')")
            assert connection.execute("SELECT * FROM users").fetchall() == [(2, "planted-a", "planted-note", None)]

    def test_a_failed_transaction_lets_nothing_of_a_value_out(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("BEGIN")
            connection.execute(USERS)
            assert code(lambda: connection.execute("SELECT 1/0")) == "22012"
            assert code(lambda: connection.execute("INSERT INTO users (email) VALUES ('planted-lost')")) == "25P02"
            connection.execute("ROLLBACK")
        assert "planted-lost" not in db.logged()

    def test_other_sessions_follow(self, db: ProtectedDatabase) -> None:
        with db.connect() as one, db.connect() as other:
            one.execute(USERS)
            one.execute("INSERT INTO users (email) VALUES ('planted-a')")
            eventually(lambda: passes(other, "SELECT email FROM users"))
            assert other.execute("SELECT email FROM users WHERE email = 'planted-a'").fetchall() == [("planted-a",)]
            one.execute("ALTER TABLE users ADD COLUMN phone text")
            eventually(lambda: passes(other, "UPDATE users SET phone = 'planted-1'"))
            assert one.execute("SELECT phone FROM users WHERE phone = 'planted-1'").fetchall() == [("planted-1",)]
        assert "planted-" not in db.logged()

    def test_rows_of_another_session_never_come_out_sealed(self, db: ProtectedDatabase) -> None:
        with db.connect() as one, db.connect() as other:
            one.execute("CREATE TABLE users (id int)")
            eventually(lambda: passes(other, "SELECT * FROM users"))
            one.execute("INSERT INTO users VALUES (1)")
            one.execute("ALTER TABLE users ADD COLUMN phone text DEFAULT 'planted-1'")
            try:  # the other session may not know of it yet: then its connection ends
                rows = other.execute("SELECT * FROM users").fetchall()
            except psycopg.Error:
                rows = []
            assert rows in ([], [(1, "planted-1")])

    def test_the_schema_decides(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("SET search_path TO other")
            connection.execute("CREATE TABLE people (born date)")
            connection.execute("CREATE TABLE users (email text)")
            assert sealed(db) == set()
            connection.execute("SET search_path TO app, public")
            connection.execute("CREATE TABLE people (id int, born date UNIQUE)")
            assert sealed(db) == {"app.people.born"}
            connection.execute("INSERT INTO people VALUES (1, '1815-12-10')")
            assert code(lambda: connection.execute("INSERT INTO people VALUES (1, '1815-12-10')")) == "23505"

    def test_drop_and_make_again(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            for _ in range(2):
                connection.execute("DROP TABLE IF EXISTS users CASCADE")
                connection.execute(USERS)
                connection.execute("INSERT INTO users (email) VALUES ('planted-a')")
            with connection.transaction():
                connection.execute("DROP TABLE users")
                connection.execute(USERS)
                connection.execute("INSERT INTO users (email) VALUES ('planted-b')")
            assert connection.execute("SELECT email FROM users").fetchall() == [("planted-b",)]

    def test_rename_where_the_rules_know_the_new_name(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("CREATE TABLE users (email varchar(254), note text)")
            connection.execute("INSERT INTO users VALUES ('planted-a', 'planted-n')")
            with connection.transaction():
                connection.execute("ALTER TABLE users RENAME TO clients")
                assert connection.execute("SELECT * FROM clients").fetchall() == [("planted-a", "planted-n")]
            # its type went with it; the proxy makes another one as soon as it knows
            eventually(lambda: passes(connection, "CREATE TABLE users (email varchar(254))"))
            connection.execute("INSERT INTO users VALUES ('planted-c')")
            assert connection.execute("SELECT note FROM clients WHERE lower(email) = 'planted-a'").fetchall() == [
                ("planted-n",)
            ]
            assert code(lambda: connection.execute("ALTER TABLE clients RENAME TO customers")) == "0A000"
            assert code(lambda: connection.execute("ALTER TABLE clients RENAME COLUMN email TO mail")) == "0A000"
        assert sealed(db) == {"users.email", "clients.email", "clients.note"}

    def test_copies_and_partitions_are_sealed_too(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection, connection.transaction():
            connection.execute("CREATE TABLE users (id int, email varchar(254)) PARTITION BY RANGE (id)")
            connection.execute("CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (10)")
            connection.execute("CREATE TABLE old_users (LIKE users INCLUDING ALL)")
            connection.execute("INSERT INTO users VALUES (1, 'planted-a')")
            connection.execute("INSERT INTO old_users SELECT * FROM users_1")
            assert connection.execute("SELECT * FROM old_users").fetchall() == [(1, "planted-a")]
        assert sealed(db) == {"users.email", "users_1.email", "old_users.email"}


class TestKeys:
    def test_errors_name_what_was_asked_for(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute(
                "CREATE TABLE users (id int, email varchar(254), phone text, CONSTRAINT one UNIQUE (email))"
            )
            connection.execute("ALTER TABLE users ADD CONSTRAINT two UNIQUE (id, phone)")
            connection.execute("CREATE UNIQUE INDEX three ON users (lower(email))")
            connection.execute("INSERT INTO users VALUES (1, 'planted-a', 'planted-1')")
            for values, name in ((("planted-a", "planted-2"), "one"), (("planted-b", "planted-1"), "two"),
                                 (("PLANTED-A", "planted-3"), "three")):  # fmt: skip
                with pytest.raises(psycopg.errors.UniqueViolation) as caught:
                    connection.execute("INSERT INTO users VALUES (1, %s, %s)", values)
                assert caught.value.diag.constraint_name == name
                assert "planted" not in str(caught.value).lower()
            upsert = "INSERT INTO users VALUES (2, 'planted-a', 'planted-9') ON CONFLICT {} DO UPDATE SET id = 7"
            connection.execute(upsert.format("ON CONSTRAINT one"))
            connection.execute(upsert.format("(email)"))
            assert connection.execute("SELECT id FROM users").fetchall() == [(7,)]
            connection.execute("ALTER TABLE users RENAME CONSTRAINT two TO pair")
            connection.execute("ALTER TABLE users DROP CONSTRAINT pair, DROP CONSTRAINT IF EXISTS none")
        assert set(indexes(db, "users")) == {"one", "three"}

    def test_names_are_those_that_postgresql_gives(self, db: ProtectedDatabase, plain_server: PostgresServer) -> None:
        long = "a_name_of_fifty_characters_that_goes_on_and_on_and_on"
        statements = [
            f'CREATE TABLE users (id int, email varchar(254), phone text UNIQUE, "{long}" int, '
            f'"ünïcödé" int, UNIQUE (phone, "{long}"), UNIQUE ("ünïcödé", email, "{long}"), PRIMARY KEY (email))',
            "CREATE INDEX ON users (phone)",
            f'CREATE INDEX ON users (lower(email), "{long}", id)',
            f'CREATE INDEX ON users ("{long}", phone)',
        ]
        with db.connect() as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]
        with plain_server.database() as name, plain_server.connect(name) as plain:
            for statement in statements:
                plain.execute(statement)  # type: ignore[arg-type]
            wanted = {n for (n,) in plain.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'users'")}
        assert set(indexes(db, "users")) == wanted

    def test_an_index_that_exists_twice_is_the_servers_error(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute(USERS)
            connection.execute("INSERT INTO users (email, note) VALUES ('planted-a', ''), ('planted-b', '')")
            assert code(lambda: connection.execute("ALTER TABLE users ADD CONSTRAINT u UNIQUE (note)")) == "0A000"
            assert code(lambda: connection.execute("CREATE INDEX users_email_key ON users (email)")) == "42P07"
            connection.execute("CREATE INDEX IF NOT EXISTS users_email_key ON users (email)")
            made = connection.execute("CREATE INDEX CONCURRENTLY again ON users (email)")
            assert made.statusmessage == "CREATE INDEX"

    def test_steps_are_done_together_or_not_at_all(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("CREATE TABLE taken (id int)")
            make = "CREATE TABLE users (email varchar(254) CONSTRAINT taken UNIQUE)"
            assert code(lambda: connection.execute(make)) == "42P07"
            connection.execute(make.replace("taken", "free"))
        assert indexes(db, "users").keys() == {"free"}

    def test_an_index_for_like_is_answered_and_not_made(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection, connection.transaction():
            connection.execute(USERS)
            made = connection.execute("CREATE INDEX users_like ON users (email varchar_pattern_ops)")
            assert made.statusmessage == "CREATE INDEX"
            connection.execute("DROP INDEX IF EXISTS users_like")
        assert set(indexes(db, "users")) == {"users_pkey", "users_email_key"}


class TestColumns:
    def test_added_filled_altered_and_dropped(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("CREATE TABLE users (id int)")
            connection.execute("INSERT INTO users VALUES (1), (2)")
            connection.execute("ALTER TABLE users ADD COLUMN phone text DEFAULT 'planted-none' NOT NULL, ADD x int")
            connection.execute("INSERT INTO users (id) VALUES (3)")
            found = connection.execute("SELECT id FROM users WHERE phone = 'planted-none' ORDER BY id").fetchall()
            assert found == [(1,), (2,), (3,)]
            connection.execute("ALTER TABLE users ALTER COLUMN phone DROP DEFAULT, ALTER phone DROP NOT NULL")
            connection.execute("INSERT INTO users (id) VALUES (4)")
            assert connection.execute("SELECT phone FROM users WHERE id = 4").fetchall() == [(None,)]
            assert code(lambda: connection.execute("ALTER TABLE users ALTER phone SET NOT NULL")) == "23502"
            connection.execute("ALTER TABLE users ALTER COLUMN phone TYPE text USING phone::text")
            connection.execute("ALTER TABLE users DROP COLUMN phone")
            assert connection.execute("SELECT * FROM users WHERE id = 4").fetchall() == [(4, None)]
            connection.execute("ALTER TABLE users ADD COLUMN phone text")
        assert sealed(db) == {"users.phone"}
        assert "planted-" not in db.logged()

    def test_a_shorter_type_is_widened_step_by_step(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection:
            connection.execute("CREATE TABLE users (email varchar(75))")
            connection.execute("ALTER TABLE users ALTER COLUMN email TYPE varchar(254)")
            assert code(lambda: connection.execute("ALTER TABLE users ALTER COLUMN email TYPE varchar(255)")) == "0A000"
            assert code(lambda: connection.execute("ALTER TABLE users ALTER COLUMN email TYPE int")) == "0A000"
            cursor = connection.execute("SELECT email FROM users")
            assert cursor.description is not None
            assert (cursor.description[0].type_code, cursor.description[0].internal_size) == (1043, None)

    def test_a_plain_column_in_a_ruled_place_lets_nothing_pass(self, db: ProtectedDatabase) -> None:
        with db.direct() as direct, db.connect() as connection:
            direct.execute("CREATE TABLE users (id int, email varchar(254))")
            for statement in (
                "INSERT INTO users VALUES (1, 'planted-a')",
                "SELECT id FROM users",
                "ALTER TABLE users ADD COLUMN phone text",
                "CREATE INDEX ON users (email)",
            ):
                assert code(lambda: connection.execute(statement)) == "55000"  # noqa: B023
            connection.execute("DROP TABLE users")
            connection.execute(USERS)
        assert "planted-a" not in db.logged()


REFUSED = [
    "CREATE TABLE users (email varchar(254) CHECK (email <> 'planted-x'))",
    "CREATE TABLE users (email varchar(254) DEFAULT lower('planted-x'))",
    "CREATE TABLE users (email int DEFAULT 1, name text DEFAULT 'planted-x')",
    "CREATE TABLE users (id int, note text UNIQUE, name text DEFAULT 'planted-x')",
    "CREATE TABLE users AS SELECT 'planted-x' AS email",
    "SELECT 'planted-x' AS email INTO users",
    "CREATE TABLE users (id int, email varchar(254)); INSERT INTO users VALUES (1, 'planted-x' || 'y')",
    "CREATE TEMP TABLE users (email varchar(254) DEFAULT 'planted-x')",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_nothing_of_a_refused_statement_arrives(db: ProtectedDatabase, statement: str) -> None:
    with db.connect() as connection:
        assert code(lambda: connection.execute(statement)) == "0A000"  # type: ignore[arg-type]
        assert connection.execute("SELECT to_regclass('users')").fetchall() == [(None,)]
    assert "planted-x" not in db.logged()


class TestApplications:
    def test_django_migrates_and_works(self, postgres: PostgresServer, tmp_path: Path) -> None:
        lines = [
            line.split("- ", 1)[1]
            for line in scenario.RULES.splitlines()
            if ": public.auth" in line or "django" in line
        ]
        lines += [
            "{table: auth_user, column: username, type: varchar(150), search: [equality]}",
            "{table: django_session, column: session_data, type: text}",
        ]
        with awaited(postgres, tmp_path, "\n".join(lines)) as db:
            for action in ("migrate", "use", "migrate"):
                scenario.run_application("django_app", action, "127.0.0.1", db.running.port, db.name)
            assert sealed(db) == {
                *(f"auth_user.{name}" for name in ("email", "first_name", "last_name", "username")),
                "django_admin_log.object_repr",
                "django_session.session_data",
            }
            assert indexes(db, "auth_user") == {
                "auth_user_pkey": "UNIQUE btree (id)",
                "auth_user_username_key": "UNIQUE btree (pgcrypt.eq((username)::bytea))",
            }
            with db.connect() as connection, pytest.raises(psycopg.errors.UniqueViolation) as caught:
                connection.execute("UPDATE auth_user SET username = 'ada'")
            assert caught.value.diag.constraint_name == "auth_user_username_key"

    def test_alembic_goes_up_and_down(self, postgres: PostgresServer, tmp_path: Path) -> None:
        columns = """
        {table: members, column: email, type: varchar(254), search: [equality]}
        {table: members, column: born, type: date}
        {table: members, column: phone, type: varchar(20), search: [equality]}
        """
        with awaited(postgres, tmp_path, columns) as db:
            url = db.dsn().replace("postgresql://", "postgresql+psycopg://")

            def migrate(revision: str) -> None:
                done = subprocess.run(
                    [sys.executable, "-W", "ignore", "-m", "tests.integration.orm.alembic_migrations", url, revision],
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=110,
                    check=False,
                )
                assert done.returncode == 0, done.stderr[-3000:]

            migrate("head")
            assert sealed(db) == {"members.email", "members.born", "members.phone"}
            assert indexes(db, "members") == {
                "members_pkey": "UNIQUE btree (id)",
                "uq_members_both": "UNIQUE btree (pgcrypt.eq((email)::bytea), pgcrypt.eq((phone)::bytea))",
                "ix_members_phone": "btree (pgcrypt.eq((phone)::bytea))",
            }
            migrate("1")
            assert set(indexes(db, "members")) == {"members_pkey", "uq_members_email"}
            assert sealed(db) == {"members.email", "members.born"}
            migrate("base")
            assert sealed(db) == set()
            assert "planted-" not in db.logged()

    def test_a_script_in_one_message(self, db: ProtectedDatabase) -> None:
        script = """
            BEGIN; -- as Rails writes its structure
            DROP TABLE IF EXISTS public.visits, public.users;
            CREATE TABLE public.users (id bigserial, email varchar(254) NOT NULL, note text);
            COMMENT ON COLUMN public.users.email IS 'of the user';
            ALTER TABLE ONLY public.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
            ALTER TABLE ONLY public.users ALTER COLUMN note SET DEFAULT 'planted-default';
            CREATE UNIQUE INDEX index_users_on_email ON public.users USING btree (email);
            CREATE TABLE public.visits (id int, user_id bigint REFERENCES public.users ON DELETE CASCADE);
            INSERT INTO users (email) VALUES ('planted-a');
            SELECT email, note FROM users WHERE email = 'planted-a';
            COMMIT
        """
        with db.connect() as connection:
            for _ in range(2):
                cursor = connection.execute(script)
                tags, rows = [], []
                while True:
                    tags.append(cursor.statusmessage)
                    rows += cursor.fetchall() if cursor.description else []
                    if not cursor.nextset():
                        break
                assert [tag.split()[0] for tag in tags if tag] == [
                    "BEGIN", "DROP", "CREATE", "COMMENT", "ALTER", "ALTER", "CREATE", "CREATE", "INSERT", "SELECT",
                    "COMMIT",
                ]  # fmt: skip
                assert rows == [("planted-a", "planted-default")]
                assert connection.execute("SELECT * FROM users").fetchall() == [(1, "planted-a", "planted-default")]
        assert indexes(db, "users")["index_users_on_email"] == "UNIQUE btree (pgcrypt.eq((email)::bytea))"
        assert "planted-" not in db.logged()

    def test_pipelines_wait_for_what_ddl_made(self, db: ProtectedDatabase) -> None:
        with db.connect() as connection, connection.pipeline():
            connection.execute(USERS)
            connection.execute("INSERT INTO users (email) VALUES (%s)", ["planted-a"])
            first = connection.execute("SELECT email FROM users WHERE email = %s", ["planted-a"])
            connection.execute("ALTER TABLE users ADD COLUMN phone text")
            connection.execute("UPDATE users SET phone = %s", ["planted-1"])
            second = connection.execute("SELECT phone FROM users")
            assert (first.fetchall(), second.fetchall()) == ([("planted-a",)], [("planted-1",)])
        assert "planted-" not in db.logged()

    def test_a_migration_that_holds_locks_does_not_hold_up_others(self, db: ProtectedDatabase) -> None:
        with db.connect() as one, db.connect() as other:
            one.execute(USERS)
            one.execute("CREATE VIEW mails AS SELECT email FROM users")
            eventually(lambda: passes(other, "SELECT * FROM mails"))
            one.execute("BEGIN")
            one.execute("ALTER TABLE users ADD COLUMN phone text")
            done = threading.Event()

            def work() -> None:
                other.execute("CREATE TABLE app.plain (id int)")
                other.execute("INSERT INTO app.plain VALUES (1)")
                done.set()

            thread = threading.Thread(target=work)
            thread.start()
            assert done.wait(10)
            thread.join()
            one.execute("INSERT INTO users (email, phone) VALUES ('planted-a', 'planted-1')")
            one.execute("COMMIT")
            assert one.execute("SELECT phone FROM users").fetchall() == [("planted-1",)]
