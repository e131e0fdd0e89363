"""Known-answer vectors from a second implementation: AES-256-GCM, HKDF and terms in plain Python, none of our code.

`python tests/crypto/vectors/generate.py` writes vectors.json beside it, always
the same bytes. A change of that file is a change of the stored format.
Sources: FIPS 197, NIST SP 800-38D, RFC 2104, RFC 5869, docs/envelope.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path

# -- AES-256 (FIPS 197), encryption only


def _xtime(a: int) -> int:
    return ((a << 1) ^ (0x11B if a & 0x80 else 0)) & 0xFF


def _gf_mul(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = _xtime(a), b >> 1
    return product


def _make_sbox() -> list[int]:
    box = []
    for value in range(256):
        inverse = next((x for x in range(256) if _gf_mul(value, x) == 1), 0)
        result = 0x63
        for shift in range(5):
            result ^= ((inverse << shift) | (inverse >> (8 - shift))) & 0xFF
        box.append(result)
    return box


SBOX = _make_sbox()


def _expand(key: bytes) -> list[list[int]]:
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[-1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = _xtime(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word, strict=True)])
    return [[b for word in words[i : i + 4] for b in word] for i in range(0, 60, 4)]


def aes(key: bytes, block: bytes) -> bytes:
    keys = _expand(key)
    state = [a ^ b for a, b in zip(block, keys[0], strict=True)]
    for number in range(1, 15):
        state = [SBOX[b] for b in state]
        state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c : c + 4]
                mixed += [
                    _gf_mul(a[r], 2) ^ _gf_mul(a[(r + 1) % 4], 3) ^ a[(r + 2) % 4] ^ a[(r + 3) % 4] for r in range(4)
                ]
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[number], strict=True)]
    return bytes(state)


# -- GCM (NIST SP 800-38D) with 96-bit nonces


def _ghash(h: int, data: bytes) -> int:
    y = 0
    for at in range(0, len(data), 16):
        y ^= int.from_bytes(data[at : at + 16])
        product, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                product ^= v
            v = (v >> 1) ^ (0xE1 << 120 if v & 1 else 0)
        y = product
    return y


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def gcm_encrypt(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag."""
    out = bytearray()
    for number, at in enumerate(range(0, len(plaintext), 16), 2):
        stream = aes(key, nonce + struct.pack("!I", number))
        out += bytes(a ^ b for a, b in zip(plaintext[at : at + 16], stream, strict=False))
    lengths = struct.pack("!QQ", len(aad) * 8, len(out) * 8)
    digest = _ghash(int.from_bytes(aes(key, bytes(16))), _padded(aad) + _padded(bytes(out)) + lengths)
    tag = digest ^ int.from_bytes(aes(key, nonce + b"\0\0\0\1"))
    return bytes(out) + tag.to_bytes(16)


# -- the product's format, from its public description


def term(root: bytes, mode: str, domain: str, equality_key: bytes) -> bytes:
    info = b"pgcrypt index v1\0" + mode.encode() + b"\0" + domain.encode()
    extracted = hmac.digest(bytes(32), root, hashlib.sha256)
    key = hmac.digest(extracted, info + b"\x01", hashlib.sha256)
    return hmac.digest(key, equality_key, hashlib.sha256)[:16]


def prefixed(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def envelope(
    dek: bytes, key_id: int, flags: int, terms: list[bytes], nonce: bytes, plaintext: bytes, bound: bytes
) -> bytes:
    head = struct.pack("!BBI", 1, flags, key_id) + b"".join(terms)
    return head + nonce + gcm_encrypt(dek, nonce, plaintext, head + bound)


def wrapped(kek: bytes, nonce: bytes, key: bytes, context: dict[str, str]) -> bytes:
    aad = b"".join(prefixed(name) + prefixed(context[name]) for name in sorted(context))
    return b"\x01" + nonce + gcm_encrypt(kek, nonce, key, aad)


def numbers(start: int, count: int) -> bytes:
    return bytes((start + 7 * i) % 256 for i in range(count))


def vectors() -> dict[str, object]:
    keyring_id, dek, root, kek = numbers(1, 16), numbers(2, 32), numbers(3, 32), numbers(4, 32)
    made = []
    cases = [
        (b"", [], 7, "pii", ""),
        (b"ann@example.com", ["eq"], 7, "pii", ""),
        ("Bj\u00f6rn".encode(), ["eq", "eqci"], 2**31 - 1, "restricted", "tenant-1"),
        (bytes(40), ["eqci"], 1, "pii", ""),
    ]
    for number, (plaintext, modes, column_id, data_class, tenant) in enumerate(cases):
        keys = {"eq": b"t" + plaintext, "eqci": b"c" + plaintext.decode().lower().encode()}
        terms = [term(root, mode, "email", keys[mode]) for mode in modes]
        flags = ("eq" in modes) | ("eqci" in modes) << 1 | (3 << 4 if modes else 0)
        bound = keyring_id + struct.pack("!i", column_id) + prefixed(tenant) + prefixed(data_class)
        nonce = numbers(50 + number, 12)
        made.append(
            {
                "plaintext": plaintext.hex(),
                "modes": modes,
                "column_id": column_id,
                "data_class": data_class,
                "tenant": tenant,
                "key_id": 1000 + number,
                "flags": flags,
                "nonce": nonce.hex(),
                "terms": [t.hex() for t in terms],
                "bound": bound.hex(),
                "envelope": envelope(dek, 1000 + number, flags, terms, nonce, plaintext, bound).hex(),
            }
        )
    context = {"keyring": keyring_id.hex(), "kind": "dek", "data_class": "pii", "tenant": "", "generation": "1"}
    return {
        "keyring_id": keyring_id.hex(),
        "dek": dek.hex(),
        "index_root": root.hex(),
        "index_generation": 3,
        "index_domain": "email",
        "kek": kek.hex(),
        "wrap_context": context,
        "wrapped_dek": wrapped(kek, numbers(60, 12), dek, context).hex(),
        "envelopes": made,
    }


def text() -> str:
    return json.dumps(vectors(), indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("vectors.json").write_text(text())
