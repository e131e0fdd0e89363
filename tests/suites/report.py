"""docs/suites.md: what is run, what came of it, and what need not pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.suites.outcomes import FAILED, PASSED, SKIPPED, Exemption, Outcomes, counts
from tests.suites.suite import Suite

HEAD = """\
# Other projects' tests

`make suites` runs the tests of drivers and frameworks, of the versions that are installed for development, against an
embedded PostgreSQL: direct, through a proxy whose rules name no column, and through one that protects a column of a
table that they do not use, with equality search. Each run has a server of its own. A test that passes direct must pass
in both other places, or stand below with its reason; one that fails through the proxy is run once more before it
counts. `make suites SUITES_ARGS="--short"`, which CI runs, takes the parts that say most on the wire, in all three
places.

The suites come from their sdists, which pip fetches into `build/suites` and whose hashes are pinned in
[tests/suites/catalogue.py](../tests/suites/catalogue.py); nothing of them is in this repository.
`python -m tests.suites --docs` writes this page from the last results.

Tests that fail or are skipped direct have reasons of their own, and show nothing: they start clusters, change
`pg_hba.conf`, want TLS, ICU, extensions or locales that the embedded server lacks, know no PostgreSQL 18 yet, or want a
client library that is not installed.
"""


def page(found: Iterable[tuple[Suite, str, Mapping[str, Outcomes]]], exemptions: Iterable[Exemption]) -> str:
    """The whole page, of each suite with its version and its outcomes by place."""
    lines = [HEAD, "| suite | version | what of it | where | passed | failed | skipped |", "|" + "---|" * 7]
    for suite, version, places in found:
        for number, (place, outcomes) in enumerate(places.items()):
            head = ("", "", "") if number else (suite.name, version, suite.about)
            kinds = counts(outcomes)
            numbers = [f"{kinds[kind]:,}" for kind in (PASSED, FAILED, SKIPPED)]
            lines.append(f"| {' | '.join((*head, place, *numbers))} |")
    lines += ["", "## Tests that need not pass", "", "| suite | test | why |", "|---|---|---|"]
    lines += [f"| {e.suite} | `{e.tests}` | {e.reason} |" for e in exemptions]
    return "\n".join(lines) + "\n"
