"""GROUP BY, DISTINCT and ORDER BY: rows are told apart by terms, and one envelope stands for its group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pgcrypt_proxy.sql import layout, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import column_names, output_name, span, spelled
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn
from pgcrypt_proxy.sql.sealed import lineage, referenced
from pgcrypt_proxy.sql.sets import check_sort, distinct_over, sorted_over
from pgcrypt_proxy.sql.terms import bare, check_searchable, own_term, wrap


def _ordinal(node: Node) -> int | None:
    """The output number that an integer constant in GROUP BY or ORDER BY means."""
    constant = node.get("A_Const", {})
    return constant["ival"].get("ival", 0) if "ival" in constant else None


def _has_star(targets: list[Node]) -> bool:
    return any("A_Star" in part for t in targets for part in t.get("ColumnRef", {}).get("fields", ()))


def group_by(context: Context, tree: Node, scope: Scope) -> None:
    """The keys of GROUP BY. A protected column among them becomes its term; `scope.grouped` remembers it."""
    targets = [target["ResTarget"] for target in tree.get("targetList", ())]
    for item in list(_keys(tree.get("groupClause", []), scope)):
        _key(context, item, targets, scope)


def _keys(items: list[Node], scope: Scope) -> Iterator[Node]:
    """The expressions of GROUP BY, those in grouping sets and lists (`(a, b)`) too."""
    for item in items:
        if "GroupingSet" in item:
            scope.has_grouping_sets = True
            yield from _keys(item["GroupingSet"].get("content", []), scope)
        elif item.get("RowExpr", {}).get("row_format") == "COERCE_IMPLICIT_CAST":
            yield from _keys(item["RowExpr"].get("args", []), scope)
        else:
            yield item


def _key(context: Context, item: Node, targets: list[Node], scope: Scope) -> None:
    meant, is_elsewhere = _meant(context, item, targets, [target["val"] for target in targets], scope)
    owner = lineage(context, meant, scope)
    found = referenced(context, meant, scope)
    if owner is None:
        if found is not None:
            found.use_plain()
        if not is_elsewhere:
            context.plain(context, item, scope, "GROUP BY")
        return
    position = context.position(item[next(iter(item))].get("location"))
    check_searchable(owner, position)
    if found is None:
        _key_expression(context, item, meant, is_elsewhere, owner, scope)
        return
    if is_elsewhere:
        start, end = _item_span(context, item)
        context.edit(start, end, f"pgcrypt.eq({spelled(context, meant)})")
    else:
        wrap(context, meant)
    scope.grouped.append(found)


def _key_expression(
    context: Context, item: Node, meant: Node, is_elsewhere: bool, owner: ProtectedColumn, scope: Scope
) -> None:
    """A key that gives envelopes. It is evaluated once more for the output, so it must not change meanwhile."""
    position = context.position(item[next(iter(item))].get("location"))
    if scope.has_grouping_sets or not _is_steady(meant):
        raise refuse.construct(owner, "GROUP BY of an expression", position, hint="Group by the column itself.")
    if is_elsewhere:
        scope.grouped_outputs.setdefault(id(meant), []).append(_item_span(context, item))
    else:
        own_term(context, item, scope, owner, position)
    scope.grouped_expressions.append(bare(meant))


def copy_key(context: Context, node: Node, scope: Scope) -> None:
    """Where GROUP BY means the output `node`, which is sealed by now, its term is written in full."""
    for start, end in scope.grouped_outputs.pop(id(node), ()):
        context.edit(start, end, "pgcrypt.eq(", *context.rewritten(*span(context, node)), ")")


#: What may give another value each time it is evaluated, or is costly.
_UNSTEADY = frozenset({"FuncCall", "SubLink", "SQLValueFunction"})


def _is_steady(node: Any) -> bool:
    if isinstance(node, dict):
        return all(key not in _UNSTEADY and _is_steady(value) for key, value in node.items())
    return all(_is_steady(each) for each in node) if isinstance(node, list) else True


def _meant(context: Context, item: Node, targets: list[Node], values: list[Node], scope: Scope) -> tuple[Node, bool]:
    """The expression that a GROUP BY item means, and whether it stands in the target list, not in the item."""
    number = _ordinal(item)
    if number is not None:
        if _has_star(values[:number]):
            if any(source.has_protected for source in scope.sources):
                raise refuse.form("GROUP BY of an output's number beside *")
            return item, True
        return (values[number - 1] if 0 < number <= len(values) else item), True
    names = column_names(item["ColumnRef"]) if "ColumnRef" in item else None
    if names is not None and len(names) == 1:
        # A name that FROM does not know at this very level may be an output's.
        is_unknown = any(source.columns is None for source in scope.sources)
        for target in targets:
            if target.get("name", output_name(target["val"])) != names[0]:
                continue
            if not scope.may_know(names[0]):
                return target["val"], True
            if is_unknown and lineage(context, target["val"], scope) is not None:
                raise refuse.form(f'the name "{names[0]}", which may mean a protected column or not,')
    return item, False


def _item_span(context: Context, item: Node) -> tuple[int, int]:
    ((_, tree),) = item.items()
    text = context.text
    at = text.token_index.get(text.to_char(tree.get("location", -1)))
    if at is None or text.tokens[at].name not in ("ICONST", "IDENT"):
        raise refuse.form("this spelling of GROUP BY", context.position(tree.get("location")))
    return text.tokens[at].start, text.tokens[at].end


def grouped_output(context: Context, target: Node, owner: ProtectedColumn, scope: Scope) -> ScopeColumn:
    """An output that is a key of the grouping: any envelope of the group stands for it."""
    node = target["val"]
    start, end = span(context, node)
    name = target.get("name") or output_name(node)
    before, after = "pgcrypt.first(", ")"
    if scope.has_grouping_sets:  # where the key is in no set of the row's, it is NULL
        before = f"CASE WHEN GROUPING(pgcrypt.eq({spelled(context, node)})) OPERATOR(pg_catalog.=) 0 THEN {before}"
        after = ") END"
    context.edit(start, start, before)
    context.edit(end, end, after)
    if "name" not in target:
        context.name_output(start, end, name)
    return ScopeColumn(name, owner, is_direct=False)


def distinct(context: Context, tree: Node, scope: Scope, outputs: Outputs) -> None:
    """DISTINCT over protected outputs becomes DISTINCT ON their terms; DISTINCT ON itself takes terms as keys."""
    items = [item for item in tree["distinctClause"] if item]
    if items:
        for item in items:
            _distinct_on(context, item, tree, scope, outputs)
        return
    for output in outputs or ():
        output.use_plain()
    if outputs is None or not any(output.protected for output in outputs):
        return
    targets = [target["ResTarget"]["val"] for target in tree["targetList"]]
    first = next(output.protected for output in outputs if output.protected)
    for output in outputs:
        if output.protected is not None:
            check_searchable(output.protected, None)
    at = layout.select_word(context.text, tree)
    word = context.text.tokens[at + 1]
    if word.name != "DISTINCT":
        raise refuse.form("this spelling of DISTINCT", word.start + 1)
    if _has_star(targets) or any(
        output.protected is not None and referenced(context, node, scope) is None
        for node, output in zip(targets, outputs, strict=True)
    ):
        _distinct_made(context, tree, outputs, at, first)
        return
    keys = [
        str(number) if output.protected is None else f"pgcrypt.eq({spelled(context, node)})"
        for number, (node, output) in enumerate(zip(targets, outputs, strict=True), 1)
    ]
    context.edit(word.end, word.end, f" ON ({', '.join(keys)}) ")


def _distinct_made(context: Context, tree: Node, outputs: list[ScopeColumn], at: int, first: ProtectedColumn) -> None:
    """DISTINCT over `*` or expressions: a query around this one tells the rows apart, so that each is made once."""
    text = context.text
    if "lockingClause" in tree:
        raise refuse.construct(first, "SELECT DISTINCT ... FOR UPDATE")
    before, after = distinct_over(outputs)
    if "sortClause" in tree:
        check_sort(context, outputs, tree["sortClause"])
        before, after = sorted_over(before, after)
    context.edit(text.tokens[at + 1].start, text.tokens[at + 1].end, " ")
    context.edit_around(text.tokens[at].start, text.tokens[layout.select_end(text, at)].end, before, after)
    outputs[:] = [replace(output, is_direct=False, is_made=True) for output in outputs]


def _distinct_on(context: Context, item: Node, tree: Node, scope: Scope, outputs: Outputs) -> None:
    """A key of DISTINCT ON. A number or a bare name means an output first."""
    names = column_names(item["ColumnRef"]) if "ColumnRef" in item else None
    number = _ordinal(item)
    named = [n for n, o in enumerate(outputs or (), 1) if names is not None and len(names) == 1 and o.name == names[0]]
    if outputs is None or (number is None and not named):
        found = referenced(context, item, scope)
        if found is None or found.protected is None:
            refuse_protected_key(context, item, scope, outputs, "DISTINCT ON")
            return
        check_searchable(found.protected, context.position(item[next(iter(item))].get("location")))
        wrap(context, item)
        return
    meant = [number] if number is not None else named
    owner = next((o.protected for n, o in enumerate(outputs, 1) if n in meant and o.protected), None)
    if owner is None:
        refuse_protected_key(context, item, scope, outputs, "DISTINCT ON")
        return
    position = context.position(item[next(iter(item))].get("location"))
    check_searchable(owner, position)
    values = [target["ResTarget"]["val"] for target in tree["targetList"]]
    if len(meant) > 1 or _has_star(values) or referenced(context, values[meant[0] - 1], scope) is None:
        hint = "Name the column itself, with its table."
        raise refuse.construct(owner, "DISTINCT ON of an output that is an expression or is in *", position, hint=hint)
    context.edit(*_item_span(context, item), f"pgcrypt.eq({spelled(context, values[meant[0] - 1])})")


def order_by(context: Context, items: list[Node], scope: Scope, outputs: Outputs) -> None:
    """ORDER BY: keys must be plain, whether named by expression, output name or ordinal."""
    for item in items:
        refuse_protected_key(context, item["SortBy"]["node"], scope, outputs, "ORDER BY")


def refuse_protected_key(context: Context, node: Node, scope: Scope, outputs: Outputs, what: str) -> None:
    """A key that needs plaintext: an ordinal or a name may mean an output."""
    number = _ordinal(node)
    if number is not None:
        if outputs is not None and 0 < number <= len(outputs):
            _plain_output(context, outputs[number - 1], what, node["A_Const"])
        return
    reference: Node = node.get("ColumnRef", {})
    names = column_names(reference) if reference else None
    if names is not None and len(names) == 1:
        named = [output for output in outputs or () if output.name == names[0]]
        for output in named:
            _plain_output(context, output, what, reference)
        if named:
            return
    context.plain(context, node, scope, what)


def _plain_output(context: Context, output: ScopeColumn, what: str, tree: Node) -> None:
    if output.protected is not None:
        raise refuse.construct(output.protected, what, context.position(tree.get("location")), hint=refuse.NO_ORDER)
    output.use_plain()
