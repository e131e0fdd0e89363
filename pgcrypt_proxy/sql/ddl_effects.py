"""What DDL makes of the catalog, for the statements behind it in the same text: no answer of the server's is there yet.

Only for what is certain from the statement alone. Its new relations have
negative OIDs, which no result of the server's has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation
from pgcrypt_proxy.sql.parse import Node, Statement
from pgcrypt_proxy.sql.shown_order import arranged

#: Actions of ALTER TABLE that leave columns what they are.
_SAME_COLUMNS = frozenset(
    {
        "AT_SetNotNull", "AT_DropNotNull", "AT_ColumnDefault", "AT_AlterColumnType", "AT_AddConstraint",
        "AT_DropConstraint", "AT_ValidateConstraint", "AT_ChangeOwner", "AT_SetStatistics", "AT_SetStorage",
        "AT_SetRelOptions", "AT_ReplicaIdentity",
    }
)  # fmt: skip


def after(catalog: Catalog, statement: Statement, tables: Iterable[str]) -> Catalog | None:
    """The catalog behind a statement that was planned on `tables` (qualified names); None when that is not certain."""
    tree = statement.tree
    if statement.kind in ("IndexStmt", "CommentStmt"):
        return catalog
    if statement.kind == "CreateStmt":
        return _created(catalog, tree, list(tables))
    if statement.kind == "DropStmt":
        return _dropped(catalog, tree)
    if statement.kind == "AlterTableStmt":
        return _altered(catalog, tree, list(tables))
    return None


def _created(catalog: Catalog, tree: Node, tables: list[str]) -> Catalog | None:
    elements = tree.get("tableElts", ())
    is_plain = not any(key in tree for key in ("inhRelations", "ofTypename", "partbound"))
    if not is_plain or any("TableLikeClause" in element for element in elements):
        return None
    if not tables:
        return catalog  # a plain table, which refers to protected ones
    name = tree["relation"]["relname"]
    schema = tables[0].removesuffix(f".{name}")
    if any(r.schema == schema for r in catalog.by_name.get(name, ())):
        return catalog if tree.get("if_not_exists") else None
    names = [element["ColumnDef"]["colname"] for element in elements if "ColumnDef" in element]
    oid = min((*catalog.relations, 0)) - 1
    columns = tuple(_column(catalog, oid, schema, name, column, number) for number, column in enumerate(names, 1))
    made = Relation(oid, schema, name, "p" if "partspec" in tree else "r", columns)
    return _with(catalog, [*catalog.relations.values(), made])


def _dropped(catalog: Catalog, tree: Node) -> Catalog | None:
    if tree.get("removeType") in ("OBJECT_INDEX", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"):
        return catalog
    if tree.get("removeType") != "OBJECT_TABLE" or tree.get("behavior") == "DROP_CASCADE":
        return None
    kept = dict(catalog.relations)
    for item in tree["objects"]:
        names = [part["String"].get("sval", "") for part in item["List"]["items"]]
        found = [r for r in catalog.by_name.get(names[-1], ()) if len(names) == 1 or r.schema == names[-2]]
        if len(found) > 1 or len(names) > 2:
            return None
        for relation in found:
            del kept[relation.oid]
    return _with(catalog, kept.values())


def _altered(catalog: Catalog, tree: Node, tables: list[str]) -> Catalog | None:
    found = [r for r in catalog.by_name.get(tree["relation"]["relname"], ()) if f"{r.schema}.{r.name}" in tables]
    if len(found) != 1:
        return None
    relation = found[0]
    columns = list(relation.columns)
    for item in tree.get("cmds", ()):
        command = item["AlterTableCmd"]
        kind = command.get("subtype", "AT_AddColumn")
        if kind == "AT_AddColumn":
            name = command["def"]["ColumnDef"]["colname"]
            if all(column.name != name for column in columns):
                number = max((column.attribute_number for column in columns), default=0) + 1
                columns.append(_column(catalog, relation.oid, relation.schema, relation.name, name, number))
        elif kind == "AT_DropColumn":
            columns = [column for column in columns if column.name != command.get("name")]
        elif kind not in _SAME_COLUMNS:
            return None
    visible, is_order_unknown = arranged(columns, relation.shown_after)
    changed = replace(relation, columns=visible, is_order_unknown=is_order_unknown)
    return _with(catalog, [changed if r.oid == relation.oid else r for r in catalog.relations.values()])


def _column(catalog: Catalog, oid: int, schema: str, table: str, name: str, number: int) -> Column:
    rule = catalog.ruled.get((schema, table, name))
    protected = replace(rule, relation_oid=oid, attribute_number=number) if rule is not None else None
    return Column(name, number, rule.domain_oid if rule is not None else 0, protected)


def _with(catalog: Catalog, relations: Iterable[Relation]) -> Catalog:
    made = list(relations)
    present: dict[tuple[str, str, str], ProtectedColumn] = {
        (r.schema, r.name, c.name): c.protected for r in made for c in r.columns if c.protected is not None
    }
    ruled = {
        where: present.get(where) or replace(rule, relation_oid=0, attribute_number=0, is_armed=bool(rule.id))
        for where, rule in catalog.ruled.items()
    }
    unmet = {(s, t) for (s, t, _), rule in ruled.items() if not rule.relation_oid}
    return catalog.with_relations(made, unmet_rules=unmet, ruled=ruled)
