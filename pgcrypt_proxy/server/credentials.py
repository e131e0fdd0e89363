"""The proxy's own password on the server, in static mode: fixed, or a token that AWS makes for a while."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Protocol

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.session.scram import Password

#: A token is good for 15 minutes from when it is made; a login uses it at once.
TOKEN_LIFE_S = 600.0


class TokenUnavailable(PgcryptError):
    """No token could be made."""

    severity = "FATAL"
    sqlstate = "58030"
    kind = "login"


class PasswordSource(Protocol):
    """Gives the password for a login that begins now. May block."""

    def get(self) -> Password: ...


class FixedPassword:
    """Always the same one."""

    def __init__(self, text: str) -> None:
        self._password = Password(text)

    def get(self) -> Password:
        return self._password


class TokenPassword:
    """A token from `make`, made anew when it is old. `make` may raise anything; its texts are not repeated."""

    def __init__(self, make: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._password: Password | None = None
        self._good_until = 0.0

    def get(self) -> Password:
        if self._password is None or self._clock() >= self._good_until:
            try:
                text = self._make()
            except Exception:
                raise TokenUnavailable("no token to log in to the server with") from None
            self._password, self._good_until = Password(text), self._clock() + TOKEN_LIFE_S
        return self._password


def rds_iam_token(host: str, port: int, user: str, region: str | None) -> Callable[[], str]:
    """Makes RDS IAM tokens, which are signatures: made here, with boto3's credentials. Raises ConfigError."""
    try:
        boto3 = importlib.import_module("boto3")
    except ModuleNotFoundError:
        raise ConfigError("rds-iam needs boto3", hint="Install it: pip install 'pgcrypt-proxy[aws]'") from None

    def make() -> str:
        client = boto3.client("rds", region_name=region)
        return str(client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))

    return make
