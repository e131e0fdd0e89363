"""One SQL text becomes statements: syntax trees, their place in the text, and tokens on demand.

The tree is libpg_query's JSON form as plain dicts (`{"SelectStmt": {...}}`),
which is about five times as cheap as pglast's node objects; absent keys are
defaults. Offsets in it count bytes of UTF-8; everything that leaves this module
counts characters, as the manual's error field P does.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from pglast.parser import ParseError, parse_sql_json, scan

from pgcrypt_proxy.values.database_types import NO_TYPES, DatabaseTypes

Node = dict[str, Any]


def nodes(tree: Any, *, without: str = "") -> Iterator[Node]:
    """Every dict in a tree, outermost first, siblings in no certain order; needs no recursion.

    What stands under the key `without` is left out.
    """
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            yield node
            stack.extend(value for key, value in node.items() if key != without and isinstance(value, dict | list))


class Unparsable(Exception):
    """The text is no SQL for the parser. `message` names the cause without quoting the text; `position` is 1-based."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """One lexical token: `start` and `end` are 0-based characters, `end` exclusive; `name` is the grammar's."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its node kind ("SelectStmt"), its tree, and its span in the text in characters."""

    kind: str
    tree: Node
    start: int
    end: int


@dataclass
class ParsedText:
    """A parsed text. `to_char` maps byte offsets of the tree to characters; `types` are what its casts may name."""

    sql: str
    statements: tuple[Statement, ...] = ()
    types: DatabaseTypes = NO_TYPES
    _byte_offsets: list[int] | None = field(default=None, repr=False)

    def to_char(self, offset: int) -> int:
        """The character offset of byte `offset` in the UTF-8 form of the text."""
        if self._byte_offsets is None:
            return offset
        return bisect_left(self._byte_offsets, offset)

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens but comments, in order."""
        return tuple(
            Token(token.start, token.end + 1, token.name)
            for token in scan(self.sql)
            if token.name not in ("SQL_COMMENT", "C_COMMENT")
        )

    @cached_property
    def token_index(self) -> dict[int, int]:
        """Token number by the character it starts at."""
        return {token.start: index for index, token in enumerate(self.tokens)}

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """How many brackets are open before each token; a bracket itself counts as outside."""
        made, depth = [], 0
        for token in self.tokens:
            depth -= token.name in ("ASCII_41", "ASCII_93")
            made.append(depth)
            depth += token.name in ("ASCII_40", "ASCII_91")
        return tuple(made)


def _byte_offsets(sql: str) -> list[int] | None:
    """The byte offset of every character, or None when all are one byte."""
    if sql.isascii():
        return None
    offsets = [0]
    for character in sql:
        offsets.append(offsets[-1] + len(character.encode()))
    return offsets


def parse(sql: str, types: DatabaseTypes = NO_TYPES) -> ParsedText:
    """Parse `sql` (any number of statements). `types` are those that the database has of its own.

    Raises Unparsable for what libpg_query's grammar (PostgreSQL 18) refuses,
    for texts that nest too deep, and for characters that UTF-8 lacks.
    """
    try:
        document = json.loads(parse_sql_json(sql))
    except ParseError as error:
        # libpg_query quotes the offending token, which may be a value: its text stays here.
        position = error.args[1] if len(error.args) > 1 else None
        reason = str(error.args[0]) if error.args else ""
        kind = "syntax error" if reason.startswith("syntax error") else "the statement cannot be parsed"
        raise Unparsable(kind, position + 1 if isinstance(position, int) else None) from None
    except RecursionError:
        raise Unparsable("the statement nests too deep") from None
    except ValueError:  # lone surrogates, NUL
        raise Unparsable("the statement's text is not valid UTF-8") from None
    text = ParsedText(sql, types=types, _byte_offsets=_byte_offsets(sql))
    total = len(sql)
    statements = []
    for raw in document.get("stmts", ()):
        ((kind, tree),) = raw["stmt"].items()
        start = raw.get("stmt_location", 0)
        length = raw.get("stmt_len", 0)
        statements.append(Statement(kind, tree, text.to_char(start), text.to_char(start + length) if length else total))
    for before, after in pairwise(statements):
        if before.end > after.start:
            raise Unparsable("the statement cannot be parsed")
    text.statements = tuple(statements)
    return text
