"""`python -m tests.suites [--short] [suite ...]`: other projects' tests that pass direct must pass through the proxy.

Exit status 1 when a test that passes direct fails in another place and is not in `exceptions.yaml`.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import structlog

from tests.suites import outcomes, places, sources
from tests.suites.catalogue import SUITES
from tests.suites.suite import Run, Suite

EXCEPTIONS = Path(__file__).parent / "exceptions.yaml"
PLUGINS = EXCEPTIONS.with_name("plugins")
#: A run that takes longer is ended; what it did not run is missing.
TIMEOUT_S = 3600
SHOWN_LINES = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(SUITES)}; by default all")
    parser.add_argument("--short", action="store_true", help="a part of each, direct and armed only")
    parser.add_argument("--place", action="append", choices=places.PLACES, help="only there, and direct")
    options = parser.parse_args()
    unknown = set(options.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    through = options.place or ([places.ARMED] if options.short else [places.UNRULED, places.ARMED])
    exemptions = outcomes.read_exemptions(EXCEPTIONS)
    regressions = 0
    for name in options.suites or SUITES:
        regressions += _compared(SUITES[name], [p for p in through if p != places.DIRECT], options.short, exemptions)
    print(f"{regressions} regressions")
    return 1 if regressions else 0


def _compared(suite: Suite, through: list[str], short: bool, exemptions: list[outcomes.Exemption]) -> int:
    """Runs the suite everywhere, says what differs, and returns in how many tests."""
    folder = sources.unpacked(suite)
    print(f"{suite.name} {sources.version_of(suite)}", flush=True)
    direct = _ran(suite, folder, places.DIRECT, short)
    count = 0
    for place in through:
        found = outcomes.compare(suite.name, direct, _ran(suite, folder, place, short), exemptions)
        for test, exemption in found.excepted.items():
            print(f"  excepted, {place}: {test}: {exemption.reason}")
        for test, outcome in found.regressions.items():
            print(f"  REGRESSION, {place}: {test} {outcome.kind}")
            print(*(f"    {line}" for line in outcome.message.splitlines()[-SHOWN_LINES:]), sep="\n")
        count += len(found.regressions)
    if not any(outcome.kind == outcomes.PASSED for outcome in direct.values()):
        print("  REGRESSION: no test passes direct: nothing is shown")
        count += 1
    return count


def _ran(suite: Suite, folder: Path, name: str, short: bool) -> dict[str, outcomes.Outcome]:
    results = sources.CACHE / "results" / suite.name / f"{name.replace(' ', '-')}.xml"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as rules, places.opened(name, suite, Path(rules)) as place:
        run = Run(place, folder, results, short)
        with open(results.with_suffix(".log"), "wb") as log:
            try:
                subprocess.run(
                    suite.command(run),
                    cwd=folder,
                    env={
                        **place.environment(),
                        "PYTHONPATH": str(PLUGINS),
                        "SUITE_RESULTS": str(results),
                        **suite.environment,
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                print(f"  {name}: ended after {TIMEOUT_S} s")
    found = outcomes.read(results) if results.exists() else {}
    counts = Counter(outcome.kind for outcome in found.values())
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing ran"
    print(f"  {name}: {said}, {time.monotonic() - started:.0f} s ({results.with_suffix('.log')})", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
