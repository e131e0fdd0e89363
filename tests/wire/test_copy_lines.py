"""Text and CSV rows against the slow reading of the same data, however the stream is cut."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import InvalidValue, PgcryptError
from pgcrypt_proxy.wire.copy_format import BadField, CopyDataError, CopyFormat, CopyKind, Header, RowTooLong
from pgcrypt_proxy.wire.copy_lines import LineReplacer
from tests.wire import copy_reference
from tests.wire.copy_reference import Bad

TEXT = CopyFormat()
CSV = CopyFormat(CopyKind.CSV, b",", b"")
FORMATS = [
    TEXT,
    replace(TEXT, delimiter=b"|", null=b""),
    replace(TEXT, delimiter=b"]", null=b"N", default=b"x"),
    CSV,
    replace(CSV, quote=b"'", escape=b"\\", null=b"N"),
    replace(CSV, delimiter=b"^", quote=b"N", escape=b"x", default=b"D"),
    replace(CSV, null=b"N", force_null=frozenset({1}), force_not_null=frozenset({2})),
    replace(CSV, delimiter=b"-", quote=b"]", escape=b"-"),
]
NAMES = ("a", "b", "c")

#: Everything that means something in one of the formats, and little else.
data_bytes = st.lists(st.sampled_from([bytes([b]) for b in b"\t\n\r\\\".,|'N01x]^-aD"]), max_size=40).map(b"".join)
tidy = st.lists(
    st.sampled_from([b"a", b"\\N", b"N", b"\\t", b'"x,""y"', b"'", b"\\x41", b"", b"\\\\", b"."]), max_size=40
)
cuts = st.lists(st.integers(0, 80), max_size=6)


def act(value: bytes) -> bytes:
    return b"<" + value[::-1] + b"\\x>"


def replacer(format_: CopyFormat, width: int = 3, **options: bool) -> LineReplacer:
    return LineReplacer(format_, NAMES[:width], (None, act, act)[:width], **options)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in pairwise(bounds)]


def run(made: LineReplacer, parts: list[bytes]) -> bytes | None:
    try:
        return b"".join(made.feed(part) for part in parts) + made.finish()
    except CopyDataError:
        return None


def written(value: bytes, format_: CopyFormat) -> bytes:
    """A value as PostgreSQL writes it, character by character."""
    if not format_.is_csv:
        letters = {0x5C: b"\\\\", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r"}
        letters.setdefault(format_.delimiter[0], b"\\" + format_.delimiter)
        return b"".join(letters.get(byte, bytes([byte])) for byte in value)
    special = format_.delimiter + format_.quote + b"\r\n"
    if value != format_.null and not any(byte in special for byte in value):
        return value
    out = bytearray(format_.quote)
    for byte in value:
        if byte in format_.quote + format_.escape:
            out += format_.escape
        out.append(byte)
    return bytes(out) + format_.quote


def expected(data: bytes, format_: CopyFormat, width: int, marker_ends_csv: bool) -> bytes | None:
    try:
        lines, marker = copy_reference.read(data, format_, marker_ends_csv=marker_ends_csv)
        out = bytearray()
        for line in lines:
            copy_reference.split(line, format_)
            if len(line.fields) != width:
                return None
            fields = []
            for index, (raw, value) in enumerate(line.fields):
                if value is None and index in format_.force_not_null:
                    value = format_.null
                elif index in format_.force_null and value == format_.null:
                    value = None
                if index == 0 or value is None or raw == format_.default:
                    fields.append(raw)
                else:
                    fields.append(written(act(value), format_))
            out += format_.delimiter.join(fields) + line.end
    except Bad:
        return None
    return bytes(out) + marker


@pytest.mark.parametrize("format_", FORMATS, ids=range(len(FORMATS)))
@given(data=data_bytes, places=cuts, width=st.integers(1, 3), marker=st.booleans())
def test_any_data_are_read_as_the_server_reads_them(
    format_: CopyFormat, data: bytes, places: list[int], width: int, marker: bool
) -> None:
    made = run(replacer(format_, width, marker_ends_csv=marker), cut(data, places))
    assert made == expected(data, format_, width, marker)


@pytest.mark.parametrize("format_", FORMATS, ids=range(len(FORMATS)))
@given(
    rows=st.lists(st.lists(tidy.map(b"".join).filter(lambda f: b"\\." not in f), min_size=3, max_size=3), max_size=6),
    eol=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    places=cuts,
)
def test_sound_rows(format_: CopyFormat, rows: list[list[bytes]], eol: bytes, places: list[int]) -> None:
    data = b"".join(format_.delimiter.join(row) + eol for row in rows)
    assert run(replacer(format_), cut(data, places)) == expected(data, format_, 3, False)


def test_every_place_to_cut() -> None:
    for format_, data in (
        (TEXT, b"1\tx\\ty\tz\r\n2\t\\N\tq\\\r\r\n3\t\\x41\\101\tk\\\\\r\n\\.\r\nleft out"),
        (CSV, b'1,"a""b,c\r\n",x\n2,,"d\ne"\n3,"",y'),
    ):
        whole = run(replacer(format_), [data])
        assert whole is not None
        assert whole.count(b"<") == 5
        for place in range(1, len(data)):
            for other in range(place, len(data)):
                assert run(replacer(format_), cut(data, [place, other])) == whole


def test_output_keeps_the_messages() -> None:
    made = replacer(replace(CSV, header=Header.SKIPPED, force_quote=frozenset({1})), is_output=True)
    assert made.feed(b"a,b,c\n") == b"a,b,c\n"
    assert made.feed(b'1,"ab","c\r"\n') == b'1,"<ba\\x>","<\rc\\x>"\n'
    assert made.feed(b"2,,\n") == b"2,,\n"
    assert made.finish() == b""


def test_a_header_is_not_sent_unless_the_server_compares_it() -> None:
    assert run(replacer(replace(CSV, header=Header.SKIPPED)), [b'"x\ny",z\r\n1,a,b\r\n']) == (
        b"\r\n1,<a\\x>,<b\\x>\r\n"
    )
    match = replace(TEXT, header=Header.MATCH)
    assert run(replacer(match), [b"a\t\\142\tc\n1\tx\t\\N\n"]) == b"a\t\\142\tc\n1\t<x\\\\x>\t\\N\n"
    for wrong in (b"a\tb\n", b"a\tb\tB\n", b"a\tb\t\\N\n"):
        with pytest.raises(CopyDataError, match="header line") as caught:
            replacer(match).feed(wrong)
        assert "B" not in caught.value.message


@pytest.mark.parametrize(
    ("format_", "data", "message", "line"),
    [
        (TEXT, b"1\tx\ty\n2\tx\n", 'missing data for column "c"', 2),
        (TEXT, b"1\tx\ty\n\n", 'missing data for column "b"', 2),
        (TEXT, b"1\tx\ty\tz\n", "extra data after last expected column", 1),
        (TEXT, b"1\tx\ty\n\\.\r\n", "end-of-copy marker does not match previous newline style", 2),
        (TEXT, b"1\tx\ty\n1\\.\n", "end-of-copy marker is not alone on its line", 2),
        (TEXT, b"1\tx\ty\r\n1\tx\ty\n", "literal newline found in data", 2),
        (TEXT, b"1\tx\ty\n1\t\rx\ty\n", "literal carriage return found in data", 2),
        (
            CSV,
            b'1,x,"\n"\n1,"\n",y\r1',
            "unquoted carriage return found in data",
            3,
        ),  # PostgreSQL does not count a newline in quotes of the first row
        (CSV, b'1,x,y\n1,x,"', "unterminated CSV quoted field", 2),
    ],
)
def test_what_is_wrong_is_said_with_its_line(format_: CopyFormat, data: bytes, message: str, line: int) -> None:
    made = replacer(format_)
    with pytest.raises(CopyDataError) as caught:
        made.feed(data) + made.finish()
    assert (caught.value.message, caught.value.code) == (message, "22P04")
    assert made.line == line


def test_a_value_that_an_action_refuses_is_placed() -> None:
    def fail(value: bytes) -> bytes:
        if value == b"bad":
            raise InvalidValue("no")
        return value

    for data, line in ((b"1\tbad\n", 1), (b"1\tx\n2\ty\n3\tbad\n", 3), (b"1\tx\n2\tbad", 2)):
        made = LineReplacer(TEXT, ("a", "b"), (None, fail))
        with pytest.raises(BadField) as caught:
            made.feed(data) + made.finish()
        assert (caught.value.column, made.line) == (1, line)
        assert isinstance(caught.value.cause, InvalidValue)


def test_a_long_row_is_read_in_linear_time_and_capped() -> None:
    piece = b"x\\n" * 1000
    made = LineReplacer(TEXT, ("a",), (act,))
    out = made.feed(b"ab\n") + b"".join(made.feed(piece) for _ in range(1000)) + made.feed(b"\n") + made.finish()
    assert out == b"<ba\\\\x>\n<" + b"\\nx" * 1_000_000 + b"\\\\x>\n"
    capped = LineReplacer(TEXT, ("a",), (act,), max_row_bytes=10_000)
    assert [capped.feed(piece) for _ in range(3)] == [b"", b"", b""]
    with pytest.raises(RowTooLong) as caught:
        capped.feed(piece)
    assert (caught.value.code, capped.line) == ("54000", 1)
    assert isinstance(caught.value, PgcryptError)
