"""The bytes of an envelope, from the text in which the server sends them."""

from __future__ import annotations

from pgcrypt_proxy.errors import OpenError


def from_bytea_text(text: bytes) -> bytes:
    """Bytes from bytea's text output, hex or escape. Raises OpenError for anything else."""
    if text[:2] == b"\\x":
        try:
            return bytes.fromhex(text[2:].decode("ascii"))
        except ValueError:
            raise OpenError("a protected value is no envelope") from None
    if b"\\" not in text:
        return text
    made = bytearray()
    position = 0
    while position < len(text):
        byte = text[position]
        if byte != 0x5C:
            made.append(byte)
            position += 1
        elif text[position + 1 : position + 2] == b"\\":
            made.append(0x5C)
            position += 2
        else:
            digits = text[position + 1 : position + 4]
            if len(digits) != 3 or digits[0] not in b"0123" or not all(d in b"01234567" for d in digits):
                raise OpenError("a protected value is no envelope")
            made.append(int(digits, 8))
            position += 4
    return bytes(made)
