"""The stored form of a protected value: layout, parsing, and what is authenticated with it.

======== ====== ===========================================================
offset   length field
======== ====== ===========================================================
0        1      version, 1
1        1      flags: bit 0 equality term, bit 1 case-folded term,
                bits 4 to 7 the index key's generation modulo 16
2        4      key id, unsigned, big-endian
6        16 * t index terms in the order of their flags, t of them
6+16t    12     nonce
18+16t   n      ciphertext, as long as the plaintext
18+16t+n 16     tag of AES-256-GCM
======== ====== ===========================================================

Additional authenticated data: bytes 0 to the nonce, keyring id (16), column id
(4, signed, big-endian), tenant and data class, each as UTF-8 behind its length
(2, big-endian). The public description is docs/envelope.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pgcrypt_proxy.errors import OpenError

VERSION = 1
FLAG_EQ = 1
FLAG_EQCI = 2
TERM_FLAGS = FLAG_EQ | FLAG_EQCI
GENERATION_SHIFT = 4
HEADER_LENGTH = 6
TERM_LENGTH = 16
NONCE_LENGTH = 12
TAG_LENGTH = 16
MIN_LENGTH = HEADER_LENGTH + NONCE_LENGTH + TAG_LENGTH

_HEADER = struct.Struct("!BBI")
_TERM_COUNT = {0: 0, FLAG_EQ: 1, FLAG_EQCI: 1, TERM_FLAGS: 2}


@dataclass(frozen=True, slots=True)
class SealContext:
    """What an envelope is bound to besides its keyring: it opens nowhere else."""

    column_id: int
    data_class: str
    tenant: str = ""

    def aad(self, keyring_id: bytes) -> bytes:
        """The part of the additional authenticated data that is not in the envelope."""
        tenant, data_class = self.tenant.encode(), self.data_class.encode()
        return b"".join(
            (
                keyring_id,
                struct.pack("!iH", self.column_id, len(tenant)),
                tenant,
                struct.pack("!H", len(data_class)),
                data_class,
            )
        )


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed envelope's fields. `header` is everything before the nonce."""

    flags: int
    key_id: int
    header: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    sealed: bytes = field(repr=False)  # ciphertext and tag

    @property
    def generation(self) -> int:
        """The index key's generation modulo 16."""
        return self.flags >> GENERATION_SHIFT

    @property
    def terms(self) -> tuple[bytes, ...]:
        """The index terms in the order of their flags."""
        body = self.header[HEADER_LENGTH:]
        return tuple(body[at : at + TERM_LENGTH] for at in range(0, len(body), TERM_LENGTH))


def malformed() -> OpenError:
    """The one error for everything that is wrong with an envelope, so that it tells nothing about which."""
    return OpenError(
        "a stored value could not be opened",
        hint="It was damaged, moved from another column, or sealed under another keyring. "
        "`pgcrypt-proxy verify` finds such values.",
    )


def term_byte(term_flags: int, generation: int) -> int:
    """The flags byte of envelopes with these terms under the index key of that generation."""
    return term_flags | (generation % 16 << GENERATION_SHIFT if term_flags else 0)


def header(flags: int, key_id: int, terms: tuple[bytes, ...] = ()) -> bytes:
    """Everything before the nonce."""
    return _HEADER.pack(VERSION, flags, key_id) + b"".join(terms)


def parse(data: bytes) -> Envelope:
    """The fields of an envelope. Raises OpenError for everything else; nothing is authenticated here."""
    if len(data) < MIN_LENGTH:
        raise malformed()
    version, flags, key_id = _HEADER.unpack_from(data)
    count = _TERM_COUNT.get(flags & 0x0F)
    if version != VERSION or count is None:
        raise malformed()
    nonce_at = HEADER_LENGTH + TERM_LENGTH * count
    sealed_at = nonce_at + NONCE_LENGTH
    if len(data) < sealed_at + TAG_LENGTH:
        raise malformed()
    return Envelope(flags, key_id, data[:nonce_at], data[nonce_at:sealed_at], data[sealed_at:])
