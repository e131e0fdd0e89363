"""Literals are cut out of a text where PostgreSQL's own scanner sees them, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast.parser import ParseError, scan

from pgcrypt_proxy.sql.fingerprint import Fingerprint, fingerprint, fingerprint_in_python

#: The compiled one where there is one, and the reference.
both = pytest.mark.parametrize("fingerprint", [fingerprint, fingerprint_in_python], ids=["as chosen", "python"])
Made = Callable[[str], Fingerprint | None]
FRAGMENTS = [
    "'a'", "''", "'it''s'", "'a\\'", "'--'", "'/*'", "'é'", "E'a\\'b'", "e'\\\\'", "E'a''b'", "U&'\\0061'", 'u&"x"',
    "$$a'b$$", "$t$'$t$", "$1", "$12", "B'01'", "x'1F'", "N'x'", "--c'\n", "--'", "/*'*/", "/* /* ' */ */", "/**/",
    "/*/*/", "\"a'b\"", '"a""b"', "1", "42", "007", "1.5", ".5", "1.", "1e5", "1E-3", "1.5e+2", "0x1F", "0b1", "1_000",
    "123456789", "1234567890", "12345678901", "1.5.5", "1..2", "+", "-", "*", "/", "--", "/*", "*/", "<", "@-", "@",
    " ", "\n", "\t", "\r", ",", "(", ")", "[", "]", "a", "e", "n", "x", "b", "u", "U", "&", "$", "é", "'", '"', "\\",
    "a$b", "é'", "e ", "::", ":", ";", "select", "date", "\xa0", "\N{GRINNING FACE}", "_", "a1", "%", "?", "~", "=",
]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


def scanned(sql: str) -> list[tuple[int, int, str]] | None:
    try:
        return [(t.start, t.end + 1, sql[t.start : t.end + 1]) for t in scan(sql) if t.name.endswith("CONST")]
    except ParseError:
        return None


@given(texts)
def test_literals_are_the_scanners(sql: str) -> None:
    found, constants = fingerprint(sql), scanned(sql)
    if found is None or constants is None:
        return
    spans = {(literal.start, literal.end) for literal in found.literals}
    for literal in found.literals:
        assert literal.written == sql[literal.start : literal.end]
    for start, end, written in constants:
        if written[0] == "'":
            # a string that goes on in the next line is several here, with nothing but space and comments between
            parts = sorted(span for span in spans if start <= span[0] and span[1] <= end)
            assert parts, (sql, written)
            assert (parts[0][0], parts[-1][1]) == (start, end)
            gaps = [sql[one[1] : two[0]] for one, two in pairwise(parts)]
            assert all(re.fullmatch(r"(?:\s|--[^\n\r]*)*", gap) for gap in gaps)
            spans -= set(parts)
        elif re.fullmatch(r"\d{1,9}|\d+\.\d+", written):
            assert (start, end) in spans, (sql, written)
            spans.remove((start, end))
    assert not spans, (sql, spans)


@given(st.text(alphabet="'\"$-*/\\\n eEuUnNbBxX&_1.0a", max_size=14))
def test_literals_are_the_scanners_in_any_text(sql: str) -> None:
    test_literals_are_the_scanners.hypothesis.inner_test(sql)  # type: ignore[attr-defined]


@given(texts, texts)
def test_equal_keys_are_equal_texts_but_for_the_literals(one: str, other: str) -> None:
    first, second = fingerprint(one), fingerprint(other)
    if first is None or second is None or first.key != second.key:
        return
    made, at = "", 0
    for own, theirs in zip(first.literals, second.literals, strict=True):
        made += one[at : own.start] + theirs.written
        at = own.end
    assert made + one[at:] == other


@both
@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT 'a', 'it''s', '', 5, 007, 1.50", ["a", "it's", "", "5", "7", "1.50"]),
        ("SELECT 'a' -- 'b'\n, /* 'c' */ \"d'\", E'e\\'', $1, 12345678901, .5, 1e3", ["a"]),
        ("SELECT 1+-2*-3/4", ["1", "2", "3", "4"]),
        ("SELECT a1, x.b2, $2, t$1$, 'x'", ["x"]),
    ],
)
def test_values(sql: str, values: list[str], fingerprint: Made) -> None:
    found = fingerprint(sql)
    assert found is not None
    assert [literal.value for literal in found.literals] == values
    assert "it's" not in repr(found.literals)


@both
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a', $$b$$", "SELECT 'a', $x$b$x$", "SELECT 'a', U&'b'", "SELECT 'a', u&\"b\"", "SELECT 'a', B'1'",
        "SELECT 'a', x'1'", "SELECT 'a', n'b'", "SELECT 'a' /* /* */ */", "SELECT 'a", "SELECT 'a' /*", "SELECT 1a",
        "SELECT 1_000", "SELECT 0x1F", "SELECT 1..2", "SELECT E'a'\n'b'", "SELECT E'a' --\n'b'", "SELECT 'a\0'",
        "SELECT '\ud800'", "SELECT 'a', \"\ud800\"", "SELECT \\ 1 \0", "SELECT a", "",
    ],
)  # fmt: skip
def test_texts_without_a_fingerprint(sql: str, fingerprint: Made) -> None:
    assert fingerprint(sql) is None
