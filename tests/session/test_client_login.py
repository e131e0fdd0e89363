"""A client logs in at the proxy, as playbooks: what it is told, and when the server is connected to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.session.commands import (
    CloseConnection,
    FindAccount,
    NoteFailedLogin,
    OpenBackend,
    SendData,
    StartTls,
)
from pgcrypt_proxy.session.events import AccountFound, BackendOpened, ConnectionClosed, LoginDenied, Side, TlsStarted
from pgcrypt_proxy.session.login import CertificateUse, LoginRules, Mode
from pgcrypt_proxy.session.scram import LoginRefused, Password, ScramClient, ScramServer
from pgcrypt_proxy.wire import sasl
from pgcrypt_proxy.wire.backend import Authentication
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.session.conversations import (
    AUTHENTICATED,
    SSL_REQUEST,
    STARTUP,
    Talk,
    error,
    fields_of,
    query,
    ready,
    startup,
    status,
)

VERIFIER = Verifier.make("pencil")
FOUND = AccountFound(VERIFIER)
BINDING = b"b" * 32
METHODS = frozenset({"scram-sha-256"})
PASSTHROUGH = LoginRules(mode=Mode.PASSTHROUGH, methods=METHODS)
STATIC = LoginRules(mode=Mode.STATIC, methods=METHODS, upstream_user="fixed")


def asked(login: LoginRules = PASSTHROUGH, account: AccountFound = FOUND, **options: Any) -> Talk:
    """Past FindAccount."""
    play = Talk(login=login, **options)
    play >> frontend(STARTUP) << FindAccount("app")
    play >> account
    return play


def ends_with(play: Talk, sqlstate: str) -> dict[str, str]:
    fields = fields_of(play.sent(Side.FRONTEND)[-1])
    assert (fields["V"], fields["C"]) == ("FATAL", sqlstate)
    while play.said:
        assert play.next() in (CloseConnection(Side.FRONTEND), CloseConnection(Side.BACKEND), NoteFailedLogin())
    assert play.session.is_closed
    return fields


def offered(play: Talk) -> tuple[str, ...]:
    return sasl.mechanisms(Authentication.decode(play.sent(Side.FRONTEND)[0]))


def proves(play: Talk, password: str = "pencil", binding: bytes | None = None) -> ScramClient:
    """The client takes the offer and sends its proof."""
    client = ScramClient(Password(password), binding=binding)
    play >> frontend(client.first(offered(play)).encode())
    reply = Authentication.decode(play.sent(Side.FRONTEND)[0])
    assert reply.code == 11
    play >> frontend(sasl.response(client.final(reply.data)))
    return client


def let_in(play: Talk, *, binding: bytes | None = None, password: str = "pencil") -> list[bytes]:
    """The server takes the proxy's login; the messages it was sent."""
    sent = play.sent(Side.BACKEND)
    verifier = VERIFIER if password == "pencil" else Verifier.make(password)
    server = ScramServer(verifier, is_mock=False, binding=binding)
    play >> backend(sasl.offer(*server.mechanisms))
    first = sasl.InitialResponse.decode(play.sent(Side.BACKEND)[0])
    play >> backend(Authentication(11, server.first(first)).encode())
    proven = server.final(sasl.response_data(play.sent(Side.BACKEND)[0]))
    assert proven is not None
    play >> backend(Authentication(12, proven.server_final).encode())
    play.done()
    said = (AUTHENTICATED, status("TimeZone", "UTC"), b"K\0\0\0\x0c\0\0\0\1\0\0\0\2", ready())
    play >> backend(*said) << to_frontend(*said)
    assert play.session.is_ready
    return sent


def test_the_proof_logs_in_upstream() -> None:
    play = asked()
    client = proves(play)
    client.check(Authentication.decode(play.sent(Side.FRONTEND)[0]).data)
    play << OpenBackend()
    play >> BackendOpened()
    assert let_in(play) == [STARTUP]
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_the_protocol_is_negotiated_on_each_leg() -> None:
    play = Talk(login=PASSTHROUGH)
    wishes = startup(user="app", database="shop", **{"_pq_.first": "on", "_pq_.second": ""})
    wishes = wishes[:6] + b"\x27\x0f" + wishes[8:]  # 3.9999
    negotiated = b"\0\3\0\2\0\0\0\2_pq_.first\0_pq_.second\0"
    play >> frontend(wishes) << to_frontend(b"v" + (4 + len(negotiated)).to_bytes(4) + negotiated)
    play << FindAccount("app")
    play >> FOUND
    proves(play).check(Authentication.decode(play.sent(Side.FRONTEND)[0]).data)
    play << OpenBackend()
    play >> BackendOpened()
    (sent,) = play.sent(Side.BACKEND)
    assert sent == STARTUP[:6] + b"\0\2" + STARTUP[8:]
    play >> backend(b"v\0\0\0\x0c\0\3\0\0\0\0\0\0")  # the server's: not for the client
    play.done()
    play >> backend(sasl.offer("SCRAM-SHA-256"))
    assert play.sent(Side.BACKEND)


def test_each_leg_is_bound_to_its_own_certificate() -> None:
    play = Talk(login=PASSTHROUGH, tls_available=True, tls_required=True)
    play >> frontend(SSL_REQUEST) << StartTls(b"S")
    play >> TlsStarted(BINDING)
    play >> frontend(STARTUP) << FindAccount("app")
    play >> FOUND
    proves(play, binding=BINDING).check(Authentication.decode(play.sent(Side.FRONTEND)[0]).data)
    play << OpenBackend()
    play >> BackendOpened(is_tls=True, binding=b"u" * 32)
    let_in(play, binding=b"u" * 32)


def test_without_a_binding_none_is_offered() -> None:
    play = Talk(login=PASSTHROUGH, tls_available=True)
    play >> frontend(SSL_REQUEST) << StartTls(b"S")
    play >> TlsStarted(None)
    play >> frontend(STARTUP) << FindAccount("app")
    play >> FOUND
    assert offered(play) == ("SCRAM-SHA-256",)


@pytest.mark.parametrize(
    ("account", "password"),
    [
        (FOUND, "pen"),
        (AccountFound(Verifier.mock(b"s", "app"), is_mock=True), "pencil"),
        (AccountFound(VERIFIER, True), "pencil"),
    ],
)
def test_a_wrong_proof_never_reaches_the_server(account: AccountFound, password: str) -> None:
    play = asked(account=account)
    proves(play, password)
    assert ends_with(play, "28P01")["M"] == 'password authentication failed for user "app"'


def test_a_wrong_proof_is_noted_once() -> None:
    play = asked()
    proves(play, "pen")
    assert [c for c in play.said if isinstance(c, NoteFailedLogin)] == [NoteFailedLogin()]
    play.said.clear()


def test_users_that_are_not_listed_fail_as_unknown_ones() -> None:
    play = asked(LoginRules(mode=Mode.PASSTHROUGH, methods=METHODS, users=frozenset({"other"})))
    proves(play)
    ends_with(play, "28P01")


def test_users_that_are_not_listed_in_relay_mode() -> None:
    play = Talk(login=LoginRules(users=frozenset({"other"})))
    play >> frontend(STARTUP)
    ends_with(play, "28000")


def test_no_account_can_be_looked_up() -> None:
    play = Talk(login=PASSTHROUGH)
    play >> frontend(STARTUP) << FindAccount("app")
    play >> LoginDenied(LoginRefused("not now", sqlstate="53300"))
    ends_with(play, "53300")


@pytest.mark.parametrize(
    ("message", "sqlstate"),
    [
        (query("SELECT 1"), "08P01"),
        (b"p\0\0\0\x04", "08P01"),
        (b"p\0\0\0\x0bsecret\0", "08P01"),
        (b"p\0\1\0\0", "08P01"),  # 65,536
        (b"p\x7f\xff\xff\xff", "08P01"),
        (b"p\xff\xff\xff\xff", "08P01"),
        (sasl.InitialResponse("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=a").encode(), "08P01"),
        (b"p\0\0\0\x19SCRAM-SHA-256\0\x7f\xff\xff\xffn,,", "08P01"),  # its inner length lies
    ],
)
def test_messages_out_of_form(message: bytes, sqlstate: str) -> None:
    play = asked()
    offered(play)
    play >> frontend(message)
    ends_with(play, sqlstate)


def test_a_client_may_leave() -> None:
    play = asked()
    offered(play)
    play >> frontend(b"X\0\0\0\4") << CloseConnection(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play.done()
    play = asked()
    offered(play)
    play >> ConnectionClosed(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play.done()


def test_what_a_client_may_send_ahead_is_bounded() -> None:
    play = Talk(login=PASSTHROUGH)
    play >> frontend(STARTUP) << FindAccount("app")
    play >> frontend(b"p" * 60_000)
    play.done()
    play >> frontend(b"p" * 60_000)
    ends_with(play, "08P01")


def test_a_third_message_waits_for_the_server() -> None:
    play = asked()
    proves(play)
    play.sent(Side.FRONTEND)
    play << OpenBackend()
    play >> frontend(b"p\0\0\0\x05x")
    play.done()
    play >> BackendOpened() << to_backend(STARTUP)
    play >> backend(sasl.offer("SCRAM-SHA-256"))
    assert play.sent(Side.BACKEND)[0].startswith(b"p")  # the proxy's own; the client's waits, and is none afterwards
    play.done()


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_of_a_client(chunks: list[bytes]) -> None:
    """Nothing but a right proof leads to the server, and nothing ends the session but its own errors."""
    play = asked()
    offered(play)
    for chunk in chunks:
        for data in (chunk, b"p" + (len(chunk) + 4).to_bytes(4, "big") + chunk):
            play >> frontend(data)
            assert OpenBackend() not in play.said
            play.said.clear()


@given(st.sampled_from(b"RESKZNvAXq"), st.sampled_from([0, 3, 5, 10, 11, 12, 99]), st.binary(max_size=60))
def test_any_bytes_of_a_server(kind: int, code: int, rest: bytes) -> None:
    """Nothing but the whole exchange lets a client in."""
    play = asked()
    proves(play)
    play.sent(Side.FRONTEND)
    play << OpenBackend()
    play >> BackendOpened() << to_backend(STARTUP)
    for body in (rest, code.to_bytes(4, "big") + rest):
        play >> backend(bytes([kind]) + (len(body) + 4).to_bytes(4, "big") + body)
        said = b"".join(c.data for c in play.said if isinstance(c, SendData) and c.side is Side.FRONTEND)
        assert AUTHENTICATED not in said
        assert not play.session.is_ready
        play.said.clear()


class TestStatic:
    def test_the_user_is_replaced(self) -> None:
        play = Talk(login=STATIC)
        given = startup(user="app", application_name="x", options="-c a=b")
        play >> frontend(given) << FindAccount("app")
        play >> AccountFound(VERIFIER, password=Password("upstream"))
        proves(play)
        play.sent(Side.FRONTEND)
        play << OpenBackend()
        play >> BackendOpened()
        sent = let_in(play, password="upstream")
        assert sent == [startup(user="fixed", application_name="x", options="-c a=b", database="app")]

    def test_the_servers_refusal_is_not_the_clients_business(self) -> None:
        play = asked(STATIC, AccountFound(VERIFIER, password=Password("upstream")))
        proves(play)
        play.sent(Side.FRONTEND)
        play << OpenBackend()
        play >> BackendOpened() << to_backend(startup(user="fixed", database="shop"))
        play >> backend(error("28P01", 'password authentication failed for user "fixed"', severity="FATAL"))
        assert "fixed" not in ends_with(play, "08006")["M"]


class TestCertificates:
    def talk(self, use: CertificateUse, names: tuple[str, ...] | None, **rules: Any) -> Talk:
        login = LoginRules(certificate=use, **{"mode": Mode.PASSTHROUGH, "methods": METHODS, **rules})
        play = Talk(login=login, tls_available=True, tls_required=True)
        play >> TlsStarted(BINDING, names)
        play >> frontend(STARTUP)
        return play

    @pytest.mark.parametrize(
        ("use", "names"),
        [
            (CertificateUse.OFF, None),
            (CertificateUse.VERIFY_CA, ()),
            (CertificateUse.VERIFY_CA, ("CN=other",)),
            (CertificateUse.VERIFY_FULL, ("CN=app",)),
            (CertificateUse.VERIFY_FULL, ("DNS=x", "CN=app")),
        ],
    )
    def test_good_ones(self, use: CertificateUse, names: tuple[str, ...] | None) -> None:
        self.talk(use, names) << FindAccount("app")

    @pytest.mark.parametrize("use", [CertificateUse.VERIFY_FULL, CertificateUse.LOGIN])
    @pytest.mark.parametrize("names", [None, (), ("CN=other",), ("DNS=app",), ("CN=app\0",), ("CN=APP",)])
    def test_bad_ones(self, use: CertificateUse, names: tuple[str, ...] | None) -> None:
        ends_with(self.talk(use, names), "28000")

    def test_a_map_of_users(self) -> None:
        users = {"DNS=a.test": frozenset({"app", "b"})}
        self.talk(CertificateUse.VERIFY_FULL, ("DNS=a.test",), certificate_users=users) << FindAccount("app")
        ends_with(self.talk(CertificateUse.VERIFY_FULL, ("CN=app",), certificate_users=users), "28000")

    def test_in_the_passwords_place(self) -> None:
        static = {"mode": Mode.STATIC, "upstream_user": "fixed"}
        play = self.talk(CertificateUse.LOGIN, ("CN=app",), **static)
        play << FindAccount("app")
        play >> AccountFound(None, password=Password("upstream")) << OpenBackend()
        ends_with(self.talk(CertificateUse.LOGIN, ("CN=app",), users=frozenset({"b"}), **static), "28000")

    def test_nothing_to_log_in_with(self) -> None:
        play = asked(account=AccountFound(None))
        ends_with(play, "28000")
