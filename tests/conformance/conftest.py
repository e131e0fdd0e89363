"""Twins for all cases of a worker, and the search for what they planted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.shapes import Variant, read, selected
from tests.helpers.leaks import traces
from tests.helpers.servers import PostgresServer
from tests.helpers.thinning import leave_out
from tests.helpers.twins import Twins, running_twins


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --thin: one variant of each shape."""
    if not config.getoption("--thin"):
        return
    kept = {(str(shape), variant) for shape, variant in selected(read())}
    leave_out(config, items, (item for item in items if (case := _case(item)) is not None and case not in kept))


def _case(item: pytest.Item) -> tuple[str, Variant] | None:
    """The shape and variant that a test is about."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if not {"shape", "variant"} <= parameters.keys():
        return None
    return str(parameters["shape"]), parameters["variant"]


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
