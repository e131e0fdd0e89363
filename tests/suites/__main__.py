"""`python -m tests.suites [--short] [suite ...]`: other projects' tests that pass direct must pass through the proxy.

Exit status 1 when one that passes direct fails in another place, twice, and is not in `exceptions.yaml`. `--docs` runs
nothing: it writes docs/suites.md from the results of the last runs that were not short.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from tests.suites import outcomes, places, report, sources
from tests.suites.catalogue import SUITES
from tests.suites.outcomes import Exemption, Outcome
from tests.suites.suite import Run, Suite

EXCEPTIONS = Path(__file__).parent / "exceptions.yaml"
PLUGINS = EXCEPTIONS.with_name("plugins")
PAGE = Path(__file__).parents[2] / "docs" / "suites.md"
#: A run that takes longer is ended; what it did not run is missing.
TIMEOUT_S = 3600
SHOWN_LINES = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}; by default all")
    parser.add_argument("--short", action="store_true", help="a part of each")
    parser.add_argument("--jobs", type=int, default=1, help="how many suites at a time, by default one")
    parser.add_argument("--docs", action="store_true", help="write docs/suites.md from the last results")
    options = parser.parse_args()
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    if options.docs:
        _document()
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    exemptions = outcomes.read_exemptions(EXCEPTIONS)
    with ThreadPoolExecutor(options.jobs) as pool:
        chosen = [SUITES[name] for name in options.suites or SUITES]
        regressions = sum(pool.map(lambda suite: _compared(suite, options.short, exemptions), chosen))
    print(f"{regressions} regressions")
    return 1 if regressions else 0


def _document() -> None:
    """The page, of results that are there."""
    found = [(suite, sources.version_of(suite), _last(suite)) for suite in SUITES.values()]
    PAGE.write_text(report.page(found, outcomes.read_exemptions(EXCEPTIONS)))


def _last(suite: Suite) -> dict[str, dict[str, Outcome]]:
    """The last outcomes by place, where there are any."""
    results = {place: _results(suite, place, False) for place in places.PLACES}
    return {place: outcomes.read(path) for place, path in results.items() if path.exists()}


def _results(suite: Suite, place: str, short: bool) -> Path:
    """Where the outcomes of the last such run are."""
    return sources.CACHE / "results" / ("short" if short else "all") / suite.name / f"{place.replace(' ', '-')}.xml"


def _compared(suite: Suite, short: bool, exemptions: list[Exemption]) -> int:
    """Runs the suite everywhere, says what differs, and returns in how many tests."""
    folder = sources.unpacked(suite)
    print(f"{suite.name}: {sources.version_of(suite)}", flush=True)
    direct = _ran(suite, folder, places.DIRECT, short)
    count = 0
    if not any(outcome.kind == outcomes.PASSED for outcome in direct.values()):
        print(f"{suite.name}: no test passes direct: nothing is shown")
        count += 1
    for place in places.PROXIED:
        through = _ran(suite, folder, place, short)
        found = outcomes.compare(suite.name, direct, through, exemptions)
        if found.regressions:
            print(f"{suite.name}: {len(found.regressions)} tests fail {place} and pass direct; once more", flush=True)
            through = outcomes.better(through, _ran(suite, folder, place, short), found.regressions)
            again = outcomes.compare(suite.name, direct, through, exemptions)
            for test in found.regressions.keys() - again.regressions.keys():
                print(f"{suite.name}: unsteady, {place}: {test}")
            found = again
        _say(suite, place, found)
        count += len(found.regressions)
    return count


def _say(suite: Suite, place: str, found: outcomes.Comparison) -> None:
    for test, exemption in found.excepted.items():
        print(f"{suite.name}: excepted, {place}: {test}: {exemption.reason}")
    for test, outcome in found.regressions.items():
        shown = (f"    {line}" for line in outcome.message.splitlines()[-SHOWN_LINES:])
        print(f"{suite.name}: REGRESSION, {place}: {test} {outcome.kind}", *shown, sep="\n", flush=True)


def _ran(suite: Suite, folder: Path, name: str, short: bool) -> dict[str, Outcome]:
    """What became of each test of the suite in that place."""
    results = _results(suite, name, short)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as rules, places.opened(name, suite, Path(rules)) as place:
        run = Run(place, folder, results, short)
        variables = {"PYTHONPATH": str(PLUGINS), "SUITE_RESULTS": str(results)}
        with open(results.with_suffix(".log"), "wb") as log:
            try:
                subprocess.run(
                    suite.command(run),
                    cwd=folder,
                    env={**place.environment(), **variables, **suite.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                print(f"{suite.name}: {name}: ended after {TIMEOUT_S} s")
    found = outcomes.read(results) if results.exists() else {}
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(outcomes.counts(found).items())) or "nothing ran"
    seconds = round(time.monotonic() - started)
    print(f"{suite.name}: {name}: {counts}, {seconds} s ({results.with_suffix('.log')})", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
