from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from pgcrypt_proxy.cli.mask import COVER, mask


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


@hypothesis.given(st.text(st.characters(exclude_characters="'\\"), max_size=20))
def test_no_string_shows_through(secret):
    for quoted in (f"'{secret}'", f"E'{secret}'", f"$$x{secret}$$"):
        masked = mask(f"SELECT a FROM t WHERE b = {quoted}")
        assert len(masked) == len(f"SELECT a FROM t WHERE b = {quoted}")
        assert set(masked[len("SELECT a FROM t WHERE b = ") :]) <= {COVER, "'"} | {c for c in secret if c.isspace()}
