"""Where joins' and set operations' words stand, whatever is written around them."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import layout
from pgcrypt_proxy.sql.parse import Node, ParsedText, parse


def parsed(sql: str) -> tuple[ParsedText, Node]:
    text = parse(sql)
    return text, text.statements[0].tree


def characters(text: ParsedText, span: tuple[int, int]) -> str:
    return text.sql[text.tokens[span[0]].start : text.tokens[span[1]].end]


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ("", "SELECT a FROM t UNION SELECT b FROM u", " ORDER BY 1"),
        ("", "SELECT a AS order FROM t UNION SELECT t.limit FROM t", " LIMIT 1"),
        ("(", "(SELECT a) UNION (SELECT b)", ") LIMIT 1"),
        ("WITH x AS (SELECT 1) ", "TABLE x UNION ALL VALUES (1), (2)", " OFFSET 1"),
        ("", "SELECT a UNION SELECT b UNION SELECT c", ""),
        (
            "INSERT INTO t ",
            "SELECT a UNION SELECT b FROM c JOIN conflict ON conflict.d = c.d",
            " ON CONFLICT DO NOTHING",
        ),
        ("", "(SELECT a UNION SELECT b) EXCEPT SELECT (SELECT c)", "; SELECT 1"),
        ("", "SELECT a UNION (WITH x AS (SELECT 1) SELECT b ORDER BY b)", ""),
        ("", "SELECT ((a)) FROM t -- UNION\n UNION /* ( */ SELECT 'ü'", " /* LIMIT */ LIMIT 1"),
    ],
)
def test_a_set_operation_spans_its_operands(before: str, operation: str, after: str) -> None:
    text, tree = parsed(before + operation + after)
    tree = tree.get("selectStmt", {}).get("SelectStmt", tree)
    assert characters(text, layout.set_span(text, tree)) == operation


def test_the_first_of_three_operands_belongs_to_the_inner_operation() -> None:
    text, tree = parsed("SELECT a UNION SELECT b UNION ALL SELECT c")
    assert characters(text, layout.set_span(text, tree["larg"])) == "SELECT a UNION SELECT b"
    assert text.tokens[layout.set_word(text, tree)].start > text.tokens[layout.set_word(text, tree["larg"])].start


def test_intersect_binds_more_tightly() -> None:
    text, tree = parsed("SELECT a EXCEPT SELECT b INTERSECT SELECT c LIMIT 1")
    assert characters(text, layout.set_span(text, tree["rarg"])) == "SELECT b INTERSECT SELECT c"


def test_an_operand_without_a_place_is_refused() -> None:
    text, tree = parsed("SELECT a UNION SELECT")
    with pytest.raises(Refusal):
        layout.set_word(text, tree)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT FROM a JOIN b USING (x, y)", "USING (x, y)"),
        ('SELECT FROM a JOIN "using" USING /* ) */ ( "x" , y )', 'USING /* ) */ ( "x" , y )'),
        ("SELECT FROM a JOIN (b JOIN c USING (z)) USING (x, y)", "USING (x, y)"),
        ("SELECT FROM a LEFT JOIN LATERAL (SELECT 1 FROM q JOIN r USING (z)) AS s (x, y) USING (x, y)", "USING (x, y)"),
        ('SELECT FROM a JOIN b AS "join" USING (x, y)', "USING (x, y)"),
    ],
)
def test_using_belongs_to_its_join(sql: str, expected: str) -> None:
    text, tree = parsed(sql)
    assert characters(text, layout.using_clause(text, tree["fromClause"][0]["JoinExpr"])) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT FROM a JOIN b JOIN c USING (z) USING (x)",
        "SELECT FROM a JOIN (SELECT 1) b JOIN c USING (z) USING (x)",
        "SELECT FROM a JOIN (SELECT) b USING (x)",
    ],
)
def test_joins_whose_place_is_not_certain_are_refused(sql: str) -> None:
    text, tree = parsed(sql)
    with pytest.raises(Refusal):
        layout.using_clause(text, tree["fromClause"][0]["JoinExpr"])


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT FROM a NATURAL JOIN b WHERE x", "b"),
        ("SELECT FROM a NATURAL JOIN s.b AS c (x, y), d", "s.b AS c (x, y)"),
        ("SELECT FROM a NATURAL JOIN b * c", "b * c"),
        ("SELECT FROM a NATURAL JOIN (SELECT 1 AS x) c", "(SELECT 1 AS x) c"),
        ("SELECT FROM a NATURAL JOIN ONLY b", "ONLY b"),
        ("SELECT FROM a NATURAL JOIN (b CROSS JOIN c)", "(b CROSS JOIN c)"),
    ],
)
def test_a_table_ends_with_its_alias(sql: str, expected: str) -> None:
    text, tree = parsed(sql)
    join = tree["fromClause"][0]["JoinExpr"]
    word = layout.join_word(text, join)
    assert characters(text, (word + 1, layout.table_end(text, word, join["rarg"]))) == expected


def test_a_table_in_only_with_parentheses_is_refused() -> None:
    text, tree = parsed("SELECT FROM a NATURAL JOIN ONLY (b)")
    join = tree["fromClause"][0]["JoinExpr"]
    with pytest.raises(Refusal):
        layout.table_end(text, layout.join_word(text, join), join["rarg"])


def test_a_query_may_follow_as() -> None:
    text = parse("CREATE VIEW v AS SELECT a AS select FROM t")
    query = text.statements[0].tree["query"]["SelectStmt"]
    assert text.tokens[layout.select_word(text, query)].start == len("CREATE VIEW v AS ")
