"""Twins for all cases of a worker, and the search for what they planted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.leaks import traces
from tests.helpers.servers import PostgresServer
from tests.helpers.twins import Twins, running_twins


@pytest.fixture(scope="session")
def twins(
    postgres: PostgresServer, plain_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Twins]:
    """Both databases at their start rows; `judge` puts them back after each case."""
    with running_twins(postgres, plain_server, tmp_path_factory.mktemp("twins")) as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def nothing_planted_is_found(postgres: PostgresServer) -> Iterator[None]:
    """After all cases of this server: no value that any of them put into a protected column is anywhere on it."""
    yield
    assert traces(postgres) == []
