"""Odd spellings of a statement that mean the same: case, quotes, escapes, comments, white space.

Holes stay as they are. Knows the names of the twin schema, whose lower case is
how they are stored, so that they may be quoted; other words may be keywords.
"""

from __future__ import annotations

import random
import re

from tests.fuzz import schema

TOKEN = re.compile(
    r"\{[a-z]+\d*(?::(?:'(?:[^']|'')*'|[^'{}])*)?\}"  # a hole
    r"|\$\$.*?\$\$|(?:[eE]|[uU]&)?'(?:[^'\\]|''|\\.)*'|(?:[uU]&)?\"[^\"]*\""
    r"|/\*.*?\*/|--[^\n]*|\s+|[A-Za-z_\u0080-\uffff][\w$]*|\$?\d[\d.]*|::|[<>=!~*+\-|&]+|.",
    re.DOTALL,
)
_NAMES = frozenset(
    {"users", "orders", "items", "contacts", "logs", "v_users", "v_items"}
    | {column.name for _, columns in (*schema.PROTECTED, *schema.PLAIN) for column in columns}
) - {"name", "label", "level"}
_SPACES = ("\n", "\t", "  ", " /* c */ ", " /* a /* b */ ' */ ", " -- it's\n", "\r\n")


def spelled(text: str, seed: int) -> str:
    """`text` in another spelling. Steps (`;` and a line's end) stay steps."""
    rng = random.Random(seed)
    out = []
    for match in TOKEN.finditer(text):
        token = match[0]
        if token == " ":
            out.append(rng.choice(_SPACES) if rng.random() < 0.12 and not "".join(out[-1:]).endswith(";") else token)
        elif token in _NAMES and rng.random() < 0.2:
            out.append(_name(token, rng))
        elif re.fullmatch(r"[A-Za-z_]+", token) and token.isupper() and rng.random() < 0.4:
            out.append(token.lower() if rng.random() < 0.6 else token.title())
        else:
            out.append(token)
    return "".join(out)


def _name(name: str, rng: random.Random) -> str:
    match rng.randrange(5):
        case 0:
            return name.upper()
        case 1:
            return name.title()
        case 2:
            return f'U&"\\{ord(name[0]):04x}{name[1:]}"'
        case _:
            return f'"{name}"'
