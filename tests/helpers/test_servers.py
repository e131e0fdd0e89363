"""The test servers are what other tests take them for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.helpers import servers
from tests.helpers.certificates import Authority
from tests.helpers.servers import PostgresServer


def test_socket_and_tcp_lead_to_the_same_server(postgres: PostgresServer) -> None:
    ask = "SELECT system_identifier, inet_server_addr() FROM pg_control_system()"
    with psycopg.connect(postgres.dsn()) as over_socket, psycopg.connect(postgres.dsn(tcp=True)) as over_tcp:
        first, address = over_socket.execute(ask).fetchone() or ()
        second, tcp_address = over_tcp.execute(ask).fetchone() or ()
    assert first == second
    assert address is None
    assert str(tcp_address) == "127.0.0.1"


def test_listens_on_loopback_only(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        (addresses,) = connection.execute("SHOW listen_addresses").fetchone() or ()
    assert addresses == "127.0.0.1"


def test_logs_statements_and_parameters(postgres: PostgresServer) -> None:
    text, parameter = secrets.token_hex(8), secrets.token_hex(8)
    with psycopg.connect(postgres.dsn()) as connection:
        connection.execute(sql.SQL("SELECT {}, %s::text").format(sql.Literal(text)), [parameter])
    log = postgres.log_text()
    assert text in log
    assert parameter in log


def test_keeps_statistics_of_statements(postgres: PostgresServer, database: str) -> None:
    with postgres.connect(database) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT 1 AS counted_statement")
        found = connection.execute(
            "SELECT calls FROM pg_stat_statements WHERE query ~ '^SELECT .* AS counted_statement$'"
        ).fetchall()
    assert found == [(1,)]


def test_databases_are_fresh_and_dropped(postgres: PostgresServer) -> None:
    with postgres.database() as first, postgres.database() as second:
        assert first != second
        with postgres.connect(first) as connection:
            connection.execute("CREATE TABLE only_here ()")
        with postgres.connect(second) as connection:
            assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.connect(first)


def test_factory_creates_distinct_databases(create_database: Callable[[], str]) -> None:
    assert create_database() != create_database()


@pytest.mark.parametrize("group", ["scram_users", "md5_users", "password_users"])
@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "tcp"])
@pytest.mark.filterwarnings("ignore")  # md5 is deprecated, and says so
def test_password_groups_need_their_password(postgres: PostgresServer, group: str, tcp: bool) -> None:
    name = f"user_{secrets.token_hex(4)}"
    with postgres.connect() as connection:
        encryption = "md5" if group == "md5_users" else "scram-sha-256"
        connection.execute(sql.SQL("SET password_encryption = {}").format(sql.Literal(encryption)))
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'right' IN ROLE {}").format(
                sql.Identifier(name), sql.Identifier(group)
            )
        )
    dsn = postgres.dsn(user=name, tcp=tcp)
    with psycopg.connect(dsn, password="right") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (name,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, password="wrong")


def test_version_is_the_server_s_own(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        assert connection.info.server_version // 10000 == postgres.major_version
        (data_directory,) = connection.execute("SHOW data_directory").fetchone() or ()
    assert Path(data_directory) == postgres.data_dir
    assert postgres.socket_dir.joinpath(f".s.PGSQL.{postgres.port}").exists()


def test_stops_and_leaves_nothing() -> None:
    with servers.running(servers.chosen_flavour(), {"work_mem": "1234kB"}) as server:
        with server.connect() as connection:
            assert connection.execute("SHOW work_mem").fetchone() == ("1234kB",)
        pid, directory = server.process.pid, server.directory
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not directory.exists()


def test_tls_is_verifiable(tls_postgres: PostgresServer, certificate_authority: Authority, tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.write_bytes(certificate_authority.certificate)
    dsn = tls_postgres.dsn(tcp=True)
    with psycopg.connect(dsn, sslmode="verify-full", sslrootcert=str(root)) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    root.write_bytes(Authority("another").certificate)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(dsn, sslmode="verify-full", sslrootcert=str(root))


def test_says_why_it_did_not_start() -> None:
    with (
        pytest.raises(servers.ServerUnavailable, match="no_such_setting"),
        servers.running(servers.chosen_flavour(), {"no_such_setting": "1"}),
    ):
        pass


def test_unknown_flavour_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCRYPT_TEST_SERVER", "oracle")
    with pytest.raises(servers.ServerUnavailable, match="oracle"):
        servers.chosen_flavour()
