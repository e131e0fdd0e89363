"""PREPARE is the statement inside it, and nothing else: its plan, its rewriting, its refusal."""

from __future__ import annotations

import re

import pytest

from pgcrypt_proxy.sql.parse import Unparsable, parse
from pgcrypt_proxy.sql.plan import ALL_PREPARED, LiteralSlot, Plan, Use
from pgcrypt_proxy.sql.planner import Planner
from tests.sql.sample import described, sample_catalog
from tests.sql.test_cases import CASE_LIST

PREPARABLE = {"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"}


def preparable(sql: str) -> bool:
    try:
        statements = parse(sql).statements
    except Unparsable:
        return False
    return len(statements) == 1 and statements[0].kind in PREPARABLE and "intoClause" not in statements[0].tree


STATEMENTS = [sql for _, sql, _ in CASE_LIST if preparable(sql)]


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(sample_catalog())


def text_of(plan: Plan) -> str:
    return "".join(piece if isinstance(piece, str) else f"<{piece.use} {piece.text}>" for piece in plan.pieces)


@pytest.mark.parametrize("sql", STATEMENTS)
@pytest.mark.parametrize("head", ["PREPARE p", "SELECT 'é'; PREPARE p /* ( AS */ (int, text)"])
def test_what_is_prepared_is_what_a_parse_would_make(planner: Planner, head: str, sql: str) -> None:
    alone, text = planner.plan(sql, extended=True), f"{head} AS {sql}"
    plan = planner.plan(text, extended=False)
    if not isinstance(alone, Plan) or not isinstance(plan, Plan):
        assert described(alone) == described(plan)
        return
    if alone.refusal is not None:
        assert plan.refusal is not None
        assert plan.refusal.message == alone.refusal.message
        if alone.refusal.position is not None:
            assert plan.refusal.position == alone.refusal.position + len(head) + 4
        return
    if plan.refusal is not None:  # the types of the list are not those that it needs
        assert "(int" in head
        return
    made = plan.statements[-1].prepares
    assert made is not None
    assert (made.name, made.plan) == ("p", alone)
    assert made.sql.strip() == sql.strip().removesuffix(";")
    if not alone.splices:
        assert plan.is_untouched
        return
    sealed = [use for use in alone.parameters if use.use is not Use.PASS]
    rewritten = text_of(plan)
    assert rewritten.endswith(f" AS {text_of(alone)}")
    types = re.search(r"PREPARE p(?: /\* \( AS \*/)? \((.*?)\) AS ", rewritten)
    if sealed:
        assert types is not None
        assert types[1].count("pg_catalog.bytea") == len(sealed)
        assert len(types[1].split(", ")) == len(alone.parameters)
    shift = len(head) + 4
    slots = [piece for piece in plan.pieces if isinstance(piece, LiteralSlot)]
    own = [piece for piece in alone.pieces if isinstance(piece, LiteralSlot)]
    assert [(s.text, s.position, s.at) for s in slots] == [(s.text, s.position + shift, s.at + shift) for s in own]


def test_there_are_statements() -> None:
    assert len(STATEMENTS) > 200


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("DEALLOCATE p", "p"),
        ('DEALLOCATE PREPARE "P q"', "P q"),
        ("DEALLOCATE ALL", ALL_PREPARED),
        ("DISCARD ALL", ALL_PREPARED),
        ("DISCARD PLANS", None),
        ("SELECT 1", None),
    ],
)
def test_deallocated(planner: Planner, sql: str, name: str | None) -> None:
    plan = planner.plan(sql, extended=True)
    assert isinstance(plan, Plan)
    assert plan.statements[0].deallocates == name


@pytest.mark.parametrize(
    ("sql", "arguments"),
    [
        ("EXECUTE p", []),
        ("EXECUTE p (1, -2.5, 'it''s', NULL, true)", ["1", "-2.5", "'it''s'", "NULL", "true"]),
        ("EXPLAIN (COSTS off) EXECUTE p ('a'::text, date '2020-01-01')", ["'a'::text", "date '2020-01-01'"]),
        ("CREATE TABLE t (a, b) AS EXECUTE p (f(1, 2), ARRAY['a', 'b'], (1))", ["f(1, 2)", "ARRAY['a', 'b']", "(1)"]),
        (
            "EXPLAIN CREATE TABLE t AS EXECUTE U&\"p\" UESCAPE '!' (ROW(1, 'x'), '{1}'::int[])",
            ["ROW(1, 'x')", "'{1}'::int[]"],
        ),
    ],
)
def test_arguments(planner: Planner, sql: str, arguments: list[str]) -> None:
    plan = planner.plan(sql, extended=True)
    if not isinstance(plan, Plan) or not plan.statements:
        pytest.fail("not planned")
    execution = plan.statements[0].executes
    assert execution is not None
    assert [sql[a.start : a.end] for a in execution.arguments] == arguments
    assert sql[execution.arguments_start : execution.arguments_end][:1] == "("[: len(arguments)]
    assert "it's" not in repr(plan)
