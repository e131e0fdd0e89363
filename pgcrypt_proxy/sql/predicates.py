"""Equality on protected columns, answered by the server on index terms.

`col = x` becomes `pgcrypt.eq(col) OPERATOR(pg_catalog.=) term(x)`: schema-named
throughout, so that no operator or function in the user's search_path is called.
Rows are compared element by element, so only the elements that are protected change.
"""

from __future__ import annotations

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import array_operands, casefold, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.operands import NotAnOperand, closing
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.references import names_of, spelled
from pgcrypt_proxy.sql.scope import Scope
from pgcrypt_proxy.sql.sealed import lineage, referenced, subselect, take
from pgcrypt_proxy.sql.terms import check_searchable, output_term, own_term, term_of

#: How an A_Expr is called in refusals, where its operator does not say it.
WORDS = {
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
_COMPARISONS = frozenset({"AEXPR_OP", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"})
_EQUALITY = (["="], ["<>"], ["pg_catalog", "="], ["pg_catalog", "<>"])


def words(tree: Node) -> str:
    """The construct that an A_Expr is, for a refusal."""
    return WORDS.get(tree.get("kind", "AEXPR_OP")) or f"operator {_operator_name(tree)}"


def _operator_name(tree: Node) -> str:
    return names_of(tree.get("name", []))[-1] if tree.get("name") else ""


def equality(context: Context, tree: Node, scope: Scope) -> bool:
    """Rewrite an A_Expr that is an equality predicate on protected values; False when it is none.

    Raises Refusal for equality that terms cannot answer.
    """
    kind = tree.get("kind", "AEXPR_OP")
    folded = casefold.comparison(context, tree, scope)
    if folded is not None:
        if kind == "AEXPR_IN":
            any_of_array(context, tree, folded)
        elif kind in ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL"):
            qualify(context, tree)
        return True
    if names_of(tree.get("name", [])) not in _EQUALITY:
        return False
    if kind in _COMPARISONS:
        return _comparison(context, tree, scope)
    if kind == "AEXPR_IN":
        return _in_list(context, tree, scope)
    if kind in ("AEXPR_OP_ANY", "AEXPR_OP_ALL"):
        return _array(context, tree, scope)
    return False


def elements(node: Node | None) -> list[Node] | None:
    """The elements of a row value (`(a, b)`, `ROW(a, b)`), None for any other expression."""
    return node["RowExpr"].get("args", []) if node and "RowExpr" in node else None


def _comparison(context: Context, tree: Node, scope: Scope) -> bool:
    position = context.position(tree.get("location"))
    left, right = tree.get("lexpr"), tree.get("rexpr")
    if left is None or right is None:
        return False
    lefts, rights = elements(left), elements(right)
    if lefts is not None and right.get("SubLink", {}).get("subLinkType") == "EXPR_SUBLINK":
        query = right["SubLink"]
        return _row_of_query(context, lefts, query["subselect"], subselect(context, query, scope), scope, position)
    if lefts is None or rights is None or len(lefts) != len(rights):
        owner = lineage(context, left, scope) or lineage(context, right, scope)
        if owner is None:
            return False
        if _is_null_comparison(context, tree, left, right, scope):
            return True
        _pair(context, left, right, scope, position)
        if tree.get("kind", "AEXPR_OP") == "AEXPR_OP" and not _is_null(left) and not _is_null(right):
            qualify(context, tree)
        return True
    return _rows(context, lefts, [rights], scope, position)


def _is_null_comparison(context: Context, tree: Node, left: Node, right: Node, scope: Scope) -> bool:
    """`col = NULL` stays as it is: no value is in it, and with transform_null_equals it means IS NULL."""
    if names_of(tree["name"]) != ["="] or tree.get("kind", "AEXPR_OP") != "AEXPR_OP":
        return False
    for side, other in ((left, right), (right, left)):
        found = referenced(context, side, scope)
        if found is not None and not scope.is_grouped(found) and _is_null(other):
            return True
    return False


def _rows(context: Context, row: list[Node], others: list[list[Node]], scope: Scope, position: int | None) -> bool:
    """Each element of `row` is compared with its counterpart in each of `others`. The operator stays unqualified:
    the plain elements may need one of another schema."""
    columns = list(zip(row, *others, strict=True))
    owners = [next((o for node in column if (o := lineage(context, node, scope))), None) for column in columns]
    if not any(owners):
        return False
    for column, owner in zip(columns, owners, strict=True):
        for node in column:
            if owner is None:
                context.plain(context, node, scope, "a row comparison")
            else:
                _check_and_make(context, node, scope, owner, position)
    return True


def _row_of_query(
    context: Context, row: list[Node], query: Node, outputs: Outputs, scope: Scope, position: int | None
) -> bool:
    """`(a, b) = (SELECT x, y ...)`: each element of `row` is compared with an output of the query."""
    for number, node in enumerate(row):
        given = outputs[number] if outputs is not None and number < len(outputs) else None
        owner = lineage(context, node, scope) or (given.protected if given is not None else None)
        if owner is None:
            context.plain(context, node, scope, "a row comparison")
            if given is not None:
                given.use_plain()
            continue
        if outputs is not None and len(outputs) != len(row):  # the server would find fault with what terms were made of
            words = "many" if len(outputs) > len(row) else "few"
            raise Refusal(f"subquery has too {words} columns", sqlstate="42601", position=position)
        _check_and_make(context, node, scope, owner, position)
        output_term(context, query, outputs, number, owner, position)
    return True


def _check_and_make(context: Context, node: Node, scope: Scope, owner: ProtectedColumn, position: int | None) -> None:
    check_searchable(owner, position)
    term_of(context, node, scope, owner, position)


def _pair(context: Context, left: Node, right: Node, scope: Scope, position: int | None) -> None:
    owner = lineage(context, left, scope) or lineage(context, right, scope)
    assert owner is not None
    for side in (left, right):
        if not _is_null(side):
            _check_and_make(context, side, scope, owner, position)


def _is_null(node: Node) -> bool:
    """A bare NULL. `x = NULL` stays as it is written, for the server to read under transform_null_equals."""
    return bool(node.get("A_Const", {}).get("isnull"))


def _in_list(context: Context, tree: Node, scope: Scope) -> bool:
    """`col IN (a, b)` becomes `... OPERATOR(pg_catalog.=) ANY (ARRAY[a, b]::pg_catalog.bytea[])`."""
    position = context.position(tree.get("location"))
    items = tree.get("rexpr", {}).get("List", {}).get("items", [])
    left = tree.get("lexpr")
    row = elements(left)
    if row is not None:
        others = [elements(item) for item in items]
        if any(other is None or len(other) != len(row) for other in others):
            return False
        return _rows(context, row, [other for other in others if other is not None], scope, position)
    owner = next((o for node in (left, *items) if (o := lineage(context, node, scope))), None)
    if owner is None:
        return False
    check_searchable(owner, position)
    term_of(context, left, scope, owner, position)
    for item in items:
        term_of(context, item, scope, owner, position)
    any_of_array(context, tree, owner)
    return True


def any_of_array(context: Context, tree: Node, owner: ProtectedColumn) -> None:
    """The IN of a list whose elements are terms becomes ANY of an array, with an operator that has its schema."""
    text = context.text
    start, end = (tree.get(key, -1) for key in ("rexpr_list_start", "rexpr_list_end"))
    if start < 0 or end < 0:
        raise refuse.operand_form(owner, context.position(tree.get("location")))
    name = _operator_name(tree)
    opening, close = text.to_char(start), text.to_char(end)
    quantifier = "ANY" if name == "=" else "ALL"
    context.edit(text.to_char(tree["location"]), opening + 1, f"OPERATOR(pg_catalog.{name}) {quantifier} (ARRAY[")
    context.edit(close, close + 1, "]::pg_catalog.bytea[])")


def _array(context: Context, tree: Node, scope: Scope) -> bool:
    """`col = ANY (array)`, and ALL, with an array parameter, an array literal or ARRAY[...]."""
    left = tree.get("lexpr")
    owner = lineage(context, left, scope)
    if owner is None or left is None:
        return False
    position = context.position(tree.get("location"))
    if owner.type.element is not None:  # PostgreSQL compares no array with the elements of another
        raise refuse.operand_form(owner, position)
    own_term(context, left, scope, owner, position)
    try:
        array_operands.replace(context, tree["rexpr"], owner, Use.TERM)
    except NotAnOperand:
        raise refuse.operand_form(owner, position) from None
    qualify(context, tree)
    return True


def qualify(context: Context, tree: Node) -> None:
    """The operator gets its schema: `=` becomes `OPERATOR(pg_catalog.=)`."""
    if len(tree["name"]) > 1:
        return
    text = context.text
    at = text.token_index.get(text.to_char(tree.get("location", -1)))
    if at is None:
        raise refuse.form("this spelling of an operator", context.position(tree.get("location")))
    token = text.tokens[at]
    context.edit(token.start, token.end, f"OPERATOR(pg_catalog.{_operator_name(tree)})")


def sublink(context: Context, tree: Node, scope: Scope) -> None:
    """A subquery in an expression. Its values stay plain, or are terms that the test expression is compared with."""
    kind = tree.get("subLinkType", "EXISTS_SUBLINK")
    position = context.position(tree.get("location"))
    outputs = subselect(context, tree, scope)
    test = tree.get("testexpr")
    if test is not None:
        tests = elements(test) or [test]
        is_equality = names_of(tree.get("operName", [])) in ([], *_EQUALITY)
        if not is_equality:
            owners = [lineage(context, node, scope) for node in tests] + [o.protected for o in outputs or ()]
            owner = next((o for o in owners if o is not None), None)
            if owner is not None:
                raise refuse.construct(owner, f"operator {names_of(tree['operName'])[-1]}", position)
        _row_of_query(context, tests, tree["subselect"], outputs, scope, position)
        return
    if kind == "EXISTS_SUBLINK":
        return
    for output in outputs or ():
        if output.protected is not None:
            raise refuse.construct(
                output.protected,
                "a subquery's value in an expression",
                position,
                hint="Join the table instead, or select the column itself.",
            )
        output.use_plain()


def nullif(context: Context, tree: Node, scope: Scope, owner: ProtectedColumn) -> None:
    """`nullif(col, x)` becomes `CASE WHEN pgcrypt.eq(col) = term(x) THEN NULL ELSE col END`."""
    position = context.position(tree.get("location"))
    left, right = tree["lexpr"], tree["rexpr"]
    found = referenced(context, left, scope)
    text = context.text
    first = text.token_index.get(text.to_char(tree.get("location", -1)))
    if "ColumnRef" not in left or found is None or found.protected is None or scope.is_grouped(found) or first is None:
        raise refuse.construct(owner, "NULLIF", position)
    take(context, found, owner, position)
    check_searchable(owner, position)
    tokens = text.tokens
    comma = first + 2 + 2 * len(left["ColumnRef"]["fields"]) - 1
    if tokens[first + 1].name != "ASCII_40" or tokens[comma].name != "ASCII_44":
        raise refuse.form("this spelling of NULLIF", position)
    reference = spelled(context, left)
    if any(token.name == "UIDENT" for token in tokens[first + 2 : comma]):
        raise refuse.form("this spelling of a column name", position)
    end = closing(text, first + 1)
    context.edit(tokens[first].start, tokens[comma].end, f"CASE WHEN pgcrypt.eq({reference}) OPERATOR(pg_catalog.=) (")
    term_of(context, right, scope, owner, position)
    context.edit(end - 1, end, f") THEN NULL ELSE {reference} END")
