"""Columns get terms under a new index key, those of a domain at once, and whatever dies in between goes on."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.crypto.envelope import FLAG_EQ, SealContext
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import key_usage, protect, sealed_types
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_destruction import destroy
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import swap
from pgcrypt_proxy.ops.online.reindex import Rotation
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, Rule
from tests.ops.conftest import OpenProvider, RuleMaker

SCHEMA = """
CREATE TABLE public.users (id int PRIMARY KEY, email text UNIQUE NOT NULL, note text);
CREATE TABLE public.orders (number int PRIMARY KEY, email text, status text);
CREATE INDEX orders_email ON public.orders (email, status);
INSERT INTO public.users SELECT i, 'sown' || i || '@example.com', 'note' FROM generate_series(1, 400) i;
INSERT INTO public.orders SELECT i, CASE WHEN i % 9 > 0 THEN 'sown' || i % 500 || '@example.com' END, 'new'
FROM generate_series(1, 900) i;
"""
JOIN = """
SELECT count(*), count(DISTINCT pgcrypt.eq(o.email)) FROM public.users u JOIN public.orders o
ON pgcrypt.eq(u.email) = pgcrypt.eq(o.email)
"""
JOINED = (711, 400)


def policy_of(*rules: Rule) -> Policy:
    return Policy(1, KeyringSettings("file", {}), rules)


def rotation(connection: psycopg.Connection, store: KeyringStore, *rules: Rule, **more: Any) -> Rotation:
    moving = [replace(rule, phase="reindexing") for rule in rules]
    return Rotation(connection, store, policy_of(*moving), settle_s=0, **more)


@pytest.fixture
def shop(connection: psycopg.Connection, store: KeyringStore, rule: RuleMaker) -> tuple[Rule, Rule]:
    """Two columns of one index domain, sealed."""
    connection.execute(SCHEMA)
    rules = tuple(
        rule(f"public.{table}.email", "text", ("equality",), index_domain="email") for table in ("users", "orders")
    )
    for one in rules:
        protect.protect(connection, store, one, Options())
    assert connection.execute(JOIN).fetchone() == JOINED
    return rules  # type: ignore[return-value]


def generations(connection: psycopg.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT table_name, index_generation FROM pgcrypt.columns").fetchall())


def flags(connection: psycopg.Connection, table: str) -> set[int]:
    rows = connection.execute(f"SELECT DISTINCT get_byte(email, 1) FROM public.{table} WHERE email IS NOT NULL")
    return {value for (value,) in rows}


def indexes(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'").fetchall())


def test_all_columns_of_a_domain_are_reindexed(connection, store, shop, verified):
    before, terms = (
        indexes(connection),
        set(connection.execute("SELECT pgcrypt.eq(email) FROM public.users").fetchall()),
    )
    done = rotation(connection, store, *shop).to_the_end()
    assert {outcome.move.table: outcome.values for outcome in done} == {"users": 400, "orders": 800}
    assert connection.execute(JOIN).fetchone() == JOINED
    assert terms.isdisjoint(connection.execute("SELECT pgcrypt.eq(email) FROM public.users").fetchall())
    assert verified(*shop) == 1200
    assert indexes(connection) == before
    assert generations(connection) == {"users": 2, "orders": 2}
    assert flags(connection, "users") == flags(connection, "orders") == {0x21}
    types = connection.execute("SELECT typname FROM pg_type WHERE typname ~ '^sealed_' ORDER BY 1").fetchall()
    assert types == [("sealed_3",), ("sealed_4",)]
    assert connection.execute("SELECT count(*) FROM pgcrypt.moves").fetchone() == (0,)
    with pytest.raises(psycopg.errors.UniqueViolation, match="users_email_key"):
        connection.execute("INSERT INTO public.users (id, email) SELECT 0, email FROM public.users WHERE id = 1")
    with pytest.raises(psycopg.errors.NotNullViolation):
        connection.execute("INSERT INTO public.users (id) VALUES (0)")


def test_terms_of_another_generation_are_refused(connection, store, shop):
    rotation(connection, store, *shop).to_the_end()
    (column_id,) = connection.execute("SELECT id FROM pgcrypt.columns WHERE table_name = 'orders'").fetchone()
    keyring = store.unlock_with_grants({"pii": 2})
    insert = "INSERT INTO public.orders (number, email) VALUES (%s, %s)"
    for generation in (1, 2):
        term = keyring.equality_term("email", b"tx", generation)
        sealed = keyring.seal(SealContext(column_id, "pii"), b"x", [term], FLAG_EQ, generation)
        is_right = generation == 2
        with contextlib.nullcontext() if is_right else pytest.raises(psycopg.errors.CheckViolation, match="has_terms"):
            connection.execute(insert, [-generation, sealed])


def test_an_old_index_key_is_destroyed_when_no_column_needs_it(connection, store, shop, verified):
    index_keys = [key.id for key in key_usage.list_keys(connection) if key.kind == "index"]
    with pytest.raises(ConfigError, match="active index key"):
        destroy(connection, index_keys[0])
    stopped = rotation(connection, store, *shop, on_key=lambda _: (_ for _ in ()).throw(ConfigError("stopped")))
    with pytest.raises(ConfigError, match="stopped"):
        stopped.to_the_end()
    with pytest.raises(ConfigError, match="needed by the index terms of 2 columns"):
        destroy(connection, index_keys[0])
    rotation(connection, store, *shop).to_the_end()
    destroy(connection, index_keys[0])
    assert [key.state for key in key_usage.list_keys(connection) if key.kind == "index"] == ["destroyed", "active"]
    assert verified(*shop) == 1200
    rotation(connection, store, *shop).to_the_end()
    assert generations(connection) == {"users": 3, "orders": 3}
    assert verified(*shop) == 1200


def test_of_one_domain_only(connection, store, shop, rule, verified):
    connection.execute("CREATE TABLE public.pets (email text); INSERT INTO public.pets VALUES ('rex')")
    other = rule("public.pets.email", "text", ("equality",))
    protect.protect(connection, store, other, Options())
    rotation(connection, store, *shop, other, column=("public", "pets", "email")).to_the_end()
    assert generations(connection) == {"users": 1, "orders": 1, "pets": 2}
    stopped_before_swap(rotation(connection, store, *shop, other))
    with pytest.raises(ConfigError, match=r"email is on its way under the newest index key"):
        rotation(connection, store, *shop, other, column=("public", "pets", "email")).to_the_end()
    rotation(connection, store, *shop, other).to_the_end()  # what is left, under the same key
    assert generations(connection) == {"users": 2, "orders": 2, "pets": 2}
    assert verified(*shop, other) == 1201


def die(dsn: str, rules: tuple[Rule, ...], at: str) -> None:
    """A run that kills itself, for a process of its own."""

    def progress(phase: str, done: int, total: int) -> None:
        if phase == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def swapped(*_: object) -> None:
        progress("switching", 0, 0)

    if at == "switching":
        swap.swap = swapped
    with contextlib.closing(connect(dsn)) as connection, contextlib.closing(connect(dsn)) as own:
        work = rotation(connection, KeyringStore(own, OpenProvider()), *rules, batch_blocks=2, progress=progress)
        work.on_key = lambda _: progress("key", 0, 0)
        work.to_the_end()


@pytest.mark.parametrize("at", ["key", "filling", "indexes", "switching", "scrubbing"])
def test_a_run_goes_on_where_a_killed_one_left_off(postgres, database, connection, store, shop, verified, at):
    arguments = (postgres.dsn(database), shop, at)
    process = multiprocessing.get_context("spawn").Process(target=die, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert connection.execute(JOIN).fetchone() == JOINED
    made = []
    rotation(connection, store, *shop, on_key=made.append).to_the_end()
    assert made == []
    assert connection.execute(JOIN).fetchone() == JOINED
    assert generations(connection) == {"users": 2, "orders": 2}
    assert connection.execute("SELECT count(*) FROM pgcrypt.moves").fetchone() == (0,)
    assert verified(*shop) == 1200


def stopped_before_swap(work: Rotation) -> None:
    def stop(phase: str, *_: int) -> None:
        if phase == "indexes":
            raise ConfigError("stopped")

    work.progress = stop
    with pytest.raises(ConfigError, match="stopped"):
        work.to_the_end()


def test_a_domain_on_its_way_gets_no_other_column(connection, store, shop, rule, verified):
    stopped_before_swap(rotation(connection, store, *shop))
    connection.execute("CREATE TABLE public.pets (email text); INSERT INTO public.pets VALUES ('sown1@example.com')")
    other = rule("public.pets.email", "text", ("equality",), index_domain="email")
    with pytest.raises(ConfigError, match="is being reindexed"):
        protect.protect(connection, store, other, Options())
    with pytest.raises(ConfigError, match="is on its way by rotate index"):
        protect.protect(connection, store, shop[0], Options())
    rotation(connection, store, *shop).to_the_end()
    protect.protect(connection, store, other, Options())
    assert generations(connection) == {"users": 2, "orders": 2, "pets": 2}
    assert verified(*shop, other) == 1201


def test_a_new_column_has_the_generation_of_its_domain(connection, store, shop, rule):
    """Between a new key and the reindex of its domain, and in a domain of its own."""
    stopped = rotation(connection, store, *shop, on_key=lambda _: (_ for _ in ()).throw(ConfigError("stopped")))
    with pytest.raises(ConfigError, match="stopped"):
        stopped.to_the_end()
    connection.execute("CREATE TABLE public.pets (a text); CREATE TABLE public.cars (a text, b text)")
    protect.protect(connection, store, rule("public.pets.a", "text", ("equality",), index_domain="email"), Options())
    protect.protect(connection, store, rule("public.cars.a", "text", ("equality",)), Options())
    protect.protect(connection, store, rule("public.cars.b"), Options())
    rows = connection.execute("SELECT table_name, column_name, index_generation FROM pgcrypt.columns WHERE id > 2")
    assert set(rows) == {("pets", "a", 1), ("cars", "a", 2), ("cars", "b", 0)}


def test_abandoned(connection, store, shop, verified):
    with pytest.raises(ConfigError, match="no column is being reindexed"):
        rotation(connection, store, *shop).abandon()
    stopped_before_swap(rotation(connection, store, *shop))
    assert len(rotation(connection, store, *shop).abandon()) == 2
    assert generations(connection) == {"users": 1, "orders": 1}
    assert verified(*shop) == 1200
    rotation(connection, store, *shop).to_the_end()
    assert generations(connection) == {"users": 2, "orders": 2}


def test_types_that_wait_are_turned(connection, store, shop, rule):
    waiting = rule("public.pets.email", "text", ("equality",), index_domain="email")
    sealed_types.prepare(connection, policy_of(*shop, waiting))
    rotation(connection, store, *shop).to_the_end()
    connection.execute("CREATE TABLE public.pets (email pgcrypt.sealed_3)")
    assert generations(connection) == {"users": 2, "orders": 2, "pets": 2}
    keyring = store.unlock_with_grants({"pii": 2})
    for generation, raised in ((1, psycopg.errors.CheckViolation), (2, None)):
        sealed = keyring.seal(SealContext(3, "pii"), b"x", [bytes(16)], FLAG_EQ, generation)
        with pytest.raises(raised) if raised else contextlib.nullcontext():
            connection.execute("INSERT INTO public.pets VALUES (%s)", [sealed])


@pytest.mark.parametrize(
    ("ddl", "says"),
    [
        ("CREATE TABLE public.copied AS SELECT id, email FROM public.users", "no rule names it"),
        ("CREATE VIEW public.w AS SELECT email FROM public.orders", "drop the view first"),
    ],
)
def test_what_is_in_the_way_is_said_before_there_is_a_key(connection, store, shop, ddl, says):
    connection.execute(ddl)
    with pytest.raises(ConfigError) as caught:
        rotation(connection, store, *shop).to_the_end()
    assert says in caught.value.message
    assert len([key for key in key_usage.list_keys(connection) if key.kind == "index"]) == 1
    assert connection.execute("SELECT count(*) FROM pgcrypt.moves").fetchone() == (0,)


def test_rules_must_say_the_phase(connection, store, shop):
    with pytest.raises(ConfigError, match="does not say phase: reindexing"):
        Rotation(connection, store, policy_of(*shop)).to_the_end()
    assert len([key for key in key_usage.list_keys(connection) if key.kind == "index"]) == 1


def test_an_index_over_two_columns_of_a_domain_is_in_the_way(connection, store, rule):
    connection.execute("CREATE TABLE public.t (a text, b text); CREATE UNIQUE INDEX ab ON public.t (a, b)")
    rules = [rule(f"public.t.{name}", "text", ("equality",), index_domain="d") for name in ("a", "b")]
    for one in rules:
        protect.protect(connection, store, one, Options())
    with pytest.raises(ConfigError, match="index ab is over"):
        rotation(connection, store, *rules).to_the_end()


def test_two_columns_of_a_table_stand_where_they_stood(connection, store, rule, verified):
    connection.execute("CREATE TABLE public.t (a text, b text, c int)")
    connection.execute("INSERT INTO public.t SELECT i, i * 2, i FROM generate_series(1, 300) i")
    rules = [rule(f"public.t.{name}", "text", ("equality",), index_domain="d") for name in ("a", "b")]
    for one in rules:
        protect.protect(connection, store, one, Options())
    same = "SELECT count(*) FROM public.t x JOIN public.t y ON pgcrypt.eq(x.a) = pgcrypt.eq(y.b)"
    assert connection.execute(same).fetchone() == (150,)
    rotation(connection, store, *rules).to_the_end()
    assert connection.execute(same).fetchone() == (150,)
    assert verified(*rules) == 600
    shown = connection.execute("SELECT column_name, shown_after FROM pgcrypt.shown_order").fetchall()
    assert set(shown) == {("a", ""), ("b", "a")}


def test_a_type_that_is_older_than_generations_is_reindexed(connection, store, shop, verified):
    """Its CHECK takes terms of any generation, which is all that versions before could ask for."""
    for number in (1, 2):
        connection.execute(f"ALTER DOMAIN pgcrypt.sealed_{number} DROP CONSTRAINT has_terms")
        connection.execute(
            f"ALTER DOMAIN pgcrypt.sealed_{number} ADD CONSTRAINT has_terms CHECK ((pg_catalog.get_byte(VALUE, 1)"
            " OPERATOR(pg_catalog.&) 15) OPERATOR(pg_catalog.=) 1)"
        )
    assert verified(*shop) == 1200
    rotation(connection, store, *shop).to_the_end()
    assert verified(*shop) == 1200
    definitions = connection.execute(
        "SELECT DISTINCT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'has_terms'"
    ).fetchall()
    assert definitions == [("CHECK ((get_byte(VALUE, 1) = 33))",)]
