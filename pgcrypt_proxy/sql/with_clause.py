"""WITH: every common table expression becomes a source that FROM can name.

In WITH RECURSIVE a query may name any other of the clause, so they are analysed
in the order in which they need each other. One that names itself hands on its
non-recursive term's columns: a protected one must come through unchanged.
"""

from __future__ import annotations

from dataclasses import replace

from pgcrypt_proxy.sql import mention, refuse
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import names_of
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source, aliased


def common_tables(context: Context, clause: Node | None, scope: Scope) -> None:
    """Bring what `clause` defines into `scope`."""
    if clause is None:
        return
    tables = [item["CommonTableExpr"] for item in clause.get("ctes", ())]
    for tree in _in_order(tables) if clause.get("recursive", False) else tables:
        is_recursive = clause.get("recursive", False) and tree["ctename"] in _named(tree)
        outputs = _recursive(context, tree, scope) if is_recursive else _query(context, tree["ctequery"], scope)
        scope.ctes[tree["ctename"]] = _source(tree, outputs)


def _source(tree: Node, outputs: Outputs) -> Source:
    name = tree["ctename"]
    if "search_clause" in tree or "cycle_clause" in tree:
        owner = next((o.protected for o in outputs or () if o.protected is not None), None)
        if owner is not None:
            hint = "Keep a path of plain keys in a column of its own."
            raise refuse.construct(owner, "SEARCH or CYCLE", hint=hint)
        outputs = None  # they add columns
    source = Source(name, tuple(outputs) if outputs is not None else None)
    return aliased(source, name, names_of(tree.get("aliascolnames", [])))


def _named(tree: Node) -> set[str]:
    """The names without schema that a query has in FROM; more than it needs if it has a WITH of its own."""
    return {name for schema, name, _ in mention.find(tree["ctequery"]).relations if schema is None}


def _in_order(tables: list[Node]) -> list[Node]:
    """Each behind those that it names. Raises Refusal for those that need each other, which PostgreSQL lacks too."""
    left, made = list(tables), []
    while left:
        waiting = {tree["ctename"] for tree in left}
        ready = next((tree for tree in left if not (_named(tree) & waiting) - {tree["ctename"]}), None)
        if ready is None:
            raise refuse.form("mutual recursion in WITH RECURSIVE", None)
        left.remove(ready)
        made.append(ready)
    return made


def _query(context: Context, node: Node, scope: Scope) -> Outputs:
    ((kind, tree),) = node.items()
    outputs = (
        context.select(context, tree, scope) if kind == "SelectStmt" else context.write(context, kind, tree, scope)
    )
    if outputs is None and context.has_protected:
        raise refuse.form("a common table expression whose columns are not known")
    return outputs


def _recursive(context: Context, tree: Node, scope: Scope) -> Outputs:
    """The outputs of a query that names itself: those of its non-recursive term, in all its rows."""
    query = tree["ctequery"].get("SelectStmt", {})
    if query.get("op") != "SETOP_UNION":
        raise refuse.form("WITH RECURSIVE without UNION")
    inner = Scope(scope)
    common_tables(context, query.get("withClause"), inner)
    first = context.select(context, query["larg"], inner)
    for output in first or ():
        output.use_plain()
    if first is None and context.has_protected:
        raise refuse.form("a common table expression whose columns are not known")
    # Within the recursion a column has the type that the table's has, if it is that one.
    made = [ScopeColumn(o.name, o.protected, is_direct=o.is_direct) for o in first] if first is not None else None
    inner.ctes[tree["ctename"]] = _source(tree, made)
    again = context.select(context, query["rarg"], inner)
    for part in ("sortClause", "limitOffset", "limitCount"):
        context.plain(context, query.get(part), inner, "WITH RECURSIVE")
    owners = [o.protected for o in (*(first or ()), *(again or ())) if o.protected is not None]
    if not owners:
        for output in again or ():
            output.use_plain()
        return made
    if not query.get("all", False):
        hint = "Use UNION ALL; keep a path of plain keys if rows could come again."
        raise refuse.construct(owners[0], "UNION in WITH RECURSIVE", hint=hint)
    if made is None or again is None or len(made) != len(again):
        raise refuse.construct(owners[0], "WITH RECURSIVE over columns that are not known", hint="List the columns.")
    for one, other in zip(made, again, strict=True):
        if one.protected is None and other.protected is None:
            other.use_plain()
        elif (
            one.protected is None
            or other.protected is None
            or (one.protected.id, one.protected.type) != (other.protected.id, other.protected.type)
            or not (one.is_direct and other.is_direct)
        ):
            hint = "Let both terms of the UNION ALL give the same column there, and no expression over it."
            raise refuse.construct(owners[0], "WITH RECURSIVE with a column that is not the same", hint=hint)
    return [replace(column, is_direct=False) for column in made]
