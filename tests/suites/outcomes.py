"""What became of each test, from JUnit XML, and what two runs differ in."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

PASSED, SKIPPED, FAILED, MISSING = "passed", "skipped", "failed", "missing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`kind` is one of the above; `message` says why it did not pass."""

    kind: str
    message: str = ""


Outcomes = Mapping[str, Outcome]


def read(results: Path) -> dict[str, Outcome]:
    """Outcome by test id. A test that is reported twice (a failing teardown) has its worst outcome."""
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(results).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        outcome = _outcome(case)
        before = found.get(name)
        if before is None or before.kind != FAILED:
            found[name] = outcome
    return found


def counts(found: Outcomes) -> Counter[str]:
    """How many of each kind."""
    return Counter(outcome.kind for outcome in found.values())


def better(first: Outcomes, second: Outcomes, tests: Iterable[str]) -> dict[str, Outcome]:
    """The outcomes of `first`, but those of `tests` as in `second` where they passed there."""
    passed = {test: second[test] for test in tests if test in second and second[test].kind == PASSED}
    return {**first, **passed}


def _outcome(case: ElementTree.Element) -> Outcome:
    for tag, kind in (("failure", FAILED), ("error", FAILED), ("skipped", SKIPPED)):
        element = case.find(tag)
        if element is not None:
            return Outcome(kind, f"{element.get('message') or ''}\n{element.text or ''}".strip())
    return Outcome(PASSED)


@dataclass(frozen=True, slots=True)
class Exemption:
    """Tests of one suite, by a pattern of their ids, that need not pass through the proxy."""

    suite: str
    tests: str
    reason: str

    def covers(self, suite: str, test: str) -> bool:
        return suite == self.suite and fnmatchcase(test, self.tests)


def read_exemptions(path: Path) -> list[Exemption]:
    """All in the file: suite -> [{tests, reason}]. Raises ValueError for anything else in it."""
    found = []
    for suite, entries in (yaml.safe_load(path.read_text()) or {}).items():
        for entry in entries or ():
            if set(entry) != {"tests", "reason"} or not entry["reason"].strip():
                raise ValueError(f"{path.name}: {suite}: each entry has tests and a reason, this one {sorted(entry)}")
            found.append(Exemption(suite, entry["tests"], entry["reason"].strip()))
    return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of the tests that pass direct: what became of them elsewhere."""

    regressions: Mapping[str, Outcome]
    excepted: Mapping[str, Exemption]


def compare(suite: str, direct: Outcomes, through: Outcomes, exemptions: Iterable[Exemption]) -> Comparison:
    """A test that passes direct must pass through the proxy: to be skipped or not to run is no pass."""
    regressions: dict[str, Outcome] = {}
    excepted: dict[str, Exemption] = {}
    rules = tuple(exemptions)
    for test, outcome in direct.items():
        if outcome.kind != PASSED:
            continue
        found = through.get(test, Outcome(MISSING, "it did not run"))
        if found.kind == PASSED:
            continue
        reason = next((rule for rule in rules if rule.covers(suite, test)), None)
        if reason is None:
            regressions[test] = found
        else:
            excepted[test] = reason
    return Comparison(regressions, excepted)
