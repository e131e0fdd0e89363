"""Addresses held for several processes."""

from __future__ import annotations

import socket

import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server.addresses import hold


def test_one_port_on_all_hosts_that_workers_can_listen_on() -> None:
    held = hold("127.0.0.1, 127.0.0.2", 0)
    assert {sock.getsockname() for sock in held.sockets} == {("127.0.0.1", held.port), ("127.0.0.2", held.port)}
    workers = []
    for _ in range(2):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", held.port))
        sock.listen()
        workers.append(sock)
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1"):  # although the kernel would share it
        hold("127.0.0.1", held.port)
    for sock in workers:
        sock.close()
    held.close()
    hold("127.0.0.1", held.port).close()


def test_what_holds_an_address_takes_no_clients() -> None:
    held = hold("127.0.0.1", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", held.port), 5)
    held.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_others_is_a_clear_error(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {host}:0: (Cannot assign|Name or service)"):
        hold(host, 0)
