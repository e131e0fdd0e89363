"""Every kind of node that the parser can make is either shown by a golden case or refused near a protected table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pglast import ast

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import analyze, mention
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.expressions import conditions, plain
from pgcrypt_proxy.sql.from_clause import from_item
from pgcrypt_proxy.sql.parse import ParsedText, Statement, Unparsable, parse
from pgcrypt_proxy.sql.predicates import nullif
from pgcrypt_proxy.sql.scope import Scope
from pgcrypt_proxy.sql.select import select
from pgcrypt_proxy.sql.writes import write
from tests.sql.sample import sample_catalog
from tests.sql.test_cases import CASE_LIST


def all_node_kinds() -> list[str]:
    """The names of all node classes of the parser's grammar."""
    found, todo = set(), [ast.Node]
    while todo:
        for each in todo.pop().__subclasses__():
            found.add(each.__name__)
            todo.append(each)
    return sorted(found)


def kinds_in(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for item in tree:
            yield from kinds_in(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key[:1].isupper():
                yield key
            yield from kinds_in(value)


def kinds_in_cases() -> frozenset[str]:
    """The kinds in the golden cases: what becomes of them is written down there."""
    found = set()
    for _, sql, _ in CASE_LIST:
        try:
            statements = parse(sql).statements
        except Unparsable:
            continue
        for statement in statements:
            found.add(statement.kind)
            found.update(kinds_in(statement.tree))
    return frozenset(found)


KINDS = all_node_kinds()
SHOWN = kinds_in_cases()
STATEMENTS = [kind for kind in KINDS if kind.endswith("Stmt") and kind != "RawStmt"]
#: Statements whose names are settings, channels, cursors or statements: they cannot name a table.
NAMELESS = mention.NEUTRAL_STATEMENTS


def context_of(sql: str = "SELECT 1") -> Context:
    return Context(
        sample_catalog(),
        ParsedText(sql),
        {},
        select=select,
        write=write,
        plain=plain,
        conditions=conditions,
        nullif=nullif,
    )


def test_the_grammar_is_seen_whole() -> None:
    assert len(KINDS) > 200
    assert {"SelectStmt", "A_Expr", "RangeVar", "JsonTable", "MergeWhenClause"} <= set(KINDS)


@pytest.mark.parametrize("kind", STATEMENTS)
def test_statements_are_shown_or_refused(kind: str) -> None:
    if kind in SHOWN or kind in NAMELESS or kind in analyze.HARMLESS_STATEMENTS:
        return
    # a statement of this kind that names a protected table, wherever in it
    named = {"x": [{"RangeVar": {"relname": "users", "inh": True}}, {"String": {"sval": "users"}}]}
    made = analyze.analyze(Statement(kind, named, 0, 8), ParsedText("SELECT 1"), sample_catalog(), {})
    assert made.plan.refusal is not None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in STATEMENTS])
def test_expressions_are_shown_or_refused(kind: str) -> None:
    if kind in SHOWN:
        return
    reference = {"ColumnRef": {"fields": [{"String": {"sval": "users"}}, {"String": {"sval": "email"}}]}}
    scope = Scope()
    context = context_of()
    select(context, {"fromClause": [{"RangeVar": {"relname": "users"}}], "targetList": []}, None)
    from_item(context, {"RangeVar": {"relname": "users"}}, scope)
    with pytest.raises(Refusal):
        plain(context, {kind: {"arg": reference, "args": [reference], "xpr": reference}}, scope)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in STATEMENTS])
def test_items_of_from_are_shown_or_refused(kind: str) -> None:
    if kind in SHOWN:
        return
    with pytest.raises(Refusal):
        from_item(context_of(), {kind: {}}, Scope())


def test_every_kind_that_an_expression_may_be_is_shown() -> None:
    from pgcrypt_proxy.sql.expressions import LEAF_NODES, PLAIN_NODES

    assert set(PLAIN_NODES) | set(LEAF_NODES) <= SHOWN


def test_what_is_harmless_or_nameless_is_shown() -> None:
    assert analyze.HARMLESS_STATEMENTS | NAMELESS <= SHOWN
