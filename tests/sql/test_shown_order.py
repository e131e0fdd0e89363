from __future__ import annotations

import itertools

import pytest

from pgcrypt_proxy.sql.catalog import Column, is_hidden
from pgcrypt_proxy.sql.shown_order import arranged, shown

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("entries", "order"),
    [
        ({}, "abcd"),
        ({"d": "a"}, "adbc"),
        ({"d": ""}, "dabc"),
        ({"d": "c"}, "abcd"),
        ({"c": "d", "d": "a"}, "adcb"),
        ({"d": "c", "c": ""}, "cdab"),
        ({"b": "a", "c": "b", "d": "c"}, "abcd"),
        ({"c": "", "d": ""}, "dcab"),
        ({"a": "d"}, "bcda"),
    ],
)
def test_each_column_stands_behind_the_one_that_is_named(entries, order):
    assert shown(NAMES, entries) == list(order)


@pytest.mark.parametrize("entries", [{"x": "a"}, {"d": "x"}, {"c": "d", "d": "c"}, {"d": "d"}, {"d": "a", "x": ""}])
def test_what_is_not_there_or_goes_round_gives_no_order(entries):
    assert shown(NAMES, entries) is None


def test_any_order_can_be_said():
    for order in itertools.permutations(NAMES):
        assert shown(NAMES, dict(zip(order, ["", *order], strict=False))) == list(order)


def test_columns_are_arranged_whatever_order_they_come_in():
    columns = [Column(name, number, 25) for number, name in enumerate(NAMES, 1)]
    made, is_unknown = arranged(reversed(columns), (("d", "a"),))
    assert ("".join(c.name for c in made), is_unknown) == ("adbc", False)
    made, is_unknown = arranged(reversed(columns), (("d", "gone"),))
    assert ("".join(c.name for c in made), is_unknown) == ("abcd", True)


@pytest.mark.parametrize(
    ("name", "hides"),
    [("pgcrypt_next_1", True), ("pgcrypt_next_007", True), ("pgcrypt_next_", False), ("pgcrypt_next_1a", False),
     ("pgcrypt_next_\u0661", False), ("x_pgcrypt_next_1", False), ("Pgcrypt_next_1", False), ("1", False)],
)  # fmt: skip
def test_hidden_columns_have_a_name_of_their_own(name, hides):
    assert is_hidden(name) is hides
