"""Expressions whose value is an envelope: a protected column, and what only passes one of its values on.

COALESCE, CASE, NULLIF, a scalar subquery and a cast to the column's own type
need no plaintext on the server: they choose among values, and literals and
parameters among them are sealed for the same column. `lineage` says whose
envelope an expression gives; `seal_into` makes sure that it gives nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from pgcrypt_proxy.sql import array_operands, operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.edits import ParameterPiece
from pgcrypt_proxy.sql.feeds import Feed
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.references import column, column_names, field, names_of, span
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, quote
from pgcrypt_proxy.sql.tenant_values import TenantRows
from pgcrypt_proxy.values.casts import are_peers, are_related, is_alike, is_text
from pgcrypt_proxy.values.types import LogicalType, array_of, type_by_name

_TEXT = type_by_name("text")


def case_results(tree: Node) -> list[Node]:
    """The expressions of which a CASE gives one."""
    results = [part["CaseWhen"]["result"] for part in tree.get("args", ())]
    return [*results, tree["defresult"]] if "defresult" in tree else results


def referenced(context: Context, node: Node | None, scope: Scope) -> ScopeColumn | None:
    """The column when `node` is a reference to one that is known, bare or as a row's field, else None."""
    if node and "A_Indirection" in node:
        return field(context, node, scope)
    if not node or "ColumnRef" not in node or column_names(node["ColumnRef"]) is None:
        return None
    return column(context, node["ColumnRef"], scope)


def lineage(context: Context, node: Node | None, scope: Scope) -> ProtectedColumn | None:
    """The protected column whose envelopes `node` gives, None when it gives none. Edits nothing but subqueries."""
    if not node:
        return None
    ((kind, tree),) = node.items()
    if kind in ("ColumnRef", "A_Indirection"):
        found = referenced(context, node, scope)
        return found.protected if found is not None else None
    if kind == "FuncCall" and passes_on(tree):
        inner = lineage(context, tree["args"][0], scope)
        return replace(inner, type=inner.type.base) if inner is not None else None
    if kind in ("CoalesceExpr", "CaseExpr"):
        return _chosen(context, node, scope)
    if kind == "A_Expr" and tree.get("kind") == "AEXPR_NULLIF":
        return lineage(context, tree.get("lexpr"), scope)
    if kind == "TypeCast":
        inner = lineage(context, tree["arg"], scope)
        return as_cast(context, tree, inner) if inner is not None else None
    if kind == "SubLink" and tree.get("subLinkType") == "EXPR_SUBLINK":
        outputs = subselect(context, tree, scope)
        return outputs[0].protected if outputs is not None and len(outputs) == 1 else None
    return None


def passes_on(tree: Node) -> bool:
    """Whether a FuncCall gives a value of its first argument as it is, of some row of a window or group."""
    names = names_of(tree.get("funcname", []))
    name = names[-1] if len(names) == 1 or names[:1] == ["pg_catalog"] else ""
    count = len(tree.get("args", ()))
    if tree.get("agg_distinct") or tree.get("agg_within_group") or tree.get("func_variadic"):
        return False
    return count in (_ANY_WINDOW.get(name, ()) if "over" in tree else _ANY_AGGREGATE.get(name, ()))


_ANY_AGGREGATE = {"any_value": (1,)}
#: How many arguments each takes.
_ANY_WINDOW = _ANY_AGGREGATE | {
    "first_value": (1,),
    "last_value": (1,),
    "nth_value": (2,),
    "lag": (1, 2, 3),
    "lead": (1, 2, 3),
}


def choices(node: Node) -> list[Node]:
    """The expressions of which `node` gives one: those of COALESCE and CASE, however nested."""
    if "CoalesceExpr" in node:
        parts = node["CoalesceExpr"].get("args", [])
    elif "CaseExpr" in node:
        parts = case_results(node["CaseExpr"])
    else:
        return [node]
    return [choice for part in parts for choice in choices(part)]


def _chosen(context: Context, node: Node, scope: Scope) -> ProtectedColumn | None:
    """The column that a COALESCE or CASE gives. Beside other values its type modifier is lost, as in PostgreSQL.

    None where the result is of another type: of text and varchar, the first that has a type decides.
    """
    leaves = choices(node)
    owners = [lineage(context, leaf, scope) for leaf in leaves]
    first = next((owner for owner in owners if owner is not None), None)
    is_same = first is not None and all(owner is not None and owner.type == first.type for owner in owners)
    if first is None or (is_same and not _lacks_else(node)):
        return first
    if "CaseExpr" in node and "defresult" in node["CaseExpr"]:
        leaves = [*choices(node["CaseExpr"]["defresult"]), *leaves]  # its ELSE says the type first
    typed = next((given for leaf in leaves if (given := _type_of(context, leaf, scope))), first.type)
    common = common_type(context, leaves, scope) or first.type
    is_other = common.name != first.type.name and not are_peers(common, first.type)
    if is_other or are_peers(typed, first.type):
        return None
    return replace(first, type=first.type.base)


def _lacks_else(node: Node) -> bool:
    """Whether a CASE in `node` may give the NULL that is not written, whose type has no modifier."""
    if "CaseExpr" in node:
        return "defresult" not in node["CaseExpr"] or any(map(_lacks_else, case_results(node["CaseExpr"])))
    return any(map(_lacks_else, node.get("CoalesceExpr", {}).get("args", ())))


def _type_of(context: Context, leaf: Node, scope: Scope) -> LogicalType | None:
    """The type that a choice has by itself."""
    owner = lineage(context, leaf, scope)
    operand = choice_operand(context, leaf)
    return owner.type if owner is not None else operand.cast if operand is not None else None


def as_cast(context: Context, tree: Node, owner: ProtectedColumn) -> ProtectedColumn | None:
    """The column as a TypeCast shows it; None for a cast that changes its values."""
    try:
        cast, is_array = operands.logical_type(tree["typeName"], context.text.types)
    except NotAnOperand:
        return None
    cast = array_of(cast) if is_array else cast
    if cast == owner.type:
        return owner
    are_texts = is_text(cast) and is_text(owner.type)
    is_plain = cast.typmod == -1 and cast.domain is None
    return replace(owner, type=cast) if is_plain and (are_texts or cast == owner.type.base) else None


def subselect(context: Context, tree: Node, scope: Scope) -> Outputs:
    """The outputs of a SubLink's query, which is analysed once however often it is looked at.

    It is known by its place: `SET (a, b) = (SELECT ...)` has it in the tree once for each column.
    """
    kind = tree.get("subLinkType", "EXISTS_SUBLINK")
    key = kind, tree.get("location", -1)
    if key not in context.subselects:
        query = tree["subselect"]
        if kind in ("EXISTS_SUBLINK", "ANY_SUBLINK", "ALL_SUBLINK"):
            outputs = context.select_compared(context, query, scope, kind != "EXISTS_SUBLINK")
        else:
            outputs = context.select(context, query, scope)
        context.subselects[key] = outputs
    return context.subselects[key]


def store(context: Context, node: Node, owner: ProtectedColumn, scope: Scope) -> None:
    """`node` is stored in column `owner`. Raises Refusal."""
    if "SetToDefault" not in node:
        seal_into(context, node, scope, owner)


def seal_into(context: Context, node: Node, scope: Scope, owner: ProtectedColumn) -> None:
    """Make `node` give envelopes of `owner` only, or NULL. Raises Refusal when it may give something else."""
    ((kind, tree),) = node.items()
    position = context.position(tree.get("location"))
    try:
        operand = operands.read(node, context.text)
    except NotAnOperand:
        pass
    else:
        if operand.is_array and owner.type.element is None:
            raise refuse.value_form(owner, position)
        context.replace(operand.as_value(), Use.SEAL, owner)
        return
    if kind in ("ColumnRef", "A_Indirection"):
        _reference(context, node, scope, owner)
    elif kind == "FuncCall" and passes_on(tree):
        _pass_on(context, tree, scope, owner)
    elif kind in ("CoalesceExpr", "CaseExpr"):
        _choose(context, node, scope, owner)
    elif kind == "A_Expr" and tree.get("kind") == "AEXPR_NULLIF":
        context.nullif(context, tree, scope, owner)
    elif kind == "TypeCast":
        _cast(context, node, scope, owner, position)
    elif kind == "SubLink" and tree.get("subLinkType") == "EXPR_SUBLINK":
        outputs = subselect(context, tree, scope)
        if outputs is None or len(outputs) != 1:
            raise refuse.value_form(owner, position)
        take(context, outputs[0].nested(), owner, position)
    else:
        raise refuse.value_form(owner, position)


def _cast(context: Context, node: Node, scope: Scope, owner: ProtectedColumn, position: int | None) -> None:
    tree = node["TypeCast"]
    inner = lineage(context, tree["arg"], scope)
    shown = as_cast(context, tree, inner or owner)
    if shown is None:
        raise refuse.value_form(owner, position)
    if inner is not None and (shown.id, shown.type) != (owner.id, owner.type):
        raise refuse.construct(inner, f'copying into "{owner.qualified_name}"', position)
    drop_cast(context, node, scope)
    seal_into(context, tree["arg"], scope, inner or owner)


def _choose(context: Context, node: Node, scope: Scope, owner: ProtectedColumn) -> None:
    """All choices of a COALESCE or CASE go into `owner`; what has no type has the one that the others have."""
    leaves = choices(node)
    common = common_type(context, leaves, scope)
    if common is None:
        raise refuse.value_form(owner, context.position(node[next(iter(node))].get("location")))
    conditions(context, node, scope)
    for leaf in leaves:
        operand = choice_operand(context, leaf)
        if operand is None:
            seal_into(context, leaf, scope, owner)
        else:
            is_beside = common.name == owner.type.name
            context.replace(operand.or_of(common), Use.ALIKE if is_beside else Use.SEAL, owner)


def choice_operand(context: Context, node: Node) -> operands.Operand | None:
    """The parameter or literal that a choice is, None for any other expression."""
    try:
        operand = operands.read(node, context.text)
    except NotAnOperand:
        return None
    return None if operand.is_array else operand


def common_type(context: Context, leaves: list[Node], scope: Scope) -> LogicalType | None:
    """The type of a CASE or COALESCE over `leaves`: text when nothing gives one; None when they do not go together.

    Source: typconv-union-case.html, for the types that can be protected.
    """
    found: LogicalType | None = None
    for leaf in leaves:
        given = _type_of(context, leaf, scope)
        if given is None or found is None or is_alike(found, given):
            found = given.base if given is not None else found
        elif not is_alike(given, found):
            return None
    return found or _TEXT


def conditions(context: Context, node: Node, scope: Scope) -> None:
    """Analyse the conditions of a COALESCE or CASE, however nested."""
    if "CaseExpr" in node:
        context.conditions(context, node["CaseExpr"], scope)
        parts = case_results(node["CaseExpr"])
    else:
        parts = node.get("CoalesceExpr", {}).get("args", [])
    for part in parts:
        conditions(context, part, scope)


def take(context: Context, given: ScopeColumn, owner: ProtectedColumn, position: int | None) -> None:
    """What `given` holds goes into `owner` as it is. Raises Refusal unless that is an envelope of the same column.

    `owner` without a type modifier takes what has one, as in a CASE; never the other way.
    """
    if given.feed is not None:
        given.feed.use_as(Use.SEAL, owner, position)
    elif given.protected is None:
        raise refuse.value_form(owner, position)
    elif given.protected.id != owner.id or owner.type not in (given.protected.type, given.protected.type.base):
        raise refuse.construct(given.protected, f'copying into "{owner.qualified_name}"', position)
    elif owner.has_tenant_column and context.writes and not any(given is column for column in context.same_row):
        hint = "Read the value in the application, and write it with its tenant."
        raise refuse.construct(owner, "copying from a row that may be another tenant's", position, hint=hint)


def _pass_on(context: Context, tree: Node, scope: Scope, owner: ProtectedColumn) -> None:
    """The call's value is that of its first argument in some row, or lag()'s third."""
    argument, *others = tree["args"]
    inner = lineage(context, argument, scope)
    if inner is None or inner.id != owner.id or owner.type != inner.type.base:
        raise refuse.value_form(owner, context.position(tree.get("location")))
    words = f"function {names_of(tree['funcname'])[-1]}()"
    if "over" in tree or referenced(context, argument, scope) is None:
        seal_into(context, argument, scope, inner)
    context.plain(context, others[:1], scope, words)
    for node in others[1:]:
        operand = choice_operand(context, node)
        if inner.type.typmod != -1:
            raise refuse.construct(inner, f"{words} with a default, which loses the length,")
        if operand is None:
            seal_into(context, node, scope, inner)
        else:
            context.replace(operand.or_of(inner.type), Use.ALIKE, inner)
    context.plain(context, {k: tree[k] for k in ("agg_order", "agg_filter") if k in tree}, scope, words)
    if "over" in tree:
        context.window(context, tree["over"], scope)


def _reference(context: Context, node: Node, scope: Scope, owner: ProtectedColumn) -> None:
    ((_, tree),) = node.items()
    position = context.position(tree.get("location"))
    found = referenced(context, node, scope)
    if found is None:
        raise refuse.value_form(owner, position)
    if scope.is_grouped(found):
        raise refuse.construct(owner, "an expression over a column that the query groups by", position)
    take(context, found, owner, position)


def drop_cast(context: Context, node: Node, scope: Scope) -> None:
    """Take a cast's characters away, so that its operand stays: `x::text`, `CAST(x AS text)`."""
    argument = node["TypeCast"]["arg"]
    whole, inner = span(context, node), span(context, argument)
    for start, end in ((whole[0], inner[0]), (inner[1], whole[1])):
        if start < end:
            context.edit(start, end, " ")  # words on both sides must not grow together
    found = referenced(context, argument, scope)
    if found is not None and found.feed is not None:
        found.feed.cast()


def settle(context: Context) -> None:
    """Every feed becomes what its uses demanded. Raises Refusal."""
    for feed in context.feeds:
        if feed.outer_cast is not None and feed.demand is not None:
            if as_cast(context, feed.outer_cast["TypeCast"], feed.demand[1]) is None:
                raise refuse.value_form(feed.demand[1])
            drop_cast(context, feed.outer_cast, feed.scope)
    for feed in context.feeds:
        default = _type_beside(context, feed)
        for number, node in enumerate(feed.nodes):
            if feed.demand is None:
                context.plain(context, node, feed.scope, "VALUES")
            elif feed.is_array:
                _settle_array(context, node, *feed.demand)
            else:
                use, owner = feed.demand
                _settle_scalar(context, node, feed, default, use, _of_row(owner, number))
    _settle_null_tests(context)


def _of_row(owner: ProtectedColumn, number: int) -> ProtectedColumn:
    """The column in that row of VALUES."""
    rows = owner.tenant_value
    return replace(owner, tenant_value=rows.values[number]) if isinstance(rows, TenantRows) else owner


def _settle_array(context: Context, node: Node, use: Use, owner: ProtectedColumn) -> None:
    try:
        array_operands.replace(context, node, owner, use)
    except NotAnOperand:
        raise refuse.value_form(owner) from None


def _settle_null_tests(context: Context) -> None:
    """`$1 IS NULL` of a parameter that is sealed elsewhere asks what it became, so that its value stays here."""
    for operand, is_untyped in context.null_tests:
        assert operand.parameter is not None
        uses = [use for use in context.uses if use.client_index == operand.parameter - 1]
        if uses and not any(use.use is Use.PASS for use in uses):
            if is_untyped:  # PostgreSQL takes it only where the client declares the type
                raise refuse.untyped_null_test(operand.parameter, operand.start + 1)
            context.edit(operand.start, operand.end, ParameterPiece(uses[0]))
        else:
            context.pass_parameter(operand.parameter)


def _type_beside(context: Context, feed: Feed) -> LogicalType | None:
    """The type of the feed's values that have none themselves; None where it is the column's that they are for."""
    if feed.demand is None or feed.is_array or feed.is_cast or not feed.is_nested:
        return None
    owner = feed.demand[1]
    try:
        return operands.type_beside([operands.read(node, context.text) for node in feed.nodes], owner.type)
    except NotAnOperand:
        raise refuse.value_form(owner) from None


def _settle_scalar(
    context: Context, node: Node, feed: Feed, default: LogicalType | None, use: Use, owner: ProtectedColumn
) -> None:
    operand = operands.read(node, context.text)
    if feed.is_cast:
        if operand.cast is not None and not are_related(operand.cast, owner.type):
            raise refuse.value_form(owner, operand.start + 1)
    elif default is not None and operand.cast is None:
        operand = operand.or_of(default)
    context.replace(operand, use, owner)
    becomes_another = operand.parameter is None or operand.cast is not None
    if feed.label is not None and becomes_another and (feed.is_nested or use is Use.ALIKE):
        context.edit(operand.end, operand.end, f" AS {quote(feed.label)}")
