"""Random 96-bit nonces for AES-GCM, from the operating system, never twice: not after a fork either."""

from __future__ import annotations

import os

from pgcrypt_proxy.crypto.envelope import NONCE_LENGTH

_BLOCK = 256 * NONCE_LENGTH
_block = b""
_at = 0


def fresh_nonce() -> bytes:
    """12 bytes of os.urandom, fetched in blocks because a system call for each is most of its cost."""
    global _block, _at
    at = _at
    _at = at + NONCE_LENGTH
    if _at > len(_block):
        _block = os.urandom(_BLOCK)
        at, _at = 0, NONCE_LENGTH
    return _block[at : at + NONCE_LENGTH]


def _forget() -> None:
    global _block, _at
    _block, _at = b"", 0


# A child that kept the parent's block would use its nonces again.
os.register_at_fork(after_in_child=_forget)
