from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from pgcrypt_proxy.cli.mask import COVER, UNREADABLE, mask, template


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT a1 FROM t WHERE b = 'ada'", "SELECT a1 FROM t WHERE b = '•••'"),
        ("a = $1 AND b = 12.5e3", "a = $1 AND b = ••••••"),
        ("a = 'it''s' OR \"q'x\" = 'y'", "a = '••''•' OR \"q'x\" = '•'"),
        (r"a = E'x\'y' , b", "a = •'••'•' , b"),
        ("a /* x /* y */ ada */ , b", "a •• • •• • •• ••• •• , b"),
        ("a = $$ada$$ , b", "a = ••••••• , b"),
        ("a = $x$ada$x$ , b", "a = ••••••••• , b"),
        ("a -- ada\n, b", "a •• •••\n, b"),
        ("a /* ada */ , b", "a •• ••• •• , b"),
        ("a = 'never closed", "a = '••••• ••••••"),
    ],
)
def test_literals_are_covered_and_nothing_moves(sql, shown):
    assert mask(sql) == shown
    assert len(mask(sql)) == len(sql)


@hypothesis.given(st.text(st.characters(exclude_characters="'\\$"), max_size=20))
def test_no_string_shows_through(secret):
    for quoted in (f"'{secret}'", f"E'{secret}'", f"$$x{secret}$$"):
        masked = mask(f"SELECT a FROM t WHERE b = {quoted}")
        assert len(masked) == len(f"SELECT a FROM t WHERE b = {quoted}")
        assert set(masked[len("SELECT a FROM t WHERE b = ") :]) <= {COVER, "'"} | {c for c in secret if c.isspace()}


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT a,b FROM t WHERE c = 'ada' AND d=5;", "SELECT a,b FROM t WHERE c = ? AND d=?"),
        ("SELECT /* ada */ 1 -- bo\n , E'x\\'y', $$z$$, U&'u', B'1', X'F', -2.5e3", "SELECT ?, ..., -?"),
        ('SELECT a\n  FROM "Q q"\n WHERE b IN (1,2, 3)', 'SELECT a FROM "Q q" WHERE b IN (?, ...)'),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO t VALUES (?, ...), ..."),
        ("INSERT INTO t VALUES ($1, $2), ($3, $4)", "INSERT INTO t VALUES ($1, ...), ..."),
        ("UPDATE t SET ü = 'ä', b = $1 WHERE c = 3", "UPDATE t SET ü = ?, b = $1 WHERE c = ?"),
        ("SELECT DATE '2020-01-01', INTERVAL '1 day'", "SELECT DATE ?, INTERVAL ?"),
        ("BEGIN; SELECT 1;", "BEGIN; SELECT ?"),
        ("-- only a comment", None),
        (";", None),
        ("SELECT 'never closed ada", UNREADABLE),
        ("SELECT ada ada ada", UNREADABLE),
    ],
)
def test_templates(sql, shown):
    assert template(sql) == shown


@hypothesis.given(st.text(st.characters(exclude_characters="'\\\0", exclude_categories=["Cs"]), max_size=20))
def test_texts_that_differ_in_values_have_one_template(secret):
    assert template(f"SELECT a FROM t WHERE b = '{secret}' AND c = 1") == "SELECT a FROM t WHERE b = ? AND c = ?"
