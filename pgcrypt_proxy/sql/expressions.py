"""Expressions whose value must come from no protected column, and the few places where one may stand in them.

Rule: a protected column may stand alone as an output, under IS [NOT] NULL, in
count(), where only equality counts (PARTITION BY, count(DISTINCT)), and in an
equality predicate that terms can answer. Everywhere else it is refused; so is
every node that is not listed here.
"""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import predicates, refuse
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import column, field, names_of, whole_row
from pgcrypt_proxy.sql.scope import Scope
from pgcrypt_proxy.sql.sealed import choice_operand, lineage, referenced, seal_into
from pgcrypt_proxy.sql.terms import check_searchable, check_ungrouped, key, own_term, term_of

#: Nodes that need plaintext of every operand; the words name them in a refusal.
PLAIN_NODES = {
    "BoolExpr": "a boolean expression",
    "BooleanTest": "IS TRUE/FALSE",
    "CoalesceExpr": "COALESCE",
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
    {"A_Const", "SetToDefault", "SQLValueFunction", "MergeSupportFunc", "String", "Integer", "A_Star"}
)


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
        if found is not None and found.protected is not None:
            raise refuse.construct(found.protected, what, context.position(tree.get("location")))
        if found is not None:
            found.use_plain()
    elif kind == "ParamRef":
        context.pass_parameter(tree.get("number", 0))
    elif kind == "A_Expr":
        if not predicates.equality(context, tree, scope):
            words = predicates.words(tree)
            plain(context, tree.get("lexpr"), scope, words)
            plain(context, tree.get("rexpr"), scope, words)
    elif kind == "TypeCast":
        plain(context, tree["arg"], scope, "a cast")
    elif kind == "NullTest":
        _null_test(context, tree, scope)
    elif kind == "CaseExpr":
        conditions(context, tree, scope)
        plain(context, [part["CaseWhen"]["result"] for part in tree.get("args", ())], scope, "CASE")
        plain(context, tree.get("defresult"), scope, "CASE")
    elif kind == "FuncCall":
        _function(context, tree, scope)
    elif kind == "SubLink":
        predicates.sublink(context, tree, scope)
    elif kind == "A_Indirection" and (found := field(context, {kind: tree}, scope)) is not None:
        if found.protected is not None:
            raise refuse.construct(found.protected, what, context.position(tree["arg"]["ColumnRef"].get("location")))
        found.use_plain()
    elif kind == "GroupingFunc":
        for node in tree.get("args", ()):
            if not key(context, node, scope):
                plain(context, node, scope, "GROUPING")
    elif kind in PLAIN_NODES:
        is_operand = kind in ("RowExpr", "List") and what.startswith(("operator ", "BETWEEN", "NOT BETWEEN"))
        plain(context, list(tree.values()), scope, what if is_operand else PLAIN_NODES[kind])
    else:
        raise refuse.form(f"{kind}", context.position(tree.get("location") if isinstance(tree, dict) else None))


def _null_test(context: Context, tree: Node, scope: Scope) -> None:
    """IS [NOT] NULL: an envelope is NULL exactly when its value is, so a row's answer is the same too."""
    # a hidden column is NULL wherever the one is whose place it will take, but not the other way round
    if _counts_rows(context, tree["arg"], scope, counts_columns=tree.get("nulltesttype") == "IS_NOT_NULL"):
        return
    owner = lineage(context, tree["arg"], scope)
    if owner is None:
        operand = choice_operand(context, tree["arg"])
        if operand is not None and operand.parameter is not None:
            is_typed = operand.cast is not None or any(u.client_index == operand.parameter - 1 for u in context.uses)
            context.null_tests.append((operand, not is_typed))
        elif operand is not None and operand.text is not None and (operand.cast is None or operand.cast.name == "text"):
            # as with a parameter, the value may be one that is sealed elsewhere: any other says the same
            context.edit(operand.start, operand.end, "''")
        else:
            plain(context, tree["arg"], scope, "IS NULL on an expression")
        return
    found = referenced(context, tree["arg"], scope)
    if found is not None and scope.is_grouped(found):
        own_term(context, tree["arg"], scope, owner, context.position(tree.get("location")))
    elif found is None:
        check_ungrouped(tree["arg"], scope, owner, context.position(tree.get("location")))
        seal_into(context, tree["arg"], scope, owner)


def _counts_rows(context: Context, node: Node, scope: Scope, *, counts_columns: bool = False) -> bool:
    """Whether `node` is a whole row, of which only NULL counts here; what the row holds then stays as it is.

    `counts_columns`: and so does NULL in each column, also in one that clients do not see. Raises Refusal.
    """
    row = whole_row(context, node, scope)
    if row is None:
        return False
    if counts_columns and row.row is not None and row.row.is_changing:
        raise refuse.shown_row(row.row, context.position(node["ColumnRef"].get("location")))
    for each in row.columns or ():
        each.use_plain()
    return True


def conditions(context: Context, tree: Node, scope: Scope) -> None:
    """The conditions of a CASE; `CASE col WHEN x` compares like `col = x`."""
    argument = tree.get("arg")
    tests = [part["CaseWhen"]["expr"] for part in tree.get("args", ())]
    owner = next((o for node in (argument, *tests) if (o := lineage(context, node, scope))), None)
    if argument is None or owner is None:
        plain(context, [argument, *tests], scope, "CASE")
        return
    position = context.position(tree.get("location"))
    check_searchable(owner, position)
    for node in (argument, *tests):
        term_of(context, node, scope, owner, position)


def _function(context: Context, tree: Node, scope: Scope) -> None:
    names = names_of(tree.get("funcname", []))
    arguments = tree.get("args", [])
    if names in (["count"], ["pg_catalog", "count"]) and len(arguments) == 1:
        owner = lineage(context, arguments[0], scope) if whole_row(context, arguments[0], scope) is None else None
        if not tree.get("agg_distinct") and _counts_rows(context, arguments[0], scope):
            arguments = []
        elif owner is not None and tree.get("agg_distinct"):
            key(context, arguments[0], scope)
            arguments = []
        elif owner is not None:
            if referenced(context, arguments[0], scope) is None:
                seal_into(context, arguments[0], scope, owner)
            arguments = []
    words = f"function {names[-1]}()" if names else "a function call"
    plain(context, arguments, scope, words)
    for part in ("agg_order", "agg_filter"):
        plain(context, tree.get(part), scope, words)
    over = tree.get("over")
    if over is not None:
        window(context, over, scope)


def window(context: Context, tree: Node, scope: Scope) -> None:
    """A window definition: rows may be parted by terms; order and offsets must be plain."""
    for node in tree.get("partitionClause", ()):
        if not key(context, node, scope):
            plain(context, node, scope, "PARTITION BY")
    for part in ("orderClause", "startOffset", "endOffset"):
        plain(context, tree.get(part), scope, "a window")
