"""SELECT: what FROM brings into sight, where clauses may use it, and which outputs are protected columns."""

from __future__ import annotations

from dataclasses import replace

from pgcrypt_proxy.sql import expressions, refuse
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.feeds import Feed
from pgcrypt_proxy.sql.from_clause import feed_column, from_clause, is_operand
from pgcrypt_proxy.sql.grouping import copy_key, distinct, group_by, grouped_output, order_by
from pgcrypt_proxy.sql.joins import star_list
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import column_names, is_spelled, names_of, output_name, span
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, quote
from pgcrypt_proxy.sql.sealed import lineage, referenced, seal_into
from pgcrypt_proxy.sql.sets import compares, set_operation
from pgcrypt_proxy.sql.star import check_order, listed
from pgcrypt_proxy.sql.terms import check_searchable, is_grouped_expression, wrap_output
from pgcrypt_proxy.sql.with_clause import common_tables


def select(
    context: Context, node: Node, parent: Scope | None, *, as_terms: bool = False, is_only_counted: bool = False
) -> Outputs:
    """Analyse a SELECT (tagged or not) and return its output columns; None when their number is not known.

    `as_terms`: protected outputs become terms. `is_only_counted`: what is in its rows makes no difference, if it is
    no set operation. Raises Refusal.
    """
    tree = node.get("SelectStmt", node)
    scope = Scope(parent, is_only_counted=is_only_counted)
    common_tables(context, tree.get("withClause"), scope)
    if tree.get("op", "SETOP_NONE") != "SETOP_NONE":
        left, right = (select(context, tree[side], scope, as_terms=as_terms) for side in ("larg", "rarg"))
        outputs = set_operation(context, tree, left, right, as_terms=as_terms)
    elif "valuesLists" in tree:
        outputs = _values(context, tree, scope)
    else:
        outputs = _simple(context, tree, scope)
        if as_terms:
            outputs = _as_terms(context, tree, outputs)
    if "intoClause" in tree and parent is not None:
        raise refuse.form("SELECT INTO")
    order_by(context, tree.get("sortClause", []), scope, outputs)
    for part in ("limitOffset", "limitCount"):
        expressions.plain(context, tree.get(part), scope, "LIMIT")
    return outputs


def _simple(context: Context, tree: Node, scope: Scope) -> Outputs:
    from_clause(context, tree.get("fromClause", []), scope)
    where(context, tree.get("whereClause"), scope)
    group_by(context, tree, scope)
    outputs = targets(context, tree.get("targetList", []), scope)
    expressions.plain(context, tree.get("havingClause"), scope, "HAVING")
    for definition in tree.get("windowClause", ()):
        expressions.window(context, definition["WindowDef"], scope)
    if "distinctClause" in tree:
        distinct(context, tree, scope, outputs)
    return outputs


def select_compared(context: Context, node: Node, parent: Scope | None, is_tested: bool) -> Outputs:
    """As `select`, for a subquery whose values go nowhere: IN and the like if `is_tested`, else EXISTS.

    Of a set operation they become terms, if there is a need: it has branches of several columns, or compares rows.
    """
    tree = node.get("SelectStmt", node)
    is_only_counted = not is_tested and "larg" not in tree
    as_terms = "larg" in tree if is_tested else compares(tree)
    return select(context, node, parent, as_terms=as_terms, is_only_counted=is_only_counted)


def _as_terms(context: Context, tree: Node, outputs: Outputs) -> Outputs:
    made = []
    for number, output in enumerate(outputs or ()):
        if output.protected is not None:
            check_searchable(output.protected, None)
            wrap_output(context, tree, number, output, None)
            output = replace(output, is_direct=False, is_term=True)
        made.append(output)
    return made if outputs is not None else None


def _values(context: Context, tree: Node, scope: Scope) -> Outputs:
    """VALUES: a column of nothing but parameters and literals can become what its uses need."""
    rows = [row["List"]["items"] for row in tree["valuesLists"]]
    outputs = []
    for number in range(len(rows[0])):
        nodes = [row[number] for row in rows if number < len(row)]
        name = f"column{number + 1}"
        if all(is_operand(context, node) for node in nodes):
            outputs.append(feed_column(context, name, nodes, scope))
        else:
            expressions.plain(context, nodes, scope, "VALUES")
            outputs.append(ScopeColumn(name, is_direct=False))
    return outputs


def where(context: Context, node: Node | None, scope: Scope) -> None:
    """A condition: equality predicates are rewritten, the rest must be plain."""
    if node is not None and "CurrentOfExpr" in node:
        return
    expressions.plain(context, node, scope, "WHERE")


def targets(context: Context, items: list[Node], scope: Scope) -> Outputs:
    """A target list (SELECT or RETURNING): one output per column, None when a `*` is not known."""
    outputs: list[ScopeColumn] | None = []
    known: list[ScopeColumn] = []
    for item in items:
        tree = item["ResTarget"]
        made = _target(context, tree, scope)
        if made is None:
            outputs = None
        else:
            known += made
    if outputs is None:
        for output in known:
            if output.protected is not None:
                raise refuse.construct(
                    output.protected,
                    "a result with * over columns that are not known",
                    hint="List the columns.",
                )
        return None
    return known


def _target(context: Context, tree: Node, scope: Scope) -> Outputs:
    node = tree["val"]
    reference = node.get("ColumnRef")
    if reference is not None and column_names(reference) is None:
        return _star(context, tree, scope)
    name = tree.get("name") or output_name(node)
    found = referenced(context, node, scope)
    owner = lineage(context, node, scope)
    if found is not None:
        if owner is not None and scope.is_grouped(found):
            return [grouped_output(context, tree, owner, scope)]
        if "name" not in tree and reference is not None and is_spelled(context, reference):
            context.name_output(*span(context, node), name)
        return [found.renamed(name)]
    if owner is not None:
        seal_into(context, node, scope, owner)
        if is_grouped_expression(node, scope):
            copy_key(context, node, scope)
            return [grouped_output(context, tree, owner, scope)]
        if node.get("A_Expr", {}).get("kind") == "AEXPR_NULLIF" and "name" not in tree:
            context.name_output(*span(context, node), name)  # it is rewritten as a CASE, which has another name
        return [ScopeColumn(name, owner, is_direct=False)]
    if is_operand(context, node):
        return [feed_column(context, name, [node], scope, is_unnamed="name" not in tree)]
    handed_on = referenced(context, node["TypeCast"]["arg"], scope) if "TypeCast" in node else None
    if handed_on is not None and handed_on.feed is not None:
        feed = Feed((), scope, parts=(handed_on.feed,), outer_cast=node)
        context.feeds.append(feed)
        return [ScopeColumn(name, feed=feed, is_direct=False)]
    expressions.plain(context, node, scope, "an expression in the result")
    return [ScopeColumn(name, is_direct=False)]


def _star(context: Context, target: Node, scope: Scope) -> Outputs:
    tree = target["val"]["ColumnRef"]
    qualifier = names_of(tree["fields"][:-1])
    if not qualifier:
        if scope.star is None and any(s.has_protected for s in scope.sources):
            raise refuse.form("* over columns that are not known", context.position(tree.get("location")))
        _list_star(context, target, scope)
        return _ungrouped(context, scope.star, scope, tree)
    source = scope.source(qualifier)
    if source is None or source.columns is None:
        return None
    listed(context, target, scope)
    return _ungrouped(context, list(source.columns), scope, tree)


def _list_star(context: Context, target: Node, scope: Scope) -> None:
    """`*` over a join that merged columns before it was rewritten becomes the list of its columns."""
    if not any(source.spellings for source in scope.sources):
        listed(context, target, scope)
        return
    tree = target["val"]["ColumnRef"]
    for source in scope.sources:
        if source.row is not None:
            check_order(context, source.row, tree.get("location"))
    owner = next(c.protected for source in scope.sources for c in source.columns or () if c.protected)
    at = context.text.token_index.get(context.text.to_char(tree.get("location", -1)))
    if at is None or context.text.tokens[at].name != "ASCII_42":
        raise refuse.form("this spelling of *")
    columns = ", ".join(f"{spelling} AS {quote(column.name)}" for column, spelling in star_list(scope, owner))
    context.edit(context.text.tokens[at].start, context.text.tokens[at].end, columns)


def _ungrouped(context: Context, columns: Outputs, scope: Scope, tree: Node) -> Outputs:
    for column in columns or ():
        if column.protected is not None and scope.is_grouped(column):
            position = context.position(tree.get("location"))
            raise refuse.construct(column.protected, "* over GROUP BY", position, hint="List the columns.")
    return columns
