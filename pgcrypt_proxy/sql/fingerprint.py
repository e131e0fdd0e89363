"""One SQL text without its literals: what texts have in common that differ in values only. No parser, one regex,
and its compiled twin.

Cuts a text as PostgreSQL's scanner does (scan.l), but only as far as it must:
to tell string and number constants from comments, identifiers and each other.
It never guesses: what it does not know for certain (nested comments, dollar
quotes, U& and B'' and N'' strings, numbers that touch letters) gives no
fingerprint, and the text is planned in full. E'' strings and odd numbers count
as the text's own words. The scanner's continued strings are two here; whoever
uses the values must compare them with what the parser read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pgcrypt_proxy import fast

_IDENTIFIER = r"(?![eEbBxXnN]'|[uU]&['\"])[A-Za-z_\x80-\ud7ff\ue000-\U0010ffff][\w$\x80-\ud7ff\ue000-\U0010ffff]*+"
_NO_MORE = r"(?![\w.$\x80-\U0010ffff])"
#: Whatever is the same in all texts of one fingerprint.
_WORDS = re.compile(
    rf"""(?:
        [\ \t\n\r\f\v]++
      | {_IDENTIFIER}
      | [(),;\[\]:=<>+*~!@\#%^|&?`{{}}]
      | --[^\n\r\0\ud800-\udfff]*+
      | -(?!-)
      | /\*(?:[^*/\0\ud800-\udfff]|\*(?!/)|/(?!\*))*+\*/
      | /(?!\*)
      | \.(?!\d)
      | "(?:[^"\0\ud800-\udfff]|"")*+"
      | \$\d++{_NO_MORE}
      | [eE]'(?:[^'\\\0\ud800-\udfff]|\\[^\0\ud800-\udfff]|'')*+'(?!\s*+(?:'|--|/\*))
      | (?:\d++(?:\.\d*+)?+|\.\d++)[eE][+-]?\d++{_NO_MORE}
      | \d{{10,}}+{_NO_MORE}
      | \d++\.{_NO_MORE}
      | \.\d++{_NO_MORE}
    )*+""",
    re.VERBOSE | re.ASCII,
)
#: Integers of so few digits are int4, whatever they are.
_LITERAL = re.compile(
    rf"(?P<s>'(?:[^'\0\ud800-\udfff]|'')*+')|(?P<d>\d{{1,18}}+\.\d{{1,18}}+){_NO_MORE}|(?P<i>\d{{1,9}}+){_NO_MORE}",
    re.ASCII,
)


#: What stands for a literal in the key; no text holds such characters.
_MARKS = {"s": "\0s", "i": "\0i", "d": "\0d"}


class Literal(NamedTuple):
    """A constant: `kind` is "s" (string), "i" (integer of int4) or "d" (decimal); `start..end` are its characters."""

    kind: str
    start: int
    end: int
    written: str

    @property
    def value(self) -> str:
        """As the parser reads it, without a sign."""
        if self.kind == "s":
            return self.written[1:-1].replace("''", "'")
        return str(int(self.written)) if self.kind == "i" else self.written

    def __repr__(self) -> str:
        return f"Literal({self.kind} {self.start}..{self.end})"


class Fingerprint(NamedTuple):
    """`key` is equal for texts that are equal but for the values of their `literals`."""

    key: str
    literals: tuple[Literal, ...]


def fingerprint(sql: str) -> Fingerprint | None:
    """The text's fingerprint; None when it has no literals, or is not understood for certain."""
    if fast.native is None:
        return fingerprint_in_python(sql)
    try:
        found = fast.native.fingerprint(sql)
    except UnicodeEncodeError:  # surrogates
        return fingerprint_in_python(sql)
    return None if found is None else Fingerprint(found[0], tuple(map(Literal._make, found[1])))


def fingerprint_in_python(sql: str) -> Fingerprint | None:
    """The reference: what `fingerprint` says, without compiled code."""
    if ".." in sql:
        return None  # in `1..2` the number ends before both dots
    words, next_literal = _WORDS.match, _LITERAL.match
    pieces: list[str] = []
    literals: list[Literal] = []
    at, length = 0, len(sql)
    while True:
        found = words(sql, at)
        assert found is not None
        start = found.end()
        pieces.append(sql[at:start])
        if start == length:
            break
        literal = next_literal(sql, start)
        if literal is None:
            return None
        kind, at = literal.lastgroup or "", literal.end()
        literals.append(Literal(kind, start, at, sql[start:at]))
        pieces.append(_MARKS[kind])
    return Fingerprint("".join(pieces), tuple(literals)) if literals else None
