"""Fixtures that every test may use: real PostgreSQL servers, and hypothesis profiles.

`PGCRYPT_TEST_SERVER=embedded|debian` chooses the server, `HYPOTHESIS_PROFILE=fast|deep`
how many examples a property gets, and `PGCRYPT_TEST_NO_SKIPS=1` (CI) makes a
skipped test a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from tests.helpers import servers
from tests.helpers.servers import PostgresServer

SERVER_FIXTURES = {"postgres", "database", "create_database", "tls_postgres"}

#: A skip whose reason starts so is about the server under test, not about a missing tool.
NOT_APPLICABLE = "not applicable: "

hypothesis.settings.register_profile("fast", max_examples=50, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=5000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_report_header() -> str:
    return f"postgres: {servers.chosen_flavour()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this run (one for each pytest-xdist worker)."""
    with servers.running(servers.chosen_flavour()) as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a fresh database, dropped after the test."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def create_database(postgres: PostgresServer) -> Iterator[Callable[[], str]]:
    """Creates as many fresh databases as a test wants; all are dropped after it."""
    created: list[str] = []

    def create() -> str:
        created.append(postgres.create_database())
        return created[-1]

    yield create
    for name in created:
        postgres.drop_database(name)
