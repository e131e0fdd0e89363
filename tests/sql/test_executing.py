"""EXECUTE beside what it executes."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.executing import executing
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan, Prepared
from pgcrypt_proxy.sql.planner import Planner
from tests.sql.sample import described, sample_catalog

PLANNER = Planner(sample_catalog())


def prepared(sql: str) -> Prepared:
    """What `PREPARE p ...` makes."""
    plan = PLANNER.plan(sql, extended=True)
    assert isinstance(plan, Plan)
    made = plan.statements[0].prepares
    assert made is not None
    return made


def run(sql: str, *statements: str | None) -> Plan:
    plan = PLANNER.plan(sql, extended=False)
    assert isinstance(plan, Plan)
    return executing(sql, plan, [prepared(s) if s is not None else None for s in statements], hides_unknown=True)


@pytest.mark.parametrize(
    ("prepare", "sql", "expected"),
    [
        ("(text) AS SELECT id FROM users WHERE email = $1", "EXECUTE p ( 'a' )", "( <term email 'a'> )"),
        ("AS SELECT id FROM users WHERE email = $1 AND id = $2", "EXECUTE p ('a', 1+1)", "(<term email 'a'>, 1+1)"),
        ("AS SELECT id FROM users WHERE email = $1 OR name = $1", "EXECUTE p ('a')", "('a', <term email 'a'>)"),
        ("(text, int) AS SELECT 1 FROM users WHERE email = $1", "EXECUTE p ('a', 7)", "(<term email 'a'>)"),
        ("AS UPDATE users SET email = $1, ssn = $1", "EXECUTE p (NULL)", "(<seal email None>, <seal ssn None>)"),
        (
            "(text[]) AS SELECT 1 FROM users WHERE email = ANY ($1)",
            "EXECUTE p (ARRAY['a', NULL])",
            "(ARRAY[<term email 'a' as text>, <term email None as text>]::pg_catalog.bytea[])",
        ),
        ("AS SELECT 1 FROM users WHERE email = ANY ($1)", "EXECUTE p ('{a}')", "(<term_array email '{a}'>)"),
    ],
)  # fmt: skip
def test_arguments_become_what_the_statement_demands(prepare: str, sql: str, expected: str) -> None:
    (text, *_) = described(run(sql, f"PREPARE p {prepare}"))
    assert text.removeprefix("text: EXECUTE p ").replace(" as text", "") == expected.replace(" as text", "")


def test_types_on_the_way() -> None:
    plan = run("EXECUTE p (5)", "PREPARE p (varchar) AS INSERT INTO users (email) VALUES ($1)")
    (slot,) = [piece for piece in plan.pieces if isinstance(piece, LiteralSlot)]
    assert slot.assigned is not None
    assert (str(slot.assigned.given), str(slot.assigned.declared)) == ("integer", "character varying")
    assert slot.position == 12


@pytest.mark.parametrize(
    ("prepare", "sql", "words"),
    [
        ("(text) AS SELECT id FROM users WHERE email = $1", "EXECUTE p", "wrong number of parameters"),
        ("(text) AS SELECT id FROM users WHERE email = $1", "EXECUTE p ('a', 'b')", "wrong number of parameters"),
        ("(text) AS SELECT id FROM users WHERE email = $1", "EXECUTE p ('a' || 'b')", "only a literal"),
        ("(text) AS SELECT id FROM users WHERE email = $1", "EXECUTE p (ARRAY['a'])", "only a literal"),
        ("(text) AS SELECT id FROM users WHERE email = $1", "EXECUTE p ('{a}'::text[])", "only a literal"),
        ("(text) AS SELECT id FROM users WHERE email = $1 OR name = $1", "EXECUTE p (f())", "only a literal"),
        ("(text, int) AS SELECT 1 FROM users WHERE email = $1", "EXECUTE p ('a', nextval('s'))", "only a literal"),
        ("AS SELECT 1 FROM users WHERE email = ANY ($1)", "EXECUTE p (ARRAY['a' || 'b'])", "only a literal"),
        ("AS SELECT email FROM users", "CREATE TABLE t AS EXECUTE p", "CREATE TABLE AS"),
    ],
)
def test_refused(prepare: str, sql: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        run(sql, f"PREPARE p {prepare}")


def test_outputs_are_the_statements() -> None:
    prepare = "PREPARE p AS SELECT id, email FROM users"
    plan = run("SELECT 1; EXECUTE p", prepare)
    assert [o.name if o else None for o in plan.statements[1].outputs or ()] == [None, "email"]
    assert run("EXPLAIN EXECUTE p", prepare).statements[0].outputs is None


def test_untouched_statements_leave_it_untouched() -> None:
    plan = run("EXECUTE p ('a' || 'b'); EXECUTE q", "PREPARE p AS SELECT $1", "PREPARE q AS SELECT name FROM items")
    assert plan.is_untouched


def test_arguments_of_an_unknown_name_stay_here() -> None:
    plan = run("EXECUTE p ('a'); EXECUTE p", None, None)
    assert described(plan) == ["text: EXECUTE p  ; EXECUTE p"]


def test_settings_that_it_changes_are_known() -> None:
    change = "PREPARE s AS SELECT set_config('TimeZone', 'UTC', false)"
    assert run("EXECUTE s", change).changes_settings
    with pytest.raises(Refusal, match="not done yet"):
        run("EXECUTE s; EXECUTE p", change, "PREPARE p AS SELECT email FROM users")
