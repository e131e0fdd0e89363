"""The proxy's own password on the server: fixed, or a token made offline."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server.credentials import TOKEN_LIFE_S, FixedPassword, TokenPassword, rds_iam_token
from tests.helpers.session_doubles import Clock


def test_a_fixed_password_keeps_its_keys() -> None:
    source = FixedPassword("x")
    assert source.get() is source.get()


def test_a_token_is_made_anew_when_it_is_old() -> None:
    clock, made = Clock(), iter("abc")
    source = TokenPassword(lambda: next(made), clock)
    assert source.get().text == source.get().text == "a"
    clock.now += TOKEN_LIFE_S
    assert source.get().text == "b"


def test_what_goes_wrong_with_a_token_is_not_told() -> None:
    def make() -> str:
        raise RuntimeError("planted key")

    with pytest.raises(PgcryptError) as caught:
        TokenPassword(make).get()
    assert caught.value.code == "58030"
    assert "planted" not in caught.value.message
    assert caught.value.__cause__ is None


def test_rds_iam(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 signs by itself; nobody is asked."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-key")
    token = TokenPassword(rds_iam_token("db.test", 5432, "app", "eu-west-1")).get().text
    assert token.startswith("db.test:5432/?Action=connect&DBUser=app&")
    assert "X-Amz-Signature=" in token
    assert "eu-west-1" in token
    assert "planted" not in token
