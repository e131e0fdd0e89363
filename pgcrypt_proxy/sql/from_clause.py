"""FROM: what each item brings into sight."""

from __future__ import annotations

from dataclasses import replace

from pgcrypt_proxy.sql import joins, operands, refuse
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.feeds import Feed
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import names_of
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source, aliased, table_source
from pgcrypt_proxy.sql.star import column_aliases


def feed_column(
    context: Context, name: str, nodes: list[Node], scope: Scope, *, is_array: bool = False, is_unnamed: bool = False
) -> ScopeColumn:
    """A derived column of values that stand in the statement; what they become is decided where it is used.

    `is_unnamed`: an output whose name comes from the value's form.
    """
    feed = Feed(tuple(nodes), scope, is_array, label=name if is_unnamed else None)
    context.feeds.append(feed)
    return ScopeColumn(name, feed=feed, is_direct=False)


def is_operand(context: Context, node: Node, *, is_array: bool = False) -> bool:
    """Whether `node` is a parameter or literal (an array of them), which can become an envelope or a term."""
    if is_array:
        inner = node["TypeCast"]["arg"] if "TypeCast" in node else node
        if "A_ArrayExpr" in inner:
            return all(is_operand(context, element) for element in inner["A_ArrayExpr"].get("elements", ()))
    try:
        operand = operands.read(node, context.text)
    except NotAnOperand:
        return False
    return operand.is_array == is_array or (is_array and operand.cast is None)


def from_clause(context: Context, items: list[Node], scope: Scope) -> None:
    """Bring every FROM item into `scope`, in order, with the columns that `*` gives."""
    scope.items += items
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
    elif kind == "RangeFunction":
        source = _unnest(context, tree, scope) or _functions(context, tree, scope)
    elif kind == "RangeTableSample":
        context.plain(context, tree.get("args"), scope, "TABLESAMPLE")
        context.plain(context, tree.get("repeatable"), scope, "TABLESAMPLE")
        return from_item(context, tree["relation"], scope)
    else:
        words = "XMLTABLE or JSON_TABLE" if kind in ("RangeTableFunc", "JsonTable") else kind
        raise refuse.form(words, context.position(tree.get("location")))
    scope.sources.append(source)
    return list(source.columns) if source.columns is not None else None


def _range_var(context: Context, tree: Node, scope: Scope) -> Source:
    alias = tree.get("alias", {})
    names = names_of(alias.get("colnames", []))
    name, schema = tree["relname"], tree.get("schemaname")
    cte = scope.cte(name) if schema is None else None
    if cte is not None:
        return aliased(cte, alias.get("aliasname", name), names)
    relation = context.lookup(schema, name, tree.get("location"))
    if relation is None:
        return Source(alias.get("aliasname", name), None, schema)
    source = table_source(relation, alias.get("aliasname"))
    if not names:
        return source
    if source.row is not None:
        column_aliases(context, tree, relation, names)
    return replace(aliased(source, source.alias, names), row=source.row)


def _subselect(context: Context, tree: Node, scope: Scope) -> Source:
    inner_parent = scope if tree.get("lateral") else _without_sources(scope)
    outputs = context.select(context, tree["subquery"], inner_parent)
    alias = tree.get("alias", {})
    if outputs is None:
        return Source(alias.get("aliasname", ""), None)
    return aliased(Source("", tuple(outputs)), alias.get("aliasname", ""), names_of(alias.get("colnames", [])))


def _without_sources(scope: Scope) -> Scope:
    """The scope around this query level, with its WITH names but not its FROM items."""
    return Scope(scope.parent, ctes=scope.ctes)


def _functions(context: Context, tree: Node, scope: Scope) -> Source:
    for item in tree["functions"]:
        # beside the call stands a column definition list, which has no expressions
        context.plain(context, [p for p in item["List"]["items"] if p and "List" not in p], scope, "a function in FROM")
    return Source(tree.get("alias", {}).get("aliasname", _function_name(tree)), None)


def _function_name(tree: Node) -> str:
    """The alias of a function in FROM that is given none."""
    items = [item["List"]["items"][0] for item in tree["functions"]]
    names = names_of(items[0].get("FuncCall", {}).get("funcname", [])) if len(items) == 1 else []
    return names[-1] if names else ""


def _unnest(context: Context, tree: Node, scope: Scope) -> Source | None:
    """`unnest(array, ...)`, by which drivers and ORMs hand over many rows: one derived column for each array."""
    calls = [call["FuncCall"] for item in tree["functions"] for call in item["List"]["items"] if "FuncCall" in call]
    if len(calls) != 1 or names_of(calls[0].get("funcname", [])) not in (["unnest"], ["pg_catalog", "unnest"]):
        return None
    alias = tree.get("alias", {})
    arguments = calls[0].get("args", [])
    is_simple = not tree.get("coldeflist") and not tree.get("is_rowsfrom")
    if not is_simple or not all(is_operand(context, argument, is_array=True) for argument in arguments):
        return None
    alias_name = alias.get("aliasname", "unnest")
    # One array alone names its column as the function; more are all called unnest.
    default = alias_name if len(arguments) == 1 else "unnest"
    columns = [feed_column(context, default, [argument], scope, is_array=True) for argument in arguments]
    if tree.get("ordinality"):
        columns.append(ScopeColumn("ordinality", is_direct=False))
    return aliased(Source("", tuple(columns)), alias_name, names_of(alias.get("colnames", [])))


def _join(context: Context, tree: Node, scope: Scope) -> Outputs:
    first = len(scope.sources)
    left = from_item(context, tree["larg"], scope)
    middle = len(scope.sources)
    right = from_item(context, tree["rarg"], scope)
    return joins.join(context, tree, scope, left, right, first, middle)
