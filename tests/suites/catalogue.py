"""The suites, and how each is run."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.suites.suite import DATABASE, SECOND_DATABASE, USER, Run, Suite

_HERE = Path(__file__).parent


def _pytest(run: Run, *arguments: str) -> list[str]:
    """pytest as the suite's own, without this project's settings and plugins that change tests."""
    plugins = [argument for name in ("randomly", "xdist", "asyncio") for argument in ("-p", f"no:{name}")]
    options = ["-q", "--timeout=120", "--continue-on-collection-errors", f"--junitxml={run.results}"]
    places = [f"--rootdir={run.folder}", f"--override-ini=cache_dir={run.results.parent}/cache"]
    return [sys.executable, "-s", "-m", "pytest", *plugins, *options, *places, *arguments]


_ASYNCPG_SHORT = ("execute", "codecs", "prepare", "cursor", "copy", "transaction", "cancellation", "listeners")


def _asyncpg(run: Run) -> list[str]:
    files = [f"tests/test_{name}.py" for name in _ASYNCPG_SHORT] if run.short else ["tests"]
    left_out = "--ignore=tests/test__sourcecode.py"  # flake8 and mypy
    return _pytest(run, "-c", str(_HERE / "empty.ini"), "-p", "one_database", left_out, *files)


ASYNCPG = Suite(
    "asyncpg",
    "all, save flake8's and mypy's",
    "asyncpg",
    parts=("tests",),
    command=_asyncpg,
    sha256={"0.32.0": "45e64e56714d888330b884aad1dfb363d0bf43fb343e3d1a8968525f3bade478"},
)


def _sqlalchemy(run: Run) -> list[str]:
    url = f"postgresql+psycopg://{USER}:unasked@{run.place.host}:{run.place.port}/{DATABASE}"
    postgresql = [f"test/dialect/postgresql/test_{name}.py" for name in ("on_conflict", "query")]
    files = postgresql if run.short else ["test/dialect/postgresql"]
    return _pytest(run, f"--dburi={url}", "--maxfail=0", "test/dialect/test_suite.py", *files)


SQLALCHEMY = Suite(
    "sqlalchemy",
    "`test/dialect/test_suite.py`, `test/dialect/postgresql`, by psycopg",
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
    slow = ["--deselect=test/native/test_query.py::test_max_parameters"] if run.short else []
    # They want lines in pg_hba.conf and TLS; and pytest-benchmark.
    left_out = ["--ignore-glob=*/auth", "--ignore-glob=*/test_benchmarks.py"]
    return _pytest(run, "-c", str(_HERE / "empty.ini"), *left_out, *slow, *folders)


PG8000 = Suite(
    "pg8000",
    "all, save `auth` and `test_benchmarks.py`",
    "pg8000",
    parts=("test", "README.md"),
    command=_pg8000,
    sha256={"1.31.6": "553b240256d4b2d8f0ad2af28d07df1f9980247f74ac98d2c2b573762ec1ff1b"},
    prepare=("CREATE EXTENSION hstore",),
    settings={"max_prepared_transactions": "20"},
)

#: The applications of Django's tests whose tests are about what is said to the database.
_DJANGO_SHORT = ("backends", "transactions", "introspection", "inspectdb", "bulk_create", "select_for_update")
_DJANGO = (
    *_DJANGO_SHORT,
    "aggregation",
    "basic",
    "constraints",
    "custom_pk",
    "datatypes",
    "delete",
    "expressions",
    "get_or_create",
    "indexes",
    "lookup",
    "migrations",
    "model_fields",
    "queries",
    "raw_query",
    "schema",
    "transaction_hooks",
    "update",
)


def _django(run: Run) -> list[str]:
    options = ["--settings=django_suite", "--keepdb", "--noinput", "--parallel=1"]
    return [sys.executable, "tests/runtests.py", *options, *(_DJANGO_SHORT if run.short else _DJANGO)]


DJANGO = Suite(
    "django",
    ", ".join(f"`{name}`" for name in _DJANGO),
    "django",
    parts=("tests",),
    command=_django,
    sha256={"5.2.19": "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1"},
    prepare=(
        'CREATE COLLATION public."sv-x-icu" FROM "C"',  # the embedded server is built without ICU
        f"CREATE DATABASE {SECOND_DATABASE} TEMPLATE {DATABASE}",
    ),
)

SUITES = {suite.name: suite for suite in (ASYNCPG, SQLALCHEMY, PG8000, DJANGO)}
