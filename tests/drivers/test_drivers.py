"""Every driver gets from a protected column what it gets from a plain one, for every type, and the page says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers import docs
from tests.drivers.forms import NAMES, database, run
from tests.drivers.kinds import KINDS, Kind
from tests.drivers.programs import DriverMissing
from tests.helpers.proxies import ProtectedDatabase
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server


@pytest.fixture(scope="module")
def driven(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ProtectedDatabase, list[Kind]]]:
    with database(postgres, tmp_path_factory.mktemp("drivers")) as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_all_types(driven: tuple[ProtectedDatabase, list[Kind]], name: str) -> None:
    db, kinds = driven
    try:
        told = run(name, db, kinds)
    except DriverMissing as missing:
        pytest.skip(str(missing))
    assert {type_: made.problem() for type_, made in told.items() if made.problem() is not None} == {}
    said = docs.cells()[name]
    assert {type_: made.cell for type_, made in told.items()} == {kind.type: said[kind.type] for kind in kinds}, (
        "run: python -m tests.drivers --docs"
    )


def test_the_page_has_every_type_of_every_form() -> None:
    cells = docs.cells()
    assert list(cells) == NAMES
    assert all(len(types) == len(KINDS) for types in cells.values())
    for name, types in cells.items():
        able = [type_ for type_, cell in types.items() if cell != "–"]
        assert len(able) >= (len(KINDS) - 4 if name != "node-postgres, binary" else 10), name
