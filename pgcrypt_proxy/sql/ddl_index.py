"""CREATE INDEX on protected tables: keys over protected columns become keys over their terms."""

from __future__ import annotations

from bisect import bisect_left

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.ddl_column import check_collation, named_columns
from pgcrypt_proxy.sql.ddl_layout import Span, behind_name, bracketed, token_at
from pgcrypt_proxy.sql.ddl_steps import Steps
from pgcrypt_proxy.sql.ddl_terms import Protected, folded_term, object_name, term
from pgcrypt_proxy.sql.parse import Node, Statement
from pgcrypt_proxy.sql.scope import quote

_METHODS = ("btree", "hash")
_ORDERINGS = {"SORTBY_ASC": " ASC", "SORTBY_DESC": " DESC"}
_NULLS = {"SORTBY_NULLS_FIRST": " NULLS FIRST", "SORTBY_NULLS_LAST": " NULLS LAST"}
_FOLDS = {"lower": "equality_casefold", "upper": "equality_upper"}
_WAY_OUT = "Drop the expression, or index other columns."


def create(context: Context, statement: Statement) -> Steps:
    """Rewrite the statement; nothing is done beside it. Raises Refusal and AskServer."""
    tree = statement.tree
    target = tree["relation"]
    steps = Steps("CREATE INDEX")
    relation = context.lookup(target.get("schemaname"), target["relname"], target.get("location"))
    protected = {c.name: c.protected for c in relation.columns if c.protected is not None} if relation else {}
    if relation is None or not protected:
        return steps
    position = context.position(target.get("location"))
    elements = [item["IndexElem"] for item in tree.get("indexParams", [])]
    if _serves_like(tree, elements, protected):
        steps.is_replaced = True
        return steps
    _check_rest(tree, protected, position)
    spans = _key_spans(context, tree)
    names: list[str] = []
    for element, span in zip(elements, spans, strict=True):
        made, name = _key(element, protected, span.start(context.text) + 1)
        names.append(name)
        if made is None:
            continue
        if tree.get("accessMethod", "btree") not in _METHODS:
            what = f"an index of method {tree['accessMethod']}"
            raise refuse.statement(what, relation.name, position, hint="Use btree or hash.")
        ordering = _ORDERINGS.get(element.get("ordering", ""), "") + _NULLS.get(element.get("nulls_ordering", ""), "")
        context.edit(span.start(context.text), span.end(context.text), made + ordering)
    if "idxname" not in tree and context.edits:
        _name(context, tree, relation, names)
    return steps


def _key_spans(context: Context, tree: Node) -> list[Span]:
    at = behind_name(context.text, tree["relation"])
    tokens = context.text.tokens
    if at < len(tokens) and tokens[at].name == "USING":
        at += 2
    return bracketed(context.text, at, len(tree["indexParams"]))


def _serves_like(tree: Node, elements: list[Node], protected: Protected) -> bool:
    """An index for the prefixes of LIKE on a protected column: no statement could use it, so none is made."""
    if len(elements) != 1 or tree.get("unique"):
        return False
    opclass = elements[0].get("opclass", [])
    is_pattern = bool(opclass) and opclass[-1]["String"].get("sval", "").endswith("_pattern_ops")
    return is_pattern and bool({elements[0].get("name", ""), *named_columns(elements[0])} & protected.keys())


def _key(element: Node, protected: Protected, position: int) -> tuple[str | None, str]:
    """What a key becomes, None if it stays, and what it gives to the index's name."""
    name = element.get("name")
    if name is not None:
        column = protected.get(name)
        if column is None:
            return None, name
        if "equality" not in column.search:
            raise refuse.needs_search(column, position)
        _check_options(element, column, position)
        return term(column), name
    expression = element.get("expr", {})
    call = expression.get("FuncCall", {})
    concerned = sorted(named_columns(expression) & protected.keys())
    function = call["funcname"][-1]["String"].get("sval", "") if "funcname" in call else "expr"
    if not concerned:
        return None, function
    column = protected[concerned[0]]
    mode = _FOLDS.get(function)
    arguments = call.get("args", [])
    is_fold = mode is not None and len(arguments) == 1 and _is_column(arguments[0], column)
    if mode is None or not is_fold:
        raise refuse.construct(column, "an index on an expression", position, hint=_WAY_OUT)
    if mode not in column.search:
        raise refuse.needs_folded(column, f"an index on {function}()", mode, position)
    _check_options(element, column, position)
    return folded_term(column), function


def _is_column(node: Node, column: ProtectedColumn) -> bool:
    if "TypeCast" in node and node["TypeCast"]["typeName"]["names"][-1]["String"].get("sval") in ("text", "varchar"):
        node = node["TypeCast"]["arg"]
    fields = node.get("ColumnRef", {}).get("fields", [])
    return bool(fields) and fields[-1].get("String", {}).get("sval") == column.name


def _check_options(element: Node, column: ProtectedColumn, position: int) -> None:
    if "collation" in element:
        check_collation(column, element["collation"], position)
    opclass = element.get("opclass", [])
    if opclass and not opclass[-1]["String"].get("sval", "").endswith("_ops"):
        raise refuse.construct(column, "an operator class of its own", position)
    if opclass and opclass[-1]["String"].get("sval", "").endswith("_pattern_ops"):
        raise refuse.construct(column, "an index that serves LIKE", position)


def _check_rest(tree: Node, protected: Protected, position: int | None) -> None:
    """INCLUDE and WHERE: no protected value but in `column IS [NOT] NULL`."""
    for item in tree.get("indexIncludingParams", []):
        name = item["IndexElem"].get("name", "")
        if name in protected:
            raise refuse.construct(protected[name], "INCLUDE", position, hint="Leave the column out of INCLUDE.")
    condition = tree.get("whereClause", {})
    fields = condition.get("NullTest", {}).get("arg", {}).get("ColumnRef", {}).get("fields", [])
    if len(fields) == 1 and fields[0].get("String", {}).get("sval") in protected:
        return
    for name in sorted(named_columns(condition) & {*protected, tree["relation"]["relname"]}):
        column = protected.get(name) or next(iter(protected.values()))
        raise refuse.construct(column, "the condition of an index", position, hint=_WAY_OUT)


def _name(context: Context, tree: Node, relation: Relation, names: list[str]) -> None:
    """Give the index the name that it would have over the columns themselves."""
    tokens = context.text.tokens
    at = bisect_left(tokens, tokens[token_at(context.text, tree["relation"]["location"])].start, key=lambda t: t.start)
    while tokens[at].name != "ON":
        at -= 1
    included = [item["IndexElem"].get("name", "expr") for item in tree.get("indexIncludingParams", [])]
    made = object_name(relation.name, (*names, *included), "idx")
    context.edit(tokens[at].start, tokens[at].start, f"{quote(made)} ")
