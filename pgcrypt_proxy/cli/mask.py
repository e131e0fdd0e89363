"""Covers the literals of an SQL text without changing its length, so that a caret still points right.

Errs towards covering too much: a quote that never closes covers the rest.
"""

from __future__ import annotations

import re

COVER = "•"

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
