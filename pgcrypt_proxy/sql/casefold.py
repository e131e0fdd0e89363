"""Comparison without regard to case, answered by the server on case-folded terms.

`lower(col) = lower($1)` becomes `pgcrypt.eqci(col) = fold($1)`. A value that is
compared with `lower(col)` as it is may have upper-case letters: then it equals
nothing, and its term is one that no value has. ILIKE compares lower-case forms
too; its pattern must turn out to have no wildcard. upper() makes other texts
equal than lower() does (a long s and an S, but no Kelvin sign and a k), so that
a column has terms for one of the two.
"""

from __future__ import annotations

from pgcrypt_proxy.policy.model import EQUALITY_CASEFOLD, EQUALITY_UPPER
from pgcrypt_proxy.sql import array_operands, operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.references import names_of, span
from pgcrypt_proxy.sql.scope import Scope
from pgcrypt_proxy.sql.sealed import lineage, referenced, seal_into
from pgcrypt_proxy.sql.terms import check_same_domain, wrap

#: The search mode that answers a function.
_MODES = {"lower": EQUALITY_CASEFOLD, "upper": EQUALITY_UPPER}
_FUNCTION = "pgcrypt.eqci"
_EQUALITY = (["="], ["<>"], ["pg_catalog", "="], ["pg_catalog", "<>"])
_KINDS = frozenset({"AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"})


def _call(node: Node | None) -> tuple[str, Node] | None:
    """lower or upper, and what it is called on; None when `node` is no such call."""
    call = (node or {}).get("FuncCall", {})
    *schema, name = names_of(call.get("funcname", [])) or [""]
    if name not in _MODES or schema not in ([], ["pg_catalog"]) or len(call.get("args", ())) != 1:
        return None
    if set(call) - {"funcname", "args", "location", "funcformat"}:
        return None
    return name, call["args"][0]


def _folded(context: Context, nodes: list[Node], scope: Scope) -> tuple[str, ProtectedColumn] | None:
    """The function that the first of `nodes` is which folds a protected column, and that column."""
    for node in nodes:
        call = _call(node)
        owner = lineage(context, call[1], scope) if call is not None else None
        if call is not None and owner is not None:
            return call[0], owner
    return None


def comparison(context: Context, tree: Node, scope: Scope) -> ProtectedColumn | None:
    """Rewrite the operands of an A_Expr that compares a column's lower- or upper-case form, and return that column.

    None when it compares none. Of ILIKE, the operator is rewritten too.
    """
    kind = tree.get("kind", "AEXPR_OP")
    left, right = tree.get("lexpr"), tree.get("rexpr")
    if kind == "AEXPR_ILIKE":
        return _ilike(context, tree, scope)
    items = right.get("List", {}).get("items", []) if kind == "AEXPR_IN" and right else []
    if left is None or right is None:
        return None
    is_quantified = kind in ("AEXPR_OP_ANY", "AEXPR_OP_ALL")
    folded = _folded(context, [left] if is_quantified else [left, right, *items], scope)
    if folded is None:
        return None
    function, owner = folded
    position = context.position(tree.get("location"))
    if names_of(tree.get("name", [])) not in _EQUALITY:
        return None  # a comparison that needs the text itself: refused where the function is seen
    if kind in _KINDS:
        for side in (left, right):
            _term(context, side, scope, function, owner, position)
    elif kind == "AEXPR_IN":
        for side in (left, *items):
            _term(context, side, scope, function, owner, position)
    elif is_quantified:
        _term(context, left, scope, function, owner, position)
        try:
            array_operands.replace(context, right, owner, Use.FOLDED)
        except NotAnOperand:
            raise refuse.operand_form(owner, position) from None
    else:
        return None
    return owner


def _ilike(context: Context, tree: Node, scope: Scope) -> ProtectedColumn | None:
    """`col ILIKE 'text'`: equal in lower case, if the pattern has no wildcard (known when its value is)."""
    left, right = tree.get("lexpr"), tree.get("rexpr")
    owner = lineage(context, left, scope)
    if owner is None or left is None or right is None or names_of(tree["name"]) not in (["~~*"], ["!~~*"]):
        return None
    position = context.position(tree.get("location"))
    _check(owner, position, "lower", "ILIKE")
    text = context.text
    at = text.token_index.get(text.to_char(tree.get("location", -1)))
    try:
        operand = operands.read(right, text)
    except NotAnOperand:
        raise refuse.operand_form(owner, position) from None
    if operand.is_array or at is None:
        raise refuse.operand_form(owner, position)
    is_negated = names_of(tree["name"]) == ["!~~*"]
    last = at + (text.tokens[at].name in ("NOT", "NOT_LA"))
    if text.tokens[last].name not in ("ILIKE", "Op"):
        raise refuse.form("this spelling of ILIKE", position)
    sign = "<>" if is_negated else "="
    context.edit(text.tokens[at].start, text.tokens[last].end, f"OPERATOR(pg_catalog.{sign})")
    context.replace(operand, Use.PATTERN, owner)
    _wrap(context, left, scope, owner)
    return owner


def _term(
    context: Context, node: Node, scope: Scope, function: str, owner: ProtectedColumn, position: int | None
) -> None:
    """One side of the comparison becomes a case-folded term of `owner`'s index domain."""
    call = _call(node)
    if call is not None and call[0] != function:
        raise refuse.operand_form(owner, position)
    argument = call[1] if call is not None else None
    theirs = lineage(context, argument, scope)
    if argument is not None and theirs is not None:
        _check(theirs, position, function, f"{function}()")
        check_same_domain(owner, theirs, position, is_folded=True)
        _drop_function(context, node)
        _wrap(context, argument, scope, theirs)
        return
    use = Use.FOLDED if argument is None else Use.FOLD
    try:
        operand = operands.read(argument or node, context.text)
    except NotAnOperand:
        raise refuse.operand_form(owner, position) from None
    if operand.is_array:
        raise refuse.operand_form(owner, position)
    if argument is not None:
        _drop_function(context, node)
    context.replace(operand, use, owner)


def _check(owner: ProtectedColumn, position: int | None, function: str, what: str) -> None:
    if _MODES[function] not in owner.search:
        raise refuse.needs_folded(owner, what, _MODES[function], position)


def _wrap(context: Context, node: Node, scope: Scope, owner: ProtectedColumn) -> None:
    if referenced(context, node, scope) is None:
        seal_into(context, node, scope, owner)
    wrap(context, node, _FUNCTION)


def _drop_function(context: Context, node: Node) -> None:
    """The name before the parenthesis goes; the parentheses stay."""
    start, end = span(context, node)
    text = context.text
    at = text.token_index[start]
    while text.tokens[at].name != "ASCII_40":
        at += 1
    if text.tokens[at].start < end:
        context.edit(start, text.tokens[at].start, " ")
