"""DDL on protected tables: the kinds that are understood, and what each leads to. Others are refused elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgcrypt_proxy.sql import ddl_alter, ddl_index, ddl_rename, ddl_table, refuse
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.context import Context, find_relation
from pgcrypt_proxy.sql.ddl_layout import whole
from pgcrypt_proxy.sql.ddl_steps import Steps, carry_out
from pgcrypt_proxy.sql.mention import Mentions, find
from pgcrypt_proxy.sql.parse import Node, Statement

_HANDLERS: Mapping[str, Callable[[Context, Statement], Steps]] = {
    "CreateStmt": ddl_table.create,
    "AlterTableStmt": ddl_alter.alter,
    "IndexStmt": ddl_index.create,
    "RenameStmt": ddl_rename.rename,
    "AlterObjectSchemaStmt": ddl_rename.set_schema,
}
#: Objects go, or are spoken of: no value is stored, shown or computed with.
HARMLESS = frozenset({"DropStmt", "CommentStmt", "CreateSeqStmt", "AlterSeqStmt"})
_RELATIONS = frozenset({"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"})
_ALTERATIONS = frozenset({"AlterTableStmt", "RenameStmt", "AlterObjectSchemaStmt"})
KINDS = frozenset({*_HANDLERS, *HARMLESS})
#: DDL behind which tables mean what they meant.
_NO_CHANGE = frozenset({"CommentStmt", "CreateSeqStmt", "AlterSeqStmt", "GrantStmt"})


def understand(context: Context, statement: Statement) -> None:
    """Rewrite the statement as far as it needs it. Raises Refusal and AskServer."""
    handler = _HANDLERS.get(statement.kind)
    if statement.kind in _ALTERATIONS:
        _check_settled(context, statement.tree)
    if handler is not None:
        carry_out(context, whole(context.text, statement), handler(context, statement))


def _check_settled(context: Context, tree: Node) -> None:
    """Raises Refusal for a table with a column on its way: the table must stay as it is until that is done."""
    target = tree.get("relation")
    if target is None:
        return
    relation = find_relation(context.catalog, context.resolved, target.get("schemaname"), target["relname"])
    if relation is not None and relation.is_changing:
        raise refuse.moving(relation, context.position(target.get("location")))


def reshapes(kind: str, tree: Node, *, is_concerned: bool) -> bool:
    """Whether protected columns may be others, or have other names, behind this DDL."""
    if kind == "RenameStmt" and tree.get("renameType") == "OBJECT_SCHEMA":
        return True
    return is_concerned and kind not in _NO_CHANGE


def takes_ruled_name(kind: str, tree: Node, catalog: Catalog) -> str | None:
    """The name from the rules that a relation is going to have, whatever the name means now."""
    names = {table for _, table, _ in catalog.ruled}
    if kind == "RenameStmt" and tree.get("renameType") in _RELATIONS:
        taken = {tree.get("newname")}
    elif kind == "AlterObjectSchemaStmt":
        taken = {tree.get("relation", {}).get("relname")}
    elif kind == "CreateSchemaStmt":
        taken = {name for _, name, _ in find({kind: tree}).relations}
    else:
        taken = {created(kind, tree).get("relname")}
    return next((str(name) for name in taken if name in names), None)


def created(kind: str, tree: Node) -> Node:
    """The relation that a statement makes, as it is named there; empty when it makes none."""
    if kind == "ExplainStmt":
        ((kind, tree),) = tree["query"].items()
    target: Node = {}
    if kind == "CreateStmt":
        target = tree.get("relation", {})
    elif kind == "CreateForeignTableStmt":
        target = tree.get("base", {}).get("relation", {})
    elif kind == "CreateTableAsStmt":
        target = tree.get("into", {}).get("rel", {})
    elif kind == "SelectStmt":
        target = tree.get("intoClause", {}).get("rel", {})
    elif kind == "ViewStmt":
        target = tree.get("view", {})
    return target


def named(tree: Node, found: Mentions) -> frozenset[str]:
    """The relations that a statement names; behind DDL they may be others."""
    names = frozenset(name for _, name, _ in found.relations)
    return names | {str(tree["newname"])} if "newname" in tree else names
