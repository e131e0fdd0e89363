"""Expressions made into equality terms, so that the server can compare, group and join without plaintext."""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.references import span
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn
from pgcrypt_proxy.sql.sealed import (
    as_cast,
    choices,
    common_type,
    conditions,
    drop_cast,
    lineage,
    referenced,
    seal_into,
    subselect,
)
from pgcrypt_proxy.values.casts import share_terms


def check_searchable(column: ProtectedColumn, position: int | None) -> None:
    """Raises Refusal for a column without equality terms."""
    if "equality" not in column.search:
        raise refuse.needs_search(column, position)


def check_same_domain(
    one: ProtectedColumn, other: ProtectedColumn, position: int | None, *, is_folded: bool = False
) -> None:
    """Raises Refusal unless equal values of both columns have equal terms; case-folded ones are of texts alone."""
    if one.index_domain != other.index_domain or not (is_folded or share_terms(one.type, other.type)):
        raise refuse.construct(
            one,
            f'comparison with "{other.qualified_name}", which is of another index domain or type,',
            position,
            hint="Give both columns the same index_domain in the rules, then protect them anew.",
        )


def wrap(context: Context, node: Node, function: str = "pgcrypt.eq") -> None:
    """`node`, which gives an envelope, becomes `function(node)`."""
    start, end = span(context, node)
    context.edit(start, start, f"{function}(")
    context.edit(end, end, ")")


def bare(node: Any) -> Any:
    """A tree without its places, so that equal expressions are equal."""
    if isinstance(node, dict):
        return {key: bare(value) for key, value in node.items() if key != "location"}
    return [bare(each) for each in node] if isinstance(node, list) else node


def is_grouped_expression(node: Node, scope: Scope) -> bool:
    """Whether the query groups by the expression `node`."""
    return bool(scope.grouped_expressions) and bare(node) in scope.grouped_expressions


def check_ungrouped(node: Node, scope: Scope, owner: ProtectedColumn, position: int | None) -> None:
    """Raises Refusal for an expression that the query groups by: sealed anew, it would be another one."""
    if is_grouped_expression(node, scope):
        hint = "Group in a subquery, and compare its column."
        raise refuse.construct(owner, "a condition on an expression that the query groups by", position, hint=hint)


def own_term(context: Context, node: Node, scope: Scope, owner: ProtectedColumn, position: int | None) -> None:
    """`node`, which gives envelopes of `owner`, becomes their term."""
    check_searchable(owner, position)
    check_ungrouped(node, scope, owner, position)
    if referenced(context, node, scope) is None:
        seal_into(context, node, scope, owner)
    wrap(context, node)


def key(context: Context, node: Node, scope: Scope) -> bool:
    """Make `node` its own term when it is an envelope: for keys that only tell equal values from others."""
    owner = lineage(context, node, scope)
    if owner is None:
        return False
    ((_, tree),) = node.items()
    own_term(context, node, scope, owner, context.position(tree.get("location")))
    return True


def term_of(context: Context, node: Node | None, scope: Scope, owner: ProtectedColumn, position: int | None) -> None:
    """Make `node` a term that can be compared with terms of `owner`. Raises Refusal for what cannot be."""
    theirs = lineage(context, node, scope)
    if node is None:
        raise refuse.operand_form(owner, position)
    if theirs is not None:
        check_searchable(theirs, position)
        check_same_domain(owner, theirs, position)
        own_term(context, node, scope, theirs, position)
        return
    ((kind, tree),) = node.items()
    if kind in ("CoalesceExpr", "CaseExpr"):
        _chosen_terms(context, node, scope, owner, position)
    elif kind == "TypeCast" and (cast_feed := referenced(context, tree["arg"], scope)) and cast_feed.feed:
        if as_cast(context, tree, owner) is None:
            raise refuse.operand_form(owner, position)
        drop_cast(context, node, scope)
        cast_feed.feed.use_as(Use.TERM, owner, position)
    elif kind == "ColumnRef":
        found = referenced(context, node, scope)
        if found is None or found.feed is None:
            raise refuse.operand_form(owner, position)
        found.feed.use_as(Use.TERM, owner, position)
    elif kind == "SubLink" and tree.get("subLinkType") == "EXPR_SUBLINK":
        outputs = subselect(context, tree, scope)
        feed = outputs[0].feed if outputs is not None and len(outputs) == 1 else None
        if feed is None:
            raise refuse.operand_form(owner, position)
        feed.nest()
        feed.use_as(Use.TERM, owner, position)
    else:
        context.replace(scalar(context, node, owner, position), Use.TERM, owner)


def _chosen_terms(context: Context, node: Node, scope: Scope, owner: ProtectedColumn, position: int | None) -> None:
    """A COALESCE or CASE of parameters and literals; what has no type has the one that the others have."""
    leaves = choices(node)
    common = common_type(context, leaves, scope)
    if common is None:
        raise refuse.operand_form(owner, position)
    conditions(context, node, scope)
    for leaf in leaves:
        context.replace(scalar(context, leaf, owner, position).or_of(common), Use.TERM, owner)


def scalar(context: Context, node: Node, owner: ProtectedColumn, position: int | None) -> operands.Operand:
    """The parameter or literal that `node` is. Raises Refusal for anything else."""
    if "CollateClause" in node:
        raise refuse.construct(owner, "COLLATE", position)
    try:
        operand = operands.read(node, context.text)
    except NotAnOperand:
        raise refuse.operand_form(owner, position) from None
    if operand.is_array and owner.type.element is None:
        raise refuse.operand_form(owner, position)
    return operand.as_value()


def output_term(
    context: Context, query: Node, outputs: Outputs, number: int, owner: ProtectedColumn, position: int | None
) -> None:
    """Output `number` (from 0) of a subquery becomes a term that can be compared with terms of `owner`."""
    given: ScopeColumn | None = outputs[number] if outputs is not None and number < len(outputs) else None
    if given is not None and given.feed is not None:
        given.feed.nest()
        given.feed.use_as(Use.TERM, owner, position)
        return
    if given is None or given.protected is None:
        raise refuse.operand_form(owner, position)
    check_searchable(given.protected, position)
    check_same_domain(owner, given.protected, position)
    if not given.is_term:
        wrap_output(context, query.get("SelectStmt", query), number, given, position)


def wrap_output(context: Context, query: Node, number: int, output: ScopeColumn, position: int | None) -> None:
    """Output `number` of a query, which is an envelope, becomes its term."""
    owner = output.protected
    assert owner is not None
    if output.is_made:
        what = "a comparison with a subquery that tells its own rows apart"
        hint = "Leave DISTINCT out where it changes nothing, or put the subquery into FROM of another one."
        raise refuse.construct(owner, what, position, hint=hint)
    if "larg" in query:
        for branch in ("larg", "rarg"):
            wrap_output(context, query[branch].get("SelectStmt", query[branch]), number, output, position)
        return
    targets = [target["ResTarget"]["val"] for target in query.get("targetList", ())]
    fields = [part for target in targets for part in target.get("ColumnRef", {}).get("fields", ())]
    if number >= len(targets) or any("A_Star" in part for part in fields):
        raise refuse.construct(owner, "a subquery with *", position, hint="List the columns.")
    wrap(context, targets[number])
