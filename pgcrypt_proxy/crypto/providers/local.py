"""A KEK held in this process: AES-256-GCM under 32 bytes that a file or variable gives.

Key text: `pgcrypt-kek-v1:` and the key in base64. Wrapped key: version 1 (1
byte), nonce (12), ciphertext (32), tag (16); the context is authenticated.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgcrypt_proxy.crypto.keys import KEY_LENGTH, SecretKey
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable

PREFIX = "pgcrypt-kek-v1:"
_VERSION = 1
_NONCE_LENGTH = 12
_WRAPPED_LENGTH = 1 + _NONCE_LENGTH + KEY_LENGTH + 16


class LocalKek:
    """Wraps and unwraps keys under a KEK in memory."""

    def __init__(self, name: str, key: SecretKey) -> None:
        self.name = name
        self._key = key

    @property
    def kek_id(self) -> str:
        """A fingerprint: 16 hexadecimal digits of an HMAC under the KEK."""
        return hmac.digest(self._key.reveal_key(), b"pgcrypt kek id v1", "sha256")[:8].hex()

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """`key` under the KEK, bound to `context`."""
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = AESGCM(self._key.reveal_key()).encrypt(nonce, key, context_bytes(context))
        return bytes([_VERSION]) + nonce + sealed

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """What `wrap` was given. Raises KeyUnavailable for another KEK, context, or damaged bytes."""
        if len(wrapped) == _WRAPPED_LENGTH and wrapped[0] == _VERSION:
            nonce, sealed = wrapped[1 : 1 + _NONCE_LENGTH], wrapped[1 + _NONCE_LENGTH :]
            try:
                return AESGCM(self._key.reveal_key()).decrypt(nonce, sealed, context_bytes(context))
            except InvalidTag:
                pass
        raise KeyUnavailable(
            "a key of the keyring does not open under this key encryption key",
            hint="Use the KEK with which the keyring was made; `pgcrypt-proxy keys` shows its id.",
        )


def context_bytes(context: Mapping[str, str]) -> bytes:
    """The context in one form: names in order, each name and value as UTF-8 behind its length (2, big-endian)."""
    parts = []
    for name in sorted(context):
        for text in (name, context[name]):
            raw = text.encode()
            parts.append(struct.pack("!H", len(raw)) + raw)
    return b"".join(parts)


def new_key_text() -> str:
    """A fresh random KEK in its text form."""
    return PREFIX + base64.b64encode(os.urandom(KEY_LENGTH)).decode()


def read_key_text(text: str, source: str) -> SecretKey:
    """The key in its text form. Raises ConfigError that names `source` and never the text."""
    text = text.strip()
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.startswith(PREFIX) or len(raw) != KEY_LENGTH:
        raise ConfigError(
            f"{source} holds no key encryption key",
            hint=f"It must be one line: {PREFIX}<32 bytes in base64>. `pgcrypt-proxy keygen` makes one.",
        )
    return SecretKey(raw)
