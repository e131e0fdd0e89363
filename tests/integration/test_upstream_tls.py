"""The legs to PostgreSQL: TLS as the database URL says, or no connection; nobody in between is believed."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.wire import sasl
from pgcrypt_proxy.wire.backend import Authentication
from tests.helpers.certificates import Authority
from tests.helpers.middle import Middle, answers, between, error, takes_tls
from tests.helpers.tls_database import TlsDatabase, TlsProxy

pytestmark = pytest.mark.one_server


@pytest.fixture(scope="module")
def watched(tls_db: TlsDatabase) -> Iterator[tuple[Middle, TlsProxy]]:
    """A proxy whose way to the server leads over somebody else."""
    with (
        between(tls_db.server.port) as middle,
        tls_db.proxy(**tls_db.client_tls(), database_url=tls_db.url(middle.port)) as proxy,
    ):
        proxy.connect().close()
        yield middle, proxy


@pytest.fixture
def middle(watched: tuple[Middle, TlsProxy]) -> Iterator[Middle]:
    watched[0].seen.clear()
    yield watched[0]
    watched[0].act = None


def refusal(proxy: TlsProxy) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        proxy.connect()
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"N", "the server does not support TLS"),
        (error("planted error text"), "did not accept the SSL request"),
        (b"S" + b"R\0\0\0\x08\0\0\0\0", "unencrypted data after its answer"),
        (b"G", "did not accept the SSL request"),
        (b"\x15\x03\x03\0\x02\x02\x28", "did not accept the SSL request"),
    ],
)
def test_stripped_tls(watched: tuple[Middle, TlsProxy], middle: Middle, answer: bytes, said: str) -> None:
    middle.act = answers(middle, answer)
    text = refusal(watched[1])
    assert said in text
    assert "planted" not in text
    assert set(middle.heard()) == {b""}  # nothing more was said to it, nor by a connection of the proxy itself


def test_a_server_that_hangs_up(watched: tuple[Middle, TlsProxy], middle: Middle) -> None:
    middle.act = lambda client: client.close()
    assert "could not connect to the server" in refusal(watched[1])


def test_garbage_in_the_handshake(watched: tuple[Middle, TlsProxy], middle: Middle) -> None:
    def act(client: object) -> None:
        client.recv(8)  # type: ignore[attr-defined]
        client.sendall(b"S")  # type: ignore[attr-defined]
        time.sleep(0.05)
        client.sendall(b"R\0\0\0\x08\0\0\0\0" * 9)  # type: ignore[attr-defined]

    middle.act = act
    assert "the TLS handshake failed" in refusal(watched[1])


class TestCertificates:
    @pytest.fixture
    def other(self, tls_db: TlsDatabase, certificate_authority: Authority, request: pytest.FixtureRequest) -> Path:
        authority = Authority("another") if request.param == "authority" else certificate_authority
        hosts = ("elsewhere.test",) if request.param == "host" else ("localhost", "127.0.0.1")
        days = -1 if request.param == "date" else 1
        tls_db.write("impostor", authority.issue(hosts[0], *hosts, valid_days=days))
        return tls_db.folder / "impostor"

    @pytest.mark.parametrize("other", ["authority", "host", "date"], indirect=True)
    def test_an_impostor(self, watched: tuple[Middle, TlsProxy], middle: Middle, other: Path) -> None:
        middle.act = takes_tls(middle, other.with_suffix(".crt"), other.with_suffix(".key"), b"")
        assert "the server's certificate is not valid" in refusal(watched[1])
        assert middle.heard() == []

    @pytest.mark.parametrize("other", ["host"], indirect=True)
    def test_verify_ca_asks_for_the_authority_only(self, tls_db: TlsDatabase, other: Path) -> None:
        with (
            between(tls_db.server.port) as middle,
            tls_db.proxy(database_url=tls_db.url(middle.port, sslmode="verify-ca")) as proxy,
        ):
            proxy.connect(sslmode="disable").close()
            middle.act = takes_tls(
                middle, other.with_suffix(".crt"), other.with_suffix(".key"), error("planted error text")
            )
            with pytest.raises(psycopg.OperationalError, match="planted error text"):  # this server may speak
                proxy.connect(sslmode="disable")

    def test_the_proxys_own_connection_is_as_careful(self, tls_db: TlsDatabase, tmp_path: Path) -> None:
        (tmp_path / "root.crt").write_bytes(Authority("another").certificate)
        url = tls_db.url(sslrootcert=str(tmp_path / "root.crt"))
        with pytest.raises(PgcryptError, match="cannot connect"), tls_db.proxy(database_url=url):
            pass

    def test_a_new_authority_is_loaded(self, tls_db: TlsDatabase, tmp_path: Path) -> None:
        root = tmp_path / "root.crt"
        root.write_bytes(tls_db.authority.certificate)
        with tls_db.proxy(database_url=tls_db.url(sslrootcert=str(root))) as proxy:
            proxy.connect(sslmode="disable").close()
            root.write_bytes(Authority("another").certificate)
            proxy.running.call(proxy.running.proxy._files.reload_if_changed)
            with pytest.raises(psycopg.OperationalError, match="certificate is not valid"):
                proxy.connect(sslmode="disable")
            root.write_text("nonsense")
            proxy.running.call(proxy.running.proxy._files.reload_if_changed)
            with pytest.raises(psycopg.OperationalError, match="certificate is not valid"):
                proxy.connect(sslmode="disable")
            root.write_bytes(tls_db.authority.certificate)
            proxy.running.call(proxy.running.proxy._files.reload_if_changed)
            proxy.connect(sslmode="disable").close()


class TestMethods:
    """Somebody has a certificate that the proxy trusts, and no verifier."""

    @pytest.mark.parametrize(
        ("request_", "said"),
        [
            (Authentication(0).encode(), 'authentication by "none"'),
            (Authentication(3).encode(), 'authentication by "password"'),
            (Authentication(5, b"salt").encode(), "authentication method 5"),
            (Authentication(11, b"r=x").encode(), "authentication method 11"),
            (sasl.offer("SCRAM-SHA-1"), "none of the server's SASL authentication mechanisms"),
            (b"R\0\1\0\0", "invalid message length"),
            (b"S\0\0\0\x08a\0b\0", "unexpected message type 83"),
        ],
    )
    def test_downgrades(self, watched: tuple[Middle, TlsProxy], middle: Middle, request_: bytes, said: str) -> None:
        folder = watched[1].db.folder
        middle.act = takes_tls(middle, folder / "proxy.crt", folder / "proxy.key", request_)
        assert said in refusal(watched[1])
        assert middle.heard()[-1] == b""
        assert not any(b"planted" in seen for seen in middle.heard())

    def test_channel_binding_required_of_the_server(self, tls_db: TlsDatabase) -> None:
        with between(tls_db.server.port) as middle:
            url = tls_db.url(middle.port, channel_binding="require")
            with tls_db.proxy(database_url=url) as proxy:
                proxy.connect(sslmode="disable").close()
                folder = tls_db.folder
                offer = sasl.offer("SCRAM-SHA-256")
                middle.act = takes_tls(middle, folder / "proxy.crt", folder / "proxy.key", offer)
                with pytest.raises(psycopg.OperationalError, match="channel binding is required"):
                    proxy.connect(sslmode="disable")
                assert middle.heard()[1:] == [b""]

    def test_a_server_that_does_not_know_the_verifier(self, watched: tuple[Middle, TlsProxy], middle: Middle) -> None:
        folder = watched[1].db.folder
        steps = (sasl.offer("SCRAM-SHA-256"), Authentication(11, b"r=other,s=c2FsdA==,i=4096").encode())
        middle.act = takes_tls(middle, folder / "proxy.crt", folder / "proxy.key", *steps)
        assert "nonce mismatch" in refusal(watched[1])


def test_a_cancel_request_is_encrypted(watched: tuple[Middle, TlsProxy], middle: Middle) -> None:
    def act(client: object) -> None:
        middle.seen.append(client.recv(8))  # type: ignore[attr-defined]
        client.sendall(b"N")  # type: ignore[attr-defined]
        middle.seen.append(client.recv(100))  # type: ignore[attr-defined]

    with watched[1].connect() as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()
        middle.act = act
        connection.cancel_safe()
        assert set(middle.heard()) == {struct.pack("!iI", 8, 80877103), b""}
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_tls_without_verification_needs_to_be_asked_for(tls_db: TlsDatabase) -> None:
    with tls_db.proxy(database_url=tls_db.url(sslmode="require", sslrootcert="")) as proxy:
        proxy.connect(sslmode="disable").close()


def test_direct_tls_is_refused_by_a_server_that_does_not_know_it(tls_db: TlsDatabase) -> None:
    with between(tls_db.server.port) as middle, tls_db.proxy(database_url=tls_db.url(middle.port)) as proxy:
        upstream = proxy.running.proxy.listener._upstream
        upstream.address = replace(upstream.address, is_direct_tls=True)
        with pytest.raises(psycopg.OperationalError, match="could not connect to the server"):
            proxy.connect(sslmode="disable")


def test_direct_tls_to_a_server_that_knows_it(tls_db: TlsDatabase) -> None:
    """A proxy stands for the server of version 17 or newer: it takes direct TLS."""
    with tls_db.proxy(**tls_db.client_tls(), users=("app", "owner")) as first:
        url = tls_db.url(first.running.port, sslnegotiation="direct")
        with tls_db.proxy(database_url=url) as second, second.connect(sslmode="disable") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("app",)


def test_the_systems_authorities(tls_db: TlsDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_db.folder / "root.crt"))
    with tls_db.proxy(database_url=tls_db.url(sslrootcert="system")) as proxy:
        proxy.connect(sslmode="disable").close()
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_db.folder / "none.crt"))
    with pytest.raises(PgcryptError), tls_db.proxy(database_url=tls_db.url(sslrootcert="system")):
        pass
