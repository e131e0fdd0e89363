"""Makes a finding smaller: the same kind of problem with fewer parts, and the plainest way to send it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from tests.conformance.shapes import Filling, Variant
from tests.fuzz.checker import Question
from tests.fuzz.tree import Tree, defined
from tests.helpers.twins import Form

Ask = Callable[[Question], str | None]
MOST_ATTEMPTS = 250


def kind_of(problem: str) -> str:
    """What two problems have in common when they are the same: their words without values."""
    return re.sub(r"b?'[^']*'|\"[^\"]*\"|\d+|\([^)]*\)", "", problem)[:40]


def shrunk(tree: Tree, question: Question, problem: str, ask: Ask) -> tuple[Question, str]:
    """The smallest question found that has the problem, and its problem. `ask` runs one from the start state."""
    wanted = kind_of(problem)
    best = replace(question, text=defined(tree.text))
    left = MOST_ATTEMPTS

    def has_it(tried: Question) -> bool:
        nonlocal left, problem
        left -= 1
        found = ask(tried)
        if found is None or kind_of(found) != wanted:
            return False
        problem = found
        return True

    if best.text != question.text and not has_it(best):
        return question, problem  # it is in the spelling
    is_better = True
    while is_better and left > 0:
        is_better = False
        for smaller in tree.smaller():
            if left <= 0:
                break
            tried = replace(best, text=defined(smaller.text))
            if tried.text != best.text and has_it(tried):
                tree, best, is_better = smaller, tried, True
                break
    for variant in (Variant(Filling.LITERAL, Form.SIMPLE), Variant(Filling.LITERAL, Form.EXTENDED)):
        tried = replace(best, variant=variant)
        if best.variant.filling is not Filling.LITERAL and has_it(tried):
            best = tried
            break
    return best, problem
