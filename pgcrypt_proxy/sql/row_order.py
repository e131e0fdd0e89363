"""Whether a statement depends on which columns a table has, or on their order, without naming them.

Found by the shapes in the tree alone, whatever the statement is. What depends on
neither passes untouched on tables of which clients see other columns than the
server has, as long as no value of theirs can be an envelope.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.catalog import Relation
from pgcrypt_proxy.sql.parse import Node, ParsedText, nodes
from pgcrypt_proxy.sql.references import names_of
from pgcrypt_proxy.sql.scope import SYSTEM_COLUMNS

#: Names of a table's rows that no FROM gives.
_ROWS = frozenset({"old", "new", "excluded"})


def depends(kind: str, tree: Node, relations: Iterable[Relation]) -> bool:
    """Whether it may make a difference to a statement which columns `relations` have, and in which order."""
    named: dict[str, set[str]] = {}
    for relation in relations:
        columns = {column.name for column in relation.columns}
        named[relation.name] = named.get(relation.name, columns) & columns
    if kind == "CopyStmt" and "attlist" not in tree and tree.get("relation", {}).get("relname") in named:
        return True
    everywhere = set.intersection(*named.values()) if named else set()
    aliases = dict.fromkeys(_ROWS, everywhere)
    references: list[list[Node]] = []
    for node in nodes(tree):
        if _is_by_position(node, named.keys()):
            return True
        if "relname" in node and node["relname"] in named:
            name = node.get("alias", {}).get("aliasname", node["relname"])
            aliases[name] = aliases.get(name, named[node["relname"]]) & named[node["relname"]]
        elif "larg" in node and "jointype" in node:
            for join_alias in (node.get("alias", {}), node.get("join_using_alias", {})):
                aliases[join_alias.get("aliasname", "")] = set()
        elif "ReturningOption" in node:
            aliases[node["ReturningOption"].get("value", "")] = everywhere
        elif "ColumnRef" in node:
            references.append(node["ColumnRef"].get("fields", []))
    return any(_is_row(fields, aliases) for fields in references)


def _is_by_position(node: Node, named: Collection[str]) -> bool:
    """Whether columns of the tables `named` are meant there without a name of theirs."""
    if "relname" in node:
        return node["relname"] in named and "colnames" in node.get("alias", {})
    if "returningClause" in node and _has_star(node["returningClause"].get("exprs", [])):
        return True
    if "fromClause" in node and _has_star(node.get("targetList", [])):
        return bool(_tables(node["fromClause"]) & set(named))
    target = node.get("relation")
    if isinstance(target, dict) and target.get("relname") in named and "selectStmt" in node and "cols" not in node:
        return True
    clause = node.get("MergeWhenClause", {})
    return clause.get("commandType") == "CMD_INSERT" and "values" in clause and "targetList" not in clause


def _has_star(targets: Iterable[Node]) -> bool:
    """Whether a target list has a `*` without a qualifier."""
    return any("A_Star" in (t["ResTarget"]["val"].get("ColumnRef", {}).get("fields") or [{}])[0] for t in targets)


def _tables(items: Any) -> set[str]:
    """The tables that stand in FROM itself, not in a subquery of it."""
    return {node["relname"] for node in nodes(items, without="SelectStmt") if "relname" in node}


def _is_row(fields: list[Node], aliases: dict[str, set[str]]) -> bool:
    """Whether a reference is a row as a whole, its columns, or calls a function with it (`t.function`)."""
    if "A_Star" in fields[-1]:
        return len(fields) > 1 and names_of(fields[:-1])[-1] in aliases
    names = names_of(fields)
    if len(names) == 1:
        return names[0] in aliases
    known = aliases.get(names[-2])
    return known is not None and names[-1] not in known | SYSTEM_COLUMNS


def check_hidden(tree: Any, text: ParsedText, relations: Iterable[Relation]) -> None:
    """Raises Refusal for a statement that names a column which clients do not see."""
    hidden = {column.name for relation in relations for column in relation.hidden}
    if not hidden:
        return
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            stack.extend(value for key, value in node.items() if key != "A_Const")
        elif isinstance(node, str) and node in hidden:
            place = next((t.start + 1 for t in text.tokens if text.sql[t.start : t.end].strip('"') == node), None)
            raise Refusal(f'column "{node}" does not exist', position=place, sqlstate="42703")
