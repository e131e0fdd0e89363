"""Twins and a checker for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.checker import Checker
from tests.fuzz.twin_servers import fuzzed_twins
from tests.helpers.twins import Twins


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with fuzzed_twins(tmp_path_factory.mktemp("twins")) as made:
        yield made


@pytest.fixture(scope="module")
def checker(twins: Twins) -> Iterator[Checker]:
    made = Checker(twins)
    yield made
    made.close()
