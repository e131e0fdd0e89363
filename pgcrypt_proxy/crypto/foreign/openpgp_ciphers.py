"""Keys from passphrases (S2K) and AES in OpenPGP's CFB mode (RFC 4880, sections 3.7 and 13.9)."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from pgcrypt_proxy.crypto.foreign import UnreadableValue

BLOCK = 16
#: Key lengths by algorithm id: AES with 128, 192 and 256 bits.
ALGORITHMS = {7: 16, 8: 24, 9: 32}
_OTHERS = {
    1: "IDEA",
    2: "3DES",
    3: "CAST5",
    4: "Blowfish",
    10: "Twofish",
    11: "Camellia",
    12: "Camellia",
    13: "Camellia",
}
_DIGESTS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
SIMPLE, SALTED, ITERATED = 0, 1, 3
_CHUNK = 1 << 16


def key_of(passphrase: bytes, algorithm: int, data: bytes) -> tuple[bytes, bytes]:
    """The key that the S2K specifier at the start of `data` makes, and what comes behind it. Raises UnreadableValue."""
    if algorithm not in ALGORITHMS:
        name = _OTHERS.get(algorithm, f"cipher {algorithm}")
        raise UnreadableValue(f"it is encrypted with {name}; only AES is supported")
    sizes = {SIMPLE: 2, SALTED: 10, ITERATED: 11}
    if len(data) < 2 or data[0] not in sizes or len(data) < sizes[data[0]] or data[1] not in _DIGESTS:
        raise UnreadableValue("its key comes from the passphrase in a way that is not supported")
    kind, size = data[0], sizes[data[0]]
    salted = (b"" if kind == SIMPLE else data[2:10]) + passphrase
    count = len(salted)
    if kind == ITERATED:
        count = max(count, (16 + (data[10] & 15)) << ((data[10] >> 4) + 6))
    return _stretched(_DIGESTS[data[1]], salted, count, ALGORITHMS[algorithm]), data[size:]


def _stretched(digest: str, salted: bytes, count: int, length: int) -> bytes:
    """`count` bytes of `salted` again and again, digested as often as `length` needs: each time behind another zero."""
    chunk = salted * max(1, _CHUNK // max(1, len(salted)))
    made = b""
    while len(made) < length:
        hashed = hashlib.new(digest, b"\0" * (len(made) // hashlib.new(digest).digest_size), usedforsecurity=False)
        left = count
        while left > len(chunk):
            hashed.update(chunk)
            left -= len(chunk)
        hashed.update(chunk[:left])
        made += hashed.digest()
    return made[:length]


def cfb_decrypted(key: bytes, data: bytes) -> bytes:
    """CFB with an IV of zeros: each block is masked by the encrypted block before it."""
    before = (bytes(BLOCK) + data)[: -(-len(data) // BLOCK) * BLOCK]
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 (a part of CFB)
    mask = (encryptor.update(before) + encryptor.finalize())[: len(data)]
    return (int.from_bytes(mask) ^ int.from_bytes(data)).to_bytes(len(data))
