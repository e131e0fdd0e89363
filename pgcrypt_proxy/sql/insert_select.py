"""What is stored in a protected column, and the two forms of INSERT ... SELECT by which ORMs insert in bulk.

Both read from nothing but parameters and literals: `SELECT * FROM unnest(array,
...)` and `SELECT p0::type, ... FROM (VALUES ...) AS v (p0, ...)`. Any other
query for a protected column is refused.
"""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import array_operands, expressions, operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source
from pgcrypt_proxy.sql.select import order_by, select

Columns = list[ProtectedColumn | None]


def store(context: Context, node: Node, column: ProtectedColumn, scope: Scope) -> None:
    """`node` is stored in `column`: a parameter or literal is sealed, its own envelope and DEFAULT stay."""
    if "SetToDefault" in node:
        return
    ((_, tree),) = node.items()
    position = context.position(tree.get("location")) if isinstance(tree, dict) else None
    source = expressions.protected_ref(context, node, scope)
    if source is not None:
        if source.id != column.id:
            raise refuse.construct(source, f'copying into "{column.qualified_name}"', position)
        return  # the same column's envelope is valid in the same column
    try:
        operand = operands.read(node, context.text)
    except NotAnOperand:
        raise refuse.value_form(column, position) from None
    if operand.is_array:
        raise refuse.value_form(column, position)
    context.replace(operand, Use.SEAL, column)


def insert_select(context: Context, query: Node, columns: Columns | None, scope: Scope) -> None:
    """The query of an INSERT whose target columns are `columns` (None: nothing is known of the table)."""
    if (
        columns is not None
        and any(columns)
        and (_from_unnest(context, query, columns, scope) or _from_values(context, query, columns, scope))
    ):
        return
    outputs = select(context, query, scope)
    for column in columns or ():
        if column is not None:
            raise refuse.construct(
                column, "INSERT ... SELECT", hint="Read the rows in the application and insert them with VALUES."
            )
    for output in outputs or ():
        if output.protected is not None:
            raise refuse.construct(output.protected, "INSERT ... SELECT into an unprotected column")


def _only_item(query: Node, kind: str, optional: frozenset[str] = frozenset()) -> Node:
    """The query's one FROM item when it is of that kind and nothing but `optional` clauses stand beside it."""
    clauses = {"targetList", "fromClause", "limitOption", "op"}
    items = query.get("fromClause", [])
    if set(query) - optional != clauses or query["op"] != "SETOP_NONE" or len(items) != 1:
        return {}
    found: Node = items[0].get(kind, {})
    return found


def _from_unnest(context: Context, query: Node, columns: Columns, scope: Scope) -> bool:
    """`SELECT * FROM unnest(array, ...)`: one array for each column. False when it is of another form."""
    function = _only_item(query, "RangeFunction")
    calls = [call for item in function.get("functions", ()) for call in item["List"]["items"] if call]
    target = query["targetList"][0]["ResTarget"]["val"] if len(query.get("targetList", ())) == 1 else {}
    is_star = target.get("ColumnRef", {}).get("fields") == [{"A_Star": {}}]
    if not is_star or set(function) != {"functions"} or len(calls) != 1:
        return False
    call = calls[0].get("FuncCall", {})
    names = [part["String"].get("sval") for part in call.get("funcname", ())]
    arguments = call.get("args", [])
    if names not in (["unnest"], ["pg_catalog", "unnest"]) or len(arguments) != len(columns):
        return False
    for column, argument in zip(columns, arguments, strict=True):
        if column is None:
            expressions.plain(context, argument, scope, "unnest()")
            continue
        try:
            array_operands.replace(context, argument, column, Use.SEAL)
        except NotAnOperand:
            raise refuse.value_form(column) from None
    return True


def _from_values(context: Context, query: Node, columns: Columns, scope: Scope) -> bool:
    """`SELECT v.a::type, ... FROM (VALUES ...) AS v (a, ...) ORDER BY v.n`. False when it is of another form.

    The values that reach a protected column are sealed where they stand; their
    names are protected from then on, so any other use of them is refused.
    """
    item = _only_item(query, "RangeSubselect", frozenset({"sortClause"}))
    rows = item.get("subquery", {}).get("SelectStmt", {})
    alias = item.get("alias", {})
    names = [part["String"].get("sval", "") for part in alias.get("colnames", ())]
    if set(rows) != {"valuesLists", "limitOption", "op"} or item.get("lateral") or not names:
        return False
    targets = [target["ResTarget"]["val"] for target in query["targetList"]]
    width = len(rows["valuesLists"][0]["List"]["items"])
    if len(targets) != len(columns) or len(names) != width or len(set(names)) != width:
        return False
    sealed: dict[int, ProtectedColumn] = {}
    for column, target in zip(columns, targets, strict=True):
        if column is not None:
            number = _passed_on(context, target, column, alias.get("aliasname", ""), names)
            if number in sealed:
                raise refuse.value_form(column)
            sealed[number] = column
    for row in rows["valuesLists"]:
        for number, node in enumerate(row["List"]["items"]):
            if number in sealed:
                store(context, node, sealed[number], scope)
            else:
                expressions.plain(context, node, scope, "VALUES")
    made = tuple(ScopeColumn(name, sealed.get(number)) for number, name in enumerate(names))
    inner = Scope(scope, [Source(alias.get("aliasname", ""), made)])
    for column, target in zip(columns, targets, strict=True):
        if column is None:
            expressions.plain(context, target, inner, "INSERT ... SELECT into an unprotected column")
    order_by(context, query.get("sortClause", []), inner, None)
    return True


def _passed_on(context: Context, target: Any, column: ProtectedColumn, alias: str, names: list[str]) -> int:
    """Which of VALUES' columns `target` passes on; a cast to the column's own type is taken away."""
    cast = target.get("TypeCast")
    reference = (cast["arg"] if cast else target).get("ColumnRef")
    found = expressions.column_names(reference) if reference else None
    if not found or found[-1] not in names or found[:-1] not in ([], [alias]):
        raise refuse.value_form(column)
    if cast is not None:
        _drop_cast(context, cast, reference, len(found), column)
    return names.index(found[-1])


def _drop_cast(context: Context, cast: Node, reference: Node, parts: int, column: ProtectedColumn) -> None:
    text = context.text
    try:
        type_, is_array = operands.logical_type(cast["typeName"])
        is_same = type_.name == column.type.name and type_.typmod in (-1, column.type.typmod) and not is_array
        first = text.token_index.get(text.to_char(reference.get("location", -1)))
        if first is None or not is_same:
            raise NotAnOperand
        span = text.tokens[first].start, text.tokens[first + 2 * parts - 2].end
        whole = operands.cast_span(cast, text, *span)
    except NotAnOperand:
        raise refuse.value_form(column) from None
    context.edit(*whole, text.sql[slice(*span)])
