"""Holders of the key encryption key (KEK): they wrap and unwrap keys, and never show the KEK.

A provider is found by name among the entry points of group
`pgcrypt_proxy.kek_providers`; `file` and `env` are built in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Protocol

from pgcrypt_proxy.crypto.providers.env import EnvProvider
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.errors import ConfigError

ENTRY_POINT_GROUP = "pgcrypt_proxy.kek_providers"


class KekProvider(Protocol):
    """Wraps and unwraps keys of 32 bytes. `context` is authenticated with the wrapped key.

    Both raise KeyUnavailable when the KEK cannot be reached or is not the one
    that wrapped. `kek_id` names the KEK without telling anything of it.
    """

    name: str

    @property
    def kek_id(self) -> str: ...

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes: ...


Factory = Callable[[Mapping[str, str]], KekProvider]


def make_provider(provider: str, options: Mapping[str, str]) -> KekProvider:
    """The provider of that name with its options from the rule file. Raises ConfigError and KeyUnavailable."""
    built_in: dict[str, Factory] = {"file": _file, "env": _env}
    factory = built_in.get(provider)
    if factory is None:
        found = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == provider]
        if not found:
            raise ConfigError(
                f'there is no key provider "{provider}"',
                hint="Known: "
                + ", ".join(sorted({*built_in, *(p.name for p in entry_points(group=ENTRY_POINT_GROUP))})),
            )
        factory = found[0].load()
    return factory(options)


def _only(provider: str, options: Mapping[str, str], name: str, default: str | None = None) -> str:
    extra = sorted(set(options) - {name})
    if extra:
        raise ConfigError(f'key provider "{provider}" has no option "{extra[0]}"', hint=f"It has: {name}.")
    value = options.get(name, default)
    if not value:
        raise ConfigError(f'key provider "{provider}" needs the option "{name}"')
    return value


def _file(options: Mapping[str, str]) -> KekProvider:
    return FileProvider(_only("file", options, "path"))


def _env(options: Mapping[str, str]) -> KekProvider:
    return EnvProvider(_only("env", options, "variable", "PGCRYPT_KEK"))
