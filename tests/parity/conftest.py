"""A protected database behind its proxy, and a plain one of the same name on a server of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.helpers import servers
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.raw_peers import Pair, Peer, Place
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, name text, ssn varchar(11), score numeric(6,2));
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, kind int DEFAULT 7);
CREATE TABLE big (id int, data bytea);
ALTER TABLE big ALTER data SET STORAGE EXTERNAL;
CREATE FUNCTION loud(n int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN RAISE NOTICE 'row %', n USING DETAIL = 'd', HINT = 'h'; RETURN n; END $$;
"""
COLUMNS = """
{table: people, column: email, type: text, search: [equality]}
{table: people, column: ssn, type: varchar(11)}
{table: people, column: score, type: "numeric(6,2)", search: [equality]}
"""
FILL = """
INSERT INTO people VALUES (1, 'planted-ann', 'Ann', '1-2-3', 1.50), (2, 'planted-bob', 'Bob', NULL, -7),
    (3, NULL, 'Cid', '', 0);
INSERT INTO items VALUES (1, 'one'), (2, 'two'), (3, 'three');
"""


@dataclass(slots=True)
class Twins:
    """`sealed` through its proxy, and the same database, plain."""

    sealed: ProtectedDatabase
    plain_server: PostgresServer
    direct: Place
    proxied: Place

    def plain(self) -> psycopg.Connection:
        return self.plain_server.connect(self.sealed.name)

    def pair(self) -> Pair:
        """Two connections, no byte sent yet."""
        return Pair(Peer(self.direct), Peer(self.proxied))


def places(database: ProtectedDatabase, plain_server: PostgresServer) -> tuple[Place, Place]:
    with plain_server.connect(database.name) as connection:
        direct = Place(("127.0.0.1", plain_server.port), database.name, tables(connection))
    with database.direct() as connection:
        proxied = Place(("127.0.0.1", database.running.port), database.name, tables(connection))
    return direct, proxied


def tables(connection: psycopg.Connection) -> dict[int, str]:
    query = "SELECT oid::int, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    return dict(connection.execute(query).fetchall())


@pytest.fixture(scope="package")
def postgres() -> Iterator[PostgresServer]:
    """A server of these tests' own: what they plant may be in statements that name nothing protected."""
    with servers.running(servers.chosen_flavour()) as server:
        yield server


@pytest.fixture(scope="module")
def shared_twins(
    postgres: PostgresServer, plain_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Twins]:
    with protected(postgres, tmp_path_factory.mktemp("parity"), SCHEMA, COLUMNS) as sealed:
        with plain_server.connect() as connection:
            connection.execute(f"CREATE DATABASE {sealed.name}".encode())
        plain_server.databases.append(sealed.name)
        with plain_server.connect(sealed.name) as connection:
            connection.execute(SCHEMA.encode())
        try:
            yield Twins(sealed, plain_server, *places(sealed, plain_server))
        finally:
            plain_server.drop_database(sealed.name)


@pytest.fixture
def twins(shared_twins: Twins) -> Twins:
    """Both databases with the rows of FILL and nothing else."""
    with shared_twins.sealed.connect() as connection:
        connection.execute(b"TRUNCATE people, items, big; " + FILL.encode())
    with shared_twins.plain() as connection:
        connection.execute(b"TRUNCATE people, items, big; " + FILL.encode())
    return shared_twins


@pytest.fixture
def opened(twins: Twins) -> Iterator[Callable[[], Pair]]:
    """Opens pairs of connections, no byte sent yet."""
    made: list[Pair] = []

    def open_one() -> Pair:
        made.append(twins.pair())
        return made[-1]

    yield open_one
    for pair in made:
        pair.close()


@pytest.fixture
def pair(opened: Callable[[], Pair]) -> Pair:
    """Two connections, logged in."""
    made = opened()
    made.start()
    return made
