"""`python -m tests.conformance`: run the corpus; `--update` its expectations from what happens; write `--docs`.

An expectation is never made right for a wrong answer: those are listed, and
the exit status is 1.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import structlog

from tests.conformance import docs
from tests.conformance.judge import Verdict, judge
from tests.conformance.shapes import Expected, Kind, Variant, read, rewrite
from tests.helpers import servers
from tests.helpers.twins import running_twins

_SELECTORS = ("literal", "parameters", "simple", "extended", "prepared", "text", "binary")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the expectations anew, except for wrong answers")
    parser.add_argument("--docs", action="store_true", help="write docs/sql.md from the expectations")
    parser.add_argument("files", nargs="*", help="names of shape files, without .sql; by default all")
    options = parser.parse_args()
    status = 0
    if options.update or not options.docs:
        status = run(options.files, is_update=options.update)
    if options.docs:
        docs.PAGE.write_text(docs.page())
    return status


def run(files: list[str], *, is_update: bool) -> int:
    """Run the shapes, say what is not as expected, and maybe write what happened."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    shapes = [shape for shape in read() if not files or shape.path.stem in files]
    flavour = servers.chosen_flavour()
    wrong = unexpected = cases = 0
    with (
        servers.running(flavour) as server,
        servers.running(flavour) as plain_server,
        tempfile.TemporaryDirectory() as folder,
        running_twins(server, plain_server, Path(folder)) as twins,
    ):
        for shape in shapes:
            if server.major_version < shape.min_version:
                continue
            verdicts = {variant: judge(twins, shape, variant) for variant in shape.variants()}
            cases += len(verdicts)
            problems = {v: verdict.problem for v, verdict in verdicts.items() if verdict.problem is not None}
            wrong += len(problems)
            for variant, problem in problems.items():
                print(f"WRONG {shape}-{variant}: {shape.text}\n    {problem}")
            if problems:
                continue
            missed = {v: verdict for v, verdict in verdicts.items() if not verdict.fits(shape.expected_of(v))}
            unexpected += len(missed)
            if missed:
                made = lines_for(verdicts)
                print(f"{shape}: {shape.text}\n    " + "\n    ".join(map(str, made)))
                shape.expected = made
    if is_update:
        for path in {shape.path for shape in shapes}:
            rewrite(path, [shape for shape in shapes if shape.path == path])
    print(f"{len(shapes)} shapes, {cases} cases: {wrong} wrong, {unexpected} not as expected")
    return 1 if wrong or (unexpected and not is_update) else 0


def lines_for(verdicts: Mapping[Variant, Verdict]) -> list[Expected]:
    """Expectations that fit all verdicts: what is most frequent, then what differs from it."""
    outcomes = {variant: (verdict.kind, verdict.words) for variant, verdict in verdicts.items()}
    (usual, _), *_ = Counter(outcomes.values()).most_common()
    lines = [_line(usual, ())]
    left = {variant for variant, outcome in outcomes.items() if outcome != usual}
    choices = [(word,) for word in _SELECTORS] + list(combinations(_SELECTORS, 2))
    while left:
        for selector in choices:
            chosen = {variant for variant in outcomes if variant.words.issuperset(selector)}
            found = {outcomes[variant] for variant in chosen}
            if chosen & left and len(found) == 1:
                lines.append(_line(found.pop(), selector))
                left -= chosen
                break
    return lines


def _line(outcome: tuple[Kind, str], selector: tuple[str, ...]) -> Expected:
    return Expected(outcome[0], outcome[1], selector)


if __name__ == "__main__":
    sys.exit(main())
