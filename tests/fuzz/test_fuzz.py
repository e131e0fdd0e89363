"""A fixed part of what the fuzzer asks, and everything that it has found. `make fuzz` asks on, with other seeds."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.conformance.judge import judge
from tests.conformance.shapes import Kind, Shape, Variant, read_file
from tests.fuzz.checker import Checker
from tests.fuzz.mutate import from_corpus
from tests.fuzz.samples import from_grammar
from tests.fuzz.shrink import shrunk
from tests.fuzz.spelling import spelled
from tests.fuzz.statements import Generator
from tests.fuzz.tally import Tally
from tests.fuzz.tree import Tree, defined, listed, optional, tree
from tests.helpers.leaks import PLANTED
from tests.helpers.twins import Twins

GRAMMAR_SEEDS, CORPUS_SEEDS = 320, 90
REGRESSIONS = read_file(Path(__file__).parent / "regressions.sql")
CASES = [(shape, variant) for shape in REGRESSIONS for variant in shape.variants()]
#: Of these the value itself is asked for in a plain place, so it goes to the server.
GIVEN_AWAY = ("SELECT id, {email", "INSERT INTO users (email, name)")

integration = pytest.mark.integration


@integration
def test_made_up_statements(checker: Checker) -> None:
    tally = Tally()
    for seed in range(GRAMMAR_SEEDS):
        sample = from_grammar(seed)
        answer = checker.ask(sample.question)
        tally.add(sample, answer)
        assert answer.problem is None, f"{sample.name}: {sample.question.text}"
    for seed in range(CORPUS_SEEDS):
        changed = from_corpus(seed)
        if changed is not None:
            answer = checker.ask(changed.question)
            assert answer.problem is None, f"{changed.name}: {changed.question.text}"
    counts = tally.outcomes["grammar"]
    assert counts["accepted and touching"] > 0.35 * counts["statements"]
    assert counts["with rows"] > 0.15 * counts["statements"]


@integration
@pytest.mark.parametrize(("shape", "variant"), CASES, ids=[f"{shape}-{variant}" for shape, variant in CASES])
def test_regression(twins: Twins, shape: Shape, variant: Variant) -> None:
    log = twins.database.server.log_path
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        verdict = judge(twins, shape, variant)
        logged = file.read()
    assert verdict.problem is None, shape.text
    expected = shape.expected_of(variant)
    assert verdict.fits(expected), f"{shape.text}\n{verdict.kind.value}: {verdict.words}\nexpected {expected}"
    if not shape.text.startswith(GIVEN_AWAY):
        assert PLANTED.encode() not in logged


@integration
def test_a_leak_is_found_and_made_small(checker: Checker) -> None:
    """The checker sees what is wrong: here a plain value that the question says to belong to no plain place."""
    sample = next(
        s for s in map(from_grammar, range(10**6)) if not s.question.is_loose and s.question.is_write is False
    )
    direct = checker.twins.database.server
    with direct.connect(checker.twins.database.name) as connection:
        connection.execute("SELECT 'planted-by-hand'")
    assert checker.ask(sample.question).problem == "a planted value is in the server's log"
    assert checker.ask(sample.question).problem is None


@integration
def test_a_wrong_state_is_found(checker: Checker) -> None:
    """A row that only one of the twins has."""
    with checker.twins.database.direct() as connection:
        connection.execute("UPDATE public.contacts SET label = 'wrong' WHERE id = 1")
    sample = next(s for s in map(from_grammar, range(10**6)) if s.question.is_write)
    problem = checker.ask(sample.question).problem
    assert problem is not None
    assert "public.contacts" in problem
    assert checker.ask(sample.question).problem is None


def test_a_seed_makes_one_statement() -> None:
    assert [from_grammar(seed).question for seed in range(50)] == [from_grammar(seed).question for seed in range(50)]
    assert [from_corpus(seed) is None for seed in range(50)] == [from_corpus(seed) is None for seed in range(50)]
    assert len({from_grammar(seed).question.text for seed in range(50)}) > 45


def test_every_construct_is_made() -> None:
    tags = set().union(*(Generator(seed).statement().tags for seed in range(3000)))
    for tag in ("LATERAL", "WITH RECURSIVE sealed", "MERGE", "CURSOR", "PREPARE", "EXPLAIN", "SAVEPOINT", "unnest",
                "DISTINCT ON", "PARTITION BY sealed", "UNION ALL", "data-modifying CTE", "USING sealed", "FULL JOIN",
                "SET (a, b) = (SELECT)", "sealed IN (subquery)", "cte like a table", "FOR UPDATE"):  # fmt: skip
        assert tag in tags


def test_shrinking_keeps_the_problem() -> None:
    whole = tree("query", "SELECT", listed(["a", "b", "bad"]), optional("WHERE", tree("c", "x", optional("AND y"))))
    question = from_grammar(0).question
    small, problem = shrunk(whole, question, "bad 1", lambda q: "bad 2" if "bad" in q.text else None)
    assert small.text == "SELECT a , bad"
    assert problem == "bad 2"


def test_a_tree_in_place_of_one_around_it() -> None:
    inner = Tree("c", ("x",))
    assert "x" in [each.text for each in Tree("c", ("NOT", inner)).smaller()]


def test_holes_keep_their_first_literal() -> None:
    assert defined("{n1} {n1:5} {n2};\n{n1}") == "{n1:5} {n1} NULL;\n{n1:5}"


def test_spelling_keeps_values_and_steps() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = spelled("SELECT email FROM users WHERE email = {email:'planted it''s'} ;\nCOMMIT", rng.randrange(10**6))
        assert "{email:'planted it''s'}" in text
        assert ";\n" in text


def test_expectations_say_something() -> None:
    kinds = [expected.kind for shape in REGRESSIONS for expected in shape.expected]
    assert kinds.count(Kind.REFUSED) < len(kinds) // 2
