"""No value of a column passes that was imported while its rule says phase: importing; all else goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.sql.catalog import Catalog, Relation
from pgcrypt_proxy.sql.plan import Plan
from pgcrypt_proxy.sql.planner import Planner
from tests.sql.sample import relations


def withholding(relation: Relation) -> Relation:
    return replace(
        relation,
        columns=tuple(
            replace(column, protected=replace(column.protected, is_withheld=True))
            if column.protected is not None and column.protected.qualified_name == "public.users.email"
            else column
            for column in relation.columns
        ),
    )


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(Catalog.build(1, map(withholding, relations())))


def planned(planner: Planner, sql: str) -> Plan:
    plan = planner.plan(sql, extended=False)
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM users",
        "SELECT email FROM users WHERE id = 1",
        "SELECT u FROM (SELECT max(id), email AS u FROM users GROUP BY email) s",
        "SELECT email FROM users UNION ALL SELECT email FROM users",
        "SELECT id FROM users WHERE email = 'a'",
        "SELECT id FROM users WHERE email = $1",
        "SELECT id FROM users WHERE email = ANY ($1)",
        "SELECT id FROM users WHERE email IN ('a', 'b')",
        "SELECT o.id FROM orders o JOIN users u ON u.email = 'a'",
        "INSERT INTO users VALUES (1, 'a')",
        "INSERT INTO users (id, email) VALUES (1, $1)",
        "INSERT INTO users (id, email) SELECT 1, v.e FROM (VALUES ('a')) AS v (e)",
        "INSERT INTO users (id) VALUES (1) RETURNING *",
        "UPDATE users SET email = 'a' WHERE id = 1",
        "UPDATE users SET name = 'a' WHERE email = 'b'",
        "DELETE FROM users WHERE email = 'a'",
        "MERGE INTO users USING items ON users.id = items.id WHEN MATCHED THEN UPDATE SET email = 'a'",
        "COPY users TO STDOUT",
        "COPY users (id, email) FROM STDIN",
        "COPY (SELECT email FROM users) TO STDOUT",
        "DECLARE c CURSOR FOR SELECT email FROM users",
        "PREPARE p AS SELECT email FROM users",
        "PREPARE p AS UPDATE users SET email = $1",
        "EXPLAIN SELECT id FROM users WHERE email = 'a'",
    ],
)
def test_what_would_let_a_value_pass_is_refused(planner: Planner, sql: str) -> None:
    refusal = planned(planner, sql).refusal
    assert refusal is not None
    assert (refusal.code, '"public.users.email" was imported' in refusal.message) == ("55000", True)
    assert "take phase out of the rule" in (refusal.hint or "")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, name, ssn FROM users WHERE name = 'a'",
        "SELECT count(*), count(email) FROM users WHERE email IS NOT NULL",
        "SELECT o.id FROM orders o JOIN users u ON u.email = o.contact",
        "INSERT INTO users (id, ssn) VALUES (1, 'a')",
        "UPDATE users SET ssn = $1 WHERE id = 1 RETURNING ssn",
        "DELETE FROM users WHERE id = 1",
        "COPY users (id, ssn) TO STDOUT",
        "SELECT contact FROM orders WHERE contact = 'a'",
        "CREATE VIEW v AS SELECT id, email FROM users",
    ],
)
def test_all_else_goes_on(planner: Planner, sql: str) -> None:
    assert planned(planner, sql).refusal is None


def test_the_position_of_a_literal_is_said(planner: Planner) -> None:
    refusal = planned(planner, "SELECT id FROM users WHERE email = 'a'").refusal
    assert refusal is not None
    assert refusal.position == 36


def test_texts_that_differ_in_literals_only_are_refused_too(planner: Planner) -> None:
    for number in range(3):
        assert planned(planner, f"SELECT id FROM users WHERE id = {number} AND email = 'e{number}'").refusal is not None
