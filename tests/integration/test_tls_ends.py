"""How connections inside of TLS end: in order, half, or cut; on the client's side and on the server's."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator

import psycopg
import pytest

from tests.helpers.middle import Middle, between
from tests.helpers.raw_peers import CLOSED, Peer, Place, errors, eventually, kinds
from tests.helpers.tls_database import TlsDatabase, TlsProxy
from tests.session.conversations import SSL_REQUEST, query

pytestmark = pytest.mark.one_server


class TlsPlace(Place):
    """Where TLS is asked for first."""

    def connect(self) -> socket.socket:
        sock = super().connect()
        sock.sendall(SSL_REQUEST)
        assert sock.recv(1) == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(sock, suppress_ragged_eofs=False)


@pytest.fixture(scope="module")
def ways(tls_db: TlsDatabase) -> Iterator[tuple[Middle, TlsProxy]]:
    """A proxy that asks `trusted` for no password, and somebody between it and the server."""
    how = {"auth": "relay", "require_auth": ("none", "scram-sha-256")}
    with (
        between(tls_db.server.port) as middle,
        tls_db.proxy(**tls_db.client_tls(), **how, database_url=tls_db.url(middle.port)) as proxy,
    ):
        yield middle, proxy


@pytest.fixture
def peer(ways: tuple[Middle, TlsProxy]) -> Iterator[Peer]:
    proxy = ways[1]
    made = Peer(TlsPlace(("127.0.0.1", proxy.running.port), proxy.db.name, {}))
    made.start(user="trusted")
    yield made
    made.close()


def assert_gone(proxy: TlsProxy, pid: int) -> None:
    """Neither the proxy nor the server has the session any more."""
    eventually(lambda: not proxy.running.proxy.listener._connections)
    with proxy.db.direct() as direct:
        query_ = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: direct.execute(query_, [pid]).fetchone() == (0,))
        assert direct.execute("SELECT count(*) FROM users WHERE id = 700").fetchone() == (0,)


def begin(peer: Peer) -> int:
    peer.say(query("BEGIN; INSERT INTO users VALUES (700, 'planted-tls-end')"))
    assert kinds(peer.hear()) == "CCZ"
    return peer.key[0]


class TestClients:
    def test_an_end_in_order_without_terminate(self, ways: tuple[Middle, TlsProxy], peer: Peer) -> None:
        """close_notify: the client says that it will write no more, and is taken for gone."""
        pid = begin(peer)
        assert isinstance(peer.sock, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            peer.sock.unwrap()
        assert_gone(ways[1], pid)

    def test_half_of_the_socket_ends(self, ways: tuple[Middle, TlsProxy], peer: Peer) -> None:
        pid = begin(peer)
        with socket.socket(fileno=socket.dup(peer.sock.fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            assert peer.hear() == [CLOSED]
        assert_gone(ways[1], pid)

    @pytest.mark.parametrize("linger", [struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)], ids=["reset", "end"])
    def test_the_socket_goes(self, ways: tuple[Middle, TlsProxy], peer: Peer, linger: bytes) -> None:
        pid = begin(peer)
        peer.say(query("SELECT pg_sleep(0.2)"))
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.sock.close()
        assert_gone(ways[1], pid)


class TestServer:
    def test_what_it_says_last_is_passed_on(self, ways: tuple[Middle, TlsProxy], peer: Peer) -> None:
        """FATAL and close_notify in one segment: the client reads the error, and then the end of TLS in order."""
        pid = begin(peer)
        with ways[1].db.direct() as direct:
            direct.execute("SELECT pg_terminate_backend(%s)", [pid])
        heard = peer.hear()
        assert errors(heard) == [("57P01", "terminating connection due to administrator command")]
        assert heard[-1] == CLOSED  # a ragged end would raise
        assert_gone(ways[1], pid)

    def test_a_cut_is_no_end_in_order(self, ways: tuple[Middle, TlsProxy], peer: Peer) -> None:
        pid = begin(peer)
        for sock in ways[0]._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        heard = peer.hear()
        assert [code for code, _ in errors(heard)] == ["08006"]
        assert heard[-1] == CLOSED
        assert_gone(ways[1], pid)


def test_nobody_else_notices(ways: tuple[Middle, TlsProxy]) -> None:
    with ways[1].connect("trusted", "") as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT nosuch")
