"""Every logical type, in both directions: the type's envelopes open through the proxy, and the proxy's by the type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.sqlalchemy import Sealer, natives
from pgcrypt_proxy.values.types import array_of, type_by_name
from tests.conftest import NOT_APPLICABLE
from tests.drivers.forms import database
from tests.drivers.kinds import KINDS, Kind
from tests.helpers.proxies import ProtectedDatabase
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

Made = tuple[ProtectedDatabase, list[Kind], Sealer]


@pytest.fixture(scope="module")
def made(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with database(postgres, tmp_path_factory.mktemp("natives")) as (db, kinds):
        sealer = Sealer()
        sealer.open([db.rules], db.server.dsn(db.name))
        yield db, kinds, sealer
        sealer.close()


def texts(connection: psycopg.Connection, kind: Kind, table: str) -> list[bytes | None]:
    query = f"SELECT {kind.column} FROM {table} WHERE id BETWEEN {kind.first} AND {kind.last} ORDER BY id"
    result = connection.execute(query.encode()).pgresult
    assert result is not None
    return [result.get_value(row, 0) for row in range(result.ntuples)]


def natively(connection: psycopg.Connection, kind: Kind, table: str) -> list[Any]:
    query = f"SELECT {kind.column} FROM {table} WHERE id BETWEEN {kind.first} AND {kind.last} ORDER BY id"
    return [row[0] for row in connection.execute(query.encode())]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_both_directions(made: Made, kind: Kind) -> None:
    db, kinds, sealer = made
    if kind not in kinds:
        pytest.skip(f"{NOT_APPLICABLE}the server has no pgvector")
    name = f"sealed.{kind.column}"
    type_ = sealer.column(name).type
    with db.direct() as direct, db.connect() as through:
        direct.execute("TRUNCATE sealed")
        seeds = texts(direct, kind, "seed")
        values = [None if text is None else natives.read(type_, text) for text in seeds]
        element = type_.element
        if element is None or (element.user, element.domain) == (None, None):  # of others psycopg knows no arrays
            assert [repr(value) for value in values] == [repr(value) for value in natively(direct, kind, "seed")]
        for number, value in enumerate(values, kind.first):
            sealed = None if value is None else sealer.seal(name, value)
            direct.execute(f"INSERT INTO sealed (id, {kind.column}) VALUES (%s, %s)".encode(), [number, sealed])
        shown = texts(through, kind, "sealed")
        assert [_spaceless(kind, text) for text in shown] == [_spaceless(kind, text) for text in seeds]
        direct.execute("TRUNCATE sealed")
        for number, text in enumerate(seeds, kind.first):
            given = None if text is None else text.decode()
            through.execute(f"INSERT INTO sealed (id, {kind.column}) VALUES (%s, %s)".encode(), [number, given])
        held = natively(direct, kind, "sealed")
        opened = [None if envelope is None else sealer.unseal(name, envelope) for envelope in held]
        assert [repr(value) for value in opened] == [repr(value) for value in values]


def _spaceless(kind: Kind, text: bytes | None) -> bytes | None:
    """JSON keeps the spaces of whoever wrote it."""
    return text.replace(b" ", b"") if text is not None and kind.type.startswith("json") else text


def test_bytes_in_all_their_forms() -> None:
    for made in (bytes(range(256)), bytearray(b"'"), memoryview(b"'\\")):
        text = natives.written(type_by_name("bytea"), made)
        assert natives.read(type_by_name("bytea"), text) == bytes(made)


@pytest.mark.parametrize(
    ("spec", "value"), [("text", object()), ("date", b"\xff"), ("int4", {"planted": 1}), ("text", "planted\ud800")]
)
def test_what_is_no_value_is_refused_without_showing_it(spec: str, value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        natives.read(type_by_name(spec), natives.written(type_by_name(spec), value))
    assert "planted" not in f"{caught.value} {caught.value.__cause__!r}"


def test_what_python_has_not_is_an_error(made: Made) -> None:
    for spec, text in (("date", b"infinity"), ("timestamp", b"0044-03-15 12:00:00 BC")):
        with pytest.raises(InvalidValue) as caught:
            natives.read(type_by_name(spec), text)
        assert caught.value.code == "22008"
    with pytest.raises(InvalidValue):
        natives.read(array_of(type_by_name("date")), b"{infinity}")
