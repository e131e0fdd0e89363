"""Index terms: keyed, truncated digests of a value's equality class, one key for each index domain.

HKDF: RFC 5869. HMAC: RFC 2104.
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.envelope import TERM_LENGTH
from pgcrypt_proxy.crypto.keys import KEY_LENGTH, SecretKey

_INFO = "pgcrypt index v1"


class TermMaker:
    """Makes the terms of one index root key; derived keys are kept."""

    def __init__(self, root: SecretKey) -> None:
        self._root = root
        self._keys: dict[tuple[str, str], bytes] = {}
        self._native: dict[tuple[str, str], Any] = {}

    def term(self, mode: str, index_domain: str, key_material: bytes) -> bytes:
        """16 bytes, equal for equal `key_material` within one mode and index domain."""
        if fast.native is not None:
            made: bytes = self.native(mode, index_domain).term(key_material)
            return made
        key = self._keys.get((mode, index_domain))
        if key is None:
            key = self._keys[mode, index_domain] = derive(self._root.reveal_key(), mode, index_domain)
        return hmac.digest(key, key_material, "sha256")[:TERM_LENGTH]

    def native(self, mode: str, index_domain: str) -> Any:
        """What compiled code makes the same terms with: fast.native.Mac."""
        assert fast.native is not None
        made = self._native.get((mode, index_domain))
        if made is None:
            key = derive(self._root.reveal_key(), mode, index_domain)
            made = self._native[mode, index_domain] = fast.native.Mac(key)
        return made

    def zeroise(self) -> None:
        """Forget the derived keys and overwrite the root."""
        for mac in self._native.values():
            mac.close()
        self._native.clear()
        self._keys.clear()
        self._root.zeroise()


def derive(root: bytes, mode: str, index_domain: str) -> bytes:
    """The term key of an index domain: HKDF-SHA-256 without salt, info of fixed text, mode and domain."""
    info = b"\0".join((_INFO.encode(), mode.encode(), index_domain.encode()))
    return HKDF(SHA256(), KEY_LENGTH, None, info).derive(root)
