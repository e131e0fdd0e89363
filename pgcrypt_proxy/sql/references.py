"""Column references: which column in sight one means, which characters a column-like expression takes up, its name."""

from __future__ import annotations

from pgcrypt_proxy.sql import operands, refuse
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.scope import AmbiguousName, OuterGroup, Scope, ScopeColumn, Source, WholeRow


def names_of(parts: list[Node]) -> list[str]:
    """The strings of a list of String nodes."""
    return [part["String"].get("sval", "") for part in parts]


def column_names(tree: Node) -> list[str] | None:
    """The names of a ColumnRef, None when it ends in `*`."""
    fields = tree.get("fields", [])
    if any("A_Star" in part for part in fields):
        return None
    return names_of(fields)


def column(context: Context, tree: Node, scope: Scope) -> ScopeColumn | None:
    """The column that a ColumnRef means, None when it is not known. Refuses ambiguous names and whole rows."""
    position = context.position(tree.get("location"))
    names = column_names(tree)
    if names is None:
        source = scope.source(names_of(tree["fields"][:-1]))
        if source is not None and source.row is not None:
            raise refuse.shown_row(source.row, position)
        if source is None or source.columns is None or source.has_protected:
            raise refuse.whole_row(source.alias if source else "*", position)
        for each in source.columns:
            each.use_plain()
        return None
    try:
        found = scope.resolve(names)
        spelling = scope.spelling(names[0]) if found is not None and len(names) == 1 else None
    except WholeRow:
        source = scope.source(names)
        if source is not None and source.row is not None and not source.has_protected:
            raise refuse.shown_row(source.row, position) from None
        raise refuse.whole_row(names[-1], position) from None
    except AmbiguousName:
        raise refuse.form(f'the name "{names[-1]}", which may mean a protected column or not,', position) from None
    except OuterGroup:
        raise refuse.form(f'"{names[-1]}", by which an outer query groups, in a subquery', position) from None
    if spelling is not None:
        context.spell(*span(context, {"ColumnRef": tree}), spelling)
    return found


def whole_row(context: Context, node: Node, scope: Scope) -> Source | None:
    """The source of which `node` is a whole row (`u`, `u.*`), None when it is no such or its columns are not known."""
    fields = node.get("ColumnRef", {}).get("fields", [])
    is_star = bool(fields) and "A_Star" in fields[-1]
    names = names_of(fields[:-1] if is_star else fields)
    try:
        source = scope.whole_row(names, is_star=is_star) if names else None
    except (AmbiguousName, OuterGroup):
        return None
    return source if source is not None and source.columns is not None else None


def field(context: Context, node: Node, scope: Scope) -> ScopeColumn | None:
    """The column that `(u).column` or `(u.*).column` means, None when `node` is none of these."""
    tree = node.get("A_Indirection", {})
    parts = tree.get("indirection", [])
    if len(parts) != 1 or "String" not in parts[0]:
        return None
    source = whole_row(context, tree["arg"], scope)
    found = source.find(parts[0]["String"].get("sval", "")) if source is not None else []
    return found[0] if len(found) == 1 else None


def span(context: Context, node: Node) -> tuple[int, int]:
    """The characters of an expression that may be an envelope (see `sealed`), parentheses around it not included.

    Raises Refusal for spellings in which the place is not certain.
    """
    ((kind, tree),) = node.items()
    text = context.text
    first = text.token_index.get(text.to_char(tree.get("location", -1)))
    try:
        if kind == "TypeCast":
            return operands.cast_span(tree, text, *span(context, tree["arg"]))
        if kind == "A_Indirection":
            return _field_span(context, tree)
        if first is None:
            raise NotAnOperand
        start = text.tokens[first].start
        if kind == "ColumnRef":
            return start, _reference_end(context, tree, first)
        if kind == "CaseExpr":
            return start, _case_end(context, first)
        if kind in ("CoalesceExpr", "A_Expr", "FuncCall"):
            while text.tokens[first].name != "ASCII_40":
                first += 1
            end = operands.closing(text, first)
            return start, _call_end(context, tree, end) if kind == "FuncCall" else end
        if kind == "SubLink":
            return start, operands.closing(text, first)
    except (NotAnOperand, IndexError):
        pass
    raise refuse.form("this spelling of an expression", context.position(tree.get("location")))


def is_spelled(context: Context, tree: Node) -> bool:
    """Whether a ColumnRef is a merged column's, written in another way."""
    return context.text.to_char(tree.get("location", -1)) in context.spelled


def spelled(context: Context, node: Node) -> str:
    """The characters of an expression, merged columns written as they must be."""
    start, end = span(context, node)
    return context.spelled.get(start) or context.text.sql[start:end]


def _reference_end(context: Context, tree: Node, first: int) -> int:
    names = context.text.tokens[first : first + 2 * len(tree["fields"]) - 1]
    if any(token.name == "UIDENT" for token in names) or any(t.name != "ASCII_46" for t in names[1::2]):
        raise refuse.form("this spelling of a column name", context.position(tree.get("location")))
    return names[-1].end


def _field_span(context: Context, tree: Node) -> tuple[int, int]:
    """`(u).column`, from its parenthesis on."""
    tokens, index = context.text.tokens, context.text.token_index
    at = index.get(context.text.to_char(tree["arg"]["ColumnRef"].get("location", -1)))
    end = at + 2 * len(tree["arg"]["ColumnRef"]["fields"]) - 1 if at else 0
    if not at or [t.name for t in (tokens[at - 1], *tokens[end : end + 2])] != ["ASCII_40", "ASCII_41", "ASCII_46"]:
        raise NotAnOperand
    if tokens[end + 2].name == "UIDENT":
        raise NotAnOperand
    return tokens[at - 1].start, tokens[end + 2].end


def _call_end(context: Context, tree: Node, end: int) -> int:
    """The end of a function call whose arguments end at `end`, with FILTER and OVER."""
    text = context.text
    at = text.token_index[end - 1] + 1
    if "agg_filter" in tree:
        if text.tokens[at].name != "FILTER":
            raise NotAnOperand
        end = operands.closing(text, at + 1)
        at = text.token_index[end - 1] + 1
    if "over" in tree:
        if text.tokens[at].name != "OVER":
            raise NotAnOperand
        end = operands.closing(text, at + 1) if text.tokens[at + 1].name == "ASCII_40" else text.tokens[at + 1].end
    return end


def _case_end(context: Context, first: int) -> int:
    depth = 0
    for token in context.text.tokens[first:]:
        depth += {"CASE": 1, "END_P": -1}.get(token.name, 0)
        if depth == 0:
            return token.end
    raise NotAnOperand


def output_name(node: Node) -> str:
    """The name that PostgreSQL gives to an output column without AS (FigureColname in parse_target.c)."""
    return _figure(node)[0] or "?column?"


def _figure(node: Node | None) -> tuple[str, int]:
    """A name and how strongly it is felt, 0 to 2."""
    if not node:
        return "", 0
    ((kind, tree),) = node.items()
    if kind == "ColumnRef":
        return (column_names(tree) or [""])[-1], 2
    if kind == "FuncCall":
        return names_of(tree["funcname"])[-1], 2
    if kind == "A_Indirection":
        named = [part["String"].get("sval", "") for part in tree.get("indirection", ()) if "String" in part]
        return (named[-1], 2) if named else _figure(tree.get("arg"))
    if kind == "A_Expr" and tree.get("kind") == "AEXPR_NULLIF":
        return "nullif", 2
    if kind == "TypeCast":
        name, strength = _figure(tree.get("arg"))
        return (name, strength) if strength > 1 else (names_of(tree["typeName"].get("names", []))[-1], 1)
    if kind == "CollateClause":
        return _figure(tree.get("arg"))
    if kind == "SubLink":
        return _figure_subquery(tree)
    if kind == "CaseExpr":
        name, strength = _figure(tree.get("defresult"))
        return (name, strength) if strength > 1 else ("case", 1)
    return _FIXED_NAMES.get(kind, ""), 2 if kind in _FIXED_NAMES else 0


_FIXED_NAMES = {
    "CoalesceExpr": "coalesce",
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "GroupingFunc": "grouping",
    "MergeSupportFunc": "merge_action",
}


def _figure_subquery(tree: Node) -> tuple[str, int]:
    kind = tree.get("subLinkType")
    if kind != "EXPR_SUBLINK":
        return {"EXISTS_SUBLINK": ("exists", 2), "ARRAY_SUBLINK": ("array", 2)}.get(str(kind), ("", 0))
    query = tree["subselect"].get("SelectStmt", {})
    while "larg" in query:
        query = query["larg"]
    targets = query.get("targetList")
    if not targets:
        return ("column1", 2) if "valuesLists" in query else ("", 0)
    target = targets[0]["ResTarget"]
    return target.get("name") or output_name(target["val"]), 2
