"""The form of an encrypted backup: a stream of chunks, each sealed under a key of that backup alone.

======== =====================================================================
length   field
======== =====================================================================
8        `PGCRYPTB`
1        version, 1
2 + n    each of: provider, KEK id, keyring id, backup id, wrapped key; n bytes
         behind their length
then     records: kind (1 byte: D data, M manifest), length (4 bytes), ciphertext
         with its tag of 16 bytes
======== =====================================================================

AES-256-GCM. The nonce is the record's number, 12 bytes, from 0: a key is used for
one backup. Additional authenticated data: SHA-256 of all before the records, and
the kind. The one manifest is the last record, so that a stream that was cut short
shows. All numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgcrypt_proxy.errors import OpenError

MAGIC = b"PGCRYPTB\x01"
#: Plaintext of a record, at most.
CHUNK_BYTES = 1 << 20
DATA, MANIFEST = b"D", b"M"
#: Plaintext of a manifest, at most: what a reader takes into memory before it knows that it is genuine.
MAX_RECORD_BYTES = 16 * CHUNK_BYTES
_TAG_BYTES = 16

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed to have the key unwrapped. `wrapped` is the backup's key, under the KEK."""

    provider: str
    kek_id: str
    keyring_id: bytes
    backup_id: bytes
    wrapped: bytes = field(repr=False)

    @property
    def context(self) -> dict[str, str]:
        """What the key is bound to when it is wrapped."""
        return wrap_context(self.keyring_id, self.backup_id)

    def encode(self) -> bytes:
        fields = (self.provider.encode(), self.kek_id.encode(), self.keyring_id, self.backup_id, self.wrapped)
        return MAGIC + b"".join(struct.pack("!H", len(part)) + part for part in fields)


def wrap_context(keyring_id: bytes, backup_id: bytes) -> dict[str, str]:
    """The context of the key of that backup: it unwraps as no key of a keyring."""
    return {"keyring": keyring_id.hex(), "kind": "backup", "backup": backup_id.hex()}


def seal(key: bytes, header: Header, data: Iterable[bytes], manifest: Callable[[], bytes]) -> Iterator[bytes]:
    """The stream, a record at a time; `manifest` is asked when all of `data` (chunks of any size) was taken."""
    head = header.encode()
    yield head
    cipher, bound, number = AESGCM(key), hashlib.sha256(head).digest(), 0
    for chunk in data:
        for start in range(0, len(chunk), CHUNK_BYTES):
            yield _record(cipher, bound, number, DATA, chunk[start : start + CHUNK_BYTES])
            number += 1
    yield _record(cipher, bound, number, MANIFEST, manifest())


def read_header(read: Read) -> Header:
    """The header at the stream's beginning; `read(n)` gives n bytes, fewer only at the end. Raises OpenError."""
    if read(len(MAGIC)) != MAGIC:
        raise OpenError("this is no backup of pgcrypt-proxy, or one of a newer version")
    provider, kek_id, keyring_id, backup_id, wrapped = (_field(read) for _ in range(5))
    try:
        return Header(provider.decode(), kek_id.decode(), keyring_id, backup_id, wrapped)
    except UnicodeDecodeError:
        raise _damaged() from None


def open_(key: bytes, header: Header, read: Read, on_manifest: Callable[[bytes], None]) -> Iterator[bytes]:
    """The data, each chunk authenticated before it is given; `on_manifest` gets the manifest when all is there.

    Raises OpenError for what was changed, moved, removed or cut short: until it has ended, all of the data
    may turn out to be a part only.
    """
    cipher, bound, number = AESGCM(key), hashlib.sha256(header.encode()).digest(), 0
    while True:
        head = _exactly(read, 5)
        kind, length = head[:1], int.from_bytes(head[1:])
        if kind not in (DATA, MANIFEST) or not _TAG_BYTES <= length <= MAX_RECORD_BYTES + _TAG_BYTES:
            raise _damaged()
        try:
            plain = cipher.decrypt(_nonce(number), _exactly(read, length), bound + kind)
        except InvalidTag:
            raise _damaged() from None
        if kind == MANIFEST:
            if read(1):
                raise _damaged()
            on_manifest(plain)
            return
        yield plain
        number += 1


def _record(cipher: AESGCM, bound: bytes, number: int, kind: bytes, plain: bytes) -> bytes:
    sealed = cipher.encrypt(_nonce(number), plain, bound + kind)
    return kind + struct.pack("!I", len(sealed)) + sealed


def _nonce(number: int) -> bytes:
    return number.to_bytes(12)


def _field(read: Read) -> bytes:
    return _exactly(read, int.from_bytes(_exactly(read, 2)))


def _exactly(read: Read, count: int) -> bytes:
    found = read(count)
    if len(found) != count:
        raise OpenError("the backup ends before its end: it was cut short")
    return found


def _damaged() -> OpenError:
    return OpenError("the backup is damaged, or was changed: a part of it is not what was written")
