"""Runs one variant of a shape on the twins and says what the answer was, and whether anything is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tests.conformance.shapes import Expected, Filling, Kind, Shape, Variant, filled
from tests.helpers.twins import Outcome, Twins

#: What every connection must still answer after a refusal.
_PROBE = "SELECT id, email FROM public.users WHERE email = 'planted-ann@x'"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problem` is what no expectation can make right: a wrong answer, a leak, or a wrong state. None when all is well.

    Otherwise `kind` is what happened and `words` its SQLSTATE or the refusal's message.
    """

    kind: Kind
    words: str = ""
    problem: str | None = None

    def fits(self, expected: Expected | None) -> bool:
        """Whether this is what was expected."""
        if expected is None or expected.kind is not self.kind:
            return False
        return expected.words in self.words if self.kind is Kind.REFUSED else expected.words == self.words


def judge(twins: Twins, shape: Shape, variant: Variant) -> Verdict:
    """Run it. Both databases are back in their start state afterwards."""
    try:
        verdict = _answered(twins, shape, variant)
        twins.settle()
        if verdict.kind is Kind.REFUSED or verdict.problem is not None or twins.mark() == twins.start:
            return verdict
        problems = twins.check_state()
        return replace(verdict, problem="; ".join(problems)) if problems else verdict
    finally:
        twins.settle()
        if twins.mark() != twins.start:
            twins.reset()


def _answered(twins: Twins, shape: Shape, variant: Variant) -> Verdict:
    kind, words = Kind.SAME, ""
    before = twins.start[0]
    for number, step in enumerate(shape.steps):
        sql, values = filled(step, variant)
        if number:
            before = twins.stored_mark()
        is_binary = variant.filling is Filling.BINARY
        through, plain = twins.run(sql, values, form=variant.form, is_result_binary=is_binary)
        difference = twins.compare(through, plain, is_ordered=is_ordered(step), sql=sql)
        if difference is not None:
            return Verdict(kind, problem=difference)
        refusal = _refusal(through)
        if refusal is not None and not (refusal.sqlstate == plain.sqlstate == "42P01"):  # there is no such table
            return Verdict(Kind.REFUSED, refusal.message, _after_refusal(twins, before))
        first = (*through.before, through)[0]
        if first.sqlstate is not None:
            kind, words = Kind.ERROR, first.sqlstate
    return Verdict(kind, words)


def _refusal(outcome: Outcome) -> Outcome | None:
    return next((one for one in (*outcome.before, outcome) if one.is_refusal), None)


def _after_refusal(twins: Twins, before: object) -> str | None:
    """A refused statement has changed nothing, and its connection works on."""
    if not twins.through.is_idle:
        twins.through.simple("ROLLBACK")
    twins.through.simple("RESET ALL")
    probe = twins.through.simple(_PROBE)
    if probe.sqlstate is not None:
        return f"the connection is of no use after a refusal: {probe.sqlstate} {probe.message}"
    if twins.stored_mark() != before:
        return "the refused statement has changed something"
    return None


def is_ordered(sql: str) -> bool:
    """Whether the outermost SELECT says ORDER BY."""
    depth = 0
    for token in re.finditer(r"'(?:[^']|'')*'|[()]|\border\s+by\b", sql, re.IGNORECASE):
        if token[0] == "(":
            depth += 1
        elif token[0] == ")":
            depth -= 1
        elif depth == 0 and token[0][0] in "oO":
            return True
    return False
