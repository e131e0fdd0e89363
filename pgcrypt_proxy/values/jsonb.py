"""jsonb: read as PostgreSQL reads it, written as it writes it, with one form for equal documents; json: only checked.

Binary form (jsonb_send): version 1 and the text output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import numeric
from pgcrypt_proxy.values.problems import bad_syntax

VERSION = b"\x01"
_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t"}
_SPECIAL = re.compile(r'[\x00-\x1f"\\]')


class _Number:
    """A number as its binary numeric."""

    __slots__ = ("data",)

    def __init__(self, text: str) -> None:
        self.data = numeric.numeric_in(text.encode())


def _no_constant(_: str) -> NoReturn:
    raise bad_syntax("json")


_DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)


def _parse(text: bytes, decoder: json.JSONDecoder = _DECODER) -> Any:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise InvalidValue('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None
    if "\x00" in decoded:
        raise InvalidValue('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    try:
        return decoder.decode(decoded)
    except RecursionError:
        raise InvalidValue("the JSON document nests too deep", sqlstate="54001") from None
    except ValueError:
        raise bad_syntax("json") from None


def _write(value: Any, number: Callable[[bytes], bytes]) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, _Number):
        return number(value.data).decode()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join([_write(item, number) for item in value]) + "]"
    members = sorted(value.items(), key=_key_order)
    return "{" + ", ".join([f"{_string(k)}: {_write(v, number)}" for k, v in members]) + "}"


def _key_order(member: tuple[str, Any]) -> tuple[int, bytes]:
    """jsonb keeps keys by length in bytes, then by bytes."""
    raw = member[0].encode("utf-8", "surrogatepass")
    return len(raw), raw


def _string(value: str) -> str:
    if "\x00" in value:
        raise InvalidValue(
            "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text.", sqlstate="22P05"
        )
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise InvalidValue("invalid input syntax for type json", detail="Unicode surrogates must come in pairs.")
    return '"' + _SPECIAL.sub(lambda m: _ESCAPES.get(ord(m[0])) or f"\\u{ord(m[0]):04x}", value) + '"'


def _render(text: bytes, number: Callable[[bytes], bytes]) -> bytes:
    value = _parse(text)
    try:
        return _write(value, number).encode()
    except RecursionError:
        raise InvalidValue("the JSON document nests too deep", sqlstate="54001") from None


def _ignored(_: str) -> None:
    """Nothing is kept of a document that is only checked."""


_CHECKER = json.JSONDecoder(parse_int=_ignored, parse_float=_ignored, parse_constant=_no_constant)


def json_in(text: bytes) -> bytes:
    """json's input, which is its output and binary form as well: the text as it is, if it is JSON."""
    _parse(text, _CHECKER)
    return text


def jsonb_in(text: bytes) -> bytes:
    """jsonb's input, in binary."""
    return VERSION + _render(text, numeric.numeric_out)


def jsonb_recv(data: bytes) -> bytes:
    """A binary jsonb in the form that PostgreSQL would send it."""
    if data[:1] != VERSION:
        raise InvalidValue("unsupported jsonb version number", sqlstate="XX000")
    return jsonb_in(data[1:])


def canonical(data: bytes) -> bytes:
    """One text for equal documents: numbers without regard to their scale."""
    return _render(data[1:], numeric.canonical)
