"""Limits and timers that settings set: a long COPY row, and peers that vanish."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import psycopg
import pytest

from pgcrypt_proxy.server.run import start
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for
from tests.helpers.servers import PostgresServer

SCHEMA = "CREATE TABLE users (id int, email text, name text)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"


@pytest.fixture(scope="module")
def small(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    folder = tmp_path_factory.mktemp("limits")
    with protected(postgres, folder, SCHEMA, COLUMNS, max_row_bytes=1000, tcp_keepalives_interval_s=7) as made:
        yield made


@pytest.mark.parametrize("options", ["", "(FORMAT csv)", "(FORMAT binary)"])
@pytest.mark.parametrize("step", [100, 5000])
def test_a_long_row(small: ProtectedDatabase, options: str, step: int) -> None:
    value = "planted-" + "x" * 2000
    data = f"1{',' if 'csv' in options else chr(9)}{value}\n".encode()
    if "binary" in options:
        data = (
            b"PGCOPY\n\xff\r\n\0" + bytes(8) + struct.pack("!hiii", 2, 4, 1, len(value)) + value.encode() + b"\xff\xff"
        )
    with small.connect() as connection:
        with pytest.raises(psycopg.Error) as caught:
            copied(connection, f"COPY users (id, email) FROM STDIN {options}", data, step)
        assert caught.value.sqlstate == "54000"
        assert "max_row_bytes" in str(caught.value.diag.message_hint)
        connection.execute("INSERT INTO users (id, email) VALUES (2, %s)", [value])


def copied(connection: psycopg.Connection, sql: str, data: bytes, step: int) -> None:
    with connection.cursor().copy(sql.encode()) as copy:
        for at in range(0, len(data), step):
            copy.write(data[at : at + step])


def test_keepalive_on_both_legs(small: ProtectedDatabase) -> None:
    url = small.server.dsn(small.name, tcp=True)
    running = start(settings_for(small.server, small.name, small.rules, database_url=url, tcp_keepalives_idle_s=33))
    try:
        with psycopg.connect(small.dsn().replace(f":{small.running.port}/", f":{running.port}/")):
            (connection,) = running.proxy.listener._connections
            for leg in (connection.frontend, connection._backend):
                assert leg.transport is not None
                sock = leg.transport.get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                found = [
                    sock.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                ]
                assert found == [33, 10, 6]
    finally:
        running.stop()
