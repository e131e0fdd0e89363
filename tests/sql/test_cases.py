"""The golden cases: SQL in, plan out, both in plain text (cases/*.sql).

A case is SQL up to a line of `;;`, then lines that begin with `--> `: the plan
as `sample.described` writes it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcrypt_proxy.sql.plan import LiteralSlot, Plan
from pgcrypt_proxy.sql.planner import Planner
from tests.sql.sample import described, sample_catalog

CASES = Path(__file__).parent / "cases"


def read_cases() -> list[tuple[str, str, list[str]]]:
    cases = []
    for path in sorted(CASES.glob("*.sql")):
        sql: list[str] = []
        expected: list[str] = []
        for number, line in enumerate([*path.read_text().splitlines(), ""], 1):
            if line.startswith("--> "):
                expected.append(line.removeprefix("--> "))
            elif expected:
                cases.append((f"{path.stem}:{number - len(expected) - 1}", "\n".join(sql), expected))
                sql, expected = ([line] if line else []), []
            elif line or sql:
                sql.append(line)
    return cases


CASE_LIST = read_cases()


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(sample_catalog())


@pytest.mark.parametrize(("sql", "expected"), [c[1:] for c in CASE_LIST], ids=[c[0] for c in CASE_LIST])
def test_plan(planner: Planner, sql: str, expected: list[str]) -> None:
    plan = planner.plan(sql, extended=False)
    assert described(plan) == expected
    if isinstance(plan, Plan) and plan.pieces:
        # what was sealed stands nowhere in the text that goes to the server
        text = "".join(p for p in plan.pieces if isinstance(p, str))
        for slot in plan.pieces:
            if isinstance(slot, LiteralSlot) and slot.text is not None and len(slot.text) > 3:
                assert slot.text not in text


def test_there_are_cases() -> None:
    assert len(CASE_LIST) > 100
