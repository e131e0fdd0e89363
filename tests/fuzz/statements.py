"""Whole statements: queries, writes, and what stands around them: EXPLAIN, cursors, PREPARE, transactions."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.base import Scope, Source
from tests.fuzz.tree import Tree, optional, tree
from tests.fuzz.writes import Writes


@dataclass(frozen=True, slots=True)
class Made:
    """What the generator made: steps are kept apart by `;` and a line's end."""

    node: Tree
    is_ordered: bool
    is_write: bool
    is_touching: bool
    is_loose: bool
    tags: frozenset[str]


class Generator(Writes):
    """One statement from one seed."""

    def statement(self) -> Made:
        is_ordered, is_write = False, True
        choice = self.rng.random()
        if choice < 0.56:
            query = self.query()
            node, is_ordered, is_write = query.node, query.is_ordered, False
        elif choice < 0.7:
            node = self.insert()
        elif choice < 0.8:
            node = self.update()
        elif choice < 0.84:
            node = self.delete()
        elif choice < 0.88:
            node = self.merge()
        else:
            node = self._around()
        if not is_write and self.often(0.04):
            self.tag("EXPLAIN")
            node = tree("statement", "EXPLAIN", self.one(("", "(COSTS OFF)", "(VERBOSE)", "(FORMAT JSON)")), node)
        return Made(node, is_ordered, is_write, self.is_touching, self.is_loose, frozenset(self.tags))

    def _writing_cte(self) -> Tree:
        self.tag("data-modifying CTE")
        name, _, columns = self._target()
        alias = name.rpartition(".")[2]
        scope = Scope([Source(alias, columns)])
        chosen = self.some(list(columns), 3)
        names = ", ".join(c.name for c in chosen)
        self.is_touching = True
        if self.often(0.5):
            body = tree(
                "statement", "UPDATE", name, "SET", self._sets(scope, columns), "WHERE", self.condition(scope, 0)
            )
        else:
            body = tree("statement", "DELETE FROM", name, "WHERE", self.condition(scope, 0))
        outer = Scope(ctes={"w": tuple(chosen)})
        item, source = tree("from", "w w9"), Source("w9", tuple(chosen))
        outer.sources.append(source)
        targets, _ = self._targets([self.item(outer, 0) for _ in range(2)])
        return tree(
            "statement",
            "WITH w AS (",
            body,
            "RETURNING",
            names,
            ") SELECT",
            targets,
            "FROM",
            item,
            self._where(outer, 0),
        )

    # -- around other statements

    def _around(self) -> Tree:
        match self.rng.randrange(6):
            case 0:
                return self._cursor()
            case 1:
                return self._prepare()
            case 2:
                self.tag("SAVEPOINT")
                first, second = self._write(), self._write()
                end = self.one(("COMMIT", "COMMIT", "ROLLBACK"))
                back = self.one(("ROLLBACK TO a", "RELEASE a"))
                return tree(
                    "statement",
                    "BEGIN;\n",
                    first,
                    ";\nSAVEPOINT a;\n",
                    second,
                    f";\n{back};\n",
                    self.query(None, 1).node,
                    f";\n{end}",
                )
            case 3:
                self.tag("several statements")
                first = self._write()
                return tree("statement", first, ";", self.query(None, 1).node, optional(";", self._write()))
            case 4:
                self.tag("BEGIN; ...; COMMIT")
                return tree("statement", "BEGIN;", self._write(), ";", optional(self._write(), ";"), "COMMIT")
            case _:
                return self._writing_cte()

    def _write(self) -> Tree:
        return self.one((self.insert, self.update, self.delete))()

    def _cursor(self) -> Tree:
        self.tag("CURSOR")
        # in an order that is total, or all rows at once
        query = self._simple(None, 1)
        fetch = (
            self.one(("FETCH 2 FROM c;\nFETCH ALL FROM c", "FETCH FORWARD 3 FROM c"))
            if query.is_ordered
            else "FETCH ALL FROM c"
        )
        binary = "BINARY" if self.often(0.1) else ""
        return tree("statement", "BEGIN;\nDECLARE c", binary, "CURSOR FOR", query.node, f";\n{fetch};\nCOMMIT")

    def _prepare(self) -> Tree:
        self.tag("PREPARE")
        query = self.query(None, 1).node if self.often(0.6) else self._write()
        return tree("statement", "PREPARE p AS", query, ";\nEXECUTE p;\nEXECUTE p")
