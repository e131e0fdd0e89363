"""The planner alone on any text: it never raises, never lets a protected name pass unread, and keeps values out.

Texts are the golden cases and the conformance corpus with tokens changed, SQL
words in any order, any characters, and deep nesting.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from pgcrypt_proxy.sql.parse import Unparsable, parse
from pgcrypt_proxy.sql.plan import LiteralSlot, NeedsNames, Plan, Use
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT, Planner
from tests.conformance.shapes import Filling, Variant, filled, read
from tests.helpers.twins import Form
from tests.sql.sample import sample_catalog
from tests.sql.test_cases import CASE_LIST

PLANNER = Planner(sample_catalog(), max_cached_plans=1)
LITERAL = Variant(Filling.LITERAL, Form.SIMPLE)
SQL = [case[1] for case in CASE_LIST] + [filled(step, LITERAL)[0] for shape in read() for step in shape.steps]
TOKEN = re.compile(r"(?:[eEuU]&?)?'(?:[^']|'')*'|\"[^\"]*\"|\$\w*\$?|[\w.]+|\s+|.", re.DOTALL)
#: Names of protected tables of the sample catalog.
PROTECTED = re.compile(r"users|orders|people|accounts|late\b|v_users|future", re.IGNORECASE)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """SQL with some of its tokens lost, doubled, swapped, or taken from other SQL."""
    tokens = TOKEN.findall(draw(st.sampled_from(SQL)))
    others = TOKEN.findall(draw(st.sampled_from(SQL)))
    rng = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(0, 6))):
        at = rng.randrange(len(tokens)) if tokens else 0
        match rng.randrange(4):
            case 0:
                del tokens[at : at + 1]
            case 1:
                tokens[at:at] = tokens[at : at + 1]
            case 2:
                tokens[at : at + 1] = [rng.choice(others)]
            case _:
                start = rng.randrange(len(others))
                tokens[at:at] = others[start : start + 5]
    return "".join(tokens)


WORDS = st.sampled_from([token for sql in SQL for token in TOKEN.findall(sql)])
TEXTS = st.one_of(mutated(), mutated(), st.lists(WORDS, max_size=30).map(" ".join), st.text(max_size=200))
#: Expressions around something, opened and closed.
NESTS = (("(", ")"), ("NOT (", ")"), ("COALESCE(email, ", ")"), ("(SELECT ", ")"), ("CASE WHEN true THEN ", " END"))


def planned(sql: str, *, extended: bool = False) -> Plan | None:
    """The plan; None when the server must be asked for a name."""
    made = PLANNER.plan(sql, extended=extended)
    return None if isinstance(made, NeedsNames) else made


def check(sql: str) -> None:
    """All that holds for every text."""
    for extended in (False, True):
        plan = planned(sql, extended=extended)
        if plan is None:
            continue
        try:
            count = len(parse(sql).statements)
        except Unparsable:
            assert plan.is_untouched or plan.refusal is not None
            assert plan.refusal is not None or not PROTECTED.search(sql)
            continue
        if plan.is_untouched:
            assert not plan.pieces
            assert not any(statement.outputs and any(statement.outputs) for statement in plan.statements)
            continue
        check_rewritten(sql, plan, 1 if plan.refusal is not None and len(plan.statements) == 1 else count)


def check_rewritten(sql: str, plan: Plan, count: int) -> None:
    """The rewritten text has as many statements, and no literal that is to be sealed is still in it."""
    text = "".join(piece if isinstance(piece, str) else "E'\\\\x00'::pg_catalog.bytea" for piece in plan.pieces)
    if plan.pieces:
        assert len(parse(text).statements) == count, text
    for piece in plan.pieces:
        if isinstance(piece, LiteralSlot):
            assert piece.use is not Use.PASS
            assert repr(piece) == repr(replace(piece, text=None))
            written = sql[piece.position - 1 :]
            assert not any(written.startswith(kept) and len(kept) > 3 for kept in plan.pieces if isinstance(kept, str))
    for statement in plan.statements:
        if statement.refusal is not None and count == 1:
            assert text.strip() in ("", REFUSED_STATEMENT)
    for number, use in enumerate(plan.parameters, 1):
        if use.use is Use.PASS:  # it is not edited, so it must keep its number
            assert use.client_index == number - 1


@given(TEXTS)
@example('U&"\\0075sers" no sql')
@example("SELECT 1; SELECT email FROM users WHERE email = 'x'; not sql")
def test_any_text(sql: str) -> None:
    check(sql)


@given(st.integers(1, 60), st.sampled_from(NESTS), st.sampled_from(["email", "'alpha@x'", "$1", "id"]))
def test_nesting(depth: int, nest: tuple[str, str], inner: str) -> None:
    check(f"SELECT {nest[0] * depth}{inner}{nest[1] * depth} FROM users")
    check(f"SELECT id FROM users WHERE email = {nest[0] * depth}{inner}{nest[1] * depth}")


@pytest.mark.parametrize("depth", [200, 1000, 5000, 50_000])
def test_nesting_without_end(depth: int) -> None:
    for opened, closed in NESTS:
        check(f"SELECT id FROM users WHERE email = {opened * depth}'x'{closed * depth}")


@pytest.mark.parametrize("number", range(3))
def test_marked_literals_do_not_survive(number: int) -> None:
    """Every literal of a golden case that is sealed or made a term is gone from the text that is sent."""
    cases = [sql for sql in SQL if "'" in sql][number::3]
    slots = 0
    for sql in cases:
        marks: list[str] = []

        def mark(match: re.Match[str], marks: list[str] = marks) -> str:
            marks.append(f"mark{len(marks)}q")
            return f"'{marks[-1]}'"

        marked = re.sub(r"(?<![eE&])'[a-z][^'\\]*'", mark, sql)
        plan = planned(marked)
        if plan is None or plan.is_untouched:
            continue
        kept = "".join(piece for piece in plan.pieces if isinstance(piece, str))
        for piece in plan.pieces:
            if isinstance(piece, LiteralSlot) and piece.text in marks:
                slots += 1
                assert piece.text not in kept
    assert slots > 20
