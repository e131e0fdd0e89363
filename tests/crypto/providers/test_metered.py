"""What is told of a provider's calls, and what becomes of its mistakes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.providers import MakesKeys, make_wrapped
from pgcrypt_proxy.crypto.providers.local import LocalKek
from pgcrypt_proxy.crypto.providers.metered import Metered
from pgcrypt_proxy.errors import KeyUnavailable

CONTEXT = {"kind": "dek"}


def test_every_call_is_told() -> None:
    told: list[tuple[str, str, float]] = []
    ticks = iter(range(100))
    kek = LocalKek("file", SecretKey(bytes(32)))
    metered = Metered(kek, lambda *call: told.append(call), clock=lambda: float(next(ticks)))
    assert (metered.name, metered.kek_id) == (kek.name, kek.kek_id)
    assert metered.unwrap(metered.wrap(bytes(32), CONTEXT), CONTEXT) == bytes(32)
    assert isinstance(metered, MakesKeys)
    assert len(metered.unwrap(make_wrapped(metered, CONTEXT), CONTEXT)) == 32
    with pytest.raises(KeyUnavailable, match="does not open"):
        metered.unwrap(b"", CONTEXT)
    assert told == [
        ("wrap", "ok", 1.0),
        ("unwrap", "ok", 1.0),
        ("generate", "ok", 1.0),
        ("unwrap", "ok", 1.0),
        ("unwrap", "error", 1.0),
    ]


def test_a_mistake_of_a_provider_is_an_outage() -> None:
    class Mistaken(LocalKek):
        def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
            raise RuntimeError("planted-secret")

    with pytest.raises(KeyUnavailable) as caught:
        Metered(Mistaken("mine", SecretKey(bytes(32))), lambda *_: None).unwrap(b"", CONTEXT)
    assert caught.value.message == 'key provider "mine" failed: RuntimeError'
