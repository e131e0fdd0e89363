"""Whose value is stored: the tenant of each row that a statement writes, as far as the statement says.

A protected column with tenants is *bound* to where its row's tenant is found before
a value of it is sealed. What is not bound is refused where it would be sealed
(`context.piece`), so nothing that is overlooked here is sealed for the wrong tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import operands
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.feeds import Feed
from pgcrypt_proxy.sql.operands import NotAnOperand, Operand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import column_names, names_of
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source
from pgcrypt_proxy.sql.tenant_values import (
    TenantElements,
    TenantLiteral,
    TenantParameter,
    TenantRows,
    TenantValue,
    are_relatives,
)
from pgcrypt_proxy.values.types import LogicalType, type_by_name

_TEXT = type_by_name("text")
_TABLES = frozenset("rp")


class Columns(list["ProtectedColumn | None"]):
    """The protected column (or None) per position of a row; `tenant_at` is the position of the tenant's column."""

    tenant_at: int | None = None


def bound(column: ProtectedColumn | None, value: TenantValue | None) -> ProtectedColumn | None:
    """The column, of a row whose tenant `value` says."""
    if column is None or value is None or not column.has_tenant_column:
        return column
    return replace(column, tenant_value=value)


def tenant_of(relation: Relation | None) -> ProtectedColumn | None:
    """A protected column of the table whose tenant stands beside it in the row, None when there is none."""
    columns = (c.protected for c in relation.columns) if relation is not None else ()
    return next((c for c in columns if c is not None and c.has_tenant_column), None)


# -- INSERT


def position(relation: Relation | None, names: Sequence[str]) -> int | None:
    """Where the tenant stands in rows of columns with these names."""
    owner = tenant_of(relation)
    if owner is None or relation is None or relation.kind not in _TABLES or owner.tenant_type is None:
        return None  # names of a view's columns say nothing of the table's
    assert owner.tenant is not None
    return names.index(owner.tenant.column) if owner.tenant.column in names else None


def bind_row(context: Context, values: Sequence[Node], columns: Columns | None, scope: Scope) -> Columns | None:
    """The columns of a row of INSERT or MERGE, bound to what stands in the tenant's place."""
    at = columns.tenant_at if columns is not None else None
    if columns is None or at is None or at >= len(values):
        return columns
    value = of_node(context, values[at], scope, _owner(columns))
    return _rebound(columns, value)


def bind_outputs(context: Context, query: Node, outputs: Outputs, columns: Columns | None) -> Columns | None:
    """The same for INSERT ... SELECT, whose query holds the tenant as one constant, or as a column of VALUES."""
    at = columns.tenant_at if columns is not None else None
    if columns is None or at is None or outputs is None or at >= len(outputs):
        return columns
    owner = _owner(columns)
    value = _of_output(context, outputs[at], owner)
    made = _rebound(columns, value)
    if value is None and _is_of_values(query):
        rows = _source(outputs[at]) if _keeps_value(context, outputs[at], owner) else None
        for number, column in enumerate(columns):
            given = _source(outputs[number]) if number < len(outputs) else None
            if rows is None or given is None or given.scope is not rows.scope or len(given.nodes) != len(rows.nodes):
                continue
            values = tuple(_of_node_of_values(context, node, owner) for node in rows.nodes)
            made[number] = bound(column, TenantRows(values))
    elif value is None and _is_of_arrays(query):
        elements = _elements(context, outputs[at], owner)
        tenants_feed = outputs[at].feed
        rows_scope = tenants_feed.scope if tenants_feed is not None else None
        for number, column in enumerate(columns):
            given = outputs[number].feed if number < len(outputs) else None
            if given is not None and given.is_array and elements is not None and given.scope is rows_scope:
                made[number] = bound(column, elements)
    return made


def _is_of_arrays(query: Node) -> bool:
    """Whether the rows are those of one unnest() in FROM."""
    items = query.get("fromClause", [])
    return len(items) == 1 and "RangeFunction" in items[0] and query.get("op", "SETOP_NONE") == "SETOP_NONE"


def _elements(context: Context, output: ScopeColumn, owner: ProtectedColumn) -> TenantElements | None:
    """The array parameter that such a column comes from."""
    feed, type_ = output.feed, owner.tenant_type
    if feed is None or not feed.is_array or feed.parts or len(feed.nodes) != 1 or type_ is None:
        return None
    try:
        operand = operands.read(feed.nodes[0], context.text)
    except NotAnOperand:
        return None
    cast = operand.cast
    if operand.parameter is None or (cast is not None and not (operand.is_array and _is_taken(cast, type_))):
        return None
    return TenantElements(operand.parameter - 1, type_, cast)


def _keeps_value(context: Context, output: ScopeColumn, owner: ProtectedColumn) -> bool:
    """Whether a cast of a derived column leaves the tenant's name as it is."""
    cast = output.feed.outer_cast if output.feed is not None else None
    if cast is None or owner.tenant_type is None:
        return True
    try:
        type_, is_array = operands.logical_type(cast["TypeCast"]["typeName"], context.text.types)
    except NotAnOperand:
        return False
    return not is_array and _is_taken(type_, owner.tenant_type)


def _is_taken(cast: LogicalType, type_: LogicalType) -> bool:
    """Whether a value of that cast names a tenant in a column of `type_`: what else the server makes of it, it says."""
    return cast.typmod == -1 and cast.domain is None and are_relatives(cast, type_)


def _is_of_values(query: Node) -> bool:
    """Whether the rows are those of one VALUES in FROM: columns of one row stay together."""
    items = query.get("fromClause", [])
    if len(items) != 1 or query.get("op", "SETOP_NONE") != "SETOP_NONE" or "RangeSubselect" not in items[0]:
        return False
    return "valuesLists" in items[0]["RangeSubselect"]["subquery"].get("SelectStmt", {})


def _source(output: ScopeColumn) -> Feed | None:
    """The operands of a column of VALUES, also below a cast of it."""
    feed = output.feed
    if feed is not None and feed.outer_cast is not None and len(feed.parts) == 1:
        feed = feed.parts[0]
    return feed if feed is not None and not feed.is_array and not feed.parts and feed.nodes else None


def _of_node_of_values(context: Context, node: Node, owner: ProtectedColumn) -> TenantParameter | TenantLiteral | None:
    try:
        return _of_operand(operands.read(node, context.text), owner)
    except NotAnOperand:
        return None


def _owner(columns: Columns) -> ProtectedColumn:
    return next(c for c in columns if c is not None and c.has_tenant_column)


def _rebound(columns: Columns, value: TenantValue | None) -> Columns:
    made = Columns(bound(column, value) for column in columns)
    made.tenant_at = columns.tenant_at
    return made


def of_node(context: Context, node: Node, scope: Scope, owner: ProtectedColumn) -> TenantValue | None:
    """What an expression in the tenant's place says; None when that is known on the server only."""
    try:
        return _of_operand(operands.read(node, context.text), owner)
    except NotAnOperand:
        pass
    reference = node.get("ColumnRef")
    names = column_names(reference) if reference is not None else None
    if names is None:
        return None
    found = scope.resolve(names)
    return _of_output(context, found, owner) if found is not None else None


def _of_output(context: Context, output: ScopeColumn, owner: ProtectedColumn) -> TenantValue | None:
    feed = output.feed
    if feed is None or feed.is_array or feed.parts or feed.outer_cast is not None or len(feed.nodes) != 1:
        return None
    return _of_node_of_values(context, feed.nodes[0], owner)


def _of_operand(operand: Operand, owner: ProtectedColumn) -> TenantParameter | TenantLiteral | None:
    type_ = owner.tenant_type
    if type_ is None or operand.is_array:
        return None
    if operand.is_null:
        raise no_tenant(owner, operand.start + 1)
    cast = operand.cast
    if cast is not None and not _is_taken(cast, type_):
        return None
    if operand.parameter is not None:
        return TenantParameter(operand.parameter - 1, type_, cast)
    assert operand.text is not None
    return TenantLiteral(operand.text, type_, operand.at)


# -- UPDATE


def of_update(
    context: Context, tree: Node, relation: Relation | None, source: Source, scope: Scope
) -> TenantValue | None:
    """The tenant of the rows that an UPDATE changes. Raises Refusal for one that would move a row and leave values."""
    owner = tenant_of(relation)
    if owner is None or relation is None:
        return None
    items = tree.get("targetList", [])
    if relation.kind not in _TABLES or owner.tenant_type is None:
        _refuse_view(relation, owner, items)
        return None
    check_move(relation, owner, items, is_whole=True)
    given = _assigned(items, owner)
    if given is not None:
        return of_node(context, given, Scope(scope.parent, ctes=scope.ctes), owner)
    return _pinned(context, tree.get("whereClause"), source, scope, owner)


def moves_row(relation: Relation | None, items: Sequence[Node]) -> bool:
    """Whether an UPDATE sets the tenant's column."""
    owner = tenant_of(relation)
    return owner is not None and _assigned(items, owner) is not None


def check_move(relation: Relation, owner: ProtectedColumn, items: Sequence[Node], *, is_whole: bool) -> None:
    """Raises Refusal where the tenant's column is set, unless all its columns' values are set with it."""
    names = {item["ResTarget"].get("name", "") for item in items}
    assert owner.tenant is not None
    if owner.tenant.column not in names:
        return
    left = [c.name for c in relation.columns if c.protected and c.protected.has_tenant_column and c.name not in names]
    if left or not is_whole:
        raise Refusal(
            f'setting "{owner.tenant.column}" would leave values of "{owner.schema}.{owner.table}" sealed for another'
            " tenant",
            hint=f"Set {', '.join(left) or 'them'} in the same UPDATE, or delete the row and insert it anew.",
        )


def _refuse_view(relation: Relation, owner: ProtectedColumn, items: Sequence[Node]) -> None:
    """Which column of a view is the tenant's is not known: none of those that are plain may be set."""
    protected = {c.name for c in relation.columns if c.protected is not None}
    if relation.kind not in _TABLES and any(i["ResTarget"].get("name", "") not in protected for i in items):
        raise Refusal(
            f'UPDATE of plain columns through "{relation.qualified_name}" is not possible: it shows'
            f' "{owner.qualified_name}", whose tenant one of them may be',
            hint=f"Update the table: {owner.schema}.{owner.table}.",
        )


def _assigned(items: Sequence[Node], owner: ProtectedColumn) -> Node | None:
    """What the tenant's column is set to; an empty node when that is one of several values of a query."""
    assert owner.tenant is not None
    for item in items:
        target = item["ResTarget"]
        if target.get("name", "") != owner.tenant.column:
            continue
        node: Node = target["val"]
        if "MultiAssignRef" not in node:
            return node
        values = node["MultiAssignRef"]["source"].get("RowExpr", {}).get("args", [])
        number = node["MultiAssignRef"].get("colno", 1) - 1
        return values[number] if number < len(values) else {"SubLink": {}}
    return None


def _pinned(
    context: Context, node: Node | None, source: Source, scope: Scope, owner: ProtectedColumn
) -> TenantValue | None:
    """The value that WHERE compares the tenant's column with, if no row of another tenant can pass."""
    if not node:
        return None
    if "BoolExpr" in node and node["BoolExpr"].get("boolop", "AND_EXPR") == "AND_EXPR":
        for part in node["BoolExpr"].get("args", ()):
            found = _pinned(context, part, source, scope, owner)
            if found is not None:
                return found
        return None
    tree = node.get("A_Expr", {})
    if tree.get("kind", "AEXPR_OP") != "AEXPR_OP" or names_of(tree.get("name", [])) not in (["="], ["pg_catalog", "="]):
        return None
    for side, other in (("lexpr", "rexpr"), ("rexpr", "lexpr")):
        if _is_tenant(tree.get(side, {}), source, scope, owner):
            try:
                return _of_operand(operands.read(tree[other], context.text), owner)
            except NotAnOperand:
                return None
    return None


def _is_tenant(node: Node, source: Source, scope: Scope, owner: ProtectedColumn) -> bool:
    """Whether `node` is the tenant's column of the table that is written to."""
    names = column_names(node["ColumnRef"]) if "ColumnRef" in node else None
    if names is None or owner.tenant is None or names[-1] != owner.tenant.column:
        return False
    found = scope.resolve(names)
    return found is not None and any(found is column for column in source.columns or ())


def check_kept(relation: Relation | None, name: str, position: int | None) -> None:
    """Raises Refusal for DDL by which the tenant's column would be gone, or another."""
    owner = tenant_of(relation)
    if owner is not None and owner.tenant is not None and owner.tenant.column == name:
        raise Refusal(
            f'column "{name}" names the tenants of "{owner.qualified_name}": it is not renamed, dropped or given'
            " another type",
            hint="Unprotect the column first, or see docs/tenants.md for a new name.",
            position=position,
        )


# -- ON CONFLICT


def on_conflict(
    clause: Node, relation: Relation | None, source: Source, rows: Sequence[TenantValue | None], context: Context
) -> TenantValue | None:
    """The tenant of the row that is there already: the new row's, if the tenant is among what must be equal."""
    owner = tenant_of(relation)
    items = clause.get("targetList", [])
    if owner is None or relation is None or not items:
        return None
    if relation.kind not in _TABLES:
        _refuse_view(relation, owner, items)
        return None
    check_move(relation, owner, items, is_whole=False)
    assert owner.tenant is not None
    inferred = [element["IndexElem"].get("name") for element in clause.get("infer", {}).get("indexElems", ())]
    if owner.tenant.column not in inferred:
        return None
    context.same_row = source.columns or ()
    return rows[0] if rows and all(row is not None and row == rows[0] for row in rows) else None


# -- refusals


def no_tenant(column: ProtectedColumn, at: int | None = None) -> Refusal:
    """A row with a value and without a tenant."""
    name = column.tenant.column if column.tenant is not None else ""
    return Refusal(
        f'null value in column "{name}": a value of "{column.qualified_name}" needs a tenant',
        position=at,
        sqlstate="23502",
    )


def columns_of(names: Sequence[str], columns: Sequence[ProtectedColumn | None], relation: Relation | None) -> Columns:
    """The columns of a row, and where its tenant stands."""
    made = Columns(columns)
    made.tenant_at = position(relation, names)
    return made


def copied_type(owner: ProtectedColumn) -> LogicalType:
    """The type of the tenant's column in COPY data. Raises Refusal when it is not known."""
    if owner.tenant_type is None:
        raise Refusal(
            f'the tenant of values of "{owner.qualified_name}" is not known: the table has no such column',
            hint="Write to the table that the rule names.",
        )
    return owner.tenant_type
