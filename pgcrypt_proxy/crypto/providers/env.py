"""Provider `env`: the KEK in an environment variable, for platforms that hand secrets over so."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pgcrypt_proxy.crypto.providers.local import LocalKek, read_key_text
from pgcrypt_proxy.crypto.providers.options import Options
from pgcrypt_proxy.errors import ConfigError


class EnvProvider(LocalKek):
    """Reads the KEK once. Raises ConfigError for a variable that is missing or malformed.

    The kernel shows a process's environment to its own user (/proc/PID/environ):
    prefer `file` where there is a choice.
    """

    def __init__(self, variable: str = "PGCRYPT_KEK") -> None:
        text = os.environ.get(variable, "")
        if not text:
            raise ConfigError(
                f"the environment variable {variable} is not set", hint="It must hold the key encryption key."
            )
        super().__init__("env", read_key_text(text, f"the environment variable {variable}"))


def make(options: Mapping[str, str]) -> EnvProvider:
    """The provider with its options: `variable`."""
    return EnvProvider(Options("env", options, ("variable",)).text("variable", "PGCRYPT_KEK"))
