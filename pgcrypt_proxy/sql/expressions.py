"""Expressions: where a protected column may stand, and equality predicates on index terms.

Rule: a protected column may stand alone as an output, under IS [NOT] NULL, in
count(), and in an equality predicate that terms can answer. Everywhere else it
is refused; so is every node that is not listed here.
"""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import predicates, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.scope import AmbiguousName, Scope, WholeRow

#: Nodes that need plaintext of every operand; the words name them in a refusal.
PLAIN_NODES = {
    "BoolExpr": "a boolean expression",
    "BooleanTest": "IS TRUE/FALSE",
    "CoalesceExpr": "COALESCE",
    "CaseExpr": "CASE",
    "CaseWhen": "CASE",
    "MinMaxExpr": "GREATEST/LEAST",
    "A_ArrayExpr": "ARRAY[]",
    "RowExpr": "a row value",
    "A_Indirection": "subscripting",
    "A_Indices": "subscripting",
    "CollateClause": "COLLATE",
    "NamedArgExpr": "a function call",
    "SortBy": "ORDER BY",
    "GroupingSet": "GROUP BY",
    "GroupingFunc": "GROUPING",
    "List": "an expression list",
    "WindowDef": "a window",
    "JsonObjectConstructor": "JSON_OBJECT",
    "JsonArrayConstructor": "JSON_ARRAY",
    "JsonKeyValue": "JSON_OBJECT",
    "JsonValueExpr": "a JSON expression",
    "JsonIsPredicate": "IS JSON",
}
#: Nodes without operands.
LEAF_NODES = frozenset(
    {"A_Const", "SetToDefault", "SQLValueFunction", "String", "Integer", "Float", "Boolean", "A_Star"}
)


def column_names(tree: Node) -> list[str] | None:
    """The names of a ColumnRef, None when it ends in `*`."""
    fields = tree.get("fields", ())
    if any("A_Star" in part for part in fields):
        return None
    return [part["String"].get("sval", "") for part in fields]


def column(context: Context, tree: Node, scope: Scope) -> ProtectedColumn | None:
    """The protected column that a ColumnRef means. Refuses ambiguous names and whole rows."""
    position = context.position(tree.get("location"))
    names = column_names(tree)
    if names is None:
        source = scope.source([part["String"].get("sval", "") for part in tree["fields"][:-1]])
        if source is None or source.columns is None or source.has_protected:
            raise refuse.whole_row(source.alias if source else "*", position)
        return None
    try:
        return scope.resolve(names)
    except WholeRow:
        raise refuse.whole_row(names[-1], position) from None
    except AmbiguousName:
        raise refuse.form(f'the name "{names[-1]}", which may mean a protected column or not,', position) from None


def protected_ref(context: Context, node: Node | None, scope: Scope) -> ProtectedColumn | None:
    """The protected column when `node` is a bare reference to one, else None."""
    if node is None or "ColumnRef" not in node or column_names(node["ColumnRef"]) is None:
        return None
    return column(context, node["ColumnRef"], scope)


def plain(context: Context, node: Any, scope: Scope, what: str = "an expression") -> None:
    """Analyse an expression whose value must come from no protected column.

    `what` names the construct for refusals. `node` may be a list or None.
    """
    if node is None or isinstance(node, str | int | float | bool):
        return
    if isinstance(node, list):
        for item in node:
            plain(context, item, scope, what)
        return
    for kind, tree in node.items():
        if not kind[:1].isupper():
            plain(context, tree, scope, what)  # a field of a node without tag
        else:
            _tagged(context, kind, tree, scope, what)


def _tagged(context: Context, kind: str, tree: Any, scope: Scope, what: str) -> None:
    if kind in LEAF_NODES:
        return
    if kind == "ColumnRef":
        found = column(context, tree, scope)
        if found is not None:
            raise refuse.construct(found, what, context.position(tree.get("location")))
    elif kind == "ParamRef":
        context.pass_parameter(tree.get("number", 0))
    elif kind == "A_Expr":
        left, right = (protected_ref(context, tree.get(side), scope) for side in ("lexpr", "rexpr"))
        if not predicates.equality(context, tree, left, right):
            words = _operator_words(tree)
            plain(context, tree.get("lexpr"), scope, words)
            plain(context, tree.get("rexpr"), scope, words)
    elif kind == "TypeCast":
        plain(context, tree["arg"], scope, "a cast")
    elif kind == "NullTest":
        if protected_ref(context, tree["arg"], scope) is None:
            plain(context, tree["arg"], scope, "IS NULL on an expression")
    elif kind == "FuncCall":
        _function(context, tree, scope)
    elif kind == "SubLink":
        _sublink(context, tree, scope)
    elif kind in PLAIN_NODES:
        plain(context, list(tree.values()), scope, PLAIN_NODES[kind])
    else:
        raise refuse.form(f"{kind}", context.position(tree.get("location") if isinstance(tree, dict) else None))


def _operator_words(tree: Node) -> str:
    names = {
        "AEXPR_LIKE": "LIKE",
        "AEXPR_ILIKE": "ILIKE",
        "AEXPR_SIMILAR": "SIMILAR TO",
        "AEXPR_BETWEEN": "BETWEEN",
        "AEXPR_NOT_BETWEEN": "NOT BETWEEN",
        "AEXPR_BETWEEN_SYM": "BETWEEN SYMMETRIC",
        "AEXPR_NOT_BETWEEN_SYM": "NOT BETWEEN SYMMETRIC",
        "AEXPR_NULLIF": "NULLIF",
        "AEXPR_DISTINCT": "IS DISTINCT FROM",
        "AEXPR_NOT_DISTINCT": "IS NOT DISTINCT FROM",
        "AEXPR_IN": "IN",
    }
    kind = tree.get("kind", "AEXPR_OP")
    return names.get(kind) or f"operator {predicates.operator_name(tree)}"


def _function(context: Context, tree: Node, scope: Scope) -> None:
    names = [part["String"].get("sval", "") for part in tree.get("funcname", ())]
    arguments = tree.get("args", [])
    is_count = names in (["count"], ["pg_catalog", "count"]) and not tree.get("agg_distinct")
    if is_count and len(arguments) == 1 and protected_ref(context, arguments[0], scope) is not None:
        arguments = []
    words = f"function {names[-1]}()" if names else "a function call"
    plain(context, arguments, scope, words)
    for part in ("agg_order", "agg_filter"):
        plain(context, tree.get(part), scope, words)
    over = tree.get("over")
    if over is not None:
        window(context, over, scope)


def window(context: Context, tree: Node, scope: Scope) -> None:
    """A window definition: its keys and offsets must be plain."""
    for part in ("partitionClause", "orderClause", "startOffset", "endOffset"):
        plain(context, tree.get(part), scope, "a window")


def _sublink(context: Context, tree: Node, scope: Scope) -> None:
    kind = tree.get("subLinkType", "EXISTS_SUBLINK")
    plain(context, tree.get("testexpr"), scope, "IN (subquery)")
    outputs = context.select(context, tree["subselect"], scope)
    if kind == "EXISTS_SUBLINK":
        return
    for output in outputs or ():
        if output.protected is not None:
            raise refuse.construct(
                output.protected,
                "a subquery's value in an expression",
                context.position(tree.get("location")),
                hint="Join the table instead, or select the column itself.",
            )
