"""From the first byte to the first ReadyForQuery."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.session.commands import CloseConnection, NoteFailedLogin, OpenBackend, RelayCancel, StartTls
from pgcrypt_proxy.session.events import BackendFailed, BackendOpened, ConnectionClosed, Side, TlsStarted
from pgcrypt_proxy.session.login import LoginRules
from pgcrypt_proxy.wire.backend import Authentication
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.session.conversations import (
    AUTHENTICATED,
    GSSENC_REQUEST,
    SSL_REQUEST,
    STARTUP,
    Talk,
    error,
    fields_of,
    packet,
    query,
    ready,
    startup,
    status,
)

CLOSE_BOTH = (CloseConnection(Side.FRONTEND), CloseConnection(Side.BACKEND))
PASSWORD = b"p\0\0\0\x0bsecret\0"


def connecting(**options: object) -> Talk:
    play = Talk(**options)
    play >> frontend(STARTUP) << OpenBackend()
    play >> BackendOpened() << to_backend(STARTUP)
    return play


def ends_with(play: Talk, sqlstate: str) -> dict[str, str]:
    fields = fields_of(play.sent(Side.FRONTEND)[-1])
    assert (fields["V"], fields["C"]) == ("FATAL", sqlstate)
    play << CLOSE_BOTH[0] << CLOSE_BOTH[1]
    play.done()
    return fields


def test_startup_and_authentication_are_relayed():
    play = connecting()
    ask = Authentication(3).encode()
    play >> backend(ask) << to_frontend(ask)
    play >> frontend(PASSWORD) << to_backend(PASSWORD)
    said = (AUTHENTICATED, status("TimeZone", "Europe/Berlin"), b"K\0\0\0\x0c\0\0\0\1\0\0\0\2", ready())
    play >> backend(*said) << to_frontend(*said)
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    assert play.session.is_ready


def test_byte_by_byte():
    play = Talk()
    for byte in STARTUP[:-1]:
        play >> frontend(bytes([byte]))
    play >> frontend(STARTUP[-1:]) << OpenBackend()
    play.done()


def test_messages_behind_the_startup_packet_wait_until_the_server_is_ready():
    play = Talk()
    play >> frontend(STARTUP, query("SELECT 1")) << OpenBackend()
    assert play.session.is_holding_frontend
    play >> BackendOpened() << to_backend(STARTUP)
    play >> backend(AUTHENTICATED, ready()) << to_backend(query("SELECT 1")) << to_frontend(AUTHENTICATED, ready())
    play.done()


def test_ssl_request_without_tls_is_answered_n():
    play = Talk()
    play >> frontend(SSL_REQUEST) << to_frontend(b"N")
    play >> frontend(GSSENC_REQUEST) << to_frontend(b"N")
    play >> frontend(STARTUP) << OpenBackend()
    play.done()


def test_ssl_request_starts_tls():
    play = Talk(tls_available=True, tls_required=True)
    play >> frontend(GSSENC_REQUEST) << to_frontend(b"N")
    play >> frontend(SSL_REQUEST) << StartTls(b"S")
    play >> TlsStarted()
    play >> frontend(STARTUP) << OpenBackend()
    play.done()


@pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST])
@pytest.mark.parametrize("tls_available", [True, False])
def test_plaintext_behind_an_encryption_request_is_refused(request_: bytes, tls_available: bool):
    play = Talk(tls_available=tls_available)
    play >> frontend(request_ + STARTUP)
    assert "received unencrypted data after" in ends_with(play, "08P01")["M"]


def test_plaintext_before_the_handshake_is_refused():
    play = Talk(tls_available=True)
    play >> frontend(SSL_REQUEST) << StartTls(b"S")
    play >> frontend(STARTUP)
    ends_with(play, "08P01")


def test_second_ssl_request_inside_tls_is_refused():
    play = Talk(tls_available=True)
    play >> frontend(SSL_REQUEST) << StartTls(b"S")
    play >> TlsStarted()
    play >> frontend(SSL_REQUEST)
    assert "1234.5679" in ends_with(play, "0A000")["M"]


def test_direct_tls_is_closed_without_a_word():
    play = Talk(tls_available=True)
    play >> frontend(b"\x16\3\1\2\0\1") << CLOSE_BOTH[0] << CLOSE_BOTH[1]
    play.done()


def test_tls_required():
    play = Talk(tls_available=True, tls_required=True)
    play >> frontend(STARTUP)
    ends_with(play, "28000")


def test_cancel_request_is_relayed_whole():
    cancel = packet(80877102, b"\0\0\0\1\0\0\0\2")
    play = Talk(tls_required=True)
    play >> frontend(cancel) << RelayCancel(cancel)
    play.done()
    assert play.session.is_closed


@pytest.mark.parametrize("value", ["true", "database", "on", "1", "yes"])
def test_replication_is_refused(value: str):
    play = Talk()
    play >> frontend(startup(user="app", replication=value))
    ends_with(play, "0A000")


def test_other_database_is_refused():
    play = Talk(database_name="other")
    play >> frontend(STARTUP)
    ends_with(play, "3D000")


def test_the_database_is_the_user_by_default():
    play = Talk(database_name="app")
    play >> frontend(startup(user="app")) << OpenBackend()


def test_no_user():
    play = Talk()
    play >> frontend(startup(database="shop"))
    ends_with(play, "28000")


def test_protocol_2_gets_an_error_it_can_read():
    play = Talk()
    play >> frontend(packet(2 << 16))
    assert play.sent(Side.FRONTEND)[0].startswith(b"EFATAL:  unsupported frontend protocol 2.0")


def test_unreachable_server():
    play = Talk()
    play >> frontend(STARTUP) << OpenBackend()
    play >> BackendFailed("connection refused")
    assert ends_with(play, "08006")["M"] == "could not connect to the server: connection refused"


def test_fatal_of_the_server_is_relayed_as_it_came():
    play = connecting()
    gone = error("53300", "too many connections", severity="FATAL")
    play >> backend(gone) << to_frontend(gone)
    play >> ConnectionClosed(Side.BACKEND) << CloseConnection(Side.FRONTEND)
    play.done()


def test_client_speaks_only_when_asked():
    play = connecting()
    play >> frontend(PASSWORD)
    play.done()
    play >> backend(AUTHENTICATED, ready())
    ends_with(play, "08P01")


def test_client_must_answer_with_a_password_message():
    play = connecting()
    ask = Authentication(3).encode()
    play >> backend(ask) << to_frontend(ask)
    play >> frontend(query("SELECT 1"))
    ends_with(play, "08P01")


def test_channel_binding_is_not_offered():
    play = connecting()
    play >> backend(Authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").encode())
    play << to_frontend(Authentication(10, b"SCRAM-SHA-256\0\0").encode())
    play.done()


def test_server_message_out_of_place():
    play = connecting()
    play >> backend(b"D\0\0\0\6\0\0")
    ends_with(play, "08P01")


def test_client_that_leaves_closes_the_server_connection():
    play = connecting()
    play >> ConnectionClosed(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play.done()


def test_server_that_leaves_without_a_word():
    play = Talk().opened()
    play >> ConnectionClosed(Side.BACKEND)
    ends_with(play, "08006")


def test_server_connection_that_came_too_late_is_closed():
    play = Talk()
    play >> frontend(STARTUP) << OpenBackend()
    play >> ConnectionClosed(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play >> BackendOpened() << CloseConnection(Side.BACKEND)
    play.done()


def test_nothing_but_authentication_comes_before_it_is_over():
    for message in (status("TimeZone", "UTC"), b"K\0\0\0\x0c\0\0\0\1\0\0\0\2", ready()):
        play = connecting()
        play >> backend(message)
        ends_with(play, "08P01")


def test_a_server_may_not_talk_for_ever_before_it_is_ready():
    play = connecting()
    play >> backend(AUTHENTICATED) << to_frontend(AUTHENTICATED)
    play >> backend(*[status("a", "b")] * 3000)
    ends_with(play, "08P01")


@pytest.mark.parametrize("kind", [b"R", b"E", b"S"])
def test_long_messages_are_refused_before_anything_is_kept_for_them(kind: bytes):
    play = connecting()
    play >> backend(kind + b"\0\1\0\0")
    ends_with(play, "08P01")


def test_long_messages_are_taken_once_the_server_is_ready():
    play = Talk().opened()
    notice = b"N\0\1\0\4S" + b"x" * 65_534 + b"\0"
    long = notice[:-1] + b"\0\0"
    long = long[:1] + (len(long) - 1).to_bytes(4, "big") + long[5:]
    play >> backend(long) << to_frontend(long)
    play.done()


def test_a_servers_refusal_counts_as_a_failed_login():
    play = connecting()
    gone = error("28P01", 'password authentication failed for user "app"', severity="FATAL")
    play >> backend(gone) << to_frontend(gone) << NoteFailedLogin()
    play >> ConnectionClosed(Side.BACKEND) << CloseConnection(Side.FRONTEND)
    play.done()


def test_methods_that_require_auth_does_not_name():
    play = connecting(login=LoginRules(methods=frozenset({"scram-sha-256"})))
    play >> backend(Authentication(3).encode())
    ends_with(play, "28000")
