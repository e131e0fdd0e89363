"""Expressions and conditions: mostly such as can be answered on envelopes and terms, some that must be refused."""

from __future__ import annotations

from tests.fuzz.base import Chance, Item, Scope, Source
from tests.fuzz.schema import BOOL, COUNT, INT, NAME, Column, Kind
from tests.fuzz.tree import Tree, listed, optional, tree

#: How often something is asked of a protected column that cannot be answered.
MISUSE = 0.03


class Expressions(Chance):
    """Knows queries only by `subquery` and `scalar_query`, which `queries` gives."""

    def subquery(self, scope: Scope, columns: int, like: Column | None = None) -> tuple[Tree, tuple[Column, ...]]:
        raise NotImplementedError

    def sources_for(self, scope: Scope, *, protected: bool) -> tuple[Tree, Source]:
        raise NotImplementedError

    # -- conditions

    def condition(self, scope: Scope, depth: int = 2) -> Tree:
        """A boolean expression."""
        choice = self.rng.random()
        if depth > 0 and choice < 0.2:
            return tree(
                "condition",
                "(",
                self.condition(scope, depth - 1),
                optional(self.one(("AND", "AND", "OR")), self.condition(scope, depth - 1)),
                ")",
            )
        if depth > 0 and choice < 0.25:
            return tree("condition", "(", optional("NOT"), self.condition(scope, depth - 1), ")")
        if depth > 0 and choice < 0.29:
            ending = self.one(
                ("IS TRUE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN", "= true", "IS DISTINCT FROM true")
            )
            return tree("condition", "((", self.condition(scope, depth - 1), ")", ending, ")")
        found = self.pick(scope, sealed=True)
        if found is not None and choice < 0.8:
            return self._sealed_condition(scope, *found, depth)
        return self._plain_condition(scope, depth)

    def _sealed_condition(self, scope: Scope, source: Source, column: Column, depth: int) -> Tree:
        seal = column.seal
        assert seal is not None
        name = self.reference(scope, source, column)
        if self.often(MISUSE):
            return self._misuse(name, column)
        if seal.domain is None or self.often(0.1):
            self.tag("sealed IS NULL")
            return tree("condition", name, self.one(("IS NULL", "IS NOT NULL", "ISNULL", "NOTNULL")))
        forms = [self._equals] * 5 + [self._in_list] * 2 + [self._any_array] * 2 + [self._row]
        forms += [self._same_domain] * 2 + [self._chosen, self._case_of, self._nullif]
        if seal.is_casefold:
            forms += [self._casefold] * 2
        if depth > 0:
            forms += [self._in_subquery] * 2 + [self._scalar, self._row_subquery]
        return self.one(forms)(scope, name, column, depth)

    def _equals(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        operator = self.one(
            ("=", "=", "=", "<>", "!=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "OPERATOR(pg_catalog.=)")
        )
        self.tag(f"sealed {operator}")
        sides = [name, self.value(column.kind)]
        if self.often(0.2):
            sides.reverse()
        return tree("condition", sides[0], operator, sides[1])

    def _in_list(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("sealed IN list")
        values = [self.value(column.kind) for _ in range(self.rng.randint(1, 4))]
        return tree("condition", name, self.one(("IN", "IN", "NOT IN")), "(", listed(values), ")")

    def _any_array(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("sealed ANY array")
        return tree(
            "condition", name, self.one(("= ANY", "= ANY", "<> ALL", "= SOME")), "(", self.array(column.kind), ")"
        )

    def _row(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("sealed row =")
        other = self.pick(scope, sealed=False, kind="int")
        if other is None:
            return self._equals(scope, name, column, depth)
        plain = self.reference(scope, *other)
        rows = [
            tree("row", "(", self.value(INT), ",", self.value(column.kind), ")") for _ in range(self.rng.randint(1, 3))
        ]
        head = tree("row", self.one(("(", "ROW(")), plain, ",", name, ")")
        if len(rows) == 1:
            return tree("condition", head, self.one(("=", "<>", "IS NOT DISTINCT FROM")), rows[0])
        return tree("condition", head, self.one(("IN", "NOT IN")), "(", listed(rows), ")")

    def _same_domain(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        assert column.seal is not None
        others = [
            (source, other)
            for source, other in scope.found()
            if other.seal is not None and other.seal.domain == column.seal.domain
        ]
        source, other = self.one(others)
        self.tag("sealed = sealed")
        return tree(
            "condition", name, self.one(("=", "=", "<>", "IS DISTINCT FROM")), self.reference(scope, source, other)
        )

    def _chosen(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("COALESCE(sealed) =")
        return tree(
            "condition",
            "COALESCE(",
            name,
            ",",
            self.value(column.kind),
            ")",
            self.one(("=", "<>")),
            self.value(column.kind),
        )

    def _case_of(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("CASE sealed WHEN")
        return tree(
            "condition", "CASE", name, "WHEN", self.value(column.kind), "THEN", self.plain(scope, BOOL, 0),
            optional("WHEN", self.value(column.kind), "THEN false"), optional("ELSE true"), "END",
        )  # fmt: skip

    def _nullif(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("NULLIF(sealed) IS NULL")
        return tree(
            "condition", "NULLIF(", name, ",", self.value(column.kind), ")", self.one(("IS NULL", "IS NOT NULL"))
        )

    def _casefold(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        literal = self.one(("'planted-ANN@x'", "'planted-ünï@x'", "'planted-BOB@x'", "'planted-O''NEIL@X'", "''"))
        value = tree("value", self.hole(column.kind, literal))
        match self.rng.randrange(4):
            case 0:
                self.tag("lower(sealed) =")
                return tree("condition", "lower(", name, ")", self.one(("=", "<>")), "lower(", value, ")")
            case 1:
                self.tag("lower(sealed) = value")
                return tree("condition", "lower(", name, ") =", self.value(column.kind))
            case 2:
                self.tag("sealed ILIKE")
                return tree("condition", name, self.one(("ILIKE", "NOT ILIKE")), value)
            case _:
                self.tag("lower(sealed) IN")
                values = [tree("value", "lower(", self.value(column.kind), ")") for _ in range(2)]
                return tree("condition", "lower(", name, ") IN (", listed(values), ")")

    def _in_subquery(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("sealed IN (subquery)")
        query, _ = self.subquery(scope, 1, like=column)
        operator = self.one(("IN", "IN", "NOT IN", "= ANY", "<> ALL"))
        return tree("condition", name, operator, "(", query, ")")

    def _row_subquery(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        other = self.pick(scope, sealed=False, kind="int")
        assert column.seal is not None
        if other is None:
            return self._equals(scope, name, column, depth)
        self.tag("(plain, sealed) IN (subquery)")
        table, attribute = column.seal.column.split(".")
        where = optional("WHERE q.id <", self.hole(INT))
        row = tree("row", "(", self.reference(scope, *other), ",", name, ")")
        return tree(
            "condition", row, self.one(("IN", "NOT IN")), f"(SELECT q.id, q.{attribute} FROM {table} q", where, ")"
        )

    def _scalar(self, scope: Scope, name: Tree, column: Column, depth: int) -> Tree:
        self.tag("sealed = (subquery)")
        node = self._one_value(scope, column)
        return (
            tree("condition", name, self.one(("=", "<>")), node) if node else self._equals(scope, name, column, depth)
        )

    def _one_value(self, scope: Scope, column: Column) -> Tree | None:
        """`(SELECT column FROM table WHERE id = ...)` of the same protected column."""
        assert column.seal is not None
        table, name = column.seal.column.split(".")
        self.is_touching = True
        return tree("scalar", "(SELECT", f"q.{name}", "FROM", f"{table} q", "WHERE q.id =", self.hole(INT), ")")

    def _misuse(self, name: Tree, column: Column) -> Tree:
        self.tag("misuse: condition")
        value = self.value(column.kind)
        if column.kind.is_text:
            form = self.rng.randrange(5)
            if form == 0:
                return tree("condition", name, "LIKE", value)
            if form == 1:
                return tree("condition", name, "~", value)
            if form == 2:
                return tree("condition", "length(", name, ") > 3")
            if form == 3:
                return tree("condition", name, "|| 'x' =", value)
        return tree("condition", name, self.one(("<", ">=", "BETWEEN SYMMETRIC NULL AND")), value)

    def _plain_condition(self, scope: Scope, depth: int) -> Tree:
        if depth > 0 and self.often(0.25):
            return self._exists(scope, depth)
        found = self.pick(scope, sealed=False)
        if found is None:
            return tree("condition", self.one(("true", "1 = 1", "NULL IS NULL", "2 > 1")))
        source, column = found
        name = self.reference(scope, source, column)
        kind = column.kind
        match self.rng.randrange(8):
            case 0:
                return tree("condition", name, self.one(("IS NULL", "IS NOT NULL")))
            case 1:
                values = [self.value(kind) for _ in range(self.rng.randint(1, 3))]
                return tree("condition", name, self.one(("IN", "NOT IN")), "(", listed(values), ")")
            case 2 if kind.type in ("text", "varchar"):
                return tree("condition", name, self.one(("LIKE 'A%'", "ILIKE '%n%'", "~ '^[a-z]'", "|| 'x' <> 'x'")))
            case 3 if kind.type in ("int", "bigint", "numeric"):
                return tree("condition", name, "BETWEEN", self.value(kind), "AND", self.value(kind))
            case 4 if kind.type in ("text", "int", "bigint", "numeric") and kind is not BOOL:
                return tree("condition", name, "= ANY (", self.array(kind), ")")
            case 5 if depth > 0:
                self.tag("plain IN (subquery)")
                query, _ = self.subquery(scope, 1, like=column)
                return tree("condition", name, "IN (", query, ")")
            case _:
                return tree("condition", name, self.one(("=", "<>", "<=", ">", "IS DISTINCT FROM")), self.value(kind))

    def _exists(self, scope: Scope, depth: int) -> Tree:
        self.tag("EXISTS")
        inner = Scope(outer=scope)
        item, source = self.sources_for(inner, protected=True)
        inner.sources.append(source)
        both = Scope([*inner.sources, *(s for s in scope.sources if s.alias != source.alias)], ctes=scope.ctes)
        # names of the inner source win, so only qualified ones are safe: `reference` sees both levels
        where = self.condition(both, 0)
        link = self._correlation(inner.sources[0], scope)
        extra = optional("AND", link) if link is not None else ""
        what = self.one(("1", "1", "*", "NULL"))
        return tree("condition", optional("NOT"), "EXISTS (SELECT", what, "FROM", item, "WHERE", where, extra, ")")

    def _correlation(self, inner: Source, scope: Scope) -> Tree | None:
        pairs = [
            (one, source, other)
            for one in inner.columns
            for source, other in scope.found()
            if source.alias != inner.alias
            and (
                (one.seal is not None and other.seal is not None and one.seal.domain == other.seal.domain is not None)
                or (one.seal is None is other.seal and "id" in one.name and "id" in other.name)
            )
        ]
        if not pairs:
            return None
        one, source, other = self.one(pairs)
        self.tag("correlated" + (" sealed" if one.seal else ""))
        return tree("condition", f"{_short(inner)}.{one.name} = {_short(source)}.{other.name}")

    # -- values

    def plain(self, scope: Scope, kind: Kind, depth: int = 1) -> Tree:
        """An expression of a type whose value comes from no protected column, but for conditions in it."""
        if kind is BOOL:
            return self.condition(scope, depth - 1) if depth > 0 else tree("value", self.one(("true", "false", "NULL")))
        found = self.pick(scope, sealed=False, kind=kind.type)
        choice = self.rng.random()
        if found is not None and choice < 0.45:
            return self.reference(scope, *found)
        if depth > 0 and choice < 0.6:
            self.tag("CASE plain")
            return tree(
                "plain", "CASE WHEN", self.condition(scope, depth - 1), "THEN", self.plain(scope, kind, depth - 1),
                optional("ELSE", self.plain(scope, kind, depth - 1)), "END",
            )  # fmt: skip
        if depth > 0 and choice < 0.7:
            function = self.one(("COALESCE", "COALESCE", "NULLIF", "GREATEST", "LEAST"))
            self.tag(f"{function} plain")
            one, other = self.plain(scope, kind, depth - 1), self.plain(scope, kind, depth - 1)
            return tree("plain", f"{function}(", one, ",", other, ")")
        if kind.type in ("int", "bigint") and choice < 0.8:
            if depth > 0 and self.often(0.5):
                return self._count(scope)
            return tree("plain", "(", self.value(kind), self.one(("+", "-", "*")), "2", ")")
        if kind.type == "text" and choice < 0.8:
            return tree("plain", self.one(("upper(", "lower(", "same_text(", "(")), self.value(kind), ")")
        return tree("plain", f"{self.value(kind).text}::{kind.type}")

    def _count(self, scope: Scope) -> Tree:
        self.tag("(SELECT count)")
        inner = Scope(outer=scope)
        item, source = self.sources_for(inner, protected=True)
        inner.sources.append(source)
        return tree("plain", "(SELECT count(*) FROM", item, optional("WHERE", self.condition(inner, 0)), ")")

    def sealed(self, scope: Scope, source: Source, column: Column, depth: int = 1) -> Tree:
        """An expression whose value is one of a protected column's."""
        name = self.reference(scope, source, column)
        choice = self.rng.random()
        if depth == 0 or choice < 0.7:
            return name
        if choice < 0.77:
            self.tag("COALESCE(sealed)")
            return tree("sealed", "COALESCE(", name, ",", self.value(column.kind), ")")
        if choice < 0.85:
            self.tag("CASE sealed")
            other = self.one(("NULL", self.value(column.kind), name))
            return tree(
                "sealed", "CASE WHEN", self.condition(scope, 0), "THEN", name, optional("ELSE", other), "END",
            )  # fmt: skip
        if choice < 0.89 and column.seal and column.seal.domain:
            self.tag("NULLIF(sealed)")
            return tree("sealed", "NULLIF(", name, ",", self.value(column.kind), ")")
        if choice < 0.94:
            self.tag("(SELECT sealed)")
            return self._one_value(scope, column) or name
        self.tag("sealed::type")
        return tree("sealed", name, "::", "text" if column.kind.is_text else column.kind.type)

    def item(self, scope: Scope, depth: int = 1) -> Item:
        """Something for a target list."""
        found = self.pick(scope, sealed=True)
        if found is not None and self.often(0.55):
            source, column = found
            if self.often(MISUSE):
                self.tag("misuse: output")
                form = self.one(("upper({})", "{} || 'x'", "max({}::text)", "({}, 1)", "ARRAY[{}]", "to_json({})"))
                return Item(tree("item", form.format(self.reference(scope, source, column).text)), Column("m", NAME))
            return Item(self.sealed(scope, source, column, depth), column)
        kind = self.one((INT, NAME, NAME, COUNT, BOOL))
        if self.often(0.5):
            plain = self.pick(scope, sealed=False)
            if plain is not None:
                return Item(self.reference(scope, *plain), plain[1])
        return Item(self.plain(scope, kind, depth), Column(self.fresh("c"), kind))


def _short(source: Source) -> str:
    return source.alias.rpartition(".")[2]
