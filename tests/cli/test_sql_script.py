from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from pgcrypt_proxy.cli import sql_script
from pgcrypt_proxy.cli.sql_script import split


def lines(script: str) -> list[str]:
    return script.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" ;\n;; -- nothing\n/* nor this; */ ;", []),
        ("SELECT 1", [(1, "SELECT 1")]),
        ("SELECT 1; SELECT\n2;\n\nSELECT 3\n", [(1, "SELECT 1"), (1, "SELECT\n2"), (4, "SELECT 3")]),
        ("SELECT 'a;b', 'it''s; so', \"c;d\"; x", [(1, "SELECT 'a;b', 'it''s; so', \"c;d\""), (1, "x")]),
        ("SELECT 'two\nlines; of it'; x", [(1, "SELECT 'two\nlines; of it'"), (2, "x")]),
        (r"SELECT E'a\';b', e'\\'; x", [(1, r"SELECT E'a\';b', e'\\'"), (1, "x")]),
        (r"SELECT 'a\'; x", [(1, r"SELECT 'a\'"), (1, "x")]),
        ("SELECT nice'a;b'; x", [(1, "SELECT nice'a;b'"), (1, "x")]),
        ("SELECT 1 -- it's; here\n, 2; x", [(1, "SELECT 1 -- it's; here\n, 2"), (2, "x")]),
        ("SELECT /* a; /* b; */ c; */ 1; x", [(1, "SELECT /* a; /* b; */ c; */ 1"), (1, "x")]),
        ("DO $$ a; $b$ c; $$; x", [(1, "DO $$ a; $b$ c; $$"), (1, "x")]),
        ("DO $f$ a; $$ b;\n $f$; x", [(1, "DO $f$ a; $$ b;\n $f$"), (2, "x")]),
        ("SELECT a$b$c; SELECT $1; x", [(1, "SELECT a$b$c"), (1, "SELECT $1"), (1, "x")]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END; x",
            [
                (1, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END"),
                (1, "x"),
            ],
        ),
        ("BEGIN; END; x", [(1, "BEGIN"), (1, "END"), (1, "x")]),
        ("-- first\n\\restrict abc\n\\d users;\nSELECT 1;\n\\q\n", [(4, "SELECT 1")]),
        (
            "COPY t (a) FROM stdin;\n1;2\n'\n\\.\nSELECT 1;",
            [(1, "COPY t (a) FROM stdin"), (5, "SELECT 1")],
        ),
        ("-- why\n\nSELECT 1;", [(3, "-- why\n\nSELECT 1")]),
        ("SELECT 'never closed; x", [(1, "SELECT 'never closed; x")]),
    ],
)
def test_statements_end_at_their_semicolons(script, statements):
    assert [(found.line, found.text) for found in split(lines(script))] == statements


def test_a_long_statement_is_counted_and_the_next_one_read(monkeypatch):
    monkeypatch.setattr(sql_script, "MAX_STATEMENT", 30)
    found = list(split(["SELECT 'aaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaa'; x;\n", "y"]))
    assert [(one.text, one.is_too_long, one.line) for one in found] == [("", True, 1), ("x", False, 1), ("y", False, 2)]


WORDS = ["SELECT", "'a;'", "E'\\';'", '"b;"', "$$;$$", "/* ; */", "-- ;\n", "\n", "1", "x::int", "(", ")"]


@hypothesis.given(st.lists(st.lists(st.sampled_from(WORDS), max_size=8), max_size=5))
def test_what_is_joined_by_semicolons_comes_apart_again(parts):
    statements = [" ".join(["SELECT", *words]).strip() for words in parts]
    script = "".join(f"{statement}\n;" for statement in statements)
    assert [found.text for found in split(lines(script))] == statements
