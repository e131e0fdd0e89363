"""The suites, and how each is run."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.suites.suite import DATABASE, USER, Run, Suite

_HERE = Path(__file__).parent


def _pytest(run: Run, *arguments: str) -> list[str]:
    """pytest as the suite's own, without this project's settings and plugins that change tests."""
    plugins = [f"--override-ini=cache_dir={run.results.parent}/cache", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio"]
    plugins += ["--continue-on-collection-errors"]
    options = ["-q", "--timeout=120", f"--junitxml={run.results}", f"--rootdir={run.folder}"]
    return [sys.executable, "-s", "-m", "pytest", *plugins, *options, *arguments]


def _asyncpg(run: Run) -> list[str]:
    names = (
        ("execute", "codecs", "prepare", "cursor", "copy", "transaction", "cancellation", "listeners")
        if run.short
        else ()
    )
    ini = str(_HERE / "empty.ini")
    files = [f"tests/test_{name}.py" for name in names] or ["tests"]
    return _pytest(run, "-c", ini, "-p", "tests.suites.one_database", "--ignore=tests/test__sourcecode.py", *files)


ASYNCPG = Suite(
    "asyncpg",
    "asyncpg",
    parts=("tests",),
    command=_asyncpg,
    sha256={"0.32.0": "45e64e56714d888330b884aad1dfb363d0bf43fb343e3d1a8968525f3bade478"},
)



def _sqlalchemy(run: Run) -> list[str]:
    url = f"postgresql+psycopg://{USER}@{run.place.host}:{run.place.port}/{DATABASE}"
    return _pytest(run, f"--dburi={url}", "--maxfail=0", "test/dialect/test_suite.py", *(() if run.short else ("test/dialect/postgresql",)))


SQLALCHEMY = Suite(
    "sqlalchemy",
    "sqlalchemy",
    parts=("test", "lib/sqlalchemy/testing/plugin", "setup.cfg", "pyproject.toml"),
    command=_sqlalchemy,
    sha256={"2.1.9": "d700a8b2edfb26282a470333d6bc4a454c4acda4d201a3bea7b72fa76c217d28"},
    prepare=(
        "CREATE SCHEMA test_schema",
        "CREATE SCHEMA test_schema_2",
        "CREATE EXTENSION hstore",
        "CREATE EXTENSION citext",
    ),
    settings={"max_prepared_transactions": "20", "default_text_search_config": "pg_catalog.english"},
)


def _pg8000(run: Run) -> list[str]:
    folders = ("test/native", "test/dbapi") if run.short else ("test",)
    return _pytest(run, "-c", str(_HERE / "empty.ini"), *folders)


PG8000 = Suite(
    "pg8000",
    "pg8000",
    parts=("test", "README.md"),
    command=_pg8000,
    sha256={"1.31.6": "553b240256d4b2d8f0ad2af28d07df1f9980247f74ac98d2c2b573762ec1ff1b"},
    prepare=("CREATE EXTENSION hstore",),
    settings={"max_prepared_transactions": "20"},
)

SUITES = {suite.name: suite for suite in (ASYNCPG, SQLALCHEMY, PG8000)}
