"""INSERT, UPDATE and DELETE: what is stored in protected columns is sealed, the rest must be plain."""

from __future__ import annotations

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import expressions, operands, refuse, tenants
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.from_clause import from_clause
from pgcrypt_proxy.sql.grouping import order_by
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.scope import Scope, Source, check_present, table_source
from pgcrypt_proxy.sql.sealed import store, subselect, take
from pgcrypt_proxy.sql.select import targets, where
from pgcrypt_proxy.sql.star import insert_columns, is_star, merge_columns
from pgcrypt_proxy.sql.tenant_values import TenantValue
from pgcrypt_proxy.sql.tenants import Columns
from pgcrypt_proxy.sql.with_clause import common_tables


def write(context: Context, kind: str, tree: Node, parent: Scope | None) -> Outputs:
    """Analyse a data-modifying statement; returns the outputs of its RETURNING, [] without one.

    Raises Refusal.
    """
    analyses = {"InsertStmt": _insert, "UpdateStmt": _update, "DeleteStmt": _delete, "MergeStmt": _merge}
    if kind not in analyses:
        raise refuse.form(kind)
    context.writes = True
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
        scope.sources.append(source.beside(name))
    return targets(context, clause.get("exprs", []), scope)


def _protected(relation: Relation | None, name: str) -> ProtectedColumn | None:
    if relation is None:
        return None
    check_present(relation.absent, name)
    return next((c.protected for c in relation.columns if c.name == name), None)


def _insert(context: Context, tree: Node, scope: Scope) -> Outputs:
    # The values cannot see the target's columns; ON CONFLICT and RETURNING can.
    value_scope = Scope(scope.parent, ctes=scope.ctes)
    relation, source = _target(context, tree["relation"], scope)
    columns = _insert_columns(context, tree, relation)
    if columns is not None and tree.get("override") == "OVERRIDING_USER_VALUE":
        columns.tenant_at = None  # an identity column takes another value than the statement's
    query = tree.get("selectStmt", {}).get("SelectStmt")
    rows: list[TenantValue | None] = []
    if query is not None:
        if "valuesLists" in query:
            width = _values(context, query, columns, value_scope, rows, is_open=_is_open(relation))
        else:
            width = _insert_select(context, query, columns, value_scope, is_open=_is_open(relation))
        if "cols" not in tree:
            insert_columns(context, tree["relation"], relation, width)
    if "onConflictClause" in tree:
        _on_conflict(context, tree["onConflictClause"], relation, source, scope, rows)
    return _returning(context, tree, scope, source)


def _insert_columns(context: Context, tree: Node, relation: Relation | None) -> Columns | None:
    """The protected column (or None) per position of a row; None when nothing is known of the table."""
    if relation is None:
        return None
    if "cols" not in tree:
        names = [column.name for column in relation.columns]
        return tenants.columns_of(names, [column.protected for column in relation.columns], relation)
    columns = []
    for item in tree["cols"]:
        target = item["ResTarget"]
        found = _protected(relation, target.get("name", ""))
        if found is not None and "indirection" in target:
            raise refuse.construct(found, "a subscript", context.position(target.get("location")))
        columns.append(found)
    return tenants.columns_of([item["ResTarget"].get("name", "") for item in tree["cols"]], columns, relation)


def _is_open(relation: Relation | None) -> bool:
    return relation is not None and bool(relation.absent)


def _values(
    context: Context,
    query: Node,
    columns: Columns | None,
    scope: Scope,
    rows: list[TenantValue | None],
    *,
    is_open: bool,
) -> int | None:
    """The values of INSERT ... VALUES; returns how many a row has, and in `rows` whose each is."""
    values_scope = Scope(scope.parent, ctes=scope.ctes)
    common_tables(context, query.get("withClause"), values_scope)
    lists = (row["List"]["items"] for row in query["valuesLists"])
    rows += [_row(context, values, columns, values_scope, is_open=is_open) for values in lists]
    order_by(context, query.get("sortClause", []), values_scope, None)
    for part in ("limitOffset", "limitCount"):
        expressions.plain(context, query.get(part), values_scope, "LIMIT")
    return _width([row["List"]["items"] for row in query["valuesLists"]])


def _width(rows: list[list[Node]]) -> int | None:
    """How many values each row has, None where one may stand for several."""
    if any(is_star(value) for row in rows for value in row):
        return None
    return max(len(row) for row in rows)


def _check_width(count: int, columns: Columns | None, *, is_open: bool) -> None:
    """A value without a column is an error of the server's, which must not see what may belong into a protected one.

    `is_open`: the table lacks a column that rules name, or is just getting it.
    """
    if columns is not None and (any(columns) or is_open) and count > len(columns):
        raise Refusal("INSERT has more expressions than target columns", sqlstate="42601")


def _row(
    context: Context, values: list[Node], columns: Columns | None, scope: Scope, *, is_open: bool
) -> TenantValue | None:
    """One row of values; returns its tenant as far as that is known."""
    _check_width(len(values), columns, is_open=is_open)
    columns = tenants.bind_row(context, values, columns, scope)
    for number, node in enumerate(values):
        column = columns[number] if columns is not None and number < len(columns) else None
        if column is None:
            expressions.plain(context, node, scope, "VALUES")
        else:
            store(context, node, column, scope)
    return next((c.tenant_value for c in columns or () if c is not None and c.tenant_value is not None), None)


def _insert_select(
    context: Context, query: Node, columns: Columns | None, scope: Scope, *, is_open: bool
) -> int | None:
    """INSERT ... SELECT: an output goes into a protected column if it is an envelope of that very column, or a value
    that the statement itself holds, which is sealed where it stands. Returns the number of outputs."""
    outputs = context.select(context, query, scope)
    _check_width(len(outputs or ()), columns, is_open=is_open)
    columns = tenants.bind_outputs(context, query, outputs, columns)
    for number, column in enumerate(columns or ()):
        if column is None:
            continue
        if outputs is None:
            raise refuse.construct(column, "INSERT ... SELECT of columns that are not known", hint="List the columns.")
        if number < len(outputs):
            take(context, outputs[number], column, None)
    for number, output in enumerate(outputs or ()):
        if columns is None or number >= len(columns) or columns[number] is None:
            if output.protected is not None:
                raise refuse.construct(output.protected, "INSERT ... SELECT into an unprotected column")
            output.use_plain()
    return len(outputs) if outputs is not None else None


def _on_conflict(
    context: Context,
    clause: Node,
    relation: Relation | None,
    source: Source,
    scope: Scope,
    rows: list[TenantValue | None],
) -> None:
    infer = clause.get("infer", {})
    _conflict_constraint(context, infer, relation)
    _conflict_target(context, infer, relation, scope)
    expressions.plain(context, infer.get("whereClause"), scope, "ON CONFLICT")
    scope.sources.append(source.beside("excluded"))
    tenant = tenants.on_conflict(clause, relation, source, rows, context)
    _set_list(context, clause.get("targetList", []), relation, scope, tenant)
    context.same_row = ()
    where(context, clause.get("whereClause"), scope)
    scope.sources.pop()


def _conflict_constraint(context: Context, infer: Node, relation: Relation | None) -> None:
    """`ON CONSTRAINT name` of a constraint that is an index on terms now becomes the keys of that index."""
    keys = dict(relation.unique_terms).get(infer.get("conname", "")) if relation is not None else None
    if keys is None:
        return
    text = context.text
    at = text.token_index.get(text.to_char(infer.get("location", -1)))
    if at is None or [token.name for token in text.tokens[at : at + 2]] != ["ON", "CONSTRAINT"]:
        raise refuse.form("this spelling of ON CONFLICT")
    context.edit(text.tokens[at].start, text.tokens[at + 2].end, f"({keys})")


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


def _set_list(
    context: Context, items: list[Node], relation: Relation | None, scope: Scope, tenant: TenantValue | None
) -> None:
    """`tenant`: whose the row is, as far as that is known."""
    for item in items:
        target = item["ResTarget"]
        column = tenants.bound(_protected(relation, target.get("name", "")), tenant)
        node = target["val"]
        if column is not None and "indirection" in target:
            raise refuse.value_form(column, context.position(target.get("location")))
        if "MultiAssignRef" in node:
            _multiple(context, node["MultiAssignRef"], column, target, scope)
        elif column is not None:
            store(context, node, column, scope)
        else:
            expressions.plain(context, node, scope, "SET")
            expressions.plain(context, target.get("indirection"), scope, "SET")


def _multiple(context: Context, assign: Node, column: ProtectedColumn | None, target: Node, scope: Scope) -> None:
    """One column of `SET (a, b) = (x, y)` or `= (SELECT ...)`."""
    number = assign.get("colno", 1) - 1
    source = assign["source"]
    position = context.position(target.get("location"))
    values = source.get("RowExpr", {}).get("args")
    if values is not None and number < len(values):
        if column is not None:
            store(context, values[number], column, scope)
        else:
            expressions.plain(context, values[number], scope, "SET (...) = (...)")
        return
    if "SubLink" not in source:
        if column is not None:
            raise refuse.value_form(column, position)
        expressions.plain(context, source, scope, "SET (...) = (...)")
        return
    outputs = subselect(context, source["SubLink"], scope)
    given = outputs[number] if outputs is not None and number < len(outputs) else None
    if column is not None:
        if given is None:
            raise refuse.value_form(column, position)
        take(context, given.nested(), column, position)
    elif given is not None:
        if given.protected is not None:
            raise refuse.construct(given.protected, "SET", position)
        given.use_plain()


def _merge(context: Context, tree: Node, scope: Scope) -> Outputs:
    """MERGE: the source's values can be sealed, and every action writes as UPDATE and INSERT do."""
    relation, source = _target(context, tree["relation"], scope)
    from_clause(context, [tree["sourceRelation"]], scope)
    source_scope = Scope(scope.parent, scope.sources[1:], scope.ctes)
    expressions.plain(context, tree["joinCondition"], scope, "MERGE ON")
    for item in tree.get("mergeWhenClauses", ()):
        clause = item["MergeWhenClause"]
        expressions.plain(context, clause.get("condition"), scope, "MERGE WHEN")
        if clause.get("commandType") == "CMD_UPDATE":
            items = clause.get("targetList", [])
            owner = tenants.tenant_of(relation)
            if owner is not None and relation is not None:
                tenants.check_move(relation, owner, items, is_whole=False)
            _set_list(context, items, relation, scope, None)
        elif clause.get("commandType") == "CMD_INSERT":
            columns = _insert_columns(
                context, {"cols": clause["targetList"]} if "targetList" in clause else {}, relation
            )
            _row(context, clause.get("values", []), columns, source_scope, is_open=_is_open(relation))
    merge_columns(context, tree, relation)
    # RETURNING * gives the source's columns before the target's, depending on the version: listed columns only
    scope.star, scope.merges = None, True
    return _returning(context, tree, scope, source)


def _update(context: Context, tree: Node, scope: Scope) -> Outputs:
    relation, source = _target(context, tree["relation"], scope)
    from_clause(context, tree.get("fromClause", []), scope)
    tenant = tenants.of_update(context, tree, relation, source, scope)
    if not tenants.moves_row(relation, tree.get("targetList", [])):
        context.same_row = source.columns or ()
    _set_list(context, tree.get("targetList", []), relation, scope, tenant)
    context.same_row = ()
    where(context, tree.get("whereClause"), scope)
    return _returning(context, tree, scope, source)


def _delete(context: Context, tree: Node, scope: Scope) -> Outputs:
    _, source = _target(context, tree["relation"], scope)
    from_clause(context, tree.get("usingClause", []), scope)
    where(context, tree.get("whereClause"), scope)
    return _returning(context, tree, scope, source)
