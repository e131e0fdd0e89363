"""How provider `vault` logs in: a token, AppRole or Kubernetes; the token is renewed at half of its time.

Secrets come from files or the environment, never from the rule file, and are
read anew at every login, so that rotated ones are found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pgcrypt_proxy.crypto.providers.options import Options
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable

METHODS = ("token", "approle", "kubernetes")
AUTH_OPTIONS = ("auth", "auth_mount", "token_file", "role_id", "secret_id_file", "role", "jwt_file")
SERVICE_ACCOUNT_JWT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
MAX_SECRET_BYTES = 64 * 1024


class Auth:
    """Keeps a client logged in. What the client raises passes through."""

    def __init__(self, login: Callable[[Any], Mapping[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._login = login
        self._clock = clock
        self._renew_at: float | None = None  # None: not logged in
        self._is_renewable = False

    def ensure(self, client: Any) -> None:
        """Log in when that was not done, and renew the token when half of its time is over."""
        if self._renew_at is None:
            self._take(self._login(client))
        elif self._clock() >= self._renew_at:
            if self._is_renewable:
                self._take(client.auth.token.renew_self()["auth"])
            else:
                self.forget()
                self.ensure(client)

    def forget(self) -> None:
        """The token is not good any more: log in anew next time."""
        self._renew_at = None

    def _take(self, given: Mapping[str, Any]) -> None:
        """`lease_duration` 0 is a token without an end."""
        lifetime_s = float(given.get("lease_duration") or 0)
        self._is_renewable = bool(given.get("renewable"))
        self._renew_at = self._clock() + lifetime_s / 2 if lifetime_s else float("inf")


def make_auth(given: Options) -> Auth:
    """The way of logging in that the options name. Raises ConfigError."""
    method = given.text("auth", "token")
    if method not in METHODS:
        raise ConfigError(f'option "auth" of key provider "vault" is "{method}"', hint=f"It is: {', '.join(METHODS)}.")
    mount = given.text("auth_mount", method)
    if method == "approle":
        role_id, secret_id = given.needed("role_id"), given.needed("secret_id_file")
        return Auth(
            lambda client: client.auth.approle.login(role_id, _secret(secret_id), mount_point=mount, use_token=True)[
                "auth"
            ]
        )
    if method == "kubernetes":
        role, jwt = given.needed("role"), given.text("jwt_file", SERVICE_ACCOUNT_JWT)
        return Auth(
            lambda client: client.auth.kubernetes.login(role, _secret(jwt), mount_point=mount, use_token=True)["auth"]
        )
    token_file = given.text("token_file")
    if not token_file and not os.environ.get("VAULT_TOKEN"):
        raise ConfigError('key provider "vault" has no token', hint="Set VAULT_TOKEN, or the option token_file.")

    def use_token(client: Any) -> Mapping[str, Any]:
        client.token = _secret(token_file) if token_file else os.environ.get("VAULT_TOKEN", "")
        data = client.auth.token.lookup_self()["data"]
        return {"lease_duration": data.get("ttl"), "renewable": data.get("renewable")}

    return Auth(use_token)


def _secret(path: str) -> str:
    """The text in a file. Raises KeyUnavailable that names the file and never its text."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES)
    except OSError as error:
        raise KeyUnavailable(f"the file {path} with Vault's credentials cannot be read: {error.strerror}") from None
    text = raw.decode("ascii", "replace").strip()
    if not text.isprintable() or not text:
        raise KeyUnavailable(f"the file {path} holds no credentials for Vault")
    return text
