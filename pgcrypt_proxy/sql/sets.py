"""UNION, INTERSECT and EXCEPT.

UNION ALL keeps rows as they are. The others compare them, NULL being equal to
NULL, as DISTINCT and GROUP BY do; so they become a UNION ALL of which the rows
are told apart by terms. Where only terms are asked for (IN, EXISTS), each branch
gives terms, and the operation stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

from pgcrypt_proxy.sql import layout, operands, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.feeds import Feed
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.scope import ScopeColumn, quote
from pgcrypt_proxy.sql.sealed import take
from pgcrypt_proxy.sql.terms import check_same_domain, check_searchable

#: The name of made subqueries. All names in sight beside it are made too, so it captures none.
ROWS = '"pgcrypt_rows"'
_WORDS = {"SETOP_UNION": "UNION", "SETOP_INTERSECT": "INTERSECT", "SETOP_EXCEPT": "EXCEPT"}


def compares(tree: Node) -> bool:
    """Whether a query is a set operation that compares rows, at whatever depth of its operands."""
    if tree.get("op", "SETOP_NONE") == "SETOP_NONE":
        return False
    return not is_union_all(tree) or compares(tree["larg"]) or compares(tree["rarg"])


def is_union_all(tree: Node) -> bool:
    """Whether the operation keeps all rows."""
    return bool(tree["op"] == "SETOP_UNION" and tree.get("all", False))


def set_operation(context: Context, tree: Node, left: Outputs, right: Outputs, *, as_terms: bool) -> Outputs:
    """The outputs of a set operation over operands with outputs `left` and `right`, which are terms if `as_terms`."""
    if left is None or right is None:
        _refuse_protected(left, right, "a set operation over columns that are not known")
        return None
    if len(left) != len(right):
        _refuse_protected(left, right, "a set operation over different numbers of columns")
    pairs = list(zip(left, right, strict=False))
    if as_terms:
        outputs = [_terms(one, other) for one, other in pairs]
        if any(output.protected for output in outputs):
            check_sort(context, outputs, tree.get("sortClause", []))
        return outputs
    outputs = [_united(context, one, other, tree) for one, other in pairs]
    if any(output.protected for output in outputs) and not is_union_all(tree):
        _rewrite(context, tree, pairs, outputs)
        return [replace(output, is_made=True) for output in outputs]
    return outputs


def _refuse_protected(left: Outputs, right: Outputs, what: str) -> None:
    for output in (*(left or ()), *(right or ())):
        if output.protected is not None:
            raise refuse.construct(output.protected, what)


def _plain(one: ScopeColumn, other: ScopeColumn) -> ScopeColumn:
    one.use_plain()
    other.use_plain()
    return ScopeColumn(one.name, is_direct=False)


def _terms(one: ScopeColumn, other: ScopeColumn) -> ScopeColumn:
    """One column of terms: equal values of columns of one index domain have equal terms."""
    owner = one.protected or other.protected
    if owner is None:
        if one.feed is None or other.feed is None:
            return _plain(one, other)
        return ScopeColumn(one.name, feed=Feed((), None, parts=(one.feed, other.feed)), is_direct=False)
    for side in (one, other):
        if side.feed is not None:
            side.feed.use_as(Use.TERM, owner, None)
        elif side.protected is None:
            raise refuse.operand_form(owner, None)
        else:
            check_same_domain(owner, side.protected, None)
    return ScopeColumn(one.name, owner, is_direct=False, is_term=True)


def _united(context: Context, one: ScopeColumn, other: ScopeColumn, tree: Node) -> ScopeColumn:
    """One column of a set operation: what is protected is so on both sides, by the same column."""
    owner = one.protected or other.protected
    what = _WORDS[tree["op"]] + (" ALL" if is_union_all(tree) else "")
    if owner is not None:
        if not is_union_all(tree):
            check_searchable(owner, _position(context, tree))
        for side in (one, other):
            if side.feed is None and (side.protected is None or side.protected.id != owner.id):
                hint = "Combine values of one and the same column, or run two queries."
                what = f"{what} with a column that is not the same"
                raise refuse.construct(owner, what, _position(context, tree), hint=hint)
            if side.feed is None:
                take(context, side, owner, None)
            elif owner.type.typmod != -1:
                what = f"{what} with a value, which loses the length,"
                raise refuse.construct(owner, what, _position(context, tree), hint="Run two queries.")
            elif side is one and _is_other_text(context, side.feed, owner):
                raise refuse.construct(owner, f"{what} behind a value of another type", _position(context, tree))
            else:
                side.feed.use_as(Use.ALIKE, owner, None)
        return ScopeColumn(one.name, owner, is_direct=False, is_made=one.is_made or other.is_made)
    if is_union_all(tree) and one.feed is not None and other.feed is not None:
        united = Feed((), None, parts=(one.feed, other.feed))
        return ScopeColumn(one.name, feed=united, is_direct=False)
    return _plain(one, other)


def _is_other_text(context: Context, feed: Feed, owner: ProtectedColumn) -> bool:
    """Whether the values' casts give the column another type than `owner` has: of texts, the first type counts."""
    casts = [operands.read(node, context.text).cast for node in feed.nodes]
    return any(cast is not None and cast.name != owner.type.name for cast in casts)


def _position(context: Context, tree: Node) -> int:
    return context.text.tokens[layout.set_word(context.text, tree)].start + 1


def _rewrite(
    context: Context, tree: Node, pairs: list[tuple[ScopeColumn, ScopeColumn]], outputs: list[ScopeColumn]
) -> None:
    """Write the operation as a query over the UNION ALL of its operands."""
    text = context.text
    start, end = (text.tokens[at] for at in layout.set_span(text, tree))
    word = layout.set_word(text, tree)
    quantifier = text.tokens[word + 1].name in ("ALL", "DISTINCT")
    glue = (text.tokens[word].start, text.tokens[word + quantifier].end)
    if tree["op"] == "SETOP_UNION":
        (before, after), between = distinct_over(outputs), "UNION ALL"
    else:
        beside = [pair for pair, output in zip(pairs, outputs, strict=True) if output.protected is None]
        if not all(_is_typed(context, side.feed) for pair in beside for side in pair):
            owner = next(o.protected for o in outputs if o.protected)
            what = f"{_WORDS[tree['op']]} beside literals or parameters"
            raise refuse.construct(owner, what, _position(context, tree), hint="Give them types with a cast.")
        before, between, after = _counted(tree, outputs)
    if "sortClause" in tree:
        check_sort(context, outputs, tree["sortClause"])
        before, after = sorted_over(before, after)
    context.edit_around(start.start, end.end, before, after)
    context.edit(*glue, between)


def _is_typed(context: Context, feed: Feed | None) -> bool:
    """Whether what is handed on has a type of its own. In a subquery it would become text."""
    if feed is None or feed.is_nested or feed.outer_cast is not None:
        return True
    own = [operands.read(node, context.text).cast is not None for node in feed.nodes]
    return all(own) and all(_is_typed(context, part) for part in feed.parts)


def sorted_over(before: str, after: str) -> tuple[str, str]:
    """What stands around a query that is sorted when its rows are told apart: DISTINCT ON has an order of its own."""
    return f"SELECT * FROM ({before}", f"{after}) AS {ROWS}"  # noqa: S608 (made names only)


def check_sort(context: Context, outputs: list[ScopeColumn], items: list[Node]) -> None:
    """ORDER BY over what was rewritten must name outputs, or their numbers. Raises Refusal."""
    for item in items:
        node = item["SortBy"]["node"]
        fields = node.get("ColumnRef", {}).get("fields", ())
        is_name = len(fields) == 1 and any(o.name == fields[0].get("String", {}).get("sval") for o in outputs)
        if not is_name and "ival" not in node.get("A_Const", {}):
            position = context.position(node[next(iter(node))].get("location"))
            hint = "Order by an output's name or number."
            raise refuse.form("ORDER BY of an expression over a set operation or DISTINCT", position, hint=hint)


def _columns(outputs: list[ScopeColumn]) -> list[str]:
    return [quote(f"c{number}") for number in range(1, len(outputs) + 1)]


def _keys(columns: list[str], outputs: list[ScopeColumn]) -> str:
    """What tells rows apart. Qualified, since a bare name may mean an output."""
    keys = [f"{ROWS}.{column}" for column in columns]
    return ", ".join(f"pgcrypt.eq({k})" if o.protected else k for k, o in zip(keys, outputs, strict=True))


def distinct_over(outputs: list[ScopeColumn]) -> tuple[str, str]:
    """What stands before and after a query to take away rows that are there already."""
    columns = _columns(outputs)
    listed = [f"{c} AS {quote(o.name)}" for c, o in zip(columns, outputs, strict=True)]
    keys = _keys(columns, outputs)
    before = f"SELECT DISTINCT ON ({keys}) {', '.join(listed)} FROM ("  # noqa: S608 (quoted names)
    return before, f") AS {ROWS} ({', '.join(columns)})"


def _counted(tree: Node, outputs: list[ScopeColumn]) -> tuple[str, str, str]:
    """INTERSECT and EXCEPT: how often a row is on each side decides how often it is in the result."""
    columns = _columns(outputs)
    pairs = list(zip(columns, outputs, strict=True))
    values = [f'pgcrypt.first({c}) FILTER (WHERE "is_left") AS {c}' if o.protected else c for c, o in pairs]
    listed = ", ".join(f"{c} AS {quote(o.name)}" for c, o in pairs)
    lefts, rights = (f'pg_catalog.count(*) FILTER (WHERE {side}) AS "{name}"' for side, name in _SIDES)
    counted = f"SELECT {', '.join(values)}, {lefts}, {rights} FROM (SELECT {ROWS}.*, true"  # noqa: S608 (quoted names)
    before = f"SELECT {listed} FROM ({counted} FROM ("  # noqa: S608 (quoted names)
    between = f") AS {ROWS} UNION ALL SELECT {ROWS}.*, false FROM ("  # noqa: S608 (made names only)
    grouped = f') AS {ROWS}) AS {ROWS} ({", ".join(columns)}, "is_left") GROUP BY {_keys(columns, outputs)}) AS {ROWS}'
    is_intersect = tree["op"] == "SETOP_INTERSECT"
    if tree.get("all", False):
        times = 'LEAST("lefts", "rights")' if is_intersect else '"lefts" OPERATOR(pg_catalog.-) "rights"'
        return before, between, f'{grouped}, LATERAL pg_catalog.generate_series(1, {times}) AS "times"'
    sign = ">" if is_intersect else "="
    conditions = f'"lefts" OPERATOR(pg_catalog.>) 0 AND "rights" OPERATOR(pg_catalog.{sign}) 0'
    return before, between, f"{grouped} WHERE {conditions}"


_SIDES = (('"is_left"', "lefts"), ('NOT "is_left"', "rights"))
