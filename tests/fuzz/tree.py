"""A generated statement as a tree of text, so that a finding can be made smaller by leaving parts out.

Knows no SQL: a `sort` says which parts may stand for each other, `is_optional`
which may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Parts in order, texts or trees; told apart by identity."""

    sort: str
    parts: tuple[Tree | str, ...]
    is_optional: bool = False

    @property
    def text(self) -> str:
        """The statement, one space between all parts."""
        return " ".join(filter(None, (part if isinstance(part, str) else part.text for part in self.parts)))

    def walk(self) -> Iterator[Tree]:
        """This tree and all below it, the outermost first."""
        yield self
        for part in self.parts:
            if isinstance(part, Tree):
                yield from part.walk()

    def replaced(self, old: Tree, new: Tree) -> Tree:
        """The same with `new` in place of `old`."""
        if self is old:
            return new
        parts = tuple(part.replaced(old, new) if isinstance(part, Tree) else part for part in self.parts)
        if all(one is other for one, other in zip(parts, self.parts, strict=True)):
            return self
        return Tree(self.sort, parts, self.is_optional)

    def smaller(self) -> Iterator[Tree]:
        """Trees with one part left out, or with a part in place of one around it; what takes most away first."""
        nodes = list(self.walk())
        for node in nodes:
            if node.is_optional and node.parts:
                yield self.replaced(node, Tree(node.sort, ()))
        for node in nodes:
            inner = [each for each in node.walk() if each is not node and each.sort == node.sort and each.parts]
            for each in inner:
                yield self.replaced(node, each)


def tree(sort: str, *parts: Tree | str) -> Tree:
    return Tree(sort, parts)


def optional(*parts: Tree | str) -> Tree:
    """Parts that may all be left out."""
    return Tree("", parts, is_optional=True)


def listed(items: Sequence[Tree | str], separator: str = ",") -> Tree:
    """`items` with separators; all but the first may be left out."""
    first, *rest = items
    return tree("list", first, *(optional(separator, item) for item in rest))


_HOLE = re.compile(r"\{([a-z]+\d*)(?::((?:'(?:[^']|'')*'|[^'{}])*))?\}")


def defined(text: str) -> str:
    """`text` with every hole's literal where the hole stands first in its step; one without a literal becomes NULL."""
    literals = {match[1]: match[2] for match in _HOLE.finditer(text) if match[2] is not None}
    return ";\n".join(_step(step, literals) for step in text.split(";\n"))


def _step(text: str, literals: dict[str, str]) -> str:
    seen = set()

    def hole(match: re.Match[str]) -> str:
        name = match[1]
        if name not in literals:
            return "NULL"
        if name in seen:
            return f"{{{name}}}"
        seen.add(name)
        return f"{{{name}:{literals[name]}}}"

    return _HOLE.sub(hole, text)
