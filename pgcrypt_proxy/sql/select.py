"""SELECT: what FROM brings into sight, where clauses may use it, and which outputs are protected columns."""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import expressions, refuse
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source, aliased, table_source


def select(context: Context, node: Node, parent: Scope | None) -> Outputs:
    """Analyse a SELECT (tagged or not) and return its output columns; None when their number is not known.

    Raises Refusal.
    """
    tree = node.get("SelectStmt", node)
    scope = Scope(parent)
    common_tables(context, tree.get("withClause"), scope)
    if tree.get("op", "SETOP_NONE") != "SETOP_NONE":
        outputs = _set_operation(context, tree, scope)
    elif "valuesLists" in tree:
        for row in tree["valuesLists"]:
            expressions.plain(context, row, scope, "VALUES")
        width = len(tree["valuesLists"][0].get("List", {}).get("items", ()))
        outputs = [ScopeColumn(f"column{i + 1}") for i in range(width)]
    else:
        outputs = _simple(context, tree, scope)
    if "intoClause" in tree:
        raise refuse.form("SELECT INTO")
    order_by(context, tree.get("sortClause", []), scope, outputs)
    for part in ("limitOffset", "limitCount"):
        expressions.plain(context, tree.get(part), scope, "LIMIT")
    return outputs


def _simple(context: Context, tree: Node, scope: Scope) -> Outputs:
    from_clause(context, tree.get("fromClause", []), scope)
    outputs = targets(context, tree.get("targetList", []), scope)
    where(context, tree.get("whereClause"), scope)
    _group_by(context, tree.get("groupClause", []), scope, outputs)
    expressions.plain(context, tree.get("havingClause"), scope, "HAVING")
    for definition in tree.get("windowClause", ()):
        expressions.window(context, definition["WindowDef"], scope)
    if "distinctClause" in tree:
        expressions.plain(context, [item for item in tree["distinctClause"] if item], scope, "DISTINCT ON")
        _refuse_protected(outputs, "SELECT DISTINCT")
    return outputs


def where(context: Context, node: Node | None, scope: Scope) -> None:
    """A condition: equality predicates are rewritten, the rest must be plain."""
    if node is not None and "CurrentOfExpr" in node:
        return
    expressions.plain(context, node, scope, "WHERE")


def _refuse_protected(outputs: Outputs, what: str) -> None:
    for output in outputs or ():
        if output.protected is not None:
            raise refuse.construct(output.protected, what)


def _set_operation(context: Context, tree: Node, scope: Scope) -> Outputs:
    left = select(context, tree["larg"], scope)
    right = select(context, tree["rarg"], scope)
    if left is None or right is None:
        for outputs in (left, right):
            _refuse_protected(outputs, "a set operation over columns that are not known")
        return None
    is_union_all = tree["op"] == "SETOP_UNION" and tree.get("all", False)
    for one, other in zip(left, right, strict=False):
        if one.protected is None and other.protected is None:
            continue
        if not is_union_all or one.protected is not other.protected:
            found = one.protected or other.protected
            assert found is not None
            raise refuse.construct(found, "UNION, INTERSECT or EXCEPT")
    return left


def common_tables(context: Context, clause: Node | None, scope: Scope) -> None:
    """WITH: every common table expression becomes a source that FROM can name."""
    if clause is None:
        return
    is_recursive = clause.get("recursive", False)
    for item in clause.get("ctes", ()):
        tree = item["CommonTableExpr"]
        name = tree["ctename"]
        names = [part["String"].get("sval", "") for part in tree.get("aliascolnames", ())]
        if is_recursive:
            scope.ctes[name] = Source(name, None)
        outputs = _cte_query(context, tree["ctequery"], scope)
        if is_recursive:
            _refuse_protected(outputs, "WITH RECURSIVE")
        source = Source(name, tuple(outputs) if outputs is not None else None)
        scope.ctes[name] = aliased(source, name, names)


def _cte_query(context: Context, node: Node, scope: Scope) -> Outputs:
    ((kind, tree),) = node.items()
    outputs = select(context, tree, scope) if kind == "SelectStmt" else context.write(context, kind, tree, scope)
    if outputs is None and context.tables:
        raise refuse.form("a common table expression whose columns are not known")
    return outputs


def from_clause(context: Context, items: list[Node], scope: Scope) -> None:
    """Bring every FROM item into `scope`, in order, with the columns that `*` gives."""
    for item in items:
        star = from_item(context, item, scope)
        scope.star = None if scope.star is None or star is None else scope.star + star


def from_item(context: Context, node: Node, scope: Scope) -> Outputs:
    """Bring one FROM item into `scope`; returns what `*` gives for it."""
    ((kind, tree),) = node.items()
    if kind == "JoinExpr":
        return _join(context, tree, scope)
    if kind == "RangeVar":
        source = _range_var(context, tree, scope)
    elif kind == "RangeSubselect":
        source = _subselect(context, tree, scope)
    elif kind in ("RangeFunction", "RangeTableFunc", "JsonTable"):
        source = Source(tree.get("alias", {}).get("aliasname", ""), None)
        expressions.plain(context, _function_parts(tree), scope, "a function in FROM")
    elif kind == "RangeTableSample":
        expressions.plain(context, tree.get("args"), scope, "TABLESAMPLE")
        expressions.plain(context, tree.get("repeatable"), scope, "TABLESAMPLE")
        return from_item(context, tree["relation"], scope)
    else:
        raise refuse.form(kind, context.position(tree.get("location")))
    scope.sources.append(source)
    return list(source.columns) if source.columns is not None else None


def _function_parts(tree: Node) -> list[Any]:
    """The expressions of a function in FROM; type names and column definitions hold none."""
    if "functions" not in tree:
        raise refuse.form("XMLTABLE or JSON_TABLE")
    parts = []
    for item in tree["functions"]:
        parts += [part for part in item["List"]["items"] if part and "ColumnDef" not in part and "List" not in part]
    return parts


def _range_var(context: Context, tree: Node, scope: Scope) -> Source:
    alias = tree.get("alias", {})
    names = [part["String"].get("sval", "") for part in alias.get("colnames", ())]
    name, schema = tree["relname"], tree.get("schemaname")
    cte = scope.cte(name) if schema is None else None
    if cte is not None:
        return aliased(cte, alias.get("aliasname", name), names)
    relation = context.lookup(schema, name, tree.get("location"))
    if relation is None:
        return Source(alias.get("aliasname", name), None, schema)
    source = table_source(relation, alias.get("aliasname"))
    return aliased(source, source.alias, names) if names else source


def _subselect(context: Context, tree: Node, scope: Scope) -> Source:
    inner_parent = scope if tree.get("lateral") else _without_sources(scope)
    outputs = select(context, tree["subquery"], inner_parent)
    alias = tree.get("alias", {})
    names = [part["String"].get("sval", "") for part in alias.get("colnames", ())]
    if outputs is None:
        return Source(alias.get("aliasname", ""), None)
    return aliased(Source("", tuple(outputs)), alias.get("aliasname", ""), names)


def _without_sources(scope: Scope) -> Scope:
    """The scope around this query level, with its WITH names but not its FROM items."""
    return Scope(scope.parent, ctes=scope.ctes)


def _join(context: Context, tree: Node, scope: Scope) -> Outputs:
    first = len(scope.sources)
    left = from_item(context, tree["larg"], scope)
    middle = len(scope.sources)
    right = from_item(context, tree["rarg"], scope)
    using = [part["String"].get("sval", "") for part in tree.get("usingClause", ())]
    left_sources, right_sources = scope.sources[first:middle], scope.sources[middle:]
    if tree.get("isNatural"):
        if left is None or right is None:
            if any(s.has_protected for s in (*left_sources, *right_sources)):
                raise refuse.form("NATURAL JOIN with columns that are not known")
        else:
            using = [c.name for c in left if any(c.name == other.name for other in right)]
    for source in (*left_sources, *right_sources):
        for column in source.columns or ():
            if column.protected is not None and column.name in using:
                raise refuse.construct(column.protected, "JOIN USING or NATURAL JOIN", hint="Join with ON.")
    expressions.plain(context, tree.get("quals"), scope, "JOIN ON")
    if "alias" in tree or "join_using_alias" in tree:
        if any(s.has_protected for s in (*left_sources, *right_sources)):
            raise refuse.form("an alias on a join")
        del scope.sources[first:]
        scope.sources.append(Source(tree.get("alias", {}).get("aliasname", ""), None))
        return None
    if left is None or right is None:
        return None
    merged = [ScopeColumn(name) for name in using]
    rest = [c for c in (*left, *right) if c.name not in using]
    return merged + rest


def targets(context: Context, items: list[Node], scope: Scope) -> Outputs:
    """A target list (SELECT or RETURNING): one output per column, None when a `*` is not known."""
    outputs: list[ScopeColumn] | None = []
    known: list[ScopeColumn] = []
    for item in items:
        tree = item["ResTarget"]
        made = _target(context, tree, scope)
        if made is None:
            outputs = None
        else:
            known += made
    if outputs is None:
        for output in known:
            if output.protected is not None:
                raise refuse.construct(
                    output.protected,
                    "a result with * over columns that are not known",
                    hint="List the columns.",
                )
        return None
    return known


def _target(context: Context, tree: Node, scope: Scope) -> Outputs:
    node = tree["val"]
    reference = node.get("ColumnRef")
    if reference is not None:
        names = expressions.column_names(reference)
        if names is None:
            return _star(context, reference, scope)
        return [ScopeColumn(tree.get("name") or names[-1], expressions.column(context, reference, scope))]
    expressions.plain(context, node, scope, "an expression in the result")
    return [ScopeColumn(tree.get("name", "?"))]


def _star(context: Context, tree: Node, scope: Scope) -> Outputs:
    qualifier = [part["String"].get("sval", "") for part in tree["fields"][:-1]]
    if not qualifier:
        if scope.star is None and any(s.has_protected for s in scope.sources):
            raise refuse.form("* over columns that are not known", context.position(tree.get("location")))
        return scope.star
    source = scope.source(qualifier)
    if source is None or source.columns is None:
        return None
    return list(source.columns)


def _group_by(context: Context, items: list[Node], scope: Scope, outputs: Outputs) -> None:
    for item in items:
        _key(context, item, scope, outputs, "GROUP BY")


def order_by(context: Context, items: list[Node], scope: Scope, outputs: Outputs) -> None:
    """ORDER BY: keys must be plain, whether named by expression, output name or ordinal."""
    for item in items:
        _key(context, item["SortBy"]["node"], scope, outputs, "ORDER BY")


def _key(context: Context, node: Node, scope: Scope, outputs: Outputs, what: str) -> None:
    constant = node.get("A_Const", {})
    if "ival" in constant:
        number = constant["ival"].get("ival", 0)
        if outputs is not None and 0 < number <= len(outputs):
            found = outputs[number - 1].protected
            if found is not None:
                raise refuse.construct(found, what, context.position(constant.get("location")))
        return
    reference: Node = node.get("ColumnRef", {})
    names = expressions.column_names(reference) if reference else None
    if names is not None and len(names) == 1:
        for output in outputs or ():
            if output.name == names[0] and output.protected is not None:
                raise refuse.construct(output.protected, what, context.position(reference.get("location")))
        if what == "ORDER BY" and any(o.name == names[0] for o in outputs or ()):
            return
    expressions.plain(context, node, scope, what)
