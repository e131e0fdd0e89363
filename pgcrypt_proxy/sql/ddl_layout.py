"""Where the parts of a CREATE or ALTER statement stand in its text: lists, their elements, and gaps between them.

The tree says where elements begin at best, never where they end; commas and
brackets among the tokens do. Whatever does not add up is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.parse import ParsedText, Statement

_COMMA, _OPENING, _CLOSING, _SEMICOLON = "ASCII_44", "ASCII_40", "ASCII_41", "ASCII_59"


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `first..last`, both included."""

    first: int
    last: int

    def start(self, text: ParsedText) -> int:
        return text.tokens[self.first].start

    def end(self, text: ParsedText) -> int:
        return text.tokens[self.last].end


def whole(text: ParsedText, statement: Statement) -> Span:
    """All tokens of the statement, without comments around it."""
    inside = [
        number
        for number, token in enumerate(text.tokens)
        if statement.start <= token.start and token.end <= statement.end and token.name != _SEMICOLON
    ]
    return Span(inside[0], inside[-1])


def token_at(text: ParsedText, location: int) -> int:
    """The number of the token at byte `location`. Raises Refusal."""
    index = text.token_index.get(text.to_char(location))
    if index is None:
        raise refuse.unsafe()
    return index


def behind_name(text: ParsedText, tree_relation: dict[str, object]) -> int:
    """The token behind a RangeVar's name and its `*`."""
    at = token_at(text, int(str(tree_relation.get("location", 0))))
    at += 1 + 2 * sum(key in tree_relation for key in ("catalogname", "schemaname"))
    if at < len(text.tokens) and text.tokens[at].name == "ASCII_42":
        at += 1
    return at


def split(text: ParsedText, inside: Span, count: int) -> list[Span]:
    """The elements between the commas of a list, as many as the tree has. Raises Refusal."""
    depth = text.depths[inside.first]
    found, first = [], inside.first
    for at in range(inside.first, inside.last + 1):
        if text.tokens[at].name == _COMMA and text.depths[at] == depth:
            found.append(Span(first, at - 1))
            first = at + 1
    found.append(Span(first, inside.last))
    if len(found) != count or any(span.first > span.last for span in found):
        raise refuse.unsafe(inside.start(text) + 1)
    return found


def bracketed(text: ParsedText, at: int, count: int) -> list[Span]:
    """The elements of the bracketed list that opens at token `at`. Raises Refusal."""
    if at >= len(text.tokens) or text.tokens[at].name != _OPENING:
        raise refuse.unsafe()
    depth = text.depths[at]
    for last in range(at + 1, len(text.tokens)):
        if text.tokens[last].name == _CLOSING and text.depths[last] == depth:
            return split(text, Span(at + 1, last - 1), count) if count else []
    raise refuse.unsafe()


def parts(text: ParsedText, element: Span, starts: Collection[int]) -> dict[int, Span]:
    """By its first character: from each of `starts` (characters) to the next one, or to the element's end."""
    firsts = sorted(text.token_index.get(start, -1) for start in starts)
    if not firsts:
        return {}
    if firsts[0] <= element.first or firsts[-1] > element.last or len(set(firsts)) != len(firsts):
        raise refuse.unsafe(element.start(text) + 1)
    lasts = [*(first - 1 for first in firsts[1:]), element.last]
    return {text.tokens[first].start: Span(first, last) for first, last in zip(firsts, lasts, strict=True)}


def remove(context: Context, elements: Sequence[Span], removed: Collection[int]) -> None:
    """Take elements (by their numbers) out of their list, each with one comma. At least one must stay."""
    text = context.text
    is_first_kept = False
    for number, element in enumerate(elements):
        if number not in removed:
            is_first_kept = True
        elif is_first_kept:
            context.edit(elements[number - 1].end(text), element.end(text))
        else:
            context.edit(element.start(text), elements[number + 1].start(text))
