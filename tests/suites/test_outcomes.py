"""What counts as a regression, and what the files around it must say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites import places, report
from tests.suites.__main__ import EXCEPTIONS, PAGE
from tests.suites.catalogue import SUITES
from tests.suites.outcomes import (
    FAILED,
    MISSING,
    PASSED,
    SKIPPED,
    Exemption,
    Outcome,
    better,
    compare,
    read,
    read_exemptions,
)

RESULTS = """\
<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no">at line 1</failure></testcase>
<testcase classname="a" name="torn"/>
<testcase classname="a" name="torn"><error message="teardown"/></testcase>
<testcase classname="a" name="torn"/>
<testcase classname="a" name="left"><skipped message="why"/></testcase>
</testsuite></testsuites>
"""

GOOD, BAD, LEFT = Outcome(PASSED), Outcome(FAILED, "no"), Outcome(SKIPPED)


def test_results_are_read(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(RESULTS)
    assert read(tmp_path / "r.xml") == {
        "a::good": GOOD,
        "a::bad": Outcome(FAILED, "no\nat line 1"),
        "a::torn": Outcome(FAILED, "teardown"),
        "a::left": Outcome(SKIPPED, "why"),
    }


def test_what_passes_direct_must_pass() -> None:
    direct = {"same": GOOD, "fails": GOOD, "skipped": GOOD, "gone": GOOD, "bad": BAD, "left": LEFT}
    found = compare("s", direct, {"same": GOOD, "fails": BAD, "skipped": LEFT, "bad": BAD, "more": BAD}, [])
    assert {test: outcome.kind for test, outcome in found.regressions.items()} == {
        "fails": FAILED,
        "skipped": SKIPPED,
        "gone": MISSING,
    }


def test_exemptions_are_of_one_suite() -> None:
    direct, through = {"x::one": GOOD, "x::two": GOOD}, {"x::one": BAD, "x::two": BAD}
    mine, others = Exemption("s", "*::one", "because"), Exemption("t", "*", "because")
    found = compare("s", direct, through, [mine, others])
    assert found.excepted == {"x::one": mine}
    assert list(found.regressions) == ["x::two"]


def test_a_second_run_mends_only_what_it_was_for() -> None:
    first, second = {"one": BAD, "two": BAD, "three": GOOD, "four": BAD}, {"one": GOOD, "two": BAD, "four": GOOD}
    assert better(first, second, ["one", "two", "three"]) == {"one": GOOD, "two": BAD, "three": GOOD, "four": BAD}


@pytest.mark.parametrize(
    "text", ["s: [{tests: x}]", "s: [{tests: x, reason: ' '}]", "s: [{tests: x, reason: y, z: 1}]"]
)
def test_exemptions_have_reasons(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ValueError, match="each entry has tests and a reason"):
        read_exemptions(tmp_path / "e.yaml")


def test_the_page_says_what_is_run_and_every_exemption() -> None:
    page = PAGE.read_text()
    assert page.startswith(report.HEAD)
    exemptions = read_exemptions(EXCEPTIONS)
    assert exemptions
    for exemption in exemptions:
        assert exemption.suite in SUITES
        assert f"| {exemption.suite} | `{exemption.tests}` | {exemption.reason} |" in page
    for suite in SUITES.values():
        assert suite.about in page


def test_the_page_has_a_line_for_each_place() -> None:
    found = {place: {"a": GOOD, "b": GOOD, "c": BAD, "d": LEFT} for place in places.PLACES}
    (suite, *_) = SUITES.values()
    lines = report.page([(suite, "1.0", found)], []).splitlines()
    assert f"| {suite.name} | 1.0 | {suite.about} | direct | 2 | 1 | 1 |" in lines
    assert "|  |  |  | armed | 2 | 1 | 1 |" in lines
