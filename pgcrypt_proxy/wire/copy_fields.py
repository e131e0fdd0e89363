"""The fields of COPY's text and CSV formats: how they are found, read and written.

Patterns use possessive quantifiers, so that no input makes them slow. A field
is read and written as PostgreSQL does it (copyfromparse.c, copyto.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pgcrypt_proxy.wire.copy_format import CopyFormat

_TEXT_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))|\\\Z", re.DOTALL)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_WRITTEN = {value: b"\\" + letter for letter, value in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class Syntax:
    """`field` matches one field, `line` a line without its end, as far as they are complete."""

    field: re.Pattern[bytes]
    line: re.Pattern[bytes]


@lru_cache(64)
def syntax(format_: CopyFormat) -> Syntax:
    """The patterns of a text or CSV format."""
    return Syntax(
        re.compile(_field(format_, format_.delimiter), re.DOTALL), re.compile(_field(format_, b""), re.DOTALL)
    )


def _field(format_: CopyFormat, delimiter: bytes) -> bytes:
    """What stands between two of `delimiter`, or line ends."""
    stop = re.escape(delimiter)
    if not format_.is_csv:
        # `\.` is not part of any field: it is, or is meant for, the end marker
        return rb"(?:[^\\\r\n%s]++|\\[^.])*+" % stop
    quote = re.escape(format_.quote)
    return rb"(?:[^\r\n%s%s]++|%s)*+" % (quote, stop, _quoted(format_))


def _quoted(format_: CopyFormat) -> bytes:
    quote, escape = re.escape(format_.quote), re.escape(format_.escape)
    if quote == escape:  # a doubled quote ends one quoted part and begins the next
        return rb"%s[^%s]*+%s" % (quote, quote, quote)
    return rb"%s(?:[^%s%s]++|%s[%s%s]|%s(?![%s%s]))*+%s" % (
        quote, quote, escape, escape, quote, escape, escape, quote, escape, quote,
    )  # fmt: skip


@lru_cache(64)
def row_pattern(
    format_: CopyFormat, is_captured: tuple[bool, ...], eol: bytes, *, marker_ends: bool
) -> re.Pattern[bytes]:
    """A whole row with its end; the captured fields are its groups."""
    field, delimiter = _field(format_, format_.delimiter), re.escape(format_.delimiter)
    fields = [b"(" + field + b")" if captured else field for captured in is_captured]
    not_marker = rb"(?!\\\.[\r\n])" if format_.is_csv and marker_ends else b""
    return re.compile(not_marker + delimiter.join(fields) + re.escape(eol), re.DOTALL)


class Coder:
    """Reads and writes single fields. `is_single`: the rows have no other column."""

    def __init__(self, format_: CopyFormat, *, is_single: bool) -> None:
        self._format = format_
        self._is_single = is_single
        quote, escape, delimiter = (re.escape(c) for c in (format_.quote, format_.escape, format_.delimiter))
        if format_.is_csv:
            self._special = re.compile(rb"[\r\n%s%s]" % (quote, delimiter))
            self._quoted = re.compile(_quoted(format_), re.DOTALL)
            self._escaped = re.compile(rb"%s([%s%s])" % (escape, quote, escape))
            self._to_escape = re.compile(rb"[%s%s]" % (quote, escape))
        else:
            self._special = re.compile(rb"[\\\b\f\n\r\t\v%s]" % delimiter)

    def is_value(self, raw: bytes, index: int) -> bool:
        """Whether the field of column `index` holds a value: no NULL, and not the marker of a default."""
        format_ = self._format
        if raw == format_.null:
            return index in format_.force_not_null
        if format_.default is not None and raw == format_.default:
            return False
        return not (index in format_.force_null and self.decode(raw) == format_.null)

    def decode(self, raw: bytes) -> bytes:
        """The value of a field."""
        if not self._format.is_csv:
            return raw if b"\\" not in raw else _TEXT_ESCAPE.sub(_unescaped, raw)
        if self._format.quote not in raw:
            return raw
        if self._format.quote == self._format.escape:
            return self._unquoted(raw)
        return self._quoted.sub(lambda found: self._escaped.sub(rb"\1", found.group()[1:-1]), raw)

    def _unquoted(self, raw: bytes) -> bytes:
        """A doubled quote inside of quotes is one; all others go."""
        quote = self._format.quote
        parts = raw.split(quote)
        # Odd parts stand inside of quotes; an empty even part between two of them was a doubled quote.
        last = len(parts) - 1
        return b"".join(
            quote if not part and not number % 2 and 0 < number < last else part for number, part in enumerate(parts)
        )

    def encode(self, value: bytes, index: int) -> bytes:
        """The field that PostgreSQL writes for `value` in column `index`."""
        format_ = self._format
        if not format_.is_csv:
            return self._special.sub(self._backslashed, value) if self._special.search(value) else value
        is_quoted = (
            index in format_.force_quote
            or value == format_.null
            or self._special.search(value) is not None
            or (self._is_single and value == b"\\.")
        )
        if not is_quoted:
            return value
        escape = format_.escape
        return format_.quote + self._to_escape.sub(lambda c: escape + c.group(), value) + format_.quote

    @staticmethod
    def _backslashed(found: re.Match[bytes]) -> bytes:
        character = found.group()
        return _WRITTEN.get(character, b"\\" + character)


def _unescaped(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, other = found.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    return b"" if other is None else _LETTERS.get(other, other)
