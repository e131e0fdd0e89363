from __future__ import annotations

import pytest

from pgcrypt_proxy.ops.column_checks import is_null_default, term_flags


@pytest.mark.parametrize("expression", ["NULL", "NULL::text", "NULL::character varying", "(NULL::numeric(10,2))"])
def test_null_defaults(expression):
    assert is_null_default(expression)


@pytest.mark.parametrize("expression", ["'x'::text", "NULL || 'x'", "now()", "NULL::text || 'a'::text"])
def test_defaults_that_are_values(expression):
    assert not is_null_default(expression)


def test_flags_follow_the_search_modes():
    assert [term_flags(frozenset(s)) for s in ((), ("equality",), ("equality_casefold",))] == [0, 1, 2]
    assert term_flags(frozenset({"equality", "equality_casefold"})) == 3
