"""bit(n) and bit varying(n).

Binary form (bit_send): Int32 number of bits, then the bits from the left, the
last byte filled with zeros.
"""

from __future__ import annotations

import re
import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.modifiers import MAX_BIT_LENGTH
from pgcrypt_proxy.values.problems import bad_binary

_COUNT = struct.Struct("!i")


def bit_in(text: bytes) -> bytes:
    """The input of both types, in binary: digits 0 and 1, or `B` and them, or `X` and hexadecimal digits."""
    if text[:1] in (b"x", b"X"):
        if re.fullmatch(rb"[0-9A-Fa-f]*", text[1:]) is None:
            raise InvalidValue("invalid hexadecimal digit")
        digits = "".join(f"{int(text[at : at + 1], 16):04b}" for at in range(1, len(text)))
        return _packed(digits)
    found = re.fullmatch(rb"[bB]?([01]*)", text)
    if found is None:
        raise InvalidValue("invalid binary digit")
    return _packed(found.group(1).decode())


def _packed(digits: str) -> bytes:
    if len(digits) > MAX_BIT_LENGTH * 8:
        raise InvalidValue("bit string length exceeds the maximum allowed", sqlstate="54000")
    size = -(-len(digits) // 8)
    return _COUNT.pack(len(digits)) + int(digits.ljust(size * 8, "0") or "0", 2).to_bytes(size)


def bit_recv(name: str, data: bytes) -> bytes:
    """A binary bit string as PostgreSQL would send it: nothing behind its last bit."""
    count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else -1
    if count < 0 or len(data) != _COUNT.size + -(-count // 8):
        raise bad_binary("bit" if name == "bit" else "bit varying")
    return _packed(_digits(data))


def _digits(data: bytes) -> str:
    count: int = _COUNT.unpack_from(data)[0]
    return "".join(f"{byte:08b}" for byte in data[_COUNT.size :])[:count]


def bit_out(name: str, data: bytes) -> bytes:
    return _digits(bit_recv(name, data)).encode()


def fit(name: str, data: bytes, typmod: int, *, explicit: bool) -> bytes:
    """The bits under a length; an explicit cast cuts, and fills a bit(n) with zeros."""
    if typmod < 0:
        return data
    count = _COUNT.unpack_from(data)[0]
    if count == typmod or (name == "varbit" and count < typmod):
        return data
    if explicit:
        digits = _digits(data)[:typmod]
        return _packed(digits.ljust(typmod, "0") if name == "bit" else digits)
    if name == "bit":
        message = f"bit string length {count} does not match type bit({typmod})"
        raise InvalidValue(message, sqlstate="22026")
    raise InvalidValue(f"bit string too long for type bit varying({typmod})", sqlstate="22001")
