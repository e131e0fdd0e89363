"""The clients' legs: certificates of both sides, their renewal, and handshakes without SSLRequest."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.server import proxy as proxy_module
from tests.helpers.certificates import Authority
from tests.helpers.tls_database import PASSWORDS, TlsDatabase, TlsProxy

pytestmark = pytest.mark.one_server


class TestDirect:
    def handshake(self, proxy: TlsProxy, *protocols: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(proxy.db.folder / "root.crt"))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        sock = socket.create_connection(("127.0.0.1", proxy.running.port), 5)
        return context.wrap_socket(sock, server_hostname="localhost")

    def test_alpn_is_needed(self, tls_proxy: TlsProxy) -> None:
        for protocols in ((), ("http/1.1",)):
            with self.handshake(tls_proxy, *protocols) as sock:
                sock.sendall(struct.pack("!iIII", 16, 80877102, 1, 2))
                assert sock.recv(100) == b""

    def test_a_second_request_inside_is_refused(self, tls_proxy: TlsProxy) -> None:
        with self.handshake(tls_proxy, "postgresql") as sock:
            sock.sendall(struct.pack("!iI", 8, 80877103))
            assert b"unsupported frontend protocol 1234.5679" in sock.recv(1000)

    def test_byte_by_byte(self, tls_proxy: TlsProxy) -> None:
        context = ssl.create_default_context(cafile=str(tls_proxy.db.folder / "root.crt"))
        context.set_alpn_protocols(["postgresql"])
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", tls_proxy.running.port), 5) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def flush() -> None:
                for byte in outgoing.read():
                    sock.sendall(bytes([byte]))

            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    flush()
                    incoming.write(sock.recv(65536))
            # the end of the handshake and what follows it, in one segment
            tls.write(struct.pack("!iI", 8, 80877104))
            sock.sendall(outgoing.read())
            answer = b""
            while not answer:
                try:
                    answer = tls.read(10)
                except ssl.SSLWantReadError:
                    incoming.write(sock.recv(65536))
            assert answer == b"N"

    def test_a_handshake_that_stops_is_dropped_at_the_deadline(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls(), authentication_timeout_s=0.3) as proxy:
            for start in (b"\x16\x03\x01\x02\0\x01", struct.pack("!iI", 8, 80877103)):
                with socket.create_connection(("127.0.0.1", proxy.running.port), 5) as sock:
                    sock.sendall(start)
                    received = b"".join(iter(lambda sock=sock: sock.recv(100), b""))
                    assert received in (b"", b"S")
            assert_empty(proxy)


def assert_empty(proxy: TlsProxy) -> None:
    deadline = time.monotonic() + 5
    while proxy.running.proxy.listener._connections or proxy.running.proxy._doorkeeper.pending_count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_failed_handshakes_leave_nothing_behind(tls_db: TlsDatabase) -> None:
    with tls_db.proxy(**tls_db.client_tls()) as proxy:
        for number in range(60):
            with socket.create_connection(("127.0.0.1", proxy.running.port), 5) as sock:
                if number % 2:
                    sock.sendall(struct.pack("!iI", 8, 80877103))
                    assert sock.recv(1) == b"S"
                sock.sendall(b"\x16\x03\x01\0\x05hello")
        assert_empty(proxy)
        proxy.connect().close()


def reload(proxy: TlsProxy) -> None:
    """What SIGHUP does."""
    asyncio.run_coroutine_threadsafe(proxy.running.proxy.reload(), proxy.running._loop).result(timeout=10)


def test_certificates_are_renewed_without_restart(tls_db: TlsDatabase) -> None:
    other = Authority("renewed")
    (tls_db.folder / "renewed-root.crt").write_bytes(other.certificate)
    tls_db.write("renewed", tls_db.authority.issue("localhost", "localhost"))
    files = {"tls_certificate": tls_db.folder / "renewed.crt", "tls_key": tls_db.folder / "renewed.key"}
    with tls_db.proxy(**{**tls_db.client_tls(), **files}) as proxy:
        before = proxy.connect(channel_binding="require")
        tls_db.write("renewed", other.issue("localhost", "localhost"))
        reload(proxy)
        root = str(tls_db.folder / "renewed-root.crt")
        with proxy.connect(channel_binding="require", sslrootcert=root) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            proxy.connect()
        (tls_db.folder / "renewed.key").write_text("nonsense")  # a bad file changes nothing
        reload(proxy)
        proxy.connect(sslrootcert=root).close()
        assert before.execute("SELECT 1").fetchone() == (1,)
        before.close()


def test_changed_certificates_are_noticed(tls_db: TlsDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "FILES_POLL_S", 0.05)
    tls_db.write("watched", tls_db.authority.issue("localhost", "localhost"))
    files = {"tls_certificate": tls_db.folder / "watched.crt", "tls_key": tls_db.folder / "watched.key"}
    with tls_db.proxy(**{**tls_db.client_tls(), **files}) as proxy:
        before = proxy.running.proxy._files.client
        tls_db.write("watched", tls_db.authority.issue("localhost", "localhost"))
        deadline = time.monotonic() + 5
        while proxy.running.proxy._files.client is before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        proxy.connect(channel_binding="require").close()


class TestClientCertificates:
    @pytest.fixture
    def of(self, tls_db: TlsDatabase) -> Callable[[str, str], dict[str, str]]:
        """libpq's words for a certificate of that authority with that common name."""
        authorities = {"right": Authority("clients"), "wrong": Authority("strangers")}
        (tls_db.folder / "clients.crt").write_bytes(authorities["right"].certificate)

        def make(authority: str, name: str, *hosts: str) -> dict[str, str]:
            tls_db.write("client", authorities[authority].issue(name, *hosts))
            return {"sslcert": str(tls_db.folder / "client.crt"), "sslkey": str(tls_db.folder / "client.key")}

        return make

    def settings(self, db: TlsDatabase, use: str) -> dict[str, object]:
        return {**db.client_tls(), "tls_client_ca": db.folder / "clients.crt", "tls_client_certificate": use}

    def test_besides_the_password(self, tls_db: TlsDatabase, of: Callable[..., dict[str, str]]) -> None:
        right, other, wrong = of("right", "app"), "", ""
        with tls_db.proxy(**self.settings(tls_db, "verify-full")) as proxy:
            proxy.connect(channel_binding="require", **right).close()
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                proxy.connect(password="wrong", **right)
            with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
                proxy.connect(sslcertmode="disable")
            other = of("right", "somebody")
            with pytest.raises(psycopg.OperationalError, match='certificate authentication failed for user "app"'):
                proxy.connect(**other)
            wrong = of("wrong", "app")
            with pytest.raises(psycopg.OperationalError):
                proxy.connect(**wrong)
        with tls_db.proxy(**self.settings(tls_db, "verify-ca")) as proxy:
            proxy.connect(**of("right", "somebody")).close()

    def test_in_the_passwords_place(self, tls_db: TlsDatabase, of: Callable[..., dict[str, str]], tmp_path: Path):
        names = tmp_path / "names"
        names.write_text("# certificate, user\nCN=service-a  anna\nDNS=b.test  bert\n")
        changes = {
            **self.settings(tls_db, "login"),
            "auth": "static",
            "upstream_user": "fixed",
            "upstream_password": PASSWORDS["fixed"],
            "certificate_users": names,
        }
        with tls_db.proxy(**changes) as proxy:
            with proxy.connect("anna", "", **of("right", "service-a")) as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("fixed",)
            with pytest.raises(psycopg.OperationalError, match='failed for user "bert"'):
                proxy.connect("bert", "", **of("right", "service-a"))
            proxy.connect("bert", "", **of("right", "service-b", "b.test")).close()
            with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
                proxy.connect("anna", "", sslcertmode="disable")


def test_a_unix_socket_needs_no_tls(tls_db: TlsDatabase, tmp_path: Path) -> None:
    with tls_db.proxy(**tls_db.client_tls(), unix_socket_dir=tmp_path) as proxy:
        dsn = f"postgresql://app@/{tls_db.name}?host={tmp_path}&port={proxy.running.port}"
        with psycopg.connect(dsn, password=PASSWORDS["app"], autocommit=True) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("app",)
