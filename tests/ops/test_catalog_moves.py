"""Triggers, rules and generated columns that would move protected values, in a real catalog."""

from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, Rule, SafeFunction
from pgcrypt_proxy.sql.catalog import HIDDEN_PREFIX, Catalog
from pgcrypt_proxy.sql.planner import Planner
from tests.ops.test_catalog_loader import seal

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, email text, age int, seen timestamptz);
CREATE TABLE audit (what text, old text);
CREATE TABLE plain (id int, note text);
"""


@pytest.fixture
def users(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("SET search_path = public")
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    return connection


def trigger(connection: psycopg.Connection, body: str, *, on: str = "users", when: str = "", events: str = "") -> None:
    events = events or "INSERT OR UPDATE"
    connection.execute(f"CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $f$ {body} $f$".encode())
    connection.execute(
        f"CREATE TRIGGER t BEFORE {events} ON {on} FOR EACH ROW {when} EXECUTE FUNCTION react()".encode()
    )


def load(connection: psycopg.Connection, *safe: SafeFunction) -> Catalog:
    equality = frozenset({"equality"})
    source = "rules.yaml:4"
    email = Rule("public", "users", "email", "text", "pii", equality, "public.users.email", source)
    return catalog_loader.load(connection, Policy(1, KeyringSettings("file", {}), (email,), safe_functions=safe))


def refused(catalog: Catalog, sql: str) -> str | None:
    refusal = Planner(catalog).plan(sql, extended=True).refusal
    return refusal.message if refusal is not None else None


INSERT, UPDATE, DELETE = (
    "INSERT INTO users (id) VALUES (1)",
    "UPDATE users SET age = 2",
    "DELETE FROM users",
)


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN NEW.seen = now(); RETURN NEW; END",
        "BEGIN IF NEW.age > 3 THEN RAISE EXCEPTION 'email of % is old', NEW.id; END IF; RETURN NEW; END",
        "BEGIN /* NEW is the row, with its email */ RETURN COALESCE(NEW, OLD); END",
        "BEGIN INSERT INTO audit VALUES (TG_OP, OLD.id::text); -- not email\n RETURN OLD; END",
    ],
)
def test_bodies_that_keep_away_pass(users: psycopg.Connection, body: str) -> None:
    trigger(users, body)
    catalog = load(users)
    for sql in (INSERT, UPDATE, DELETE):
        assert refused(catalog, sql) is None


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN INSERT INTO audit VALUES ('new', NEW.email::text); RETURN NEW; END",
        "BEGIN INSERT INTO audit VALUES ('new', NEW.\"email\"::text); RETURN NEW; END",
        "BEGIN INSERT INTO audit SELECT 'new', NEW::text; RETURN NEW; END",
        "BEGIN INSERT INTO audit VALUES ('new', to_jsonb(NEW)::text); RETURN NEW; END",
        "BEGIN INSERT INTO audit SELECT 'new', x FROM (SELECT NEW.*) r(x); RETURN NEW; END",
        "BEGIN EXECUTE 'INSERT INTO audit VALUES (''x'', ($1).' || 'email)' USING NEW; RETURN NEW; END",
        "BEGIN PERFORM format('%s', OLD); RETURN NEW; END",
        "BEGIN NEW.email = lower(NEW.email::text); RETURN NEW; END",
        "BEGIN DELETE FROM users WHERE id = NEW.id; RETURN NEW; END",
        r"BEGIN RAISE NOTICE 'a\'; NEW.age = length(NEW.email::text); RETURN NEW; END",
    ],
)
def test_bodies_that_do_not_are_refused(users: psycopg.Connection, body: str) -> None:
    trigger(users, body)
    catalog = load(users)
    assert "sets off trigger t (function public.react)" in str(refused(catalog, INSERT))
    assert "sets off trigger t" in str(refused(catalog, UPDATE))
    assert "sets off" in str(refused(catalog, f"WITH x AS ({UPDATE} RETURNING id) SELECT * FROM x"))
    assert "sets off" in str(refused(catalog, f"EXPLAIN ANALYZE {INSERT}"))
    assert "sets off" in str(refused(catalog, "INSERT INTO users (id) VALUES (1) ON CONFLICT DO NOTHING"))
    assert refused(catalog, DELETE) is None
    assert refused(catalog, "SELECT email FROM users") is None
    assert refused(catalog, "INSERT INTO plain SELECT id, 'x' FROM users") is None


def test_the_owner_may_vouch_for_a_trigger_function(users: psycopg.Connection) -> None:
    trigger(users, "BEGIN NEW.age = octet_length(NEW.email); RETURN NEW; END")
    assert refused(load(users), INSERT) is not None
    assert refused(load(users, SafeFunction("public", "react", "rules.yaml:1")), INSERT) is None


def test_a_trigger_that_is_disabled_or_gone_does_nothing(users: psycopg.Connection) -> None:
    trigger(users, "BEGIN INSERT INTO audit VALUES ('x', NEW.email::text); RETURN NEW; END")
    users.execute("ALTER TABLE users DISABLE TRIGGER t")
    assert refused(load(users), INSERT) is None
    users.execute("ALTER TABLE users ENABLE ALWAYS TRIGGER t")
    assert refused(load(users), INSERT) is not None


def test_a_condition_compares_envelopes(users: psycopg.Connection) -> None:
    when = "WHEN (OLD.email IS DISTINCT FROM NEW.email)"
    trigger(users, "BEGIN RETURN NEW; END", when=when, events="UPDATE")
    assert refused(load(users), UPDATE) is not None


def test_transition_tables_hold_whole_rows(users: psycopg.Connection) -> None:
    users.execute("CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    users.execute(
        "CREATE TRIGGER t AFTER DELETE ON users REFERENCING OLD TABLE AS gone"
        " FOR EACH STATEMENT EXECUTE FUNCTION react()"
    )
    catalog = load(users)
    assert refused(catalog, DELETE) is not None
    assert refused(catalog, INSERT) is None


def test_a_plain_table_whose_trigger_reads_a_protected_one(users: psycopg.Connection) -> None:
    trigger(users, "BEGIN NEW.note = (SELECT email::text FROM users LIMIT 1); RETURN NEW; END", on="plain")
    catalog = load(users)
    assert refused(catalog, "INSERT INTO plain VALUES (1)") is not None
    assert refused(catalog, "UPDATE public.plain SET id = 2") is not None
    assert refused(catalog, "COPY plain FROM STDIN") is not None
    assert refused(catalog, "COPY plain TO STDOUT") is None
    assert refused(catalog, "SELECT * FROM plain") is None
    assert refused(catalog, "CREATE INDEX ON plain (id)") is None


def test_writes_reach_children_and_through_views(users: psycopg.Connection) -> None:
    users.execute("CREATE TABLE child () INHERITS (users)")
    users.execute("CREATE VIEW v AS SELECT id, age FROM child")
    trigger(users, "BEGIN INSERT INTO audit VALUES ('x', NEW.email::text); RETURN NEW; END", on="child")
    catalog = load(users)
    assert refused(catalog, UPDATE) is not None
    assert refused(catalog, "UPDATE v SET age = 3") is not None
    assert refused(catalog, "SELECT age FROM v") is None


def test_rules_of_a_protected_table(users: psycopg.Connection) -> None:
    users.execute("CREATE RULE r AS ON DELETE TO users DO ALSO INSERT INTO audit VALUES ('gone', OLD.email::text)")
    catalog = load(users)
    assert "sets off rule r" in str(refused(catalog, DELETE))
    assert refused(catalog, INSERT) is None


def test_a_generated_column_is_made_from_ciphertext(users: psycopg.Connection) -> None:
    users.execute("ALTER TABLE users ADD COLUMN size int GENERATED ALWAYS AS (octet_length(email)) STORED")
    assert refused(load(users), "SELECT size FROM users") is not None


def test_code_that_builds_sql_is_refused_unless_vouched_for(users: psycopg.Connection) -> None:
    users.execute(
        "CREATE FUNCTION peek(t text) RETURNS text LANGUAGE plpgsql AS"
        " $$ DECLARE r text; BEGIN EXECUTE 'SELECT email FROM ' || t INTO r; RETURN r; END $$"
    )
    users.execute("CREATE FUNCTION plus(x int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN x + 1; END'")
    catalog = load(users)
    assert refused(catalog, "SELECT peek('us' || 'ers')") is not None
    assert refused(catalog, "SELECT plus(1)") is None
    assert refused(load(users, SafeFunction("public", "peek", "rules.yaml:1")), "SELECT peek('x')") is None
    assert refused(catalog, "DO $$ BEGIN EXECUTE 'SELECT 1'; END $$") is not None
    assert refused(catalog, "DO $$ BEGIN PERFORM 1; -- execute\n END $$") is None
    assert refused(catalog, "DO LANGUAGE plpython3u $$ plpy.notice('x') $$") is not None


def test_a_unique_constraint_that_became_an_index_on_terms(users: psycopg.Connection) -> None:
    users.execute('CREATE UNIQUE INDEX "users Email" ON users (pgcrypt.eq(email), age)')
    plan = Planner(load(users)).plan(
        'INSERT INTO users (id) VALUES (1) ON CONFLICT /* c */ ON CONSTRAINT "users Email" DO NOTHING', extended=True
    )
    assert plan.refusal is None
    assert "".join(map(str, plan.pieces)).endswith("ON CONFLICT /* c */ (pgcrypt.eq(email), age) DO NOTHING")


def test_functions_of_schema_pgcrypt_are_the_products_own(users: psycopg.Connection) -> None:
    users.execute(
        "CREATE FUNCTION pgcrypt.empty() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN NEW.email := NULL; RETURN NEW; END $$"
    )
    users.execute("CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION pgcrypt.empty()")
    assert refused(load(users), UPDATE) is None


def test_a_column_that_is_filled_beside_another_needs_no_rule(users: psycopg.Connection) -> None:
    users.execute("ALTER TABLE users ADD COLUMN note text")
    column_id = seal(users, "public.users.note")
    users.execute(f"ALTER TABLE users RENAME note TO {HIDDEN_PREFIX}{column_id}".encode())
    assert [c.name for c in load(users).protected_columns] == ["email"]
