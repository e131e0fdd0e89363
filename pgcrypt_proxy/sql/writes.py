"""INSERT, UPDATE and DELETE: what is stored in protected columns is sealed, the rest must be plain."""

from __future__ import annotations

from pgcrypt_proxy.sql import expressions, operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.insert_select import insert_select, store
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.scope import Scope, Source, table_source
from pgcrypt_proxy.sql.select import common_tables, from_clause, order_by, targets, where


def write(context: Context, kind: str, tree: Node, parent: Scope | None) -> Outputs:
    """Analyse a data-modifying statement; returns the outputs of its RETURNING, [] without one.

    Raises Refusal.
    """
    analyses = {"InsertStmt": _insert, "UpdateStmt": _update, "DeleteStmt": _delete}
    if kind not in analyses:
        raise refuse.form(kind)
    scope = Scope(parent)
    common_tables(context, tree.get("withClause"), scope)
    return analyses[kind](context, tree, scope)


def _target(context: Context, tree: Node, scope: Scope) -> tuple[Relation | None, Source]:
    """The table written to, and the source it is in the statement's other clauses."""
    name, schema = tree["relname"], tree.get("schemaname")
    relation = context.lookup(schema, name, tree.get("location"))
    alias = tree.get("alias", {}).get("aliasname")
    source = Source(alias or name, None, schema) if relation is None else table_source(relation, alias)
    scope.sources.append(source)
    scope.star = list(source.columns) if source.columns is not None else None
    return relation, source


def _returning(context: Context, tree: Node, scope: Scope, source: Source) -> Outputs:
    clause = tree.get("returningClause")
    if clause is None:
        return []
    # RETURNING * means the target and, in UPDATE and DELETE, the FROM items: scope.star has both.
    names = {"old", "new"}
    for option in clause.get("options", ()):
        names.add(option["ReturningOption"].get("value", ""))
    for name in names - {s.alias for s in scope.sources}:
        scope.sources.append(Source(name, source.columns, is_hidden=True))
    return targets(context, clause.get("exprs", []), scope)


def _protected(relation: Relation | None, name: str) -> ProtectedColumn | None:
    if relation is None:
        return None
    return next((c.protected for c in relation.columns if c.name == name), None)


def _insert(context: Context, tree: Node, scope: Scope) -> Outputs:
    # The values cannot see the target's columns; ON CONFLICT and RETURNING can.
    value_scope = Scope(scope.parent, ctes=scope.ctes)
    relation, source = _target(context, tree["relation"], scope)
    columns = _insert_columns(context, tree, relation)
    query = tree.get("selectStmt", {}).get("SelectStmt")
    if query is not None:
        if "valuesLists" in query:
            _values(context, query, columns, value_scope)
        else:
            insert_select(context, query, columns, value_scope)
    if "onConflictClause" in tree:
        _on_conflict(context, tree["onConflictClause"], relation, source, scope)
    return _returning(context, tree, scope, source)


def _insert_columns(context: Context, tree: Node, relation: Relation | None) -> list[ProtectedColumn | None] | None:
    """The protected column (or None) per position of a row; None when nothing is known of the table."""
    if relation is None:
        return None
    if "cols" not in tree:
        return [column.protected for column in relation.columns]
    columns = []
    for item in tree["cols"]:
        target = item["ResTarget"]
        found = _protected(relation, target.get("name", ""))
        if found is not None and "indirection" in target:
            raise refuse.construct(found, "a subscript", context.position(target.get("location")))
        columns.append(found)
    return columns


def _values(context: Context, query: Node, columns: list[ProtectedColumn | None] | None, scope: Scope) -> None:
    values_scope = Scope(scope.parent, ctes=scope.ctes)
    common_tables(context, query.get("withClause"), values_scope)
    for row in query["valuesLists"]:
        for number, node in enumerate(row["List"]["items"]):
            column = columns[number] if columns is not None and number < len(columns) else None
            if column is None:
                expressions.plain(context, node, values_scope, "VALUES")
            else:
                store(context, node, column, values_scope)
    order_by(context, query.get("sortClause", []), values_scope, None)
    for part in ("limitOffset", "limitCount"):
        expressions.plain(context, query.get(part), values_scope, "LIMIT")


def _on_conflict(context: Context, clause: Node, relation: Relation | None, source: Source, scope: Scope) -> None:
    infer = clause.get("infer", {})
    _conflict_target(context, infer, relation, scope)
    expressions.plain(context, infer.get("whereClause"), scope, "ON CONFLICT")
    scope.sources.append(Source("excluded", source.columns, is_hidden=True))
    _set_list(context, clause.get("targetList", []), relation, scope)
    where(context, clause.get("whereClause"), scope)
    scope.sources.pop()


def _conflict_target(context: Context, infer: Node, relation: Relation | None, scope: Scope) -> None:
    """Columns named for inference become the expression of their index: `pgcrypt.eq(col)`."""
    names = []
    for item in infer.get("indexElems", ()):
        element = item["IndexElem"]
        if "expr" in element:
            expressions.plain(context, element["expr"], scope, "ON CONFLICT")
        found = _protected(relation, element.get("name", ""))
        if found is not None:
            if "equality" not in found.search:
                raise refuse.needs_search(found, context.position(infer.get("location")))
            if "collation" in element or "opclass" in element:
                raise refuse.construct(found, "a collation or operator class in ON CONFLICT")
        names.append(found)
    if not any(names):
        return
    # The tree gives no place for the names: they are the first tokens after "(" and top-level commas.
    text = context.text
    at = text.token_index.get(text.to_char(infer.get("location", -1)))
    if at is None or text.tokens[at].name != "ASCII_40":
        raise refuse.form("this spelling of ON CONFLICT")
    end = operands.closing(text, at)
    depth, number = 0, 0
    for index in range(at, len(text.tokens)):
        token = text.tokens[index]
        if token.start >= end:
            break
        starts_element = (depth == 1 and text.tokens[index - 1].name in ("ASCII_40", "ASCII_44")) and index > at
        if starts_element:
            if names[number] is not None:
                if token.name == "UIDENT" or text.tokens[index + 1].name not in ("ASCII_41", "ASCII_44"):
                    raise refuse.form("this spelling of ON CONFLICT", token.start + 1)
                context.edit(token.start, token.start, "(pgcrypt.eq(")
                context.edit(token.end, token.end, "))")
            number += 1
        depth += {"ASCII_40": 1, "ASCII_41": -1}.get(token.name, 0)


def _set_list(context: Context, items: list[Node], relation: Relation | None, scope: Scope) -> None:
    for item in items:
        target = item["ResTarget"]
        column = _protected(relation, target.get("name", ""))
        node = target["val"]
        if column is not None and ("indirection" in target or "MultiAssignRef" in node):
            raise refuse.value_form(column, context.position(target.get("location")))
        if column is not None:
            store(context, node, column, scope)
        elif "MultiAssignRef" in node:
            assign = node["MultiAssignRef"]
            if assign.get("colno", 1) == 1:
                expressions.plain(context, assign["source"], scope, "SET (...) = (...)")
        else:
            expressions.plain(context, node, scope, "SET")
            expressions.plain(context, target.get("indirection"), scope, "SET")


def _update(context: Context, tree: Node, scope: Scope) -> Outputs:
    relation, source = _target(context, tree["relation"], scope)
    from_clause(context, tree.get("fromClause", []), scope)
    _set_list(context, tree.get("targetList", []), relation, scope)
    where(context, tree.get("whereClause"), scope)
    return _returning(context, tree, scope, source)


def _delete(context: Context, tree: Node, scope: Scope) -> Outputs:
    _, source = _target(context, tree["relation"], scope)
    from_clause(context, tree.get("usingClause", []), scope)
    where(context, tree.get("whereClause"), scope)
    return _returning(context, tree, scope, source)
