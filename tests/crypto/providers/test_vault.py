"""Vault: logins and their renewal, namespaces, TLS, key versions, and what each of its answers leads to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgcrypt_proxy.crypto.providers import KekProvider, make_provider
from pgcrypt_proxy.crypto.providers.vault import VaultProvider
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from tests.helpers.certificates import Authority
from tests.helpers.fake_vault import FakeVault, TransitKey

CONTEXT = {"data_class": "pii", "tenant": ""}
KEY = bytes(range(32))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> Iterator[FakeVault]:
    made = FakeVault(keys={"pgcrypt": TransitKey(), "derived": TransitKey(derived=True)}, clock=clock)
    made.approles["app"], made.kubernetes["proxy"] = "secret-1", "jwt-1"
    made.start()
    yield made
    made.stop()


Maker = Callable[..., KekProvider]


@pytest.fixture
def make(vault: FakeVault, tmp_path: Path, clock: Clock) -> Maker:
    """A provider by AppRole, with files for the secrets and the clock of the test."""
    (tmp_path / "secret-id").write_text("secret-1\n")
    (tmp_path / "jwt").write_text("jwt-1")

    def make(**options: str) -> KekProvider:
        given = {
            "address": vault.address,
            "key": "pgcrypt",
            "timeout_s": "1",
            "deadline_s": "0.5",
            "auth": "approle",
            "role_id": "app",
            "secret_id_file": str(tmp_path / "secret-id"),
            **options,
        }
        made = make_provider("vault", {name: value for name, value in given.items() if value})
        assert isinstance(made, VaultProvider)
        made._auth._clock = clock
        return made

    return make


def logins(vault: FakeVault) -> list[str]:
    return [path.split("/v1/auth/")[1] for path in vault.seen if "/v1/auth/" in path]


def test_approle_and_kubernetes(vault: FakeVault, make: Maker, tmp_path: Path) -> None:
    wrapped = make().wrap(KEY, CONTEXT)
    cluster = make(auth="kubernetes", role="proxy", jwt_file=str(tmp_path / "jwt"), role_id="", secret_id_file="")
    assert cluster.unwrap(wrapped, CONTEXT) == KEY
    assert logins(vault) == ["approle/login", "kubernetes/login"]


def test_the_token_is_renewed_at_half_its_time(vault: FakeVault, make: Maker, clock: Clock) -> None:
    provider = make()
    wrapped = provider.wrap(KEY, CONTEXT)
    clock.now = 1799
    provider.unwrap(wrapped, CONTEXT)
    clock.now = 1801
    provider.unwrap(wrapped, CONTEXT)
    assert logins(vault) == ["approle/login", "token/renew-self"]
    clock.now = 5000  # past the first end; the renewed token is good
    assert provider.unwrap(wrapped, CONTEXT) == KEY


def test_a_token_that_is_gone_means_another_login(vault: FakeVault, make: Maker) -> None:
    provider = make()
    wrapped = provider.wrap(KEY, CONTEXT)
    vault.tokens.clear()
    assert provider.unwrap(wrapped, CONTEXT) == KEY
    assert logins(vault) == ["approle/login"] * 2


def test_rotated_secrets_are_read_anew(vault: FakeVault, make: Maker, tmp_path: Path) -> None:
    provider = make()
    wrapped = provider.wrap(KEY, CONTEXT)
    vault.tokens.clear()
    vault.approles["app"] = "secret-2"
    with pytest.raises(KeyUnavailable):
        provider.unwrap(wrapped, CONTEXT)
    (tmp_path / "secret-id").write_text("secret-2")
    assert provider.unwrap(wrapped, CONTEXT) == KEY
    (tmp_path / "secret-id").unlink()
    vault.tokens.clear()
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        provider.unwrap(wrapped, CONTEXT)


def test_token_from_the_environment_and_its_end(
    vault: FakeVault, make: Maker, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", vault.make_token())
    provider = make(auth="", role_id="", secret_id_file="")
    wrapped = provider.wrap(KEY, CONTEXT)
    clock.now = 1801
    assert provider.unwrap(wrapped, CONTEXT) == KEY
    assert logins(vault) == ["token/lookup-self", "token/renew-self"]
    vault.tokens.clear()
    with pytest.raises(KeyUnavailable, match="denies access") as caught:
        provider.unwrap(wrapped, CONTEXT)
    assert "transit/keys/pgcrypt" in str(caught.value.hint)
    monkeypatch.setenv("VAULT_TOKEN", vault.make_token())
    assert provider.unwrap(wrapped, CONTEXT) == KEY


def test_namespaces(vault: FakeVault, make: Maker) -> None:
    vault.namespace = "team"
    with pytest.raises(KeyUnavailable):
        make().wrap(KEY, CONTEXT)
    provider = make(namespace="team")
    assert provider.unwrap(provider.wrap(KEY, CONTEXT), CONTEXT) == KEY


def test_a_derived_key_is_found_out(vault: FakeVault, make: Maker) -> None:
    provider = make(key="derived")
    wrapped = provider.wrap(KEY, CONTEXT)
    assert provider.unwrap(wrapped, CONTEXT) == KEY
    with pytest.raises(KeyUnavailable, match="does not open a key"):  # said by Vault itself
        provider.unwrap(wrapped, {**CONTEXT, "tenant": "x"})
    assert sum("/keys/derived" in path for path in vault.seen) == 1


def test_an_underived_key_binds_the_context_too(make: Maker) -> None:
    provider = make()
    with pytest.raises(KeyUnavailable, match="does not open as what"):
        provider.unwrap(provider.wrap(KEY, CONTEXT), {**CONTEXT, "tenant": "x"})


@pytest.mark.parametrize("name", ["pgcrypt", "derived"])
def test_keys_move_to_the_newest_version(vault: FakeVault, make: Maker, name: str) -> None:
    provider = make(key=name)
    wrapped = provider.wrap(KEY, CONTEXT)
    vault.keys[name].versions.append(os.urandom(32))
    assert isinstance(provider, VaultProvider)
    moved = provider.rewrap(wrapped, CONTEXT, provider.kek_id)
    assert (wrapped[:9], moved[:9]) == (b"vault:v1:", b"vault:v2:")
    assert provider.unwrap(moved, CONTEXT) == provider.unwrap(wrapped, CONTEXT) == KEY
    with pytest.raises(KeyUnavailable):
        provider.rewrap(wrapped, CONTEXT, "transit/other")


def test_a_sealed_vault_is_an_outage_that_passes(vault: FakeVault, make: Maker) -> None:
    provider = make()
    wrapped = provider.wrap(KEY, CONTEXT)
    vault.down = True
    with pytest.raises(KeyUnavailable, match="sealed or overloaded"):
        provider.unwrap(wrapped, CONTEXT)
    vault.down = False
    assert provider.unwrap(wrapped, CONTEXT) == KEY


def test_no_such_key(make: Maker) -> None:
    with pytest.raises(KeyUnavailable, match="no transit key transit/nosuch"):
        make(key="nosuch").wrap(KEY, CONTEXT)


def test_the_certificate_is_verified(certificate_authority: Authority, tmp_path: Path) -> None:
    issued = certificate_authority.issue("vault", "127.0.0.1")
    paths = {"ca": certificate_authority.certificate, "crt": issued.certificate, "key": issued.private_key}
    for name, data in paths.items():
        (tmp_path / name).write_bytes(data)
    vault = FakeVault(keys={"pgcrypt": TransitKey()})
    vault.start(tmp_path / "crt", tmp_path / "key")
    try:
        (tmp_path / "token").write_text(vault.make_token())
        options = {
            "address": vault.address,
            "key": "pgcrypt",
            "token_file": str(tmp_path / "token"),
            "deadline_s": "0.3",
        }
        provider = make_provider("vault", {**options, "ca_file": str(tmp_path / "ca")})
        assert provider.unwrap(provider.wrap(KEY, CONTEXT), CONTEXT) == KEY
        with pytest.raises(KeyUnavailable, match="cannot be reached"):
            make_provider("vault", options).wrap(KEY, CONTEXT)
    finally:
        vault.stop()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, 'needs the option "address"'),
        ({"address": "https://v:8200"}, 'needs the option "key"'),
        ({"address": "http://vault.example:8200", "key": "k"}, "must begin with https"),
        ({"address": "http://10.0.0.1:8200", "key": "k"}, "must begin with https"),
        ({"address": "//[", "key": "k"}, "must begin with https"),
        ({"address": "https://v:8200", "key": "k"}, "has no token"),
        ({"address": "https://v:8200", "key": "k", "auth": "ldap"}, '"ldap"'),
        ({"address": "https://v:8200", "key": "k", "auth": "approle"}, 'needs the option "role_id"'),
        ({"address": "https://v:8200", "key": "k", "token": "hvs.planted"}, 'has no option "token"'),
    ],
)
def test_wrong_options_are_said(monkeypatch: pytest.MonkeyPatch, options: dict[str, str], says: str) -> None:
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=says) as caught:
        make_provider("vault", options)
    assert "planted" not in str(caught.value.message)


def test_without_hvac_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvac", None)
    monkeypatch.setenv("VAULT_TOKEN", "t")
    with pytest.raises(ConfigError, match="needs the package hvac") as caught:
        make_provider("vault", {"address": "https://127.0.0.1:1", "key": "k"})
    assert "pgcrypt-proxy[vault]" in str(caught.value.hint)
