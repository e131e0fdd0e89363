"""`python -m tests.fuzz --minutes N`: ask twins made-up statements; every difference is a finding.

Prints progress, each finding made small with the seed that gives it again, and
the shares of what was accepted, refused and in error, by construct. The exit
status is 1 when there is a finding.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import structlog

from tests.conformance.shapes import Kind
from tests.fuzz.again import again
from tests.fuzz.checker import Answer, Checker, Question
from tests.fuzz.mutate import from_corpus
from tests.fuzz.samples import Sample, from_grammar
from tests.fuzz.shrink import kind_of, shrunk
from tests.fuzz.smith import from_sqlsmith
from tests.fuzz.smith import why_not as smith_missing
from tests.fuzz.tally import Tally
from tests.fuzz.twin_servers import fuzzed_twins
from tests.helpers.twins import Form, Twins

PROGRESS_S = 30.0
#: Of findings that look alike, so many are made small; the others are counted.
ALIKE = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; by default any")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with servers of its own")
    parser.add_argument("--source", choices=("all", "grammar", "corpus", "sqlsmith"), default="all")
    parser.add_argument("--only", type=int, default=None, metavar="SEED", help="ask this seed's statement only")
    parser.add_argument("--sqlsmith", action="store_true", help="ask what sqlsmith makes up, too")
    parser.add_argument("--details", action="store_true", help="say the shares of every construct at the end")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    if options.jobs > 1:
        return _in_processes(options, seed)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        twins = stack.enter_context(fuzzed_twins(Path(folder)))
        run = Run(twins)
        run.all(_samples(options, seed, twins), 60 * options.minutes)
        print(*[run.tally.details()] * options.details, run.tally.summary(), sep="\n", flush=True)
    print(f"seed {seed}: {run.tally.statements} statements, {len(run.findings)} findings")
    return 1 if run.findings else 0


def _samples(options: argparse.Namespace, seed: int, twins: Twins) -> Iterator[Sample]:
    """The statements of all chosen sources, in turn."""
    if options.only is not None:
        made = {"grammar": from_grammar, "corpus": from_corpus}[options.source](options.only)
        yield from [made] if made is not None else []
        return
    smith: Iterator[Sample] = iter(())
    if options.sqlsmith:
        reason = smith_missing()
        if reason is not None:
            print(f"skipped: {reason}")
        else:
            smith = from_sqlsmith(twins._plain_dsn, seed % 10**6)
    for number in itertools.count(seed):
        if options.source in ("all", "grammar"):
            yield from_grammar(number)
        if options.source == "corpus" or (options.source == "all" and number % 3 == 0):
            sample = from_corpus(number)
            if sample is not None:
                yield sample
        if options.source == "sqlsmith" or number % 4 == 0:
            yield from itertools.islice(smith, 1)


class Run:
    """Asks samples until the time is over; keeps what was found."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.checker = Checker(twins)
        self.tally = Tally()
        self.findings: Counter[str] = Counter()

    def all(self, samples: Iterator[Sample], seconds: float) -> None:
        begun = told = time.monotonic()
        for sample in samples:
            self._ask(sample)
            now = time.monotonic()
            if now - told > PROGRESS_S:
                rate = self.tally.statements / (now - begun)
                print(f"{now - begun:.0f} s, {rate:.0f}/s\n{self.tally.summary()}", flush=True)
                told = now
            if now - begun > seconds:
                break
        self.checker.close()

    def _ask(self, sample: Sample) -> None:
        answer = self._told(sample)
        variant = sample.question.variant
        if answer.problem is None and answer.verdict.kind is Kind.SAME and variant.form is Form.SIMPLE:
            for other in again(sample, self.tally.statements):
                self._told(other)

    def _told(self, sample: Sample) -> Answer:
        answer = self.checker.ask(sample.question)
        self.tally.add(sample, answer)
        if answer.problem is not None:
            self._found(sample, answer.problem)
        return answer

    def _found(self, sample: Sample, problem: str) -> None:
        kind = kind_of(problem)
        self.findings[kind] += 1
        if self.findings[kind] > ALIKE:
            return
        if self._judged(sample.question) is None:
            print(
                f"FOUND {sample.name} (only behind other statements): {sample.question.text}\n    {problem}", flush=True
            )
            return
        question, problem = shrunk(sample.tree, sample.question, problem, self._judged)
        print(f"FOUND {sample.name}, {question.variant}:\n{question.text}\n    {problem[:600]}", flush=True)

    def _judged(self, question: Question) -> str | None:
        """The problem from the true start state, if it is there."""
        return self.checker.ask(question).problem


def _in_processes(options: argparse.Namespace, seed: int) -> int:
    """The same with other seeds in several processes."""
    arguments = [sys.executable, "-m", "tests.fuzz", "--minutes", str(options.minutes), "--source", options.source]
    arguments += ["--sqlsmith"] * options.sqlsmith
    runs = [subprocess.Popen([*arguments, "--seed", str(seed + n * 10**7)]) for n in range(options.jobs)]
    return max(run.wait() for run in runs)


if __name__ == "__main__":
    sys.exit(main())
