"""The proxy's login to the server: what may be asked, in which order, and who is believed."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.crypto.scram import ClientKeys, Verifier
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.backend_login import BackendLogin
from pgcrypt_proxy.session.login import METHODS, LoginRules, Mode
from pgcrypt_proxy.session.scram import Credentials, KnownKeys, Password, ScramServer
from pgcrypt_proxy.wire import sasl
from pgcrypt_proxy.wire.backend import Authentication

VERIFIER = Verifier.make("pencil")
KEYS = KnownKeys(ClientKeys.derive("pencil", VERIFIER.salt, 4096), VERIFIER)
OFFER = Authentication.decode(sasl.offer("SCRAM-SHA-256"))
OK, CLEARTEXT = Authentication(0), Authentication(3)


def login(*methods: str, credentials: Credentials = KEYS, is_tls: bool = True) -> BackendLogin:
    rules = LoginRules(mode=Mode.STATIC, methods=frozenset(methods or METHODS))
    return BackendLogin(rules, credentials, is_tls=is_tls, binding=None)


def up_to_signature(made: BackendLogin) -> Authentication:
    """The exchange up to AuthenticationSASLFinal, which is returned."""
    server = ScramServer(VERIFIER, is_mock=False, binding=None)
    first = sasl.InitialResponse.decode(made.on_request(OFFER))
    final = made.on_request(Authentication(11, server.first(first)))
    proven = server.final(sasl.response_data(final))
    assert proven is not None
    return Authentication(12, proven.server_final)


def test_scram() -> None:
    made = login("scram-sha-256")
    assert made.on_request(up_to_signature(made)) == b""
    assert not made.is_done
    assert made.on_request(OK) == b""
    assert made.is_done


def test_success_without_a_signature_is_not_believed() -> None:
    made = login()
    up_to_signature(made)
    with pytest.raises(PgcryptError, match="out of order"):
        made.on_request(OK)


@pytest.mark.parametrize("request_", [OFFER, CLEARTEXT, Authentication(5, b"salt"), Authentication(12, b"v=AAAA"), OK])
def test_out_of_order(request_: Authentication) -> None:
    made = login()
    made.on_request(OFFER)
    with pytest.raises(PgcryptError, match="out of order"):
        made.on_request(request_)


@pytest.mark.parametrize(("request_", "method"), [(OK, "none"), (CLEARTEXT, "password"), (OFFER, "scram-sha-256")])
def test_methods_must_be_allowed(request_: Authentication, method: str) -> None:
    with pytest.raises(PgcryptError, match=f'authentication by "{method}", which require_auth'):
        login("md5").on_request(request_)


@pytest.mark.parametrize("code", [1, 2, 5, 6, 7, 8, 9, 11, 12, 13, 99, -1])
def test_methods_that_are_not_answered(code: int) -> None:
    with pytest.raises(PgcryptError):
        login().on_request(Authentication(code))


def test_a_password_in_clear() -> None:
    made = login("password", credentials=Password("pencil"))
    assert made.on_request(CLEARTEXT) == b"p\0\0\0\x0bpencil\0"
    with pytest.raises(PgcryptError, match="out of order"):
        made.on_request(CLEARTEXT)
    made.on_request(OK)
    assert made.is_done


def test_a_password_in_clear_needs_tls() -> None:
    with pytest.raises(PgcryptError, match="without TLS"):
        login("password", credentials=Password("pencil"), is_tls=False).on_request(CLEARTEXT)


def test_keys_are_no_password() -> None:
    with pytest.raises(PgcryptError, match="only SCRAM keys"):
        login("password").on_request(CLEARTEXT)
