"""Statements on tables with a column on its way say so in their plan, touched or not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.sql.catalog import Catalog, Column, Move, Relation
from pgcrypt_proxy.sql.executing import executing
from pgcrypt_proxy.sql.plan import Plan
from pgcrypt_proxy.sql.planner import Planner
from tests.sql.sample import INT4, TEXT, relations

ITEMS = "public.items"


@pytest.fixture(scope="module")
def planner() -> Planner:
    made = [replace(r, moving=(ITEMS,)) if r.name == "items" else r for r in relations()]
    made.append(Relation(120, "public", "v_items", "v", (Column("id", 1, INT4),), moving=(ITEMS,)))
    made.append(Relation(121, "public", "plain", "r", (Column("id", 1, INT4), Column("x", 2, TEXT))))
    return Planner(Catalog.build(1, made, moving={102: (Move(5, "filling", "name"),)}))


def planned(planner: Planner, sql: str) -> Plan:
    plan = planner.plan(sql, extended=False)
    assert isinstance(plan, Plan)
    return plan


UNTOUCHED = [
    "SELECT id, name FROM items WHERE name LIKE 'a%' ORDER BY name",
    "SELECT x FROM plain WHERE id IN (SELECT id FROM items)",
    "SELECT (SELECT max(name) FROM public.items)",
    "WITH i AS (SELECT id FROM items), j AS (DELETE FROM plain RETURNING id) SELECT id FROM i, j",
    "WITH i AS (INSERT INTO items (id) VALUES (1) RETURNING id) SELECT id FROM i",
    "SELECT id FROM items FOR UPDATE",
    "SELECT p.id FROM plain p JOIN items i ON i.id = p.id FOR NO KEY UPDATE OF i SKIP LOCKED",
    "SELECT id FROM v_items",
    "INSERT INTO items (id, name) VALUES (1, 'a') ON CONFLICT DO NOTHING",
    "INSERT INTO plain (id) SELECT id FROM items",
    "UPDATE items SET name = upper(name) WHERE id = 1",
    "UPDATE plain SET x = name FROM items WHERE plain.id = items.id",
    "DELETE FROM items",
    "DELETE FROM plain USING items WHERE items.id = plain.id",
    "MERGE INTO items USING plain ON items.id = plain.id WHEN MATCHED THEN DELETE",
    "TRUNCATE items",
    "TRUNCATE plain, items CASCADE",
    "LOCK TABLE items IN ACCESS EXCLUSIVE MODE",
    "LOCK items",
    "COPY items (id, name) TO STDOUT",
    "COPY items (id, name) FROM STDIN",
    "COPY (SELECT id FROM items) TO STDOUT",
    "DECLARE c CURSOR FOR SELECT id FROM items",
    "EXPLAIN ANALYZE SELECT id FROM items",
    "EXPLAIN DELETE FROM items",
    "PREPARE p AS SELECT id FROM items WHERE name = $1",
    "VACUUM items",
    "ANALYZE items (name)",
    "GRANT SELECT ON items TO PUBLIC",
    "DROP TABLE items",
    "DROP VIEW public.v_items",
    "CREATE INDEX ON items (name)",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON public.items (lower(name)) WHERE id > 0",
    "COMMENT ON TABLE items IS 'x'",
    "SELECT id FROM items UNION SELECT id FROM plain",
    "SELECT * FROM XMLTABLE('/a' PASSING (SELECT name::xml FROM items) COLUMNS x text)",
]


@pytest.mark.parametrize("sql", UNTOUCHED)
def test_it_is_untouched_and_says_what_it_touches(planner: Planner, sql: str) -> None:
    plan = planned(planner, sql)
    assert plan.is_untouched
    assert [statement.tables for statement in plan.statements] == [(ITEMS,)]


@pytest.mark.parametrize(
    "sql",
    ["SELECT email FROM users WHERE id IN (SELECT id FROM items)", "SELECT email FROM users u, v_items WHERE u.id = 1"],
)
def test_it_is_named_beside_protected_tables(planner: Planner, sql: str) -> None:
    plan = planned(planner, sql)
    assert plan.refusal is None
    assert plan.statements[0].tables == (ITEMS, "public.users")


def test_each_statement_of_a_text_has_its_own(planner: Planner) -> None:
    plan = planned(planner, "BEGIN; SELECT id FROM items; SELECT id FROM plain; COMMIT")
    assert [statement.tables for statement in plan.statements] == [(), (ITEMS,), (), ()]


def test_texts_that_differ_in_literals_only_have_it_too(planner: Planner) -> None:
    for number in range(3):
        plan = planned(planner, f"SELECT id FROM items WHERE id = {number} AND name = 'n{number}'")
        assert plan.statements[0].tables == (ITEMS,)


@pytest.mark.parametrize("sql", ["EXECUTE p (1)", "EXPLAIN EXECUTE p (1)", "CREATE TABLE made AS EXECUTE p (1)"])
def test_execute_touches_what_was_prepared(planner: Planner, sql: str) -> None:
    (prepared,) = planned(planner, "PREPARE p AS SELECT id FROM items WHERE id = $1").statements
    plan = executing(sql, planned(planner, sql), [prepared.prepares], hides_unknown=True)
    assert plan.statements[0].tables == (ITEMS,)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE items ADD COLUMN x int",
        "ALTER TABLE public.items ALTER name TYPE varchar",
        "ALTER TABLE items RENAME TO things",
        "ALTER TABLE items RENAME name TO title",
        "ALTER TABLE items SET SCHEMA other",
    ],
)
def test_the_table_stays_as_it_is(planner: Planner, sql: str) -> None:
    refusal = planned(planner, sql).refusal
    assert refusal is not None
    assert (refusal.code, refusal.message) == ("55000", 'a column of "public.items" is being sealed or made plain')


def test_a_table_made_of_it_by_explain_is_looked_into(planner: Planner) -> None:
    assert planned(planner, "EXPLAIN ANALYZE CREATE TABLE made AS SELECT id FROM items").refusal is not None


def test_other_tables_are_as_ever(planner: Planner) -> None:
    plan = planned(planner, "SELECT id FROM plain; ALTER TABLE plain ADD y int")
    assert plan.is_untouched
    assert [statement.tables for statement in plan.statements] == [(), ()]
