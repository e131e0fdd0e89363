"""How much is written at once."""

from __future__ import annotations

from pgcrypt_proxy.ops.online.pace import HELD_S, Portion


def test_a_portion_grows_to_the_most_while_it_is_quick() -> None:
    portion = Portion(1000, 50)
    for wanted in (100, 200, 400, 800, 1000, 1000):
        portion.took(HELD_S / 10, portion.size)
        assert portion.size == wanted


def test_one_that_took_long_is_halved_down_to_one() -> None:
    portion = Portion(16)
    for wanted in (8, 4, 2, 1, 1):
        portion.took(2 * HELD_S, portion.size)
        assert portion.size == wanted


def test_what_was_not_full_tells_nothing_of_more() -> None:
    portion = Portion(1000, 100)
    portion.took(HELD_S / 10, 7)
    assert portion.size == 100
    portion.took(2 * HELD_S, 7)
    assert portion.size == 3
