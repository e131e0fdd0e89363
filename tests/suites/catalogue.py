"""The suites, and how each is run."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.suites.suite import Run, Suite

_HERE = Path(__file__).parent


def _pytest(run: Run, *arguments: str) -> list[str]:
    """pytest as the suite's own, without this project's settings and plugins that change tests."""
    plugins = [f"--override-ini=cache_dir={run.results.parent}/cache", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio"]
    plugins += ["--continue-on-collection-errors"]
    options = ["-q", "--timeout=120", f"--junitxml={run.results}", f"--rootdir={run.folder}"]
    return [sys.executable, "-m", "pytest", *plugins, *options, *arguments]


def _asyncpg(run: Run) -> list[str]:
    names = (
        ("execute", "codecs", "prepare", "cursor", "copy", "transaction", "cancellation", "listeners")
        if run.short
        else ()
    )
    ini = str(_HERE / "empty.ini")
    return _pytest(run, "-c", ini, *([f"tests/test_{name}.py" for name in names] or ["tests"]))


ASYNCPG = Suite(
    "asyncpg",
    "asyncpg",
    parts=("tests",),
    command=_asyncpg,
    sha256={"0.32.0": "45e64e56714d888330b884aad1dfb363d0bf43fb343e3d1a8968525f3bade478"},
)

SUITES = {suite.name: suite for suite in (ASYNCPG,)}
