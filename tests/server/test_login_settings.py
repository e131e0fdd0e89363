"""Settings about logins: the defaults are the strict ones, and contradictions are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server import login_settings
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.session.login import METHODS, CertificateUse, Mode

LOCAL, REMOTE = "postgresql://localhost/d", "postgresql://db.test/d"
TLS = {"tls": "require", "tls_certificate": Path("c"), "tls_key": Path("k"), "tls_client_ca": Path("a")}
STATIC = {"auth": "static", "upstream_user": "u", "upstream_password": "p", "auth_query": "SELECT $1"}


def settings(url: str = REMOTE, **changes: Any) -> Settings:
    return Settings(database_url=url, rules=(Path("r"),), **changes)


@pytest.mark.parametrize(
    ("url", "changes", "mode", "methods"),
    [
        (LOCAL, {}, Mode.RELAY, set(METHODS)),
        (REMOTE, {}, Mode.PASSTHROUGH, {"scram-sha-256"}),
        (LOCAL + "?sslmode=require", {}, Mode.PASSTHROUGH, {"scram-sha-256"}),
        (LOCAL, {"auth": "scram-passthrough"}, Mode.PASSTHROUGH, {"scram-sha-256"}),
        (REMOTE, {"auth": "relay"}, Mode.RELAY, {"scram-sha-256"}),
        (REMOTE, {"auth": "relay", "require_auth": ("md5",)}, Mode.RELAY, {"md5"}),
        (REMOTE, STATIC, Mode.STATIC, {"scram-sha-256"}),
        (REMOTE, {**STATIC, "upstream_password": None, "upstream_token": "rds-iam"}, Mode.STATIC, {"password"}),
    ],
)
def test_defaults(url: str, changes: dict[str, Any], mode: Mode, methods: set[str]) -> None:
    made = login_settings.rules(settings(url, **changes))
    assert (made.mode, set(made.methods)) == (mode, methods)
    assert made.is_backend_private is (url.startswith(LOCAL))
    assert made.certificate is CertificateUse.OFF
    accounts = login_settings.accounts(settings(url, **changes), lambda: b"")
    assert (accounts is None) is (mode is Mode.RELAY)
    if accounts is not None:
        accounts.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auth": "passthrough"}, 'auth is "passthrough"'),
        ({"require_auth": ("scram",)}, 'require_auth is "scram"'),
        ({"auth": "static"}, "no user is named"),
        ({**STATIC, "upstream_password": None}, "nothing to log in with"),
        ({**STATIC, "auth_query": ""}, "how clients log in"),
        ({**STATIC, "upstream_token": "azure"}, 'upstream_token is "azure"'),
        ({"users_file": Path("u"), "auth_query": "SELECT $1"}, "both set"),
        ({"tls_client_certificate": "login", **TLS}, "wants to see the clients' passwords"),
        ({"tls_client_certificate": "verify-full"}, "no certificate can be verified"),
        ({"tls_client_certificate": "verify-full", **TLS, "tls": "allow"}, "no certificate can be verified"),
        ({"tls_client_certificate": "verify-full", **TLS, "tls_client_ca": None}, "no certificate can be verified"),
        ({"tls_client_certificate": "yes", **TLS}, 'tls_client_certificate is "yes"'),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    def judge(made: Settings) -> None:
        login_settings.rules(made)
        login_settings.accounts(made, lambda: b"")

    with pytest.raises(ConfigError, match=message):
        judge(settings(**changes))


def test_tokens_go_to_verified_servers_only() -> None:
    token = {**STATIC, "upstream_password": None, "upstream_token": "rds-iam"}
    with pytest.raises(ConfigError, match="in clear inside TLS"):
        login_settings.accounts(settings(REMOTE + "?sslmode=require", **token), lambda: b"")
