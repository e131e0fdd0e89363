"""Reads a provider's options, as the rule file gives them: texts by name."""

from __future__ import annotations

from collections.abc import Mapping

from pgcrypt_proxy.errors import ConfigError


class Options:
    """The options of one provider. Raises ConfigError for one that the provider has not."""

    def __init__(self, provider: str, given: Mapping[str, str], known: tuple[str, ...]) -> None:
        self._provider = provider
        self._given = given
        for name in sorted(set(given) - set(known)):
            raise ConfigError(f'key provider "{provider}" has no option "{name}"', hint=f"It has: {', '.join(known)}.")

    def text(self, name: str, default: str = "") -> str:
        """The option, or `default`."""
        return self._given.get(name) or default

    def needed(self, name: str) -> str:
        """The option. Raises ConfigError without it."""
        if not self._given.get(name):
            raise ConfigError(f'key provider "{self._provider}" needs the option "{name}"')
        return self._given[name]

    def listed(self, name: str) -> list[str]:
        """The parts between commas: how a list in the rule file arrives."""
        return [part.strip() for part in self._given.get(name, "").split(",") if part.strip()]

    def seconds(self, name: str, default: float) -> float:
        """A time over 0 and up to a minute. Raises ConfigError."""
        try:
            value = float(self._given.get(name) or default)
        except ValueError:
            value = 0.0
        if not 0 < value <= 60:
            raise ConfigError(f'option "{name}" of key provider "{self._provider}" must be over 0 and at most 60')
        return value
