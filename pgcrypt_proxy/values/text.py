"""text, varchar, char(n), name and bytea."""

from __future__ import annotations

import binascii
import re

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.modifiers import VARHDRSZ
from pgcrypt_proxy.values.problems import bad_syntax

_WHITE = b" \t\n\r\v\f"


def checked(data: bytes) -> bytes:
    """`data` when it is UTF-8 without NUL, as a UTF8 database takes it."""
    if b"\0" in data:
        raise InvalidValue('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise InvalidValue('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None
    return data


def fit(data: bytes, typmod: int, *, explicit: bool) -> bytes:
    """`data` in a varchar of that modifier: too many spaces are cut, anything else is an error.

    An explicit cast cuts whatever is too long. Manual: datatype-character.html.
    """
    limit = typmod - VARHDRSZ
    if limit < 0 or len(data) <= limit:
        return data
    characters = data.decode()
    if len(characters) <= limit:
        return data
    if not explicit and characters[limit:].strip(" "):
        raise InvalidValue(f"value too long for type character varying({limit})", sqlstate="22001")
    return characters[:limit].encode()


def pad(data: bytes, typmod: int, *, explicit: bool) -> bytes:
    """`data` in a char(n): filled with spaces; what is too long is an error, or cut, as for varchar."""
    length = typmod - VARHDRSZ
    if length < 0:
        return data
    characters = data.decode()
    if len(characters) <= length:
        return data + b" " * (length - len(characters))
    if not explicit and characters[length:].strip(" "):
        raise InvalidValue(f"value too long for type character({length})", sqlstate="22001")
    return characters[:length].encode()


NAME_BYTES = 63


def name_in(data: bytes) -> bytes:
    """name's input: what is longer than 63 bytes is cut, at a character's end."""
    return checked(data)[:NAME_BYTES].decode(errors="ignore").encode()


def name_recv(data: bytes) -> bytes:
    """A binary name. Raises InvalidValue (42622) when it is too long, as namerecv does."""
    if len(checked(data)) > NAME_BYTES:
        raise InvalidValue(
            "identifier too long", detail=f"Identifier must be less than {NAME_BYTES + 1} characters.", sqlstate="42622"
        )
    return data


def bytea_in(text: bytes) -> bytes:
    r"""bytea's input: `\x` and hexadecimal digits with white space between bytes, or the escape form."""
    if text.startswith(b"\\x"):
        try:
            return _hex(text[2:])
        except (binascii.Error, ValueError):
            raise InvalidValue("invalid hexadecimal data", sqlstate="22023") from None
    if b"\\" not in text:
        return text
    out = bytearray()
    at = 0
    while at < len(text):
        if text[at] != 0x5C:
            out.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] == b"\\":
            out.append(0x5C)
            at += 2
        elif re.fullmatch(rb"[0-3][0-7][0-7]", text[at + 1 : at + 4]):
            out.append(int(text[at + 1 : at + 4], 8))
            at += 4
        else:
            raise bad_syntax("bytea")
    return bytes(out)


def _hex(digits: bytes) -> bytes:
    if re.search(rb"[ \t\n\r]", digits):
        parts = digits.split()
        if any(len(part) % 2 for part in parts):
            raise ValueError
        digits = b"".join(parts)
    return binascii.unhexlify(digits)


def bytea_out(data: bytes, output: str) -> bytes:
    """bytea's output for a setting of `bytea_output`."""
    if output != "escape":
        return b"\\x" + binascii.hexlify(data)
    parts = []
    for byte in data:
        if byte == 0x5C:
            parts.append(b"\\\\")
        elif 0x20 <= byte <= 0x7E:
            parts.append(bytes([byte]))
        else:
            parts.append(b"\\%03o" % byte)
    return b"".join(parts)
