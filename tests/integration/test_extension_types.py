"""citext and pgvector's vector through the proxy, where the server has the extensions."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer


def extension(
    server: PostgresServer, factory: pytest.TempPathFactory, name: str, column_type: str, search: str
) -> Iterator[ProtectedDatabase]:
    with server.connect() as connection:
        found = connection.execute("SELECT FROM pg_available_extensions WHERE name = %s", [name]).fetchone()
    if found is None:
        pytest.skip(f"not applicable: the server has no extension {name}")
    tables = "".join(f"CREATE TABLE {t} (id int PRIMARY KEY, v ext.{column_type});" for t in ("kept", "kept_twin"))
    schema = f"CREATE SCHEMA ext; CREATE EXTENSION {name} SCHEMA ext; {tables}"
    rule = f"{{table: kept, column: v, type: 'ext.{column_type}', search: [{search}]}}"
    with protected(server, factory.mktemp("rules"), schema, rule) as made:
        yield made


@pytest.fixture(scope="module")
def vectors(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    yield from extension(postgres, tmp_path_factory, "vector", "vector(3)", "equality")


@pytest.fixture(scope="module")
def citexts(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    yield from extension(postgres, tmp_path_factory, "citext", "citext", "equality_casefold")


@pytest.fixture(scope="module")
def upper_citexts(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    yield from extension(postgres, tmp_path_factory, "citext", "citext", "equality_upper")


def test_vectors_are_the_twins(vectors: ProtectedDatabase) -> None:
    texts = ["[1,2,3]", " [ 0.1 , -0, 1e-20 ]", "[0,-0,3.4e38]"]
    with vectors.connect() as connection:
        for table in ("kept", "kept_twin"):
            for number, text in enumerate([*texts, None]):
                connection.execute(f"INSERT INTO {table} VALUES (%s, %s)".encode(), [number, text])
        for binary in (False, True):
            sealed, plain = (
                connection.execute(f"SELECT * FROM {t} ORDER BY id".encode(), binary=binary).pgresult
                for t in ("kept", "kept_twin")
            )
            assert sealed is not None
            assert plain is not None
            assert (sealed.ftype(1), sealed.fmod(1)) == (plain.ftype(1), plain.fmod(1))
            assert [sealed.get_value(n, 1) for n in range(4)] == [plain.get_value(n, 1) for n in range(4)]
        assert connection.execute("SELECT id FROM kept WHERE v = '[-0,0,3.4e38]'").fetchall() == [(2,)]
        for bad in ("[1,2]", "[NaN,1,2]", "[]"):
            codes = []
            for table in ("kept", "kept_twin"):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(f"INSERT INTO {table} VALUES (9, %s)".encode(), [bad])
                codes.append(caught.value.sqlstate)
            assert codes[0] == codes[1], bad


def test_citext_is_searched_by_its_lower_case_form(citexts: ProtectedDatabase) -> None:
    with citexts.connect() as connection:
        connection.execute("INSERT INTO kept VALUES (1, 'Ada'), (2, 'ada'), (3, 'bob')")
        assert connection.execute("SELECT v FROM kept ORDER BY id").fetchall() == [("Ada",), ("ada",), ("bob",)]
        found = connection.execute("SELECT id FROM kept WHERE lower(v) = lower(%s) ORDER BY id", ["ADA"]).fetchall()
        assert found == [(1,), (2,)]
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            connection.execute("SELECT id FROM kept WHERE v = 'ada'")
        assert "lower(column) = lower(value)" in str(caught.value.diag.message_hint)
    with citexts.direct() as direct:
        assert direct.execute("SELECT count(*) FROM kept WHERE pgcrypt.is_envelope(v)").fetchone() == (3,)


def test_citext_is_searched_by_its_upper_case_form(upper_citexts: ProtectedDatabase) -> None:
    with upper_citexts.connect() as connection:
        for table in ("kept", "kept_twin"):
            connection.execute(f"INSERT INTO {table} VALUES (1, 'Ada'), (2, 'ada'), (3, 'bob'), (4, 'ADA')".encode())
        for condition in ("upper(v) = upper(%s)", "upper(v) = %s", "upper(v) IN (%s, 'BOB')", "upper(v) <> upper(%s)"):
            for value in ("ada", "ADA"):
                sealed, plain = (
                    connection.execute(f"SELECT id FROM {t} WHERE {condition} ORDER BY id".encode(), [value]).fetchall()
                    for t in ("kept", "kept_twin")
                )
                assert sealed == plain, (condition, value)
        for refused in ("lower(v) = 'ada'", "v ILIKE 'ada'", "v = 'ada'"):
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute(f"SELECT id FROM kept WHERE {refused}".encode())
