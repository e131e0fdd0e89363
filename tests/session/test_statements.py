"""When the meaning of a name is certain."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.session import statements
from pgcrypt_proxy.session.statements import Names, Portal, TooManyNames, Unsettled


@pytest.fixture
def names() -> Names[str]:
    return Names()


def test_unknown_name(names: Names[str]):
    assert names.get(b"s", 0) is None


def test_the_batch_that_gives_a_meaning_may_rely_on_it(names: Names[str]):
    names.change(b"s", "one", 4)
    assert names.get(b"s", 4) == "one"
    with pytest.raises(Unsettled):
        names.get(b"s", 5)


def test_settled_meaning_holds_for_all(names: Names[str]):
    names.change(b"s", "one", 4).settle()
    assert names.get(b"s", 9) == "one"


def test_dropped_change_leaves_the_old_meaning(names: Names[str]):
    names.change(b"s", "one", 1).settle()
    names.change(b"s", "two", 2).drop()
    assert names.get(b"s", 3) == "one"


def test_taking_away(names: Names[str]):
    names.change(b"s", "one", 1).settle()
    taken = names.change(b"s", None, 2)
    assert names.get(b"s", 2) is None
    taken.settle()
    assert names.get(b"s", 3) is None


def test_an_earlier_change_does_not_settle_a_later_one(names: Names[str]):
    first = names.change(b"s", "one", 1)
    names.change(b"s", "two", 2)
    first.settle()
    with pytest.raises(Unsettled):
        names.get(b"s", 3)
    assert names.get(b"s", 2) == "two"


def test_books_are_bounded(names: Names[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statements, "MAX_NAMES", 2)
    for name in (b"a", b"b"):
        names.change(name, "x", 0).settle()
    with pytest.raises(TooManyNames):
        names.change(b"c", "x", 0)
    names.change(b"a", None, 0).settle()
    names.change(b"c", "x", 0)


def test_portal_of_unknown_origin_needs_a_description_once_per_batch():
    portal = Portal(None)
    assert portal.needs_description(3)
    portal.described_in = 3
    assert not portal.needs_description(3)
    assert portal.needs_description(4)
