"""Unix sockets, IPv6 and load balancers: where connections come from and go to changes nothing of what is said."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.server.run import Running, start
from tests.helpers.proxies import settings_for
from tests.helpers.raw_peers import CLOSED, Pair, Peer, kinds
from tests.parity.conftest import Twins
from tests.session.conversations import query
from tests.wire.test_proxy_header import header

PEOPLE = "SELECT id, email FROM people ORDER BY id"


@contextlib.contextmanager
def proxy(twins: Twins, **changes: object) -> Iterator[Running]:
    sealed = twins.sealed
    running = start(dataclasses.replace(settings_for(sealed.server, sealed.name, sealed.rules), **changes))
    try:
        yield running
    finally:
        running.stop()


def check(twins: Twins, address: tuple[str, int] | str) -> None:
    """The same conversation with the server itself and with the proxy at that address."""
    pair = Pair(Peer(twins.direct), Peer(dataclasses.replace(twins.proxied, address=address)))
    pair.start()
    assert kinds(pair.ask(query(PEOPLE))) == "TDDDCZ"
    pair.close()


def test_over_a_unix_socket(twins: Twins, tmp_path: Path) -> None:
    with proxy(twins, unix_socket_dir=tmp_path) as running:
        check(twins, f"{tmp_path}/.s.PGSQL.{running.port}")
        check(twins, ("127.0.0.1", running.port))
        dsn = f"postgresql://postgres@/{twins.sealed.name}?host={tmp_path}&port={running.port}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            timer = threading.Timer(0.3, connection.cancel_safe)
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(20)")
            timer.join()


def test_to_a_server_on_tcp(twins: Twins) -> None:
    with proxy(twins, database_url=twins.sealed.server.dsn(twins.sealed.name, tcp=True)) as running:
        check(twins, ("127.0.0.1", running.port))


@pytest.fixture
def ipv6_relay(twins: Twins) -> Iterator[int]:
    """A port on ::1 that leads to the server."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("not applicable: this machine has no IPv6")
    target = ("127.0.0.1", twins.sealed.server.port)

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def relay(near: socket.socket) -> None:
        with near, socket.create_connection(target) as far:
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    accepting.join()


def test_ipv6_on_both_sides(twins: Twins, ipv6_relay: int) -> None:
    url = f"postgresql://postgres@[::1]:{ipv6_relay}/{twins.sealed.name}"
    with proxy(twins, database_url=url, listen_host="::1,127.0.0.1") as running:
        check(twins, ("::1", running.port))
        check(twins, ("127.0.0.1", running.port))


class TestLoadBalancer:
    def test_it_says_who_the_client_is(self, twins: Twins) -> None:
        with proxy(twins, proxy_protocol="v2") as running:
            peer = Peer(dataclasses.replace(twins.proxied, address=("127.0.0.1", running.port)))
            for byte in header("192.0.2.7"):
                peer.say(bytes([byte]))
            peer.start()
            (connection,) = running.proxy.listener._connections
            assert connection._visit.host == "192.0.2.7"
            peer.say(query(PEOPLE))
            assert kinds(peer.hear()) == "TDDDCZ"
            peer.close()

    def test_a_connection_without_it_is_closed(self, twins: Twins) -> None:
        with proxy(twins, proxy_protocol="v2") as running:
            peer = Peer(dataclasses.replace(twins.proxied, address=("127.0.0.1", running.port)))
            assert peer.start() == [CLOSED]
            peer.close()

    def test_by_default_nobody_may_say_so(self, twins: Twins) -> None:
        peer = Peer(twins.proxied)
        peer.say(header("192.0.2.7"))
        assert peer.start() == [CLOSED]
        peer.close()
