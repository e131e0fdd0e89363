"""RENAME and SET SCHEMA of protected tables, columns, and keys.

The rules name columns: a new name is possible where a rule of the same kind has
it already, or nobody would know afterwards what is sealed.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgcrypt_proxy.sql import refuse, tenants
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.ddl_steps import Steps
from pgcrypt_proxy.sql.parse import Node, Statement
from pgcrypt_proxy.sql.scope import quote


def rename(context: Context, statement: Statement) -> Steps:
    """What must be done in place of the statement, if anything. Raises Refusal and AskServer."""
    tree = statement.tree
    kind, old, new = tree.get("renameType", ""), tree.get("subname", ""), tree.get("newname", "")
    steps = Steps("ALTER TABLE")
    target = tree.get("relation")
    if kind not in ("OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT") or target is None:
        raise refuse.statement("this form of RENAME", target["relname"] if target else new)
    relation = context.lookup(target.get("schemaname"), target["relname"], target.get("location"))
    position = context.position(target.get("location"))
    if kind == "OBJECT_TABLE":
        _check_moved(context, relation, target, relation.schema if relation else None, new, position)
    elif relation is None:
        return steps
    elif kind == "OBJECT_TABCONSTRAINT":
        if old in dict(relation.unique_terms):
            steps.is_replaced = True
            steps.before.append(f"ALTER INDEX {quote(relation.schema)}.{quote(old)} RENAME TO {quote(new)}")
    else:
        check_named_in_order(relation, old, position)
        tenants.check_kept(relation, old, position)
        column = next((c.protected for c in relation.columns if c.name == old), None)
        _check_rules(context, (relation.schema, relation.name), [(new, column)], position)
    return steps


def check_named_in_order(relation: Relation, name: str, position: int | None) -> None:
    """Raises Refusal for a column that says where another is shown, or itself: nobody would know the order then."""
    if not relation.is_order_unknown and any(name in entry for entry in relation.shown_after):
        hint = f"Change what pgcrypt.shown_order says of {relation.qualified_name} first, on a direct connection."
        what = f'dropping or renaming column "{name}", by which its order is known,'
        raise refuse.rearranged(what, relation, position, hint=hint)


def set_schema(context: Context, statement: Statement) -> Steps:
    """Nothing is done beside the statement. Raises Refusal and AskServer."""
    tree: Node = statement.tree
    target = tree.get("relation")
    if tree.get("objectType", "") != "OBJECT_TABLE" or target is None:
        raise refuse.statement("this form of SET SCHEMA", target["relname"] if target else "")
    relation = context.lookup(target.get("schemaname"), target["relname"], target.get("location"))
    position = context.position(target.get("location"))
    _check_moved(context, relation, target, tree["newschema"], target["relname"], position)
    return Steps("ALTER TABLE")


def _check_moved(
    context: Context, relation: Relation | None, target: Node, schema: str | None, table: str, position: int | None
) -> None:
    """The table is going to be called `schema.table`; None for a schema that is not known."""
    if relation is None:
        ruled = next((c for (s, t, _), c in context.catalog.ruled.items() if t == table and schema in (None, s)), None)
        if ruled is not None:
            raise _unruled(ruled.qualified_name, position)
        return
    ruled_names = {n for s, t, n in context.catalog.ruled if (s, t) == (schema, table)}
    had_rule = {n for s, t, n in context.catalog.ruled if (s, t) == (relation.schema, relation.name)}
    columns = {column.name: column.protected for column in relation.columns}
    moved = [(name, column) for name, column in columns.items() if name in ruled_names | had_rule]
    _check_rules(context, (schema or "", table), moved, position)


def _check_rules(
    context: Context,
    table: tuple[str, str],
    columns: Iterable[tuple[str, ProtectedColumn | None]],
    position: int | None,
) -> None:
    """The rules must say of each new name what the column is. Raises Refusal."""
    for name, column in columns:
        rule = context.catalog.ruled.get((*table, name))
        if column is None and rule is None:
            continue
        if column is None or rule is None or not _is_alike(column, rule):
            raise _unruled(".".join((*table, name)), position)


def _is_alike(column: ProtectedColumn, rule: ProtectedColumn) -> bool:
    own = column.index_domain, column.type, column.data_class, column.search
    if own == (rule.index_domain, rule.type, rule.data_class, rule.search):
        return True
    # a rule that names no domain has its own name for it, and a column keeps the domain that it was protected with
    is_unnamed = rule.index_domain in (rule.qualified_name, "")
    return is_unnamed and own[1:] == (rule.type, rule.data_class, rule.search)


def _unruled(name: str, position: int | None) -> Exception:
    return refuse.statement(
        "RENAME or SET SCHEMA without a rule that says the same of the new name",
        name,
        position,
        hint="Add such a rule beside the old one (same type, data_class, search and index_domain) and reload the rules"
        " first; seal a plain column with pgcrypt-proxy protect after it has its name.",
    )
