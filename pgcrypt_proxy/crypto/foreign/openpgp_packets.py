"""OpenPGP's armor and packets as bytes (RFC 4880, sections 4 and 6). Knows lengths, not what they are for."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from pgcrypt_proxy.crypto.foreign import UnreadableValue

BEGIN = b"-----BEGIN PGP MESSAGE-----"
_ARMOR = re.compile(
    BEGIN + rb"[ \t]*\r?\n"
    rb"(?:[^:\r\n]+: [^\r\n]*\r?\n)*[ \t]*\r?\n"
    rb"([A-Za-z0-9+/\r\n]+={0,2}[ \t]*\r?\n)"
    rb"(?:=([A-Za-z0-9+/]{4})[ \t]*\r?\n)?"
    rb"-----END PGP MESSAGE-----\s*"
)


def dearmored(stored: bytes) -> bytes:
    """The message's bytes, from its armor if it has any. Raises UnreadableValue."""
    if not stored.startswith(BEGIN):
        return stored
    found = _ARMOR.fullmatch(stored)
    if found is None:
        raise UnreadableValue("its armor is damaged")
    try:
        data = base64.b64decode(b"".join(found[1].split()), validate=True)
    except binascii.Error:
        raise UnreadableValue("its armor is damaged") from None
    if found[2] is not None and base64.b64decode(found[2]) != crc24(data).to_bytes(3, "big"):
        raise UnreadableValue("its armor is damaged")
    return data


def crc24(data: bytes) -> int:
    """The armor's checksum."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, body) of each packet, to the last byte. Raises UnreadableValue."""
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise UnreadableValue("it is no OpenPGP message")
        if head & 0x40:
            tag = head & 0x3F
            body, at = _new_body(data, at + 1)
        else:
            tag = head >> 2 & 0x0F
            body, at = _old_body(data, at + 1, head & 3)
        yield tag, body


def only_packet(data: bytes) -> tuple[int, bytes]:
    """The one packet that `data` is. Raises UnreadableValue."""
    found = list(packets(data))
    if len(found) != 1:
        raise UnreadableValue("there is something else than one value inside")
    return found[0]


def _new_body(data: bytes, at: int) -> tuple[bytes, int]:
    parts = []
    while True:
        first = _taken(data, at, 1)[0]
        if first < 192:
            length, at, is_partial = first, at + 1, False
        elif first < 224:
            length, at, is_partial = (first - 192 << 8) + _taken(data, at + 1, 1)[0] + 192, at + 2, False
        elif first == 255:
            length, at, is_partial = int.from_bytes(_taken(data, at + 1, 4)), at + 5, False
        else:
            length, at, is_partial = 1 << (first & 0x1F), at + 1, True
        parts.append(_taken(data, at, length))
        at += length
        if not is_partial:
            return b"".join(parts), at


def _old_body(data: bytes, at: int, kind: int) -> tuple[bytes, int]:
    if kind == 3:  # to the end
        return data[at:], len(data)
    size = 1 << kind
    length = int.from_bytes(_taken(data, at, size))
    at += size
    return _taken(data, at, length), at + length


def _taken(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise UnreadableValue("it is no whole OpenPGP message")
    return data[at : at + length]
