"""Where statements come from: each source makes samples, one from each seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.conformance.shapes import Filling, Variant
from tests.fuzz.checker import Question
from tests.fuzz.spelling import spelled
from tests.fuzz.statements import Generator
from tests.fuzz.tree import Tree, defined
from tests.helpers.twins import Form

#: Odd spellings make grammar harder to see through, so most statements are spelled plainly.
SPELLED = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """A question, the tree it was written from, and what it holds. `name` finds it again."""

    name: str
    tree: Tree
    question: Question
    tags: frozenset[str]
    is_touching: bool


def from_grammar(seed: int) -> Sample:
    """The grammar's statement of a seed."""
    made = Generator(seed).statement()
    rng = random.Random(seed + 1)
    variant = any_variant(rng, made.node.text)
    text = defined(made.node.text)
    tags = set(made.tags)
    if rng.random() < SPELLED:
        tags.add("odd spelling")
        text = spelled(text, seed)
    tags |= {f"sent {variant}"}
    question = Question(text, variant, made.is_ordered, made.is_write, made.is_loose)
    return Sample(f"grammar {seed}", made.node, question, frozenset(tags), made.is_touching)


def any_variant(rng: random.Random, text: str) -> Variant:
    """How to send `text`: steps one by one and not twice, several statements in one Query."""
    has_steps = ";\n" in text
    if not has_steps and ";" in text.replace("';'", ""):
        return Variant(Filling.LITERAL, Form.SIMPLE)
    forms = [Form.SIMPLE, Form.EXTENDED] + [Form.PREPARED] * (not has_steps)
    filling = rng.choice(list(Filling))
    if "PREPARE p" in text or "DECLARE c" in text:
        filling = Filling.LITERAL
    if filling is not Filling.LITERAL:
        forms.remove(Form.SIMPLE)
    return Variant(filling, rng.choice(forms))
