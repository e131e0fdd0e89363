"""INSERT, UPDATE, DELETE and MERGE.

No row is written twice by one statement, and ids are given where their order
would depend on a plan.
"""

from __future__ import annotations

from tests.fuzz import schema
from tests.fuzz.base import Scope, Source
from tests.fuzz.expressions import MISUSE
from tests.fuzz.queries import Queries
from tests.fuzz.schema import INT, Column
from tests.fuzz.tree import Tree, listed, optional, tree


class Writes(Queries):
    """Statements that write."""

    # -- INSERT

    def _new_value(self, column: Column) -> Tree:
        """A value to be stored; emails are mostly new."""
        if column.name == "email" and self.often(0.75):
            stem = "planted-new" if column.seal is not None else "plain-new"
            return tree("value", self.hole(column.kind, f"'{stem}{self.rng.randrange(10**6)}@x'"))
        if column.name == "id":
            return tree("value", self.hole(column.kind, str(self.rng.randint(200, 10**6) if self.often(0.8) else 3)))
        if column.name == "user_id":
            return tree("value", self.hole(column.kind, self.one(("1", "3", "NULL", "99"))))
        if column.kind.hole in schema.STORED and self.often(0.12):
            self.tag("odd value stored")
            return tree("value", self.hole(column.kind, self.one(schema.STORED[column.kind.hole])))
        if self.often(0.06):
            return tree("value", "DEFAULT")
        if not column.is_not_null and self.often(0.08):
            return tree("value", "NULL")
        if self.often(MISUSE) and column.seal:
            self.tag("misuse: stored")
            return tree("value", "upper(", self.value(column.kind), ")")
        return self.value(column.kind)

    def _target(self) -> tuple[str, str, tuple[Column, ...]]:
        """(table as written, its table, columns)."""
        name, columns = self.one(
            (("users", schema.USERS),) * 4
            + (("orders", schema.ORDERS),) * 4
            + (("public.users", schema.USERS), ("v_users", schema.V_USERS), ("contacts", schema.CONTACTS))
        )
        self.is_touching = self.is_touching or name != "contacts"
        table = {"public.users": "users", "v_users": "users"}.get(name, name)
        return name, table, columns

    def insert(self) -> Tree:
        name, table, columns = self._target()
        self.tag(f"INSERT {name}")
        if self.often(0.03):
            self.tag("DEFAULT VALUES")
            return tree("statement", "INSERT INTO", name, "DEFAULT VALUES", self._returning(name, columns))
        chosen = [c for c in columns if c.name == "email" or (c.name != "id" and self.often(0.6)) or self.often(0.15)]
        self.rng.shuffle(chosen)
        chosen = chosen or [columns[1]]
        head = tree(
            "statement", "INSERT INTO", name, self.one(("", "", "AS n")), "(" + ", ".join(c.name for c in chosen) + ")"
        )
        alias = "n" if head.text.find(" AS n (") > 0 else name.rpartition(".")[2]
        if self.often(0.25):
            source = self._inserted_query(chosen)
        else:
            self.tag("INSERT VALUES")
            rows = [
                tree("row", "(", listed_all([self._new_value(c) for c in chosen]), ")")
                for _ in range(self.one((1, 1, 2, 3)))
            ]
            source = tree("source", "VALUES", listed(rows))
        conflict = self._on_conflict(name, table, columns, alias) if self.often(0.45) else ""
        return tree("statement", head, source, conflict, self._returning(alias, columns))

    def _inserted_query(self, chosen: list[Column]) -> Tree:
        """SELECT of the same columns of the same table, or of values that the statement holds."""
        if self.often(0.6):
            self.tag("INSERT SELECT FROM VALUES")
            names = [self.fresh("i") for _ in chosen]
            rows = []
            for _ in range(self.one((1, 2))):
                values = []
                for c in chosen:
                    value = self._new_value(c)
                    cast = "varchar" if c.kind.type == "varchar" else c.kind.type
                    values.append(
                        tree("value", f"{value.text}::{cast}" if "DEFAULT" not in value.text else f"NULL::{cast}")
                    )
                rows.append(tree("row", "(", listed_all(values), ")"))
            return tree(
                "source", "SELECT", ", ".join(f"v.{n}" for n in names), "FROM (VALUES", listed(rows), ") AS v (",
                ", ".join(names), ")",
            )  # fmt: skip
        self.tag("INSERT SELECT")
        table, columns = (
            ("users", schema.USERS)
            if schema.USERS[1] in chosen or schema.USERS[6] in chosen
            else ("orders", schema.ORDERS)
        )
        source = Source("s", columns, is_base=True)
        scope = Scope([source])
        values = []
        for c in chosen:
            if c.name == "email":
                values.append(self._new_value(c))
            elif c.name == "id":
                values.append(tree("value", "s.id + 300"))
            elif c in columns:
                values.append(self.reference(scope, source, c))
            else:
                values.append(self.value(c.kind))
        where = tree("where", "WHERE s.id =", self.hole(INT)) if schema.USERS[1] in chosen else self._where(scope, 0)
        return tree("source", "SELECT", listed_all(values), "FROM", table, "s", where, "ORDER BY s.id")

    def _on_conflict(self, name: str, table: str, columns: tuple[Column, ...], alias: str) -> Tree:
        target = self.one(("(email)", "(email)", "(id)")) if table in ("users", "contacts") else "(id)"
        if self.often(0.1) and table == "users":
            target = self.one(("", "ON CONSTRAINT users_pkey"))
        if not target or self.often(0.3):
            self.tag("ON CONFLICT DO NOTHING")
            return optional("ON CONFLICT", target, "DO NOTHING")
        self.tag(f"ON CONFLICT {target} DO UPDATE")
        scope = Scope([Source(alias, columns)])
        sets = []
        for c in self.some([c for c in columns if c.name not in ("id", "user_id")], 3):
            if self.often(0.5):
                value: Tree = tree("value", f"excluded.{c.name}")
            elif c.seal is not None and self.often(0.3):
                value = tree("value", "COALESCE(", f"excluded.{c.name}", ",", f"{alias}.{c.name}", ")")
            else:
                value = self._set_value(scope, c)
            sets.append(tree("set", c.name, "=", value))
        where = optional("WHERE", self._qualified_condition(scope)) if self.often(0.3) else ""
        return optional("ON CONFLICT", target, "DO UPDATE SET", listed(sets), where)

    def _qualified_condition(self, scope: Scope) -> Tree:
        """A condition whose names need their table, as beside `excluded`."""
        source = scope.sources[0]
        column = self.one(source.columns)
        if column.seal is not None and column.seal.domain is None:
            return tree("condition", f"{source.alias}.{column.name} IS NOT NULL")
        if column.seal is not None and self.often(0.4):
            return tree("condition", f"excluded.{column.name}", self.one(("=", "<>")), f"{source.alias}.{column.name}")
        return tree("condition", f"{source.alias}.{column.name}", self.one(("=", "<>")), self.value(column.kind))

    def _returning(self, alias: str, columns: tuple[Column, ...], others: list[Source] | None = None) -> Tree | str:
        if not self.often(0.5):
            return ""
        alias = alias.rpartition(".")[2]
        scope = Scope([Source(alias, columns), *(others or [])])
        if self.often(0.25):
            self.tag("RETURNING *")
            return optional("RETURNING", "*" if not others else f"{alias}.*")
        self.tag("RETURNING")
        if self.often(0.15) and not others:
            self.tag("RETURNING old, new")
            self.is_touching = True
            names = [f"{self.one(('old', 'new'))}.{self.one(columns).name}" for _ in range(2)]
            return optional("RETURNING", listed(names))
        targets, _ = self._targets([self.item(scope, 0) for _ in range(self.rng.randint(1, 3))])
        return optional("RETURNING", targets)

    # -- UPDATE, DELETE, MERGE

    def _set_value(self, scope: Scope, column: Column) -> Tree:
        if column.seal is None:
            return self.plain(scope, column.kind, 1) if self.often(0.6) else self.value(column.kind)
        if self.often(0.3):
            same = [(s, c) for s, c in scope.found() if c.seal is not None and c.seal.column == column.seal.column]
            if same:
                self.tag("SET sealed = sealed")
                return self.sealed(scope, *self.one(same))
        if self.often(MISUSE):
            self.tag("misuse: set")
            return tree("value", self.value(column.kind), "|| 'x'")
        return tree("value", "DEFAULT") if self.often(0.05) else self.value(column.kind)

    def _sets(self, scope: Scope, columns: tuple[Column, ...]) -> Tree:
        free = [c for c in columns if c.name not in ("id", "user_id")]
        chosen = self.some(free, 3)
        if len(chosen) > 1 and self.often(0.25):
            self.tag("SET (a, b) =")
            names = ", ".join(c.name for c in chosen)
            values = listed_all([self._set_value(scope, c) for c in chosen])
            return tree("sets", "(", names, ") =", self.one(("(", "ROW(")), values, ")")
        if self.often(0.08) and chosen:
            self.tag("SET (a, b) = (SELECT)")
            table = "users" if schema.USERS[1] in columns else "orders" if schema.ORDERS[2] in columns else "contacts"
            names = ", ".join(c.name for c in chosen)
            picked = ", ".join(f"q.{c.name}" for c in chosen)
            return tree("sets", f"({names}) = (SELECT {picked} FROM {table} q WHERE q.id =", self.hole(INT), ")")
        return listed([tree("set", c.name, "=", self._set_value(scope, c)) for c in chosen])

    def update(self) -> Tree:
        name, _, columns = self._target()
        self.tag(f"UPDATE {name}")
        alias = self.fresh("t") if self.often(0.5) else name.rpartition(".")[2]
        as_alias = f"AS {alias}" if alias != name.rpartition(".")[2] else ""
        target = Source(alias, columns, is_base=True)
        scope = Scope([target])
        sets = self._sets(scope, columns)
        others: list[Source] = []
        tail: list[Tree | str] = []
        sealed = [c for c in columns if c.seal is not None and c.seal.domain is not None]
        if self.often(0.12) and sealed:
            self.tag("UPDATE FROM VALUES")
            self.is_loose = True
            by, to = self.one(sealed), self.one(columns[1:])
            cast = f"::{to.kind.type}" if self.often(0.6) else ""
            row = tree("row", "(", self.hole(by.kind), f"::{by.kind.type}", ",", self.hole(to.kind), cast, ")")
            sets = tree("set", to.name, "= v.b")
            tail = [
                "FROM (VALUES",
                row,
                f") AS v (a, b) WHERE {alias}.{by.name} = v.a AND {alias}.id =",
                self.hole(INT),
            ]
        elif self.often(0.25):
            self.tag("UPDATE FROM")
            item, source = self.table(protected=self.often(0.7))
            if source.is_base and source.alias != alias:
                others = [source]
                both = Scope([target, source])
                sets = self._sets(both, columns)
                link = f"{source.alias}.id = {self.hole(INT)} AND {alias}.id <= {self.hole(INT)}"
                tail = ["FROM", item, "WHERE", link, optional("AND", self.condition(both, 1))]
        if not tail:
            narrow = optional("AND", f"{alias}.id <", self.hole(INT, self.one(("3", "5", "9"))))
            if "email =" in sets.text or "email," in sets.text:  # of several rows, the order decides which is double
                narrow = tree("condition", "AND", f"{alias}.id =", self.hole(INT))
            tail = ["WHERE", self.condition(scope, 1), narrow]
        return tree("statement", "UPDATE", name, as_alias, "SET", sets, *tail, self._returning(alias, columns, others))

    def delete(self) -> Tree:
        name, _, columns = self._target()
        self.tag(f"DELETE {name}")
        alias = self.fresh("t") if self.often(0.5) else name.rpartition(".")[2]
        as_alias = f"AS {alias}" if alias != name.rpartition(".")[2] else ""
        scope = Scope([Source(alias, columns, is_base=True)])
        others: list[Source] = []
        using: list[Tree | str] = []
        if self.often(0.3):
            item, source = self.table(protected=True)
            if source.alias != alias:
                self.tag("DELETE USING")
                using = ["USING", item]
                scope.sources.append(source)
        return tree(
            "statement", "DELETE FROM", name, as_alias, *using, "WHERE", self.condition(scope, 1),
            self._returning(alias, columns, others) if not using else "",
        )  # fmt: skip

    def merge(self) -> Tree:
        self.tag("MERGE")
        self.is_touching = True
        self.is_loose = True  # a column of the values that no action uses stays as it is
        name, columns = self.one((("users", schema.USERS), ("orders", schema.ORDERS)))
        email = schema.USERS[1] if name == "users" else schema.ORDERS[2]
        rows = []
        for _ in range(self.one((1, 1, 2))):
            # a value for the comparison and one to be stored: one that serves both is refused
            literal = self.one(email.kind.literals)
            values = [
                self.hole(INT, str(self.rng.randrange(7) + 7 * len(rows))),  # a number twice is a matter of order
                self.hole(email.kind, literal),
                self.hole(email.kind, literal),
                self.hole(schema.NAME),
            ]
            rows.append(tree("row", "(" + ", ".join(values) + ")"))
        stored = "s.f" if self.often(0.8) else "s.e"
        casts = "s.i::int" if self.often(0.2) else "s.i"
        source = tree("from", "(VALUES", listed(rows), ") AS s (i, e, f, n)")
        on = self.one((f"t.{email.name} = s.e", f"t.id = {casts}", f"t.id = s.i AND t.{email.name} = s.e"))
        plain = "name" if name == "users" else "note"
        scope = Scope([Source("t", columns)])
        matched = self.one(
            (
                tree("then", "UPDATE SET", plain, "= s.n", optional(",", email.name, "=", stored)),
                tree("then", "UPDATE SET", self._sets(scope, columns)),
                tree("then", "DELETE"),
                tree("then", "DO NOTHING"),
            )
        )
        extra = optional("AND", self._sealed_or_plain(scope)) if self.often(0.3) else ""
        insert = optional(
            "WHEN NOT MATCHED THEN INSERT (", f"id, {email.name}, {plain}", f") VALUES (s.i + 500, {stored}, s.n)"
        )
        parts = ["WHEN MATCHED", extra, "THEN", matched, insert]
        returning = optional("RETURNING t.id", self.one(("", f", t.{email.name}"))) if self.often(0.3) else ""
        return tree("statement", f"MERGE INTO {name} AS t USING", source, "ON", on, *parts, returning)

    def _sealed_or_plain(self, scope: Scope) -> Tree:
        return self.condition(scope, 0)


def listed_all(items: list[Tree]) -> Tree:
    """Items of which none can be left out alone."""
    parts: list[Tree | str] = []
    for item in items:
        parts += [",", item] if parts else [item]
    return tree("list", *parts)
