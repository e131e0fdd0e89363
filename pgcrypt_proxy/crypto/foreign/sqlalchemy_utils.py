"""Values of SQLAlchemy-Utils' EncryptedType and StringEncryptedType: base64 of what its engines make.

The key is the SHA-256 digest of the secret. AesEngine is CBC with an IV made of the key and nothing that
authenticates: damage, or a wrong secret, is found only where padding or UTF-8 are broken by it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from pgcrypt_proxy.crypto.foreign import UnreadableValue, does_not_open
from pgcrypt_proxy.crypto.foreign.fernet import FernetTokens

BLOCK = 16
NONCE, TAG = 12, 16


class AesEngine:
    """Its default engine. `padding` as the type was declared with."""

    is_authenticated = False

    def __init__(self, secret: bytes, padding: str) -> None:
        self._key = sha256(secret).digest()
        self._unpadded = PADDINGS[padding]

    def open(self, stored: bytes) -> bytes:
        """The plaintext. Raises UnreadableValue."""
        data = _decoded(stored)
        if not data or len(data) % BLOCK:
            raise does_not_open()
        decryptor = Cipher(AES(self._key), CBC(self._key[:BLOCK])).decryptor()
        return _as_text(self._unpadded(decryptor.update(data) + decryptor.finalize()))


class AesGcmEngine:
    """Nonce, tag and ciphertext."""

    is_authenticated = True

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(sha256(secret).digest())

    def open(self, stored: bytes) -> bytes:
        """The plaintext. Raises UnreadableValue."""
        data = _decoded(stored)
        nonce, tag, sealed = data[:NONCE], data[NONCE : NONCE + TAG], data[NONCE + TAG :]
        if len(tag) != TAG:
            raise does_not_open()
        try:
            return _as_text(self._cipher.decrypt(nonce, sealed + tag, None))
        except InvalidTag:
            raise does_not_open() from None


def fernet_engine(secret: bytes) -> FernetTokens:
    """Fernet tokens under a key that is made of the secret."""
    return FernetTokens([base64.urlsafe_b64encode(sha256(secret).digest())])


def _decoded(stored: bytes) -> bytes:
    try:
        return base64.b64decode(stored, validate=True)
    except binascii.Error:
        raise UnreadableValue("it is no base64") from None


def _as_text(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise does_not_open() from None
    return data


def _pkcs5(data: bytes) -> bytes:
    length = data[-1]
    if not 0 < length <= BLOCK or data[-length:] != bytes([length]) * length:
        raise does_not_open()
    return data[:-length]


def _one_and_zeroes(data: bytes) -> bytes:
    text = data.rstrip(b"\0")
    if text[-1:] != b"\x80" or len(data) - len(text) >= BLOCK:
        raise does_not_open()
    return text[:-1]


def _zeroes(data: bytes) -> bytes:
    length = data[-1]
    if not 0 < length <= BLOCK or data[-length:-1] != bytes(length - 1):
        raise does_not_open()
    return data[:-length]


def _naive(data: bytes) -> bytes:
    """Asterisks, from which those that end the value cannot be told: it loses them, as it does for the library."""
    text = data.rstrip(b"*")
    if text == data:
        raise does_not_open()
    return text


PADDINGS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {"pkcs5": _pkcs5, "oneandzeroes": _one_and_zeroes, "zeroes": _zeroes, "naive": _naive}
)
