"""How the texts of a template are rewritten, in bytes of UTF-8: for compiled code, which fills it in by itself."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from pgcrypt_proxy.sql.fingerprint import Literal, fingerprint
from pgcrypt_proxy.sql.plan import LiteralSlot
from pgcrypt_proxy.sql.template import Template


class Place(NamedTuple):
    """So many bytes behind the end of that literal, counted from 1; 0 is the beginning of the text."""

    literal: int
    offset: int


class Copied(NamedTuple):
    """What the client's text has between two places."""

    start: Place
    end: Place


class Made(NamedTuple):
    """A literal (counted from 0) that is sealed or made a term; `is_negative`: there is a minus before it."""

    slot: LiteralSlot
    literal: int
    is_negative: bool


Part = Copied | str | LiteralSlot | Made


@dataclass(frozen=True, slots=True)
class Filling:
    """Texts that one plan holds for: with the literals of `same` as they are there, and any others elsewhere.

    `parts` are the rewritten text; a LiteralSlot in it is a NULL.
    """

    same: tuple[bytes | None, ...]
    parts: tuple[Part, ...]


def filling(template: Template, sql: str) -> Filling | None:
    """What the template does to texts like `sql`, which is one of them; None where it takes more than this."""
    found = fingerprint(sql)
    if found is None:
        return None
    literals = found.literals
    same = tuple(
        None if number in template.varied and number not in template.fixed else own.written.encode()
        for number, own in enumerate(template.literals)
    )
    parts = _parts(template, sql, literals)
    if parts is None or _shown(parts, sql, literals) != _pieces(template, sql, literals):
        return None
    return Filling(same, parts)


def _parts(template: Template, sql: str, literals: tuple[Literal, ...]) -> tuple[Part, ...] | None:
    starts = [0, *(literal.end for literal in literals)]
    ends = [literal.end for literal in template.literals]
    own_starts = [0, *ends]

    def place(position: int) -> Place:
        """A position in the template's text. What is between two literals is the same in all texts."""
        literal = bisect_right(ends, position)
        start = starts[literal]
        return Place(literal, len(sql[start : start + position - own_starts[literal]].encode()))

    parts: list[Part] = []
    at = Place(0, 0)
    for splice in template.plan.splices:
        parts.append(Copied(at, place(splice.start)))
        for part in splice.parts:
            if isinstance(part, str) or part.text is None:
                parts.append(part)
            elif part.at in template.sources:
                parts.append(Made(part, *template.sources[part.at]))
            else:
                return None
        at = place(splice.end)
    parts.append(Copied(at, Place(len(literals), len(sql[starts[-1] :].encode()))))
    return tuple(parts)


def _shown(parts: tuple[Part, ...], sql: str, literals: tuple[Literal, ...]) -> str:
    """The text that the parts make, with values where sealed ones will be."""
    text = sql.encode()
    bases = [0, *(len(sql[: literal.end].encode()) for literal in literals)]
    made = []
    for part in parts:
        if isinstance(part, Copied):
            start, end = (bases[place.literal] + place.offset for place in part)
            made.append(text[start:end].decode("utf-8", "replace"))
        elif isinstance(part, Made):
            value = literals[part.literal].value
            made.append(f"\0{'-' * (part.is_negative and value != '0')}{value}\0")
        else:
            made.append(part if isinstance(part, str) else "\0\0")
    return "".join(made)


def _pieces(template: Template, sql: str, literals: tuple[Literal, ...]) -> str:
    """The same as the template itself fills it in."""
    pieces = template.filled(sql, literals).pieces or (sql,)
    return "".join(piece if isinstance(piece, str) else f"\0{piece.text or ''}\0" for piece in pieces)
