"""CREATE TABLE: columns that the rules name are made with their sealed types.

Tables that the rules do not name may still refer to protected ones: as parents,
in LIKE (their columns come with their sealed types) and in foreign keys.
"""

from __future__ import annotations

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.ddl_column import check_plain, define, named_columns
from pgcrypt_proxy.sql.ddl_layout import Span, behind_name, bracketed, remove
from pgcrypt_proxy.sql.ddl_steps import Steps
from pgcrypt_proxy.sql.ddl_terms import Key, concerns, key
from pgcrypt_proxy.sql.parse import Node, Statement
from pgcrypt_proxy.sql.scope import quote

COPY_HINT = "Write its columns out."


def create(context: Context, statement: Statement) -> Steps:
    """What must be done beside the statement, whose columns are rewritten. Raises Refusal and AskServer."""
    tree = statement.tree
    target = tree["relation"]
    schema, ruled = _ruled(context, target)
    table = target["relname"]
    steps = Steps("CREATE TABLE")
    sources = [r for item in tree.get("inhRelations", ()) if (r := item.get("RangeVar"))]
    sources += [e["TableLikeClause"]["relation"] for e in tree.get("tableElts", ()) if "TableLikeClause" in e]
    for source in sources:
        _check_source(context, source, ruled)
    elements = tree.get("tableElts", ())
    if not ruled:
        for element in elements:
            ((_, node),) = element.items()
            check_plain(context, node, {}, table)
        return steps
    position = context.position(target.get("location"))
    if "ofTypename" in tree:
        raise refuse.form("CREATE TABLE OF a type", position, hint=COPY_HINT)
    context.tables.add(f"{schema}.{table}")
    for parameter in tree.get("partspec", {}).get("partParams", ()):
        names = {parameter["PartitionElem"].get("name", ""), *named_columns(parameter)}
        for name in names & ruled.keys():
            hint = "Partition by a column that is not protected."
            raise refuse.construct(ruled[name], "PARTITION BY", position, hint=hint)
    keys = _elements(context, tree, ruled, table)
    spelled = f"{quote(schema)}.{quote(table)}"
    for made in keys:
        steps.after += made.statements(spelled, ruled, if_not_exists=bool(tree.get("if_not_exists")))
    return steps


def _elements(context: Context, tree: Node, ruled: dict[str, ProtectedColumn], table: str) -> list[Key]:
    """The keys that take the place of what is taken out of the list of elements."""
    elements = tree.get("tableElts", [])
    if not elements:
        return []
    spans = _spans(context, tree)
    keys: list[Key] = []
    removed: set[int] = set()
    for number, (element, span) in enumerate(zip(elements, spans, strict=True)):
        ((kind, node),) = element.items()
        position = span.start(context.text) + 1
        if kind == "ColumnDef" and node.get("colname") in ruled:
            keys += define(context, ruled[node["colname"]], node, span, table)
        elif kind == "Constraint" and node.get("contype") == "CONSTR_EXCLUSION":
            raise refuse.form("EXCLUDE", position)
        elif kind == "Constraint" and node.get("contype") in ("CONSTR_UNIQUE", "CONSTR_PRIMARY"):
            if concerns(node, ruled):
                keys.append(key(node, table, ruled, position))
                removed.add(number)
        elif kind != "TableLikeClause":
            check_plain(context, node, ruled, table)
    if len(removed) == len(spans):
        raise refuse.unsafe()
    remove(context, spans, removed)
    return keys


def _spans(context: Context, tree: Node) -> list[Span]:
    at = behind_name(context.text, tree["relation"])
    while at < len(context.text.tokens) and context.text.tokens[at].name != "ASCII_40":
        at += 1  # PARTITION OF parent
    return bracketed(context.text, at, len(tree["tableElts"]))


def _ruled(context: Context, target: Node) -> tuple[str, dict[str, ProtectedColumn]]:
    """The schema where the table is made, and the columns that rules name there; empty when they do not."""
    table, named = target["relname"], target.get("schemaname")
    position = context.position(target.get("location"))
    schemas = sorted({schema for schema, name, _ in context.catalog.ruled if name == table})
    if target.get("relpersistence") == "t" or named == "pg_temp":
        if table in context.catalog.sensitive_names:
            raise refuse.statement("CREATE TEMPORARY TABLE under its name", table, position)
        return "", {}
    for schema in schemas:
        if named == schema or (named is None and context.creates_in(schema)):
            ruled = {n: c for (s, t, n), c in context.catalog.ruled.items() if (s, t) == (schema, table)}
            return schema, ruled
    return "", {}


def _check_source(context: Context, source: Node, ruled: dict[str, ProtectedColumn]) -> None:
    """A table whose columns come with it: under their sealed types, but not in a ruled column's place."""
    relation = context.lookup(source.get("schemaname"), source["relname"], source.get("location"))
    position = context.position(source.get("location"))
    if relation is not None and relation.is_rearranged:
        raise refuse.rearranged("making a table of its columns", relation, position, hint=COPY_HINT)
    if not ruled:
        return
    if relation is None:
        raise refuse.form("columns of a table that is not known", position, hint=COPY_HINT)
    for column in relation.columns:
        if column.name in ruled and (column.protected is None or column.protected.id != ruled[column.name].id):
            raise refuse.construct(ruled[column.name], "taking the column from another table", position, hint=COPY_HINT)
