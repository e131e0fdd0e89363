"""What each row must be: told by its id until a client changes it, then by what that client wrote."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

#: Every value of a protected column begins so, and nothing else does.
MARK = "sown"

SCHEMA = """
CREATE TABLE people (
    id bigint PRIMARY KEY, email text UNIQUE NOT NULL, note text, digest text NOT NULL, visits int NOT NULL DEFAULT 0
);
INSERT INTO people SELECT id, email, note, md5(email || '|' || coalesce(note, '')) FROM (
    SELECT i AS id, 'sown' || i || '@example.com' AS email, CASE WHEN i % 3 > 0 THEN 'sown note ' || i END AS note
    FROM generate_series(1, {rows}) i
) AS made;
ANALYZE people;
"""

Values = tuple[str, str | None]  # email, note


def first_values(row: int) -> Values:
    """As SCHEMA makes them."""
    return f"{MARK}{row}@example.com", f"{MARK} note {row}" if row % 3 else None


def digest(email: str, note: str | None) -> str:
    """The relation between the columns: readers check it of rows that they know nothing else of."""
    return hashlib.md5(f"{email}|{note or ''}".encode()).hexdigest()


@dataclass(slots=True)
class Model:
    """The rows of one writer: those whose id leaves `owner` when divided by `owners`."""

    owner: int
    owners: int
    rows: int
    dice: random.Random
    changed: dict[int, Values | None] = field(default_factory=dict)  # None: deleted
    _made: int = 0

    def values(self, row: int) -> Values | None:
        """None for a row that is not there."""
        if row in self.changed:
            return self.changed[row]
        return first_values(row) if 1 <= row <= self.rows else None

    def choose(self) -> tuple[int, Values]:
        """One of the rows that are there. New ones, too."""
        while True:
            turn = self.dice.randrange(self.rows // self.owners + self._made)
            first = self.owner or self.owners
            row = first + turn * self.owners
            values = self.values(row)
            if values is not None:
                return row, values

    def new(self) -> int:
        """An id that no row had."""
        self._made += 1
        return (self.owner or self.owners) + (self.rows // self.owners + self._made - 1) * self.owners

    def word(self) -> str:
        """A value that no row had."""
        return f"{MARK} {self.owner} {self.dice.random()}"


def expected(models: list[Model], row: int) -> Values | None:
    """What the row must be, whoever owns it."""
    return models[row % len(models)].values(row)
