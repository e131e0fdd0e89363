"""ALTER TABLE on protected tables, action by action: kept, rewritten in place, or done as a statement of its own."""

from __future__ import annotations

from dataclasses import dataclass

from pgcrypt_proxy.sql import refuse, tenants
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context, find_relation
from pgcrypt_proxy.sql.ddl_column import (
    check_collation,
    check_plain,
    check_type,
    define,
    seal_default,
    sealed_type,
)
from pgcrypt_proxy.sql.ddl_layout import Span, behind_name, remove, split, whole
from pgcrypt_proxy.sql.ddl_rename import check_named_in_order
from pgcrypt_proxy.sql.ddl_steps import Steps
from pgcrypt_proxy.sql.ddl_terms import concerns, key
from pgcrypt_proxy.sql.mention import find
from pgcrypt_proxy.sql.parse import Node, Statement
from pgcrypt_proxy.sql.scope import quote

#: Actions that store, show and compute no value, whatever column they name. Triggers that are enabled may move values.
_HARMLESS = frozenset(
    {
        "AT_SetNotNull", "AT_DropNotNull", "AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions",
        "AT_SetStorage", "AT_SetCompression", "AT_ValidateConstraint", "AT_ChangeOwner", "AT_ClusterOn",
        "AT_DropCluster", "AT_SetLogged", "AT_SetUnLogged", "AT_SetTableSpace", "AT_SetRelOptions",
        "AT_ResetRelOptions", "AT_DisableTrig", "AT_DisableTrigAll", "AT_DisableTrigUser", "AT_DisableRule",
        "AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity",
        "AT_DropInherit", "AT_DetachPartition",
        "AT_DetachPartitionFinalize", "AT_ReplicaIdentity", "AT_AlterConstraint", "AT_SetAccessMethod",
    }
)  # fmt: skip
#: Actions by which a table's columns become another's.
_COMBINES = frozenset({"AT_AddInherit", "AT_AttachPartition"})
#: The same for columns that are not protected.
_HARMLESS_ELSEWHERE = frozenset({"AT_AddIdentity", "AT_SetIdentity", "AT_DropIdentity", "AT_DropExpression"})
_HINT = "Run it on a direct connection if it must be done."


@dataclass(slots=True)
class _Alteration:
    """The table as it is: `protected` columns by name, `ruled` are those that rules name, there or not."""

    context: Context
    relation: Relation | None
    table: str
    protected: dict[str, ProtectedColumn]
    ruled: dict[str, ProtectedColumn]
    steps: Steps

    @property
    def spelled(self) -> str:
        assert self.relation is not None
        return f"{quote(self.relation.schema)}.{quote(self.relation.name)}"


def alter(context: Context, statement: Statement) -> Steps:
    """What must be done beside the statement. Raises Refusal and AskServer."""
    tree = statement.tree
    target = tree["relation"]
    if tree.get("objtype") != "OBJECT_TABLE":
        raise refuse.statement("ALTER of something else than a table", target["relname"])
    relation = context.lookup(target.get("schemaname"), target["relname"], target.get("location"))
    columns = relation.columns if relation is not None else ()
    catalog_rules = context.catalog.ruled.items() if relation is not None else ()
    work = _Alteration(
        context,
        relation,
        target["relname"],
        {c.name: c.protected for c in columns if c.protected is not None},
        {n: c for (s, t, n), c in catalog_rules if relation is not None and (s, t) == (relation.schema, relation.name)},
        Steps("ALTER TABLE"),
    )
    commands = tree.get("cmds", [])
    text = context.text
    spans = split(text, Span(behind_name(text, target), whole(text, statement).last), len(commands))
    removed = {
        number
        for number, (item, span) in enumerate(zip(commands, spans, strict=True))
        if _action(work, item["AlterTableCmd"], span)
    }
    if len(removed) == len(spans):
        work.steps.is_replaced = True
    else:
        remove(context, spans, removed)
    return work.steps


def _action(work: _Alteration, command: Node, span: Span) -> bool:
    """Whether the action is taken out of the statement. Raises Refusal."""
    kind, name = command.get("subtype", "AT_AddColumn"), command.get("name", "")
    context, protected = work.context, work.protected
    position = span.start(context.text) + 1
    if kind in ("AT_AlterColumnType", "AT_DropColumn"):
        tenants.check_kept(work.relation, name, position)
    if kind == "AT_AddColumn":
        return _add_column(work, command["def"]["ColumnDef"], span)
    if kind == "AT_AlterColumnType":
        _alter_type(work, name, command["def"]["ColumnDef"], position, span)
    elif kind == "AT_ColumnDefault":
        if name in protected and "def" in command:
            seal_default(context, protected[name], command["def"], position)
    elif kind == "AT_AddConstraint":
        return _add_constraint(work, command["def"]["Constraint"], position)
    elif kind == "AT_DropConstraint":
        if work.relation is None or name not in dict(work.relation.unique_terms):
            return False
        if_exists = "IF EXISTS " if command.get("missing_ok") else ""
        work.steps.before.append(f"DROP INDEX {if_exists}{quote(work.relation.schema)}.{quote(name)}")
        return True
    elif kind in _COMBINES:
        _check_combined(work, command, position)
    elif kind == "AT_DropColumn":
        if work.relation is not None:
            check_named_in_order(work.relation, name, position)
    elif kind not in _HARMLESS and not (kind in _HARMLESS_ELSEWHERE and name not in protected):
        raise refuse.statement("this form of ALTER TABLE", work.table, position, hint=_HINT)
    return False


def _check_combined(work: _Alteration, command: Node, position: int) -> None:
    """Columns of both tables are matched by name, and would be seen in two orders."""
    others = find(command.get("def", {})).relations
    found = [work.relation, *(find_relation(work.context.catalog, work.context.resolved, s, n) for s, n, _ in others)]
    for relation in found:
        if relation is not None and relation.is_rearranged:
            raise refuse.rearranged("inheritance or partitioning", relation, position)


def _add_column(work: _Alteration, tree: Node, span: Span) -> bool:
    name = tree.get("colname", "")
    if name not in work.ruled:
        check_plain(work.context, tree, work.protected, work.table)
        return False
    keys = define(work.context, work.ruled[name], tree, _definition(work.context, tree, span), work.table)
    for made in keys:
        if made.is_primary:
            raise refuse.construct(work.ruled[name], "PRIMARY KEY on a new column", span.start(work.context.text) + 1)
        work.steps.after += made.statements(work.spelled, work.ruled)
    return False


def _definition(context: Context, tree: Node, span: Span) -> Span:
    """The tokens of a column's definition behind ADD COLUMN IF NOT EXISTS."""
    first = context.text.token_index.get(context.text.to_char(tree.get("location", -1)), -1)
    if not span.first <= first <= span.last:
        raise refuse.unsafe(span.start(context.text) + 1)
    return Span(first, span.last)


def _alter_type(work: _Alteration, name: str, tree: Node, position: int, span: Span) -> None:
    """A protected column keeps its sealed type: the statement must ask for the type that the rule says anyway."""
    column = work.protected.get(name)
    using = tree.get("raw_default")
    if column is None:
        if using is not None:
            check_plain(work.context, using, work.protected, work.table)
        if name in work.ruled:
            raise refuse.not_ready(work.ruled[name], position)
        return
    check_type(work.context.text.types, column, tree["typeName"], position)
    if "collClause" in tree:
        check_collation(column, tree["collClause"]["collname"], position)
    if using is not None and not _is_itself(work, using, column):
        raise refuse.construct(column, "ALTER COLUMN TYPE with USING", position)
    text = work.context.text
    start = text.to_char(tree["typeName"]["location"])
    work.context.edit(start, span.end(text), sealed_type(column))


def _is_itself(work: _Alteration, using: Node, column: ProtectedColumn) -> bool:
    """Whether USING says the column, perhaps cast to the type that it has."""
    if "TypeCast" in using:
        check_type(work.context.text.types, column, using["TypeCast"]["typeName"], None)
        using = using["TypeCast"]["arg"]
    fields = using.get("ColumnRef", {}).get("fields", [])
    return len(fields) == 1 and fields[0].get("String", {}).get("sval") == column.name


def _add_constraint(work: _Alteration, constraint: Node, position: int) -> bool:
    kind = constraint.get("contype", "")
    if kind in ("CONSTR_UNIQUE", "CONSTR_PRIMARY"):
        relation = work.relation
        if relation is not None and constraint.get("indexname") in dict(relation.unique_terms):
            hint = "The index is unique already: leave the constraint out."
            raise refuse.statement("a constraint USING an index on terms", work.table, position, hint=hint)
        if not concerns(constraint, work.protected):
            return False
        made = key(constraint, work.table, work.protected, position)
        work.steps.after += made.statements(work.spelled, work.protected)
        return True
    if kind == "CONSTR_EXCLUSION" and work.protected:
        raise refuse.form("EXCLUDE", position)
    check_plain(work.context, constraint, work.protected, work.table)
    return False
