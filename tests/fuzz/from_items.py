"""FROM: tables, views, subqueries, VALUES, functions, and every kind of join between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.fuzz import schema
from tests.fuzz.base import Scope, Source
from tests.fuzz.expressions import Expressions
from tests.fuzz.schema import INT, NAME, Column
from tests.fuzz.tree import Tree, listed, optional, tree


@dataclass(frozen=True, slots=True)
class Query:
    """A query and its output columns. `is_ordered`: its rows come in a total order."""

    node: Tree
    columns: tuple[Column, ...]
    is_ordered: bool = False


class FromItems(Expressions):
    """What a FROM clause may hold. Knows queries only by `query`."""

    def query(self, outer: Scope | None = None, depth: int = 2, *, is_lateral: bool = False) -> Query:
        raise NotImplementedError

    def table(self, *, protected: bool) -> tuple[Tree, Source]:
        """A table or view under an alias, now and then one that collides with another name."""
        name, columns = self.one(schema.PROTECTED if protected else schema.PLAIN)
        self.tag(f"FROM {name}")
        only = "ONLY" if self.often(0.03) and not name.startswith("v_") else ""
        if self.often(0.2):
            alias = self.one(("email", "users", "id", "nick", "orders")) + (
                str(self.rng.randrange(9)) * self.often(0.7)
            )
            self.tag("alias like a column")
        else:
            alias = self.fresh("t")
        if self.often(0.06):
            self.tag("alias with columns")
            renamed = tuple(replace(column, name=f"{column.name}_{alias}") for column in columns)
            names = ", ".join(column.name for column in renamed)
            return tree("from", only, f"{name} AS {alias} ({names})"), Source(alias, renamed)
        return tree("from", only, name, self.one(("", "AS")), alias), Source(alias, columns, is_base=True)

    def sources_for(self, scope: Scope, *, protected: bool) -> tuple[Tree, Source]:
        ctes = scope.all_ctes()
        if ctes and self.often(0.4):
            self.tag("FROM cte")
            name = self.one(sorted(ctes))
            alias = self.fresh("w")
            return tree("from", name, alias), Source(alias, ctes[name])
        return self.table(protected=protected and self.often(0.85))

    def from_item(self, scope: Scope, depth: int) -> tuple[Tree, Source]:
        choice = self.rng.random()
        if depth > 0 and choice < 0.16:
            return self._derived(scope, depth)
        if choice < 0.21:
            return self._values_item()
        if choice < 0.24:
            return self._unnest()
        if choice < 0.26:
            alias = self.fresh("g")
            self.tag("generate_series")
            return tree("from", f"generate_series(1, 3) AS {alias} (n)"), Source(alias, (Column("n", INT),))
        if choice < 0.28:
            self.tag("TABLESAMPLE")
            name, columns = self.one((("users", schema.USERS), ("orders", schema.ORDERS), ("items", schema.ITEMS)))
            alias = self.fresh("t")
            return tree("from", f"{name} AS {alias} TABLESAMPLE SYSTEM (100)"), Source(alias, columns, is_base=True)
        return self.sources_for(scope, protected=True)

    def _derived(self, scope: Scope, depth: int) -> tuple[Tree, Source]:
        self.tag("FROM (subquery)")
        alias = self.fresh("s")
        is_lateral = bool(scope.sources) and self.often(0.35)
        if is_lateral:
            self.tag("LATERAL")
        inner = Scope(outer=scope if is_lateral else Scope(ctes=scope.all_ctes()))
        query = self.query(inner, depth - 1, is_lateral=is_lateral)
        columns = distinct_names(query.columns)
        names = ""
        if columns is None or self.often(0.2):
            self.tag("subquery with column names")
            columns = tuple(replace(column, name=self.fresh("d")) for column in query.columns)
            if self.often(0.3):  # a plain column called as a protected one, and the other way
                columns = (replace(columns[0], name=self.one(("email", "nick", "label", "id"))), *columns[1:])
            names = "(" + ", ".join(column.name for column in columns) + ")"
        lateral = "LATERAL" if is_lateral else ""
        return tree("from", lateral, "(", query.node, ")", "AS", alias, names), Source(alias, columns)

    def _values_item(self) -> tuple[Tree, Source]:
        self.tag("FROM VALUES")
        alias = self.fresh("v")
        kinds = [self.one((INT, NAME, schema.EMAIL)) for _ in range(self.rng.randint(1, 2))]
        rows = [
            tree("row", "(", listed([self.loose(kind) for kind in kinds]), ")") for _ in range(self.rng.randint(1, 3))
        ]
        columns = tuple(Column(self.one(("a", "email", "b")) + str(n), kind) for n, kind in enumerate(kinds))
        names = ", ".join(column.name for column in columns)
        return tree("from", "(VALUES", listed(rows), ") AS", alias, f"({names})"), Source(alias, columns)

    def _unnest(self) -> tuple[Tree, Source]:
        self.tag("unnest")
        alias = self.fresh("u")
        kind = self.one((schema.EMAIL, schema.EMAIL, schema.ID))
        array = self.array(kind)
        self.is_loose = True
        if not array.endswith("[]"):
            array += f"::{kind.type}[]"
        return tree("from", f"unnest({array}) AS {alias} (e)"), Source(alias, (Column("e", kind),))

    def from_clause(self, scope: Scope, depth: int) -> Tree:
        """FROM with one to three items; brings them into `scope`."""
        node, source = self.from_item(scope, depth)
        scope.sources.append(source)
        for _ in range(self.one((0, 0, 0, 1, 1, 2)) if depth > 0 else self.one((0, 0, 0, 1))):
            node = self._joined(scope, node, depth)
        return node

    def _joined(self, scope: Scope, left: Tree, depth: int) -> Tree:
        right, source = self.from_item(scope, depth - 1)
        before = list(scope.sources)
        kind = self.one(("JOIN", "JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", ","))
        if "LATERAL" in right.text and kind not in ("JOIN", "LEFT JOIN", "CROSS JOIN"):
            kind = "LEFT JOIN"
        self.tag(kind)
        shared = [c for s in before for c in s.columns if any(o.name == c.name for o in source.columns)]
        if kind in ("CROSS JOIN", ","):
            scope.sources.append(source)
            return tree("from", left, kind, right)
        if shared and len(before) == 1 and self.often(0.04) and kind != "FULL JOIN":
            self.tag("NATURAL JOIN")
            names = {c.name for c in shared}
            scope.sources[:] = [
                Source(s.alias, tuple(c for c in s.columns if c.name not in names)) for s in (before[0], source)
            ]
            return tree("from", left, "NATURAL", kind, right)
        if shared and len(before) == 1 and self.often(0.12):
            column = self.one(shared)
            self.tag("USING" + (" sealed" if column.seal else ""))
            # merged columns are named bare only: take them out of sight, they stay in `*`
            left_rest = tuple(c for c in before[0].columns if c.name != column.name)
            right_rest = tuple(c for c in source.columns if c.name != column.name)
            scope.sources[:] = [Source(before[0].alias, left_rest), Source(source.alias, right_rest)]
            return tree("from", left, kind, right, "USING (", column.name, ")")
        scope.sources.append(source)
        return tree("from", left, kind, right, "ON", self._join_condition(scope, before, source, kind))

    def _join_condition(self, scope: Scope, before: list[Source], source: Source, kind: str) -> Tree:
        link = self._correlation(source, Scope(before))
        if link is not None and (kind == "FULL JOIN" or self.often(0.75)):
            self.is_touching = True
            return tree("condition", link, optional("AND", self.condition(scope, 0)) if kind == "JOIN" else "")
        if kind == "FULL JOIN":
            return tree("condition", "true")
        return self.condition(scope, 0)


def distinct_names(columns: tuple[Column, ...]) -> tuple[Column, ...] | None:
    """`columns` if all have names of their own."""
    return columns if len({column.name for column in columns}) == len(columns) else None
