"""SELECT: target lists, grouping, DISTINCT, windows, set operations, WITH, VALUES.

An answer must not depend on the order in which the server finds rows: LIMIT
stands only behind an order that is total, and aggregates and windows that look
at order have one.
"""

from __future__ import annotations

from dataclasses import replace

from tests.fuzz import schema
from tests.fuzz.base import Item, Scope, Source
from tests.fuzz.expressions import MISUSE
from tests.fuzz.from_items import FromItems, Query, distinct_names
from tests.fuzz.schema import BOOL, COUNT, INT, NAME, Column
from tests.fuzz.tree import Tree, listed, optional, tree


class Queries(FromItems):
    """SELECT in all its forms."""

    def subquery(self, scope: Scope, columns: int, like: Column | None = None) -> tuple[Tree, tuple[Column, ...]]:
        """A query of one column that can be compared with `like`."""
        inner = Scope(outer=scope)
        if like is not None and like.seal is None:
            node = self.from_clause(inner, 0)
            found = self.pick(inner, sealed=False, kind=like.kind.type)
            value = self.reference(inner, *found) if found else self.loose(like.kind)
            return tree("query", "SELECT", value, "FROM", node, self._where(inner, 0)), (like,)
        if self.often(0.12):
            self.tag("IN (VALUES)")
            assert like is not None
            rows = [tree("row", "(", self.value(like.kind), ")") for _ in range(self.rng.randint(1, 3))]
            return tree("query", "VALUES", listed(rows)), (like,)
        node, source = self.sources_for(inner, protected=True)
        inner.sources.append(source)
        domain = like.seal.domain if like and like.seal else None
        fitting = [c for c in source.columns if c.seal is not None and c.seal.domain == domain is not None]
        if not fitting:
            name, all_columns = ("orders", schema.ORDERS) if domain == "total" else ("users", schema.USERS)
            alias = self.fresh("t")
            source = Source(alias, all_columns, is_base=True)
            inner.sources[:] = [source]
            node = tree("from", name, alias)
            fitting = [c for c in all_columns if c.seal is not None and c.seal.domain == domain]
        column = self.one(fitting)
        query = tree("query", "SELECT", self.reference(inner, source, column), "FROM", node, self._where(inner, 0))
        if self.often(0.15):
            self.tag("IN (UNION ALL)")
            query = tree("query", query, "UNION ALL", query)
        return query, (column,)

    def _where(self, scope: Scope, depth: int, share: float = 0.7) -> Tree | str:
        return optional("WHERE", self.condition(scope, depth)) if self.often(share) else ""

    def query(self, outer: Scope | None = None, depth: int = 2, *, is_lateral: bool = False) -> Query:
        """Any query."""
        choice = self.rng.random()
        if depth > 0 and choice < 0.14:
            return self._with(outer, depth)
        if depth > 0 and choice < 0.24:
            return self._set_operation(outer, depth)
        if choice < 0.34:
            return self._grouped(outer, depth)
        if choice < 0.42:
            return self._distinct(outer, depth)
        if choice < 0.48:
            return self._windowed(outer, depth)
        if choice < 0.5 and depth > 0:
            return self._recursive(outer)
        if choice < 0.51:
            return self._table_command()
        return self._simple(outer, depth)

    def _table_command(self) -> Query:
        name, columns = self.one((*schema.PROTECTED, *schema.PLAIN))
        self.tag("TABLE")
        self.is_touching = self.is_touching or any(c.seal for c in columns)
        return Query(tree("query", "TABLE", name), columns)

    def _simple(self, outer: Scope | None, depth: int, items: list[Item] | None = None) -> Query:
        scope = Scope(outer=outer)
        node = self.from_clause(scope, depth)
        where = self._where(self._with_outer(scope, outer), depth)
        stars = [s for s in scope.sources if s.columns]
        if self.often(0.12) and stars and "USING" not in " ".join(self.tags):
            source = self.one(stars)
            self.tag("*")
            self.is_touching = self.is_touching or any(c.seal for c in source.columns)
            star = "*" if len(scope.sources) == 1 else f"{source.alias.rpartition('.')[2]}.*"
            targets: Tree = tree("targets", star)
            columns = source.columns
        else:
            made = [self.item(scope, depth) for _ in range(self.rng.randint(1, 4))]
            targets, columns = self._targets(made)
        ending, is_ordered = self._ending(scope, columns)
        return Query(tree("query", "SELECT", targets, "FROM", node, where, *ending), columns, is_ordered)

    def _with_outer(self, scope: Scope, outer: Scope | None) -> Scope:
        """What a condition of a correlated query may name."""
        if outer is None or not outer.sources or self.often(0.5):
            return scope
        return Scope([*scope.sources, *outer.sources], outer=outer.outer, ctes=scope.ctes)

    def _targets(self, items: list[Item]) -> tuple[Tree, tuple[Column, ...]]:
        nodes, columns = [], []
        for item in items:
            column = item.column
            if self.often(0.3) or item.node.sort != "reference":
                alias = self.fresh("o")
                if self.often(0.12):
                    alias = self.one(("email", "nick", "id", "name", "plain", "total"))
                    self.tag("output like a column")
                column = replace(column, name=alias)
                nodes.append(tree("item", item.node, self.one(("AS", "AS", "AS")), alias))
            else:
                nodes.append(tree("item", item.node))
            columns.append(column)
        return listed(nodes), tuple(columns)

    def _ending(self, scope: Scope, columns: tuple[Column, ...]) -> tuple[list[Tree | str], bool]:
        """ORDER BY, LIMIT, FOR UPDATE."""
        choice = self.rng.random()
        only = scope.sources[0]
        is_single = len(scope.sources) == 1 and only.is_base
        if choice < 0.25 and is_single:
            alias = only.alias.rpartition(".")[2]
            order = f"{alias}.id"
            first = ""
            if self.often(0.3):
                found = self.pick(scope, sealed=self.often(MISUSE))
                if found is not None:
                    first = f"{alias}.{found[1].name} {self.one(('', 'DESC', 'NULLS FIRST'))},"
                    self.tag("ORDER BY" + (" sealed" if found[1].seal else ""))
            limits = self.one(("", "LIMIT 3", "LIMIT 2 OFFSET 1", "OFFSET 2", "FETCH FIRST 2 ROWS ONLY", "LIMIT NULL"))
            if limits:
                self.tag("LIMIT")
            return [optional("ORDER BY", first, order, self.one(("", "DESC"))), optional(limits)], True
        if choice < 0.32:
            number = self.rng.randrange(len(columns))
            if columns[number].seal is None or self.often(0.1):
                self.tag("ORDER BY ordinal")
                return [optional(f"ORDER BY {number + 1}")], False
        if choice < 0.345:
            self.tag("ORDER BY output")
            named = [c for c in columns if c.seal is None or self.often(0.1)]
            if named:
                return [optional(f"ORDER BY {self.one(named).name}")], False
        if choice < 0.37 and is_single and not only.alias.startswith("v_"):
            self.tag("FOR UPDATE")
            return [optional(self.one(("FOR UPDATE", "FOR SHARE", "FOR NO KEY UPDATE SKIP LOCKED")))], False
        if choice < 0.38:
            return ["LIMIT 100000"], False
        return [], False

    def _grouped(self, outer: Scope | None, depth: int) -> Query:
        self.tag("GROUP BY")
        scope = Scope(outer=outer)
        node = self.from_clause(scope, depth)
        keys = {}
        for _ in range(self.rng.randint(1, 2)):
            found = self.pick(scope, sealed=self.often(0.6)) or self.pick(scope)
            if found is not None:
                keys[found[0].alias, found[1].name] = found
        items, groups = [], []
        for source, column in keys.values():
            if column.seal is not None:
                self.tag("GROUP BY sealed")
            name = self.reference(scope, source, column)
            if self.often(0.85):
                items.append(Item(name, column))
                if self.often(0.15):
                    self.tag("GROUP BY ordinal")
                    name = tree("group", str(len(items)))
            groups.append(name)
        if not groups:
            groups = [tree("group", "()")]
        items += [self._aggregate(scope) for _ in range(self.rng.randint(1, 2))]
        where = self._where(scope, 0, 0.5)
        targets, columns = self._targets(items)
        having: Tree | str = ""
        if self.often(0.3):
            self.tag("HAVING")
            aggregate = self._aggregate(scope)
            test = tree("condition", aggregate.node, "IS NOT NULL")
            if self.often(0.6):
                test = tree("condition", "count(*) >", self.hole(INT, self.one(("0", "1", "2"))))
            elif keys and self.often(0.5):
                source, column = self.one(list(keys.values()))
                self.tag("HAVING key" + (" sealed" if column.seal else ""))
                test = tree("condition", self.reference(scope, source, column), "=", self.value(column.kind))
            having = optional("HAVING", test)
        group = listed(groups)
        if self.often(0.06) and len(groups) > 1:
            self.tag("GROUP BY (a, b)")
            group = tree("list", "(", listed(groups), ")")
        elif self.often(0.06):
            self.tag("ROLLUP")
            group = tree("list", self.one(("ROLLUP (", "CUBE (", "GROUPING SETS ((), ")), listed(groups), ")")
        return Query(tree("query", "SELECT", targets, "FROM", node, where, "GROUP BY", group, having), columns)

    def _aggregate(self, scope: Scope) -> Item:
        sealed, plain = self.pick(scope, sealed=True), self.pick(scope, sealed=False, kind="int")
        name = self.fresh("a")
        choice = self.rng.random()
        if sealed is not None and choice < 0.5:
            node = self.reference(scope, *sealed)
            if self.often(MISUSE):
                self.tag("misuse: aggregate")
                return Item(tree("item", self.one(("max(", "min(", "array_agg(")), node, ")"), Column(name, NAME))
            if self.often(0.4) and sealed[1].seal and sealed[1].seal.domain:
                self.tag("count(DISTINCT sealed)")
                return Item(tree("item", "count(DISTINCT", node, ")"), Column(name, COUNT))
            self.tag("count(sealed)")
            return Item(tree("item", "count(", node, ")", self._filter(scope)), Column(name, COUNT))
        if plain is not None and choice < 0.8:
            function = self.one(("sum", "min", "max", "avg", "bit_or"))
            self.tag(function)
            node = self.reference(scope, *plain)
            return Item(tree("item", f"{function}(", node, ")", self._filter(scope)), Column(name, schema.PRICE))
        if choice < 0.88:
            self.tag("bool_or")
            return Item(tree("item", "bool_or(", self.condition(scope, 0), ")"), Column(name, BOOL))
        return Item(tree("item", "count(*)", self._filter(scope)), Column(name, COUNT))

    def _filter(self, scope: Scope) -> Tree | str:
        if not self.often(0.15):
            return ""
        self.tag("FILTER")
        return optional("FILTER (WHERE", self.condition(scope, 0), ")")

    def _distinct(self, outer: Scope | None, depth: int) -> Query:
        scope = Scope(outer=outer)
        node = self.from_clause(scope, depth)
        items = [self.item(scope, 0) for _ in range(self.rng.randint(1, 3))]
        found = self.pick(scope, sealed=True)
        if found is not None and self.often(0.2):
            self.tag("DISTINCT ON")
            name = self.reference(scope, *found)
            targets, columns = self._targets([Item(name, found[1])])
            return Query(
                tree("query", "SELECT DISTINCT ON (", name, ")", targets, "FROM", node, self._where(scope, 0)), columns
            )
        self.tag("DISTINCT")
        targets, columns = self._targets(items)
        return Query(tree("query", "SELECT DISTINCT", targets, "FROM", node, self._where(scope, 0)), columns)

    def _windowed(self, outer: Scope | None, depth: int) -> Query:
        self.tag("window")
        scope = Scope(outer=outer)
        node = self.from_clause(scope, depth)
        keys = []
        found = self.pick(scope, sealed=True)
        if found is not None and self.often(0.7):
            self.tag("PARTITION BY sealed")
            keys.append(self.reference(scope, *found))
        if (other := self.pick(scope, sealed=False)) is not None and self.often(0.4):
            keys.append(self.reference(scope, *other))
        partition = tree("partition", "PARTITION BY", listed(keys)) if keys else ""
        order = self.pick(scope, sealed=False)
        ordering = optional("ORDER BY", self.reference(scope, *order)) if order is not None and self.often(0.6) else ""
        call = self.one(("count(*)", "rank()", "dense_rank()", "count(*)"))
        if (counted := self.pick(scope, sealed=True)) is not None and self.often(0.25):
            call = f"count({self.reference(scope, *counted).text})"
        name = self.fresh("r")
        items = [self.item(scope, 0) for _ in range(self.rng.randint(1, 2))]
        if self.often(0.25):
            self.tag("WINDOW")
            ranked = Item(tree("item", call, "OVER w"), Column(name, COUNT))
            targets, columns = self._targets([*items, ranked])
            ending = tree("window", "WINDOW w AS (", partition, ordering, ")")
        else:
            ranked = Item(tree("item", call, "OVER (", partition, ordering, ")"), Column(name, COUNT))
            targets, columns = self._targets([*items, ranked])
            ending = tree("window")
        return Query(tree("query", "SELECT", targets, "FROM", node, self._where(scope, 0), ending), columns)

    def _set_operation(self, outer: Scope | None, depth: int) -> Query:
        operator = self.one(("UNION ALL", "UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL"))
        self.tag(operator)
        if operator != "UNION ALL" and self.often(0.7):  # mostly of plain columns
            sides = [self._plain_side(outer) for _ in range(2)]
        else:
            columns = self.one(
                ((schema.USERS[0], schema.USERS[1]), (schema.USERS[6],), (schema.ORDERS[2], schema.ORDERS[0]))
            )
            sides = [self._side(outer, columns) for _ in range(2)]
        (one, given), (other, _) = sides
        bracket = self.often(0.3)
        parts = ("(", one, ")", operator, "(", other, ")") if bracket else (one, operator, other)
        node = tree("query", *parts)
        if self.often(0.2) and given[-1].seal is None:
            return Query(tree("query", node, optional(f"ORDER BY {len(given)}")), given)
        return Query(node, given)

    def _side(self, outer: Scope | None, columns: tuple[Column, ...]) -> tuple[Tree, tuple[Column, ...]]:
        name = "users" if columns[0] in schema.USERS else "orders"
        self.is_touching = True
        alias = self.fresh("t")
        scope = Scope([Source(alias, schema.USERS if name == "users" else schema.ORDERS, is_base=True)], outer=outer)
        if self.often(0.12):
            self.tag("set operation with a value")
            self.is_loose = True
            values = [self.value(column.kind) if column.seal else self.loose(column.kind) for column in columns]
            return tree("query", "SELECT", listed(values)), columns
        names = [tree("item", f"{alias}.{column.name}") for column in columns]
        return tree("query", "SELECT", listed(names), "FROM", f"{name} {alias}", self._where(scope, 0)), columns

    def _plain_side(self, outer: Scope | None) -> tuple[Tree, tuple[Column, ...]]:
        scope = Scope(outer=outer)
        node, source = self.sources_for(scope, protected=True)
        scope.sources.append(source)
        found = self.pick(scope, sealed=False, kind="int")
        value = self.reference(scope, *found) if found else tree("value", "1")
        node = tree("query", "SELECT", value, "AS n", "FROM", node, self._where(scope, 0))
        return node, (Column("n", INT),)

    # -- WITH

    def _with(self, outer: Scope | None, depth: int) -> Query:
        self.tag("WITH")
        scope = Scope(outer=outer)
        ctes = []
        for _ in range(self.one((1, 1, 2))):
            name = self.fresh("c")
            if self.often(0.12):
                name = self.one(("users", "orders", "items"))
                self.tag("cte like a table")
                self.is_loose = True  # what is compared with its columns may be plain
            if name in scope.ctes:
                continue
            node, columns = self._cte(scope, depth)
            made = distinct_names(columns)
            names = ""
            if made is None or self.often(0.15):
                made = tuple(replace(column, name=self.fresh("d")) for column in columns)
                names = "(" + ", ".join(column.name for column in made) + ")"
            how = self.one(("", "", "", "MATERIALIZED", "NOT MATERIALIZED"))
            ctes.append(tree("cte", name, names, "AS", how, "(", node, ")"))
            scope.ctes[name] = made
        body = self.query(scope, depth - 1)
        return Query(tree("query", "WITH", listed(ctes), body.node), body.columns, body.is_ordered)

    def _cte(self, scope: Scope, depth: int) -> tuple[Tree, tuple[Column, ...]]:
        query = self.query(Scope(ctes=scope.all_ctes()), depth - 1)
        return query.node, query.columns

    def _recursive(self, outer: Scope | None) -> Query:
        self.tag("WITH RECURSIVE")
        if self.often(0.5):
            body = self._simple(Scope(outer=outer, ctes={"r": (Column("n", INT),)}), 0)
            head = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3)"
            return Query(tree("query", head, body.node), body.columns, body.is_ordered)
        self.tag("WITH RECURSIVE sealed")
        self.is_touching = True
        column = self.one((schema.USERS[1], schema.USERS[6], schema.USERS[2]))
        alias = column.name
        union = self.one(("UNION ALL", "UNION ALL", "UNION"))
        head = (
            f"WITH RECURSIVE r (id, {alias}) AS (SELECT id, {alias} FROM users WHERE id = 1"
            f" {union} SELECT u.id, u.{alias} FROM users u JOIN r ON u.id = r.id + 1 WHERE u.id < 6)"
        )
        columns = (Column("id", schema.ID), column)
        body = self._simple(Scope(outer=outer, ctes={"r": columns}), 0)
        return Query(tree("query", head, body.node), body.columns, body.is_ordered)
