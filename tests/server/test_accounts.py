"""Verifiers asked of a real database: the default query, a function of one's own, and lost connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server.accounts import Accounts, AuthQuery
from pgcrypt_proxy.server.credentials import FixedPassword
from pgcrypt_proxy.server.login_settings import DEFAULT_AUTH_QUERY
from tests.helpers.servers import PostgresServer

ROLES = ("acc_scram", "acc_md5", "acc_group", "acc_old", "acc_asker")


@pytest.fixture
def roles(postgres: PostgresServer, database: str) -> Iterator[str]:
    """A database, and roles of all kinds."""
    with postgres.connect(database) as connection:
        for role in ROLES:
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
        connection.execute("SET password_encryption = 'md5'")
        connection.execute("CREATE ROLE acc_md5 LOGIN PASSWORD 'x'")
        connection.execute("SET password_encryption = 'scram-sha-256'")
        connection.execute("CREATE ROLE acc_scram LOGIN PASSWORD 'x'")
        connection.execute("CREATE ROLE acc_group NOLOGIN PASSWORD 'x'")
        connection.execute("CREATE ROLE acc_old LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'")
        connection.execute("CREATE ROLE acc_asker LOGIN")
    yield database
    with postgres.connect(database) as connection:
        for role in ROLES:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def accounts(query: AuthQuery) -> Accounts:
    return Accounts(mock_secret=lambda: b"secret", mock_iterations=4096, query=query)


def is_right(found: Verifier | None) -> bool:
    return found is not None and Verifier.make("x", salt=found.salt, iterations=found.iterations) == found


async def test_the_default_query(postgres: PostgresServer, roles: str) -> None:
    made = accounts(AuthQuery(postgres.dsn(roles), DEFAULT_AUTH_QUERY, 5))
    await made.check()
    found = await made.find("acc_scram")
    assert is_right(found.verifier)
    assert not found.is_mock
    for user in ("acc_md5", "acc_group", "acc_old", "nobody", "", "acc_scram' OR '1'='1", "\udcff", "x" * 9000, "%s"):
        found = await made.find(user)
        assert found.is_mock, user
        assert found.verifier is not None
        assert found.verifier.iterations == 4096
    made.close()


async def test_a_lost_connection(postgres: PostgresServer, roles: str) -> None:
    query = AuthQuery(postgres.dsn(roles), DEFAULT_AUTH_QUERY, 5)
    made = accounts(query)
    await made.check()
    assert query._connection is not None
    with postgres.connect(roles) as direct:
        direct.execute("SELECT pg_terminate_backend(%s)", [query._connection.info.backend_pid])
    assert is_right((await made.find("acc_scram")).verifier)
    made.close()


async def test_a_function_of_ones_own(postgres: PostgresServer, roles: str) -> None:
    with postgres.connect(roles) as direct:
        direct.execute("""
            CREATE FUNCTION pgcrypt_auth(name text) RETURNS text LANGUAGE sql SECURITY DEFINER
              SET search_path = pg_catalog
              AS 'SELECT rolpassword FROM pg_authid WHERE rolname = name AND rolcanlogin AND NOT rolsuper';
            REVOKE ALL ON FUNCTION pgcrypt_auth FROM PUBLIC;
            GRANT EXECUTE ON FUNCTION pgcrypt_auth TO acc_asker
        """)
    made = accounts(AuthQuery(postgres.dsn(roles, "acc_asker"), "SELECT public.pgcrypt_auth($1)", 5))
    assert is_right((await made.find("acc_scram")).verifier)
    assert (await made.find("postgres")).is_mock
    assert (await made.find("nobody")).is_mock
    made.close()


async def test_who_may_not_read_verifiers_is_told_what_to_do(postgres: PostgresServer, roles: str) -> None:
    made = accounts(AuthQuery(postgres.dsn(roles, "acc_asker"), DEFAULT_AUTH_QUERY, 5))
    with pytest.raises(PgcryptError, match="may not read verifiers") as caught:
        await made.check()
    assert "users_file" in (caught.value.hint or "")
    made.close()


@pytest.mark.parametrize("sql", [DEFAULT_AUTH_QUERY, "SELECT nonsense", "SELECT 1", "SELECT pg_sleep($1::int)"])
async def test_queries_that_cannot_work(postgres: PostgresServer, roles: str, sql: str) -> None:
    made = accounts(AuthQuery(postgres.dsn(roles, "acc_asker"), sql, 5))
    with pytest.raises(PgcryptError) as caught:
        await made.check()
    assert "looking up a user (auth_query)" in caught.value.message
    made.close()


async def test_the_proxys_own_password_comes_along(postgres: PostgresServer) -> None:
    source = FixedPassword("x")
    made = Accounts(mock_secret=lambda: b"", mock_iterations=1, password=source)
    assert (await made.find("anybody")).password is source.get()
    assert (await made.find("anybody")).verifier is None
    made.close()


def test_an_unreachable_database() -> None:
    with pytest.raises(PgcryptError, match="cannot connect"):
        AuthQuery("postgresql://127.0.0.1:1/d", "SELECT $1", 1).find("a")
