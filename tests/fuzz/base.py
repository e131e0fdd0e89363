"""What all parts of the grammar share: chance, values, names, and what is in sight.

A construct says its name by `tag`, so that the runner can tell which grammar is dead.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.fuzz.schema import CASTS, Column, Kind
from tests.fuzz.tree import Tree, tree

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """A FROM item in sight under `alias`. `is_base`: a table whose `id` tells its rows apart."""

    alias: str
    columns: tuple[Column, ...]
    is_base: bool = False


@dataclass(slots=True)
class Scope:
    """What is in sight of a query level; `outer` around it. Common table expressions are seen at all levels below."""

    sources: list[Source] = field(default_factory=list)
    outer: Scope | None = None
    ctes: dict[str, tuple[Column, ...]] = field(default_factory=dict)

    def all_ctes(self) -> dict[str, tuple[Column, ...]]:
        return {**(self.outer.all_ctes() if self.outer else {}), **self.ctes}

    def found(self) -> list[tuple[Source, Column]]:
        return [(source, column) for source in self.sources for column in source.columns]


@dataclass(frozen=True, slots=True)
class Item:
    """An output: its expression and what it is as a column."""

    node: Tree
    column: Column


class Chance:
    """The generator's base: one seed, one statement."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tags: set[str] = set()
        self.is_touching = False
        self.is_loose = False
        self._numbers = 0
        self._holes: list[tuple[Kind, str]] = []

    def one(self, items: Sequence[T]) -> T:
        return items[self.rng.randrange(len(items))]

    def some(self, items: Sequence[T], most: int) -> list[T]:
        """One or more of `items`, in any order."""
        return self.rng.sample(items, self.rng.randint(1, min(most, len(items))))

    def often(self, share: float) -> bool:
        return self.rng.random() < share

    def tag(self, name: str) -> None:
        self.tags.add(name)

    def fresh(self, stem: str = "x") -> str:
        self._numbers += 1
        return f"{stem}{self._numbers}"

    # -- values

    def hole(self, kind: Kind, literal: str | None = None) -> str:
        """A literal that may travel as a parameter; now and then one that is in the statement already."""
        same = [name for other, name in self._holes if other is kind]
        if literal is None and same and self.often(0.1):
            self.tag("hole twice")
            return f"{{{self.one(same)}}}"
        self._numbers += 1
        name = f"{kind.hole}{self._numbers}"
        self._holes.append((kind, name))
        return f"{{{name}:{literal or self.one(kind.literals)}}}"

    def value(self, kind: Kind, literal: str | None = None) -> Tree:
        """A value in one of its spellings."""
        literal = literal or self.one(kind.literals)
        choice = self.rng.random()
        if choice < 0.6:
            return tree("value", self.hole(kind, literal))
        if choice < 0.68:
            self.tag("value::cast")
            return tree("value", f"{self.hole(kind, literal)}::{kind.type}")
        if choice < 0.73:
            self.tag("CAST(value)")
            return tree("value", f"CAST({self.hole(kind, literal)} AS {kind.type})")
        if choice < 0.75:
            return tree("value", "NULL")
        if choice < 0.79 and kind.type in CASTS:
            self.tag("value::another type")
            return tree("value", f"{self.hole(kind, literal)}::{self.one(CASTS[kind.type])}")
        if choice < 0.88 and literal.startswith("'"):
            return tree("value", self._quoted(kind, literal))
        return tree("value", literal)

    def _quoted(self, kind: Kind, literal: str) -> str:
        body = literal[1:-1].replace("''", "'")
        match self.rng.randrange(4):
            case 0:
                self.tag("type 'x'")
                return f"{kind.type} {literal}"
            case 1:
                self.tag("E''")
                return "E'" + body.replace("\\", "\\\\").replace("'", "\\'") + "'"
            case 2:
                self.tag("$$")
                return f"$q${body}$q$"
            case _:
                self.tag("U&''")
                escaped = "".join(f"\\+{ord(c):06x}" if self.often(0.2) or c == "\\" else c for c in body)
                return "U&'" + escaped.replace("'", "''") + "'"

    def loose(self, kind: Kind) -> Tree:
        """A value for a plain column, of a type that does not depend on how it travels."""
        self.is_loose = self.is_loose or any("planted" in literal for literal in kind.literals)
        return tree("value", f"{self.hole(kind)}::{kind.type}")

    def array(self, kind: Kind) -> str:
        """An array of values: a hole of its array type, or ARRAY[...]."""
        literals = [self.one(kind.literals) for _ in range(self.rng.randint(1, 4))]
        names = {"text": "texts", "date": "borns", "numeric": "totals", "bigint": "ids"}
        if kind.type in names and self.often(0.5):
            self.tag("array value")
            self._numbers += 1
            elements = ",".join(_element(literal) for literal in literals)
            return f"{{{names[kind.type]}{self._numbers}:'{{{elements}}}'}}"
        self.tag("ARRAY[]")
        made = ", ".join(self.hole(kind, literal) for literal in literals)
        return f"ARRAY[{made}]" + (f"::{kind.type}[]" if self.often(0.4) else "")

    # -- names

    def reference(self, scope: Scope, source: Source, column: Column) -> Tree:
        """A column's name, with its source where it needs one."""
        if column.seal is not None:
            self.is_touching = True
        is_unique = sum(other.name == column.name for _, other in scope.found()) == 1
        if is_unique and self.often(0.5):
            return tree("reference", column.name)
        return tree("reference", f"{source.alias.rpartition('.')[2]}.{column.name}")

    def pick(
        self, scope: Scope, *, sealed: bool | None = None, kind: str | None = None
    ) -> tuple[Source, Column] | None:
        """A column in sight, of a type (`text` for all texts)."""
        found = [
            (source, column)
            for source, column in scope.found()
            if (sealed is None or (column.seal is not None) == sealed)
            and (kind is None or column.kind.type == kind or (kind == "int" and column.kind.type == "bigint"))
        ]
        return self.one(found) if found else None


def _element(literal: str) -> str:
    body = literal[1:-1] if literal.startswith("'") else literal  # quotes stay doubled: it is inside of a literal
    return '"' + body.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unsealed(column: Column) -> Column:
    return replace(column, seal=None)
