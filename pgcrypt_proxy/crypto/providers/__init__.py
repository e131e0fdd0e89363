"""Holders of the key encryption key (KEK): they wrap and unwrap keys, and never show the KEK.

A provider is found by name among the built-in ones, then among the entry points
of group `pgcrypt_proxy.kek_providers`. How to write one: docs/keys.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from pgcrypt_proxy.crypto.keys import KEY_LENGTH
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable

ENTRY_POINT_GROUP = "pgcrypt_proxy.kek_providers"


class KekProvider(Protocol):
    """Wraps and unwraps keys of 32 bytes. `context` is authenticated with the wrapped key.

    Both raise KeyUnavailable when the KEK cannot be reached or is not the one
    that wrapped, within a bounded time. `kek_id` names the KEK without telling
    anything of it. Calls may come from several threads, one at a time.
    """

    @property
    def name(self) -> str: ...

    @property
    def kek_id(self) -> str: ...

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes: ...


@runtime_checkable
class MakesKeys(Protocol):
    """A provider that can make a key that leaves it wrapped only."""

    def make_wrapped(self, context: Mapping[str, str]) -> bytes: ...


@runtime_checkable
class Rewraps(Protocol):
    """A provider that can wrap anew, under its present KEK, what one of the same name wrapped."""

    def rewrap(self, wrapped: bytes, context: Mapping[str, str], old_kek_id: str) -> bytes: ...


Factory = Callable[[Mapping[str, str]], KekProvider]

#: Name, and the module whose `make(options)` gives the provider. Loaded when named: some need packages of their own.
BUILT_IN = {name: f"{__name__}.{name.replace('-', '_')}" for name in ("file", "env", "aws-kms", "vault")}


def make_provider(provider: str, options: Mapping[str, str]) -> KekProvider:
    """The provider of that name with its options from the rule file. Raises ConfigError and KeyUnavailable."""
    factory: Factory
    if provider in BUILT_IN:
        factory = import_module(BUILT_IN[provider]).make
    else:
        points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
        if provider not in points:
            known = ", ".join(sorted({*BUILT_IN, *points}))
            raise ConfigError(f'there is no key provider "{provider}"', hint=f"Known: {known}")
        try:
            factory = points[provider].load()
        except (ImportError, AttributeError):
            raise ConfigError(
                f'key provider "{provider}" cannot be loaded', hint="Its package is damaged or needs another one."
            ) from None
    return factory(options)


def make_wrapped(provider: KekProvider, context: Mapping[str, str]) -> bytes:
    """A new random key, wrapped."""
    if isinstance(provider, MakesKeys):
        return provider.make_wrapped(context)
    return provider.wrap(secrets.token_bytes(KEY_LENGTH), context)


def holder(providers: Sequence[KekProvider], name: str, kek_id: str) -> KekProvider:
    """Which of the providers can unwrap what `name` wrapped under `kek_id`: the one that says so, else by name.

    A KEK may be named differently than it was (an alias for an ARN), so the name decides. Raises KeyUnavailable.
    """
    named = [provider for provider in providers if provider.name == name]
    exact = [provider for provider in named if provider.kek_id == kek_id]
    if not named:
        raise KeyUnavailable(
            f'a key of the keyring is wrapped by provider "{name}", which the rules do not name',
            hint=f'Name it under "keyring: previous:" until `pgcrypt-proxy rotate kek` is done (KEK {kek_id}).',
        )
    return (exact or named)[0]
