"""A plan made from a template is the plan that the text gets in full."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgcrypt_proxy.sql import planner as planner_module
from pgcrypt_proxy.sql.fingerprint import fingerprint
from pgcrypt_proxy.sql.plan import LiteralSlot, NeedsNames, Plan
from pgcrypt_proxy.sql.planner import Planner
from tests.conformance.shapes import read
from tests.sql.sample import described, sample_catalog
from tests.sql.test_cases import CASE_LIST

HOLE = re.compile(r"\{\w+:((?:'(?:[^']|'')*'|[^'{}])*)\}")
#: Every text of the golden cases and of the conformance corpus, its holes filled, that has a fingerprint.
CORPUS = sorted(
    sql
    for sql in {
        *(case[1] for case in CASE_LIST),
        *(HOLE.sub(r"\1", step) for shape in read() for step in shape.steps),
    }
    if fingerprint(sql) is not None
)
#: Texts in which it matters what a literal is.
DELICATE = sorted(
    {
        "SELECT email, id, name FROM users ORDER BY 2, 'x'",
        "SELECT id, email, name FROM users ORDER BY 1",
        "SELECT id, email, count(*) FROM users GROUP BY 1, 2 ORDER BY 1",
        "SELECT DISTINCT ON (1) id, email FROM users ORDER BY 1",
        "SELECT id FROM users WHERE email = 'a' AND id IN (1, -2, - 3) AND name = 'b' LIMIT 10 OFFSET 5",
        "SELECT email, count(*) FROM users GROUP BY 1 HAVING count(*) > 3",
        "SELECT DISTINCT email, 'x' FROM users",
        "SELECT coalesce(email, 'x'), count(*) FROM users GROUP BY coalesce(email, 'x')",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v (id, e) JOIN users u ON u.email = v.e",
        "INSERT INTO users (id, email, ssn, name) VALUES (1, 'a', 'b', 'c'), (-2, NULL, E'x', 'd')",
        "INSERT INTO people (born) VALUES (date '2020-01-01'), (CAST('2020-01-02' AS date)), (('2020-01-03')::date)",
        "SELECT 'a'\n'b' FROM users WHERE email = 'c'\n'd'",
        "SELECT id FROM users WHERE email = 'a'::varchar(3) AND name = 'b'::varchar(4)",
        "SELECT nullif(email, 'a') FROM users WHERE email = ANY (ARRAY['b', 'c'])",
        "SELECT id FROM users WHERE email = ANY ('{a,b}') AND id = 3; SELECT 4; UPDATE users SET email = 'ü'",
        "SELECT interval '1 day' second (3), date '2020-01-01', 1.5, -1.5 FROM users WHERE email = 'a'",
        "SELECT id FROM accounts WHERE handle ILIKE 'abc' AND lower(alias) = 'def'",
    }
)  # fmt: skip

strings = st.sampled_from(["a", "", "it's", "users", "email", "\\", "%", "é\N{GRINNING FACE}", "b" * 40, "1", "--"])
integers = st.sampled_from(["0", "1", "2", "3", "7", "10", "007", "999999999", "65536"])
decimals = st.sampled_from(["0.0", "1.5", "10.50", "00.1", "12345.6789"])
LITERALS = {"s": strings.map(lambda s: "'" + s.replace("'", "''") + "'"), "i": integers, "d": decimals}


def varied(sql: str, draw: st.DataObject, changes: float) -> str:
    found = fingerprint(sql)
    assert found is not None
    made, at = "", 0
    choose = random.Random(draw.draw(st.integers(0, 1 << 32)))
    for literal in found.literals:
        other = draw.draw(LITERALS[literal.kind]) if choose.random() < changes else literal.written
        made += sql[at : literal.start] + other
        at = literal.end
    return made + sql[at:]


def is_same(one: Plan | NeedsNames, other: Plan | NeedsNames) -> bool:
    """Refusals are objects of their own each time, so refused plans are compared as text."""
    if isinstance(one, Plan) and one.refusal is not None:
        return described(one) == described(other)
    return one == other


@settings(max_examples=6 * settings.default.max_examples)
@given(st.one_of(st.sampled_from(DELICATE), st.sampled_from(CORPUS)), st.booleans(), st.data())
def test_plans_are_those_of_a_planner_without_templates(sql: str, extended: bool, draw: st.DataObject) -> None:
    catalog = sample_catalog()
    planner = Planner(catalog)
    for number in range(6):
        text = varied(sql, draw, 1.0 if number < 2 else 0.5)
        plan = planner.plan(text, extended=extended)
        assert is_same(plan, Planner(catalog).plan(text, extended=extended)), text
        if isinstance(plan, Plan) and plan.pieces and plan.refusal is None:
            for slot in plan.pieces:
                if isinstance(slot, LiteralSlot) and slot.at >= 0 and text[slot.at] == "'":
                    assert slot.text is not None
                    assert text.startswith("'" + slot.text.replace("'", "''"), slot.at) or re.search(r"\n\s*'", text)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, email FROM users WHERE email = 'v0'",
        "SELECT id FROM items WHERE name = 'v0' AND id = 40",
        "INSERT INTO users (id, email, name) VALUES (40, 'v0', 'v0')",
        "UPDATE users SET email = 'v0', name = 'v0' WHERE id = 40",
        "SELECT u.id FROM users u JOIN orders o ON o.contact = u.email WHERE o.note = 'v0' ORDER BY 1 LIMIT 40",
        "BEGIN; DELETE FROM users WHERE email IN ('v0', 'x', E'y'); COMMIT",
    ],
)
def test_the_third_text_is_not_parsed(sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner(sample_catalog())
    texts = [sql.replace("v0", f"value {n}").replace("40", str(40 + n)) for n in range(4)]
    expected = [Planner(sample_catalog()).plan(text, extended=False) for text in texts]
    made = [planner.plan(text, extended=False) for text in texts[:2]]
    monkeypatch.setattr(planner_module, "parse", None)
    made += [planner.plan(text, extended=False) for text in texts[2:]]
    assert made == expected


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT id, name FROM users WHERE name = 'x' ORDER BY {}", "12"),  # an output's number
        ("SELECT id, name FROM users WHERE email = 'x'::varchar({})", "12"),  # a type modifier
    ],
)
def test_a_number_that_matters_belongs_to_the_key(sql: str, values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner(sample_catalog())
    for value in values:
        for name in "xyz":
            planner.plan(sql.format(value).replace("'x'", f"'{name}'"), extended=False)
    texts = [sql.format(value).replace("'x'", "'w'") for value in values]
    expected = [Planner(sample_catalog()).plan(text, extended=False) for text in texts]
    monkeypatch.setattr(planner_module, "parse", None)
    assert [planner.plan(text, extended=False) for text in texts] == expected
    with pytest.raises(TypeError):
        planner.plan(sql.format(3), extended=False)


def test_a_literal_that_was_never_another_is_not_trusted() -> None:
    """Only what was foretold once may vary."""
    planner = Planner(sample_catalog())
    for text in ("SELECT 'a', 'b' FROM items", "SELECT 'c', 'b' FROM items"):
        planner.plan(text, extended=False)
    (known,) = [entry for entry, _ in planner.templates._entries.values() if not isinstance(entry, frozenset)]
    assert known.varied == {0}


def test_constants_that_may_have_to_be_equal_give_no_template() -> None:
    planner = Planner(sample_catalog())
    planner.plan("SELECT name || 'x' FROM items GROUP BY name || 'x'", extended=False)
    assert len(planner.templates) == 0


def test_longer_literals_move_positions() -> None:
    planner = Planner(sample_catalog())
    for value in ("a", "bb", "c" * 30):
        text = f"SELECT '{value}', id FROM users WHERE email = '{value}' AND name = '{value}'"
        plan = planner.plan(text, extended=False)
    assert isinstance(plan, Plan)
    (slot,) = [piece for piece in plan.pieces if isinstance(piece, LiteralSlot)]
    assert text[slot.position - 1 :].startswith("'ccc")
    assert slot.at == slot.position - 1
