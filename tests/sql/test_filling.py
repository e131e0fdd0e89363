"""What compiled code is told of a template makes of another text what the planner makes of it."""

from __future__ import annotations

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from pgcrypt_proxy.sql.filling import Copied, Made, Part, filling
from pgcrypt_proxy.sql.fingerprint import fingerprint
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan
from pgcrypt_proxy.sql.planner import Planner
from tests.sql.sample import sample_catalog
from tests.sql.test_template import CORPUS, DELICATE, varied


def filled(parts: tuple[Part, ...], sql: str) -> list[str | None]:
    """The text that the parts make, with values where sealed ones will be."""
    found = fingerprint(sql)
    assert found is not None
    ends = [0, *(len(sql[: literal.end].encode()) for literal in found.literals)]
    made: list[str | None] = [""]
    for part in parts:
        if isinstance(part, Made):
            value = found.literals[part.literal].value
            made += ["-" + value if part.is_negative and value != "0" else value, ""]
        elif isinstance(part, LiteralSlot):
            made += [None, ""]
        else:
            if isinstance(part, Copied):
                start, end = (ends[place.literal] + place.offset for place in part)
                text = sql.encode()[start:end].decode()
            else:
                text = part
            made[-1] = (made[-1] or "") + text
    return made


def planned(plan: Plan, sql: str) -> list[str | None]:
    made: list[str | None] = [""]
    for piece in plan.pieces or (sql,):
        if isinstance(piece, str):
            made[-1] = (made[-1] or "") + piece
        else:
            made += [piece.text, ""]
    return made


@given(st.one_of(st.sampled_from(DELICATE), st.sampled_from(CORPUS)), st.data())
def test_another_text_is_rewritten_as_in_full(sql: str, draw: st.DataObject) -> None:
    planner = Planner(sample_catalog())
    texts = [varied(sql, draw, 1.0) for _ in range(4)]
    for text in texts:
        planner.plan(text, extended=False)
    found = planner.template(texts[-1])
    assume(found is not None)
    assert found is not None
    key, template = found
    made = filling(template, texts[-1])
    event("can be told" if made is not None else "is Python's")
    if made is None:
        assert any(s.at not in template.sources for s in template.plan.pieces if isinstance(s, LiteralSlot))
        return
    for text in texts[:-1]:
        other = fingerprint(text)
        assert other is not None
        same = zip(made.same, other.literals, strict=True) if other.key == key else [(b"", other.literals[0])]
        if all(own in (None, literal.written.encode()) for own, literal in same):
            plan = Planner(sample_catalog()).plan(text, extended=False)
            assert isinstance(plan, Plan)
            assert filled(made.parts, text) == planned(plan, text)


def test_a_value_that_stands_in_no_literal_is_python_s() -> None:
    planner = Planner(sample_catalog())
    for value in "abc":
        planner.plan(f"INSERT INTO users (id, email, ssn) VALUES (1, '{value}', E'x')", extended=False)
    found = planner.template("INSERT INTO users (id, email, ssn) VALUES (1, 'd', E'x')")
    assert found is not None
    assert filling(found[1], "INSERT INTO users (id, email, ssn) VALUES (1, 'd', E'x')") is None


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT name FROM items WHERE name = $$x$$"])
def test_texts_of_no_template(sql: str) -> None:
    assert Planner(sample_catalog()).template(sql) is None
