"""COPY's binary format against taking it apart and putting it together, however the stream is cut."""

from __future__ import annotations

import struct

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.wire.copy_binary import HEADER, SIGNATURE, TRAILER, BinaryReplacer
from pgcrypt_proxy.wire.copy_format import BadField, CopyDataError, RowTooLong
from tests.wire.test_copy_lines import act, cut, cuts

ROWS = st.lists(st.tuples(*[st.none() | st.binary(max_size=12)] * 3), max_size=5)


def tuple_of(*values: bytes | None) -> bytes:
    fields = (struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return struct.pack("!h", len(values)) + b"".join(fields)


def run(parts: list[bytes], **options: int) -> bytes:
    made = BinaryReplacer((None, act, act), **options)
    return b"".join(made.feed(part) for part in parts) + made.finish()


def acted(value: bytes | None) -> bytes | None:
    return None if value is None else act(value)


@given(rows=ROWS, extension=st.binary(max_size=9), flags=st.integers(0, 0xFFFF), has_trailer=st.booleans(), places=cuts)
def test_any_split_gives_the_same(
    rows: list[tuple[bytes | None, ...]], extension: bytes, flags: int, has_trailer: bool, places: list[int]
) -> None:
    end = TRAILER if has_trailer else b""
    data = SIGNATURE + struct.pack("!Ii", flags, len(extension)) + extension
    data += b"".join(tuple_of(*row) for row in rows) + end
    wanted = HEADER + b"".join(tuple_of(a, acted(b), acted(c)) for a, b, c in rows) + end
    assert run([data]) == wanted
    assert run(cut(data, places)) == wanted
    assert run([bytes([byte]) for byte in data]) == wanted


@pytest.mark.parametrize(
    ("data", "message", "line"),
    [
        (b"", "COPY file signature not recognized", 0),
        (b"x" * 19, "COPY file signature not recognized", 0),
        (SIGNATURE + b"\0\0", "invalid COPY file header (missing flags)", 0),
        (SIGNATURE + b"\0\0\0\0\0", "invalid COPY file header (missing length)", 0),
        (SIGNATURE + b"\0\1\0\0\0\0\0\0", "invalid COPY file header (WITH OIDS)", 0),
        (SIGNATURE + b"\0\2\0\0\0\0\0\0", "unrecognized critical flags in COPY file header", 0),
        (SIGNATURE + b"\0\0\0\0\xff\0\0\0", "invalid COPY file header (missing length)", 0),
        (SIGNATURE + b"\0\0\0\0\0\0\0\5ab", "invalid COPY file header (wrong length)", 0),
        (HEADER + tuple_of(b"1"), "row field count is 1, expected 3", 1),
        (HEADER + tuple_of(b"1", b"2", b"3") + b"\xff\xfe", "row field count is -2, expected 3", 2),
        (HEADER + b"\0\3\0\0", "unexpected EOF in COPY data", 1),
        (HEADER + TRAILER + b"x", "received copy data after EOF marker", 1),
    ],
)
def test_what_is_wrong_is_said_with_its_line(data: bytes, message: str, line: int) -> None:
    for parts in ([data], [bytes([byte]) for byte in data]):
        made = BinaryReplacer((None, act, act))
        with pytest.raises(CopyDataError) as caught:
            b"".join(made.feed(part) for part in parts) + made.finish()
        assert (caught.value.message, caught.value.code, made.line) == (message, "22P04", line)


def test_a_bad_field_is_placed() -> None:
    def fail(value: bytes) -> bytes:
        raise InvalidValue("no")

    for field in (b"\0\0\0\1x", b"\xff\xff\xff\xfe"):
        made = BinaryReplacer((None, fail))
        with pytest.raises(BadField) as caught:
            made.feed(HEADER + tuple_of(None, None) + b"\0\2\xff\xff\xff\xff" + field)
        assert (caught.value.column, made.line) == (1, 2)


def test_a_row_is_capped_by_what_its_lengths_say() -> None:
    with pytest.raises(RowTooLong):
        run([HEADER + b"\0\3" + struct.pack("!i", 1001)], max_row_bytes=1000)
    assert run([HEADER + tuple_of(b"x" * 900, None, None)], max_row_bytes=1000)
