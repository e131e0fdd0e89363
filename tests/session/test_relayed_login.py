"""Relayed logins: what a server may ask, in which order, and what is taken out."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.login import METHODS, LoginRules
from pgcrypt_proxy.session.relayed_login import RelayedLogin
from pgcrypt_proxy.wire import sasl
from pgcrypt_proxy.wire.backend import Authentication

ANSWER = b"p\0\0\0\x05x"
PLUS = sasl.offer("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")


def login(*methods: str, is_tls: bool = False, is_private: bool = True) -> RelayedLogin:
    rules = LoginRules(methods=frozenset(methods or METHODS), is_backend_private=is_private)
    return RelayedLogin(rules, is_backend_tls=is_tls)


def ask(code: int, data: bytes = b"") -> bytes:
    return Authentication(code, data).encode()


@pytest.mark.parametrize("codes", [(0,), (3, 0), (5, 0), (10, 11, 12, 0), (7, 8, 8, 0), (9, 8, 0), (7, 0)], ids=str)
def test_whole_logins(codes: tuple[int, ...]) -> None:
    made = login()
    for code in codes:
        raw = sasl.offer("SCRAM-SHA-256") if code == 10 else ask(code, b"data")
        assert made.on_request(raw) == raw
        assert made.is_answer_due is (code not in (0, 12))
        if made.is_answer_due:
            initial = sasl.InitialResponse("SCRAM-SHA-256", b"n,,").encode() if code == 10 else ANSWER
            assert made.on_answer(initial) == initial
    assert made.is_done


@pytest.mark.parametrize("codes", [(3, 3), (3, 5), (10, 0), (10, 12), (10, 11, 0), (10, 11, 11), (5, 11)], ids=str)
def test_out_of_order(codes: tuple[int, ...]) -> None:
    made = login()
    for code in codes[:-1]:
        made.on_request(sasl.offer("SCRAM-SHA-256") if code == 10 else ask(code))
        made.on_answer(sasl.InitialResponse("SCRAM-SHA-256", b"n,,").encode() if code == 10 else ANSWER)
    with pytest.raises(PgcryptError, match="out of order"):
        made.on_request(ask(codes[-1]))


def test_a_server_waits_for_the_answer() -> None:
    made = login()
    made.on_request(ask(3))
    with pytest.raises(PgcryptError, match="out of order"):
        made.on_request(ask(0))


@pytest.mark.parametrize("code", [1, 2, 6, 8, 11, 12, 13, -1])
def test_unknown_beginnings(code: int) -> None:
    with pytest.raises(PgcryptError, match="unknown or misplaced"):
        login().on_request(ask(code))


@pytest.mark.parametrize(("code", "method"), [(0, "none"), (3, "password"), (5, "md5"), (7, "gss"), (9, "sspi")])
def test_methods_must_be_allowed(code: int, method: str) -> None:
    with pytest.raises(PgcryptError, match=f'authentication by "{method}", which require_auth'):
        login("scram-sha-256").on_request(ask(code))


def test_a_password_in_clear_stays_on_this_machine_or_inside_tls() -> None:
    login(is_private=True).on_request(ask(3))
    login(is_private=False, is_tls=True).on_request(ask(3))
    with pytest.raises(PgcryptError, match="without TLS"):
        login(is_private=False).on_request(ask(3))


def test_channel_binding_is_not_offered() -> None:
    assert login().on_request(PLUS) == sasl.offer("SCRAM-SHA-256")
    with pytest.raises(PgcryptError, match="channel binding only"):
        login().on_request(sasl.offer("SCRAM-SHA-256-PLUS"))


def test_a_client_that_would_take_the_offer_for_stripped() -> None:
    made = login(is_tls=True)
    made.on_request(PLUS)
    with pytest.raises(PgcryptError, match="cannot be relayed") as caught:
        made.on_answer(sasl.InitialResponse("SCRAM-SHA-256", b"y,,n=,r=x").encode())
    assert "scram-passthrough" in (caught.value.hint or "")
    made = login()
    made.on_request(sasl.offer("SCRAM-SHA-256"))
    made.on_answer(sasl.InitialResponse("SCRAM-SHA-256", b"y,,n=,r=x").encode())
