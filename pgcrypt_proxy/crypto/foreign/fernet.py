"""Fernet tokens, under one key or any of several (MultiFernet)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pgcrypt_proxy.crypto.foreign import does_not_open
from pgcrypt_proxy.errors import ConfigError


class FernetTokens:
    """`keys` as Fernet.generate_key makes them. Raises ConfigError."""

    is_authenticated = True

    def __init__(self, keys: Sequence[bytes]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise ConfigError(
                "the secret is no Fernet key", hint="32 bytes in URL-safe base64; several keys have a line each."
            ) from None

    def open(self, stored: bytes) -> bytes:
        """What the token holds, however old it is. Raises UnreadableValue."""
        try:
            return self._fernet.decrypt(stored)
        except InvalidToken:
            raise does_not_open() from None
