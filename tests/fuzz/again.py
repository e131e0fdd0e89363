"""The same statement with other values, several times in a row: what was learned of one must be true of the others."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace

from tests.conformance.shapes import Filling, Variant
from tests.fuzz.mutate import another_value, tree_of
from tests.fuzz.samples import Sample
from tests.fuzz.spelling import TOKEN
from tests.helpers.twins import Form

#: A text is known from the second time on, and its answer from the first that was seen.
TIMES = 6
_NUMBER = re.compile(r"\d{1,4}\Z")
#: Where another number would let chance decide.
_CHANCE = re.compile(r"\b(tablesample|limit|fetch|offset)\b", re.IGNORECASE)
_SQL = Variant(Filling.LITERAL, Form.SIMPLE)


def again(sample: Sample, seed: int) -> Iterator[Sample]:
    """TIMES samples that differ from `sample` in values only, all sent as texts that carry them."""
    rng = random.Random(seed)
    tokens = TOKEN.findall(sample.question.text)
    may_count = not _CHANCE.search(sample.question.text)
    for number in range(TIMES):
        others = [_other(token, rng, may_count=may_count) for token in tokens]
        tree, question = tree_of(others), replace(sample.question, text="".join(others), variant=_SQL)
        tags = frozenset({"other values"})
        yield Sample(f"{sample.name}, with other values {number}", tree, question, tags, sample.is_touching)


def _other(token: str, rng: random.Random, *, may_count: bool) -> str:
    """Another value in place of one: of a hole nearly always, of any other number now and then."""
    value = another_value(token, rng, is_odd=True)
    if value is not None:
        return value
    if may_count and _NUMBER.match(token) and rng.random() < 0.3:
        return rng.choice(("0", "1", "2", "3", "7", "100", "-1", "2147483648", "1.5"))
    return token
