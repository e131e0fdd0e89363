"""Replacements at token positions, and the text they give.

Rewrites are splices into the client's text, never a deparse: what is not
replaced stays as it came, comments included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.plan import LiteralSlot, ParameterUse, Splice


@dataclass(frozen=True, slots=True)
class ParameterPiece:
    """A place that takes the number of the upstream parameter made by `use`."""

    use: ParameterUse


Piece = str | LiteralSlot | ParameterPiece


@dataclass(frozen=True, slots=True)
class Edit:
    """The characters `start..end` (0-based, end exclusive) become `pieces`.

    Of what is inserted at one place, a lower `rank` comes first, then what was made first.
    """

    start: int
    end: int
    pieces: tuple[Piece, ...]
    rank: int = 0


def render(
    sql: str, edits: Iterable[Edit], numbers: dict[ParameterUse, int]
) -> tuple[tuple[str | LiteralSlot, ...], tuple[Splice, ...]]:
    """The rewritten text in pieces, and where each replaced stretch of `sql` was.

    Raises Refusal when two edits overlap, which no statement should cause.
    """
    pieces: list[str | LiteralSlot] = []
    splices: list[Splice] = []
    at = 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end, e.rank)):
        if edit.start < at:
            raise refuse.unsafe(edit.start + 1)
        _append(pieces, sql[at : edit.start])
        numbered = [f"${numbers[p.use]}" if isinstance(p, ParameterPiece) else p for p in edit.pieces]
        parts = _spaced(pieces[-1] if pieces else "", numbered, sql[edit.end : edit.end + 1])
        for part in parts:
            _append(pieces, part)
        splices.append(Splice(edit.start, edit.end, parts))
        at = edit.end
    _append(pieces, sql[at:])
    return tuple(pieces), tuple(splices)


def _append(pieces: list[str | LiteralSlot], piece: str | LiteralSlot) -> None:
    if not piece:
        return
    if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
        pieces[-1] += piece
    else:
        pieces.append(piece)


def _spaced(before: str | LiteralSlot, parts: list[str | LiteralSlot], after: str) -> tuple[str | LiteralSlot, ...]:
    """`parts` with spaces wherever two words would grow together (`'x'and`)."""
    spaced: list[str | LiteralSlot] = []
    for part in parts:
        previous = spaced[-1] if spaced else before
        if _is_word(previous, -1) and _is_word(part, 0):
            spaced.append(" ")
        spaced.append(part)
    if spaced and _is_word(spaced[-1], -1) and _is_word(after, 0):
        spaced.append(" ")
    return tuple(spaced)


def _is_word(piece: str | LiteralSlot, end: int) -> bool:
    """Whether `piece` begins (0) or ends (-1) like a word; a sealed literal does both."""
    if isinstance(piece, LiteralSlot):
        return True
    character = piece[end : end + 1 or None]
    return character.isalnum() or character in ("_", "$", '"', "'") or character > "\x7f"
