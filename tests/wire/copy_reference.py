"""COPY's text and CSV formats read the slow way: one byte after the other, as copyfromparse.c of PostgreSQL does.

Returns what a server makes of the data, so that tests can say what should become of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pgcrypt_proxy.wire.copy_format import CopyFormat


class Bad(Exception):
    """The server refuses the data."""


@dataclass
class Line:
    """A line: its bytes, its end, and (bytes, value or None for NULL) of each field."""

    raw: bytes
    end: bytes
    fields: list[tuple[bytes, bytes | None]] = field(default_factory=list)


def read(data: bytes, format_: CopyFormat, *, marker_ends_csv: bool = False) -> tuple[list[Line], bytes]:
    """The lines, and the end marker with its line end if there is one. Raises Bad."""
    lines: list[Line] = []
    eol: bytes | None = None
    at = 0
    while at < len(data):
        start = at
        is_quoted = was_escape = False
        while True:
            if at == len(data):
                lines.append(Line(data[start:], b""))
                break
            byte, following = data[at : at + 1], data[at + 1 : at + 2]
            if format_.is_csv:
                if is_quoted and byte == format_.escape and format_.escape != format_.quote:
                    was_escape = not was_escape
                if byte == format_.quote and not was_escape:
                    is_quoted = not is_quoted
                if byte != format_.escape or format_.escape == format_.quote:
                    was_escape = False
            if byte == b"\r" and not is_quoted:
                ends_with = b"\r\n" if following == b"\n" and eol in (None, b"\r\n") else b"\r"
                if eol not in (None, ends_with):
                    raise Bad
                eol = ends_with
                lines.append(Line(data[start:at], eol))
                at += len(eol)
                break
            if byte == b"\n" and not is_quoted:
                if eol not in (None, b"\n"):
                    raise Bad
                eol = b"\n"
                lines.append(Line(data[start:at], eol))
                at += 1
                break
            if byte == b"\\" and following == b"." and (not format_.is_csv or (marker_ends_csv and at == start)):
                after = data[at + 2 : at + 2 + len(eol or b"x")]
                if after == eol or (eol is None and after in (b"\r", b"\n")):
                    if at != start:
                        raise Bad
                    return lines, data[at : at + 2] + after
                if not format_.is_csv or after[:1] in (b"\r", b"\n"):
                    raise Bad
            at += 1 if format_.is_csv or byte != b"\\" or not following else 2
    return lines, b""


def split(line: Line, format_: CopyFormat) -> None:
    """Find the fields of `line`. Raises Bad."""
    (_split_csv if format_.is_csv else _split_text)(line, format_)


def _split_text(line: Line, format_: CopyFormat) -> None:
    raw, at = line.raw, 0
    while True:
        start, value = at, bytearray()
        while at < len(raw) and raw[at : at + 1] != format_.delimiter:
            if raw[at] != 0x5C:
                value.append(raw[at])
                at += 1
                continue
            at += 1
            if at == len(raw):
                break
            letter = chr(raw[at])
            if letter in "01234567":
                digits = ""
                while len(digits) < 3 and at < len(raw) and chr(raw[at]) in "01234567":
                    digits += chr(raw[at])
                    at += 1
                value.append(int(digits, 8) & 0xFF)
                continue
            if letter == "x":
                digits = ""
                while len(digits) < 2 and at + 1 < len(raw) and chr(raw[at + 1]) in "0123456789abcdefABCDEF":
                    digits += chr(raw[at + 1])
                    at += 1
                if digits:
                    value.append(int(digits, 16))
                    at += 1
                    continue
            value += {"b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v"}.get(
                letter, raw[at : at + 1]
            )
            at += 1
        field_raw = raw[start:at]
        line.fields.append((field_raw, None if field_raw == format_.null else bytes(value)))
        if at == len(raw):
            return
        at += 1


def _split_csv(line: Line, format_: CopyFormat) -> None:
    raw, at = line.raw, 0
    while True:
        start, value, is_quoted, was_quoted = at, bytearray(), False, False
        while at < len(raw):
            byte, following = raw[at : at + 1], raw[at + 1 : at + 2]
            if not is_quoted and byte == format_.delimiter:
                break
            if is_quoted and byte == format_.escape and following in (format_.escape, format_.quote) and following:
                value += following
                at += 2
                continue
            if byte == format_.quote:
                is_quoted = not is_quoted
                was_quoted = True
            else:
                value += byte
            at += 1
        if is_quoted:
            raise Bad
        field_raw = raw[start:at]
        is_null = not was_quoted and field_raw == format_.null
        line.fields.append((field_raw, None if is_null else bytes(value)))
        if at == len(raw):
            return
        at += 1
