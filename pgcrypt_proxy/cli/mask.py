"""Shows an SQL text without its values.

`mask` covers literals without changing the length, so that a caret still points
right, and errs towards covering too much: a quote that never closes covers the
rest. `template` makes texts that differ in their values only the same.
"""

from __future__ import annotations

import re

from pgcrypt_proxy.sql.parse import Unparsable, parse

COVER = "•"
UNREADABLE = "(a text that cannot be parsed)"

#: Names of literals in PostgreSQL's grammar.
_LITERALS = frozenset({"SCONST", "USCONST", "ICONST", "FCONST", "BCONST", "XCONST"})
_MANY_VALUES = re.compile(r"\?(?:, ?\?)+")
_MANY_PARAMETERS = re.compile(r"(\$\d+)(?:, ?\$\d+)+")
_ROW = r"\((?:\?|\$\d+)(?:, \.\.\.)?\)"
_MANY_ROWS = re.compile(rf"({_ROW})(?:, ?{_ROW})+")

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\* (?:.*\*/|.*) )  # to the last end: comments nest
    | (?P<escaped> \b[eE]'(?: [^'\\] | \\. | '' )*(?:'|\Z) )
    | (?P<string>  '(?: [^'] | '' )*(?:'|\Z) )
    | (?P<dollar>  \$(?P<tag>(?:[A-Za-z_\x80-\uffff]\w*)?)\$ .*? (?:\$(?P=tag)\$|\Z) )
    | (?P<quoted>  "(?: [^"] | "" )*(?:"|\Z) )
    | (?P<word>    [^\W\d][\w$]* | \$\d+ )
    | (?P<number>  \.?\d[\w.]* )
    """,
    re.VERBOSE | re.DOTALL,
)


def mask(sql: str) -> str:
    """`sql` with strings, numbers and comments covered; names and parameters stay."""

    def covered(match: re.Match[str]) -> str:
        if match["word"] or match["quoted"]:
            return match[0]
        return re.sub(r"[^\s']", COVER, match[0]) if match["string"] or match["escaped"] else _covered(match[0])

    return _TOKEN.sub(covered, sql)


def _covered(text: str) -> str:
    return re.sub(r"\S", COVER, text)


def template(sql: str) -> str | None:
    """`sql` with `?` for literals, without comments, lists of values shortened; None when it says nothing.

    Of a text that cannot be parsed nothing is shown: where its literals end is not certain.
    """
    try:
        text = parse(sql)
    except Unparsable:
        return UNREADABLE
    if not text.statements:
        return None
    parts: list[str] = []
    end = 0
    for token in text.tokens:
        word = "?" if token.name in _LITERALS else sql[token.start : token.end]
        if parts and token.start > end and word not in (",", ")", ";"):
            parts.append(" ")
        parts.append(word)
        end = token.end
    shown = "".join(parts).rstrip("; ")
    shown = _MANY_PARAMETERS.sub(r"\1, ...", _MANY_VALUES.sub("?, ...", shown))
    return _MANY_ROWS.sub(r"\1, ...", shown)
