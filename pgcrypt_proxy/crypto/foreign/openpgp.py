"""OpenPGP messages under a passphrase, as pgcrypto's pgp_sym_encrypt and `gpg --symmetric` make them.

The symmetric part of RFC 4880 (RFC 9580 names the same packets): one session key packet (SKESK v4, any S2K), one
packet of data with a modification detection code (SEIPD v1), in it one literal packet, compressed or not. AES only.
Data without the code (pgcrypto's disable-mdc) could have been changed by anybody, and is refused.
"""

from __future__ import annotations

import hmac
import zlib
from hashlib import sha1

from pgcrypt_proxy.crypto.foreign import UnreadableValue, does_not_open
from pgcrypt_proxy.crypto.foreign.openpgp_ciphers import ALGORITHMS, cfb_decrypted, key_of
from pgcrypt_proxy.crypto.foreign.openpgp_packets import dearmored, only_packet, packets

PKESK, SKESK, COMPRESSED, SED, LITERAL, SEIPD, AEAD = 1, 3, 8, 9, 11, 18, 20
#: The modification detection code: its packet's header, and the SHA-1 digest.
MDC_HEADER, MDC_LENGTH = b"\xd3\x14", 22
BLOCK = 16
#: No value of PostgreSQL is longer.
MAX_PLAINTEXT = 0x3FFFFFFF


class OpenPgp:
    """Under one passphrase."""

    is_authenticated = True

    def __init__(self, passphrase: bytes) -> None:
        self._passphrase = passphrase

    def open(self, stored: bytes) -> bytes:
        """What the literal packet holds, whatever it is called there. Raises UnreadableValue."""
        found = list(packets(dearmored(stored)))
        tags = [tag for tag, _ in found]
        if PKESK in tags:
            raise UnreadableValue("it was encrypted for a public key, not under a passphrase")
        if SED in tags:
            raise UnreadableValue("it has no modification detection code (disable-mdc)")
        if tags != [SKESK, SEIPD]:
            raise UnreadableValue("it is no OpenPGP message under one passphrase")
        algorithm, key = self._session_key(found[0][1])
        return _literal(_unwrapped(found[1][1], key, algorithm))

    def _session_key(self, body: bytes) -> tuple[int, bytes]:
        if len(body) < 2 or body[0] != 4:
            raise UnreadableValue("its session key packet has a version that is not supported")
        algorithm, rest = body[1], body[2:]
        key, wrapped = key_of(self._passphrase, algorithm, rest)
        if not wrapped:
            return algorithm, key
        session = cfb_decrypted(key, wrapped)
        if session[0] not in ALGORITHMS or len(session) != 1 + ALGORITHMS[session[0]]:
            raise does_not_open()
        return session[0], session[1:]


def _unwrapped(body: bytes, key: bytes, algorithm: int) -> bytes:
    """The packets inside, proved to be those that were encrypted under that key."""
    if body[:1] != b"\x01":
        raise UnreadableValue("its data packet has a version that is not supported")
    if len(body) < 1 + BLOCK + 2 + MDC_LENGTH:
        raise does_not_open()
    data = cfb_decrypted(key, body[1:])
    digest = sha1(data[:-20], usedforsecurity=False).digest()
    if data[-MDC_LENGTH:-20] != MDC_HEADER or not hmac.compare_digest(digest, data[-20:]):
        raise does_not_open()
    return data[BLOCK + 2 : -MDC_LENGTH]


def _literal(data: bytes) -> bytes:
    tag, body = only_packet(data)
    if tag == COMPRESSED:
        tag, body = only_packet(_decompressed(body))
    if tag != LITERAL or len(body) < 2 or body[0] not in b"btu" or len(body) < 2 + body[1] + 4:
        raise UnreadableValue("there is something else than one value inside")
    return body[2 + body[1] + 4 :]


def _decompressed(body: bytes) -> bytes:
    windows = {0: 0, 1: -zlib.MAX_WBITS, 2: zlib.MAX_WBITS}
    if not body or body[0] not in windows:
        raise UnreadableValue("it is compressed by an algorithm that is not supported")
    if body[0] == 0:
        return body[1:]
    inflating = zlib.decompressobj(windows[body[0]])
    try:
        data = inflating.decompress(body[1:], MAX_PLAINTEXT)
    except zlib.error:
        raise UnreadableValue("what is inside cannot be decompressed") from None
    if not inflating.eof or inflating.unused_data:
        raise UnreadableValue("what is inside cannot be decompressed")
    return data
