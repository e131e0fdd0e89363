"""Equality on protected columns, answered by the server on index terms.

`col = x` becomes `pgcrypt.eq(col) OPERATOR(pg_catalog.=) term(x)`: schema-named
throughout, so that no operator or function in the user's search_path is called.
"""

from __future__ import annotations

from pgcrypt_proxy.sql import array_operands, operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.operands import NotAnOperand, Operand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use


def operator_name(tree: Node) -> str:
    """The operator's own name, without schema."""
    return str(tree["name"][-1]["String"].get("sval", "")) if tree.get("name") else ""


def _is_equality(tree: Node) -> bool:
    names = [part["String"].get("sval", "") for part in tree.get("name", ())]
    return names in (["="], ["<>"], ["pg_catalog", "="], ["pg_catalog", "<>"])


def equality(context: Context, tree: Node, left: ProtectedColumn | None, right: ProtectedColumn | None) -> bool:
    """Rewrite an A_Expr that is an equality predicate on a protected column; False when it is none.

    `left` and `right` are the protected columns that its operands are. Raises
    Refusal for equality that terms cannot answer.
    """
    kind = tree.get("kind", "AEXPR_OP")
    if kind not in ("AEXPR_OP", "AEXPR_IN", "AEXPR_OP_ANY", "AEXPR_OP_ALL") or not _is_equality(tree):
        return False
    position = context.position(tree.get("location"))
    if kind == "AEXPR_OP" and (left is not None or right is not None):
        _operator(context, tree, left, right)
        return True
    if left is None:
        return False
    _searchable(left, position)
    name = operator_name(tree)
    if kind == "AEXPR_IN":
        _in_list(context, tree, left)
    elif (kind, name) in (("AEXPR_OP_ANY", "="), ("AEXPR_OP_ALL", "<>")):
        _array(context, tree, left)
    else:
        raise refuse.construct(left, f"{name} {'ANY' if kind.endswith('ANY') else 'ALL'}", position)
    wrap(context, tree["lexpr"]["ColumnRef"], left)
    return True


def _searchable(column: ProtectedColumn, position: int | None) -> None:
    if "equality" not in column.search:
        raise refuse.needs_search(column, position)


def wrap(context: Context, tree: Node, column: ProtectedColumn) -> None:
    """The column reference becomes its equality term: `pgcrypt.eq(...)`."""
    text = context.text
    location = tree.get("location", 0)
    first = text.token_index.get(text.to_char(location))
    if first is None:
        raise refuse.form("this spelling of a column name", context.position(location))
    last = first + 2 * len(tree["fields"]) - 2
    names = text.tokens[first : last + 1]
    if any(token.name == "UIDENT" for token in names) or any(t.name != "ASCII_46" for t in names[1::2]):
        raise refuse.form("this spelling of a column name", context.position(location))
    context.edit(names[0].start, names[0].start, "pgcrypt.eq(")
    context.edit(names[-1].end, names[-1].end, ")")


def _operator(context: Context, tree: Node, left: ProtectedColumn | None, right: ProtectedColumn | None) -> None:
    position = context.position(tree.get("location"))
    for column in (left, right):
        if column is not None:
            _searchable(column, position)
    _qualify(context, tree)
    if left is not None and right is not None:
        if left.index_domain != right.index_domain or left.type.name != right.type.name:
            raise refuse.construct(
                left,
                f'comparison with "{right.qualified_name}", which is of another index domain or type,',
                position,
                hint="Give both columns the same index_domain in the rules, then protect them anew.",
            )
        wrap(context, tree["lexpr"]["ColumnRef"], left)
        wrap(context, tree["rexpr"]["ColumnRef"], right)
        return
    column, side, other = (left, "lexpr", "rexpr") if left is not None else (right, "rexpr", "lexpr")
    assert column is not None
    context.replace(_scalar(context, tree.get(other), column, position), Use.TERM, column)
    wrap(context, tree[side]["ColumnRef"], column)


def _scalar(context: Context, node: Node | None, column: ProtectedColumn, position: int | None) -> Operand:
    try:
        operand = operands.read(node or {"": None}, context.text)
    except NotAnOperand:
        raise refuse.operand_form(column, position) from None
    if operand.is_array:
        raise refuse.operand_form(column, position)
    return operand


def _in_list(context: Context, tree: Node, column: ProtectedColumn) -> None:
    """`col IN (a, b)` becomes `... OPERATOR(pg_catalog.=) ANY (ARRAY[a, b]::pg_catalog.bytea[])`."""
    text = context.text
    position = context.position(tree.get("location"))
    start, end = (tree.get(key, -1) for key in ("rexpr_list_start", "rexpr_list_end"))
    items = tree.get("rexpr", {}).get("List", {}).get("items", [])
    if start < 0 or end < 0 or not items:
        raise refuse.operand_form(column, position)
    for item in items:
        context.replace(_scalar(context, item, column, position), Use.TERM, column)
    name = operator_name(tree)
    opening, closing = text.to_char(start), text.to_char(end)
    quantifier = "ANY" if name == "=" else "ALL"
    context.edit(text.to_char(tree["location"]), opening + 1, f"OPERATOR(pg_catalog.{name}) {quantifier} (ARRAY[")
    context.edit(closing, closing + 1, "]::pg_catalog.bytea[])")


def _array(context: Context, tree: Node, column: ProtectedColumn) -> None:
    """`col = ANY (array)` with an array parameter, an array literal or ARRAY[...]."""
    try:
        array_operands.replace(context, tree["rexpr"], column, Use.TERM)
    except NotAnOperand:
        raise refuse.operand_form(column, context.position(tree.get("location"))) from None
    _qualify(context, tree)


def _qualify(context: Context, tree: Node) -> None:
    """The operator gets its schema: `=` becomes `OPERATOR(pg_catalog.=)`."""
    if len(tree["name"]) > 1:
        return
    text = context.text
    at = text.token_index.get(text.to_char(tree.get("location", -1)))
    if at is None:
        raise refuse.form("this spelling of an operator", context.position(tree.get("location")))
    token = text.tokens[at]
    context.edit(token.start, token.end, f"OPERATOR(pg_catalog.{operator_name(tree)})")
