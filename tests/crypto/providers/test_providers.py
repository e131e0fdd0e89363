"""How a provider is found by its name, and which one a wrapped key belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.providers import holder, make_provider
from pgcrypt_proxy.crypto.providers.local import LocalKek
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from tests.crypto.providers.conftest import install_plugin


def test_a_package_brings_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin(tmp_path, monkeypatch)
    assert make_provider("plugin", {"path": str(tmp_path / "k")}).name == "plugin"
    with pytest.raises(ConfigError, match='"broken" cannot be loaded'):
        make_provider("broken", {})
    with pytest.raises(ConfigError, match="no key provider") as caught:
        make_provider("nosuch", {})
    assert caught.value.hint == "Known: aws-kms, broken, env, file, plugin, vault"


def test_a_wrapped_key_finds_its_provider() -> None:
    one, two, other = (
        LocalKek(name, SecretKey(bytes([number]) * 32)) for number, name in enumerate(("file", "file", "env"))
    )
    assert holder([one, two, other], "file", two.kek_id) is two
    assert holder([other, one, two], "file", "renamed") is one
    assert holder([one, other], "env", "renamed") is other
    with pytest.raises(KeyUnavailable, match='"vault", which the rules do not name'):
        holder([one, other], "vault", "transit/x")
