"""The hot function against the plain way: take apart, act, put together."""

from __future__ import annotations

import struct
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import BackendProtocolError
from pgcrypt_proxy.wire.rows import data_row, join, replace, split

values = st.lists(st.none() | st.binary(max_size=40), max_size=8)


@given(values)
def test_split_and_join(items: list[bytes | None]) -> None:
    assert split(join(items)) == items


@given(values, st.lists(st.booleans(), min_size=8, max_size=8))
def test_replace_is_split_act_join(items: list[bytes | None], chosen: list[bool]) -> None:
    def act(value: bytes) -> bytes:
        return value[::-1] + b"!"

    actions: list[Callable[[bytes], bytes] | None] = [act if c else None for c in chosen[: len(items)]]
    expected = [act(i) if a is not None and i is not None else i for i, a in zip(items, actions, strict=True)]
    assert replace(data_row(items), actions) == data_row(expected)


@given(st.binary(max_size=60), st.integers(0, 4))
def test_junk_is_refused_or_a_row(junk: bytes, width: int) -> None:
    raw = struct.pack("!Bi", ord("D"), len(junk) + 4) + junk
    try:
        made = replace(raw, [bytes.upper] * width)
    except BackendProtocolError:
        return
    assert len(split(made[5:])) == width


@pytest.mark.parametrize("length", [-2, -(2**31), 100])
def test_minus_one_is_the_only_negative_length(length: int) -> None:
    body = struct.pack("!Hi", 1, length)
    with pytest.raises(BackendProtocolError):
        split(body)
    with pytest.raises(BackendProtocolError):
        replace(struct.pack("!Bi", ord("D"), len(body) + 4) + body, [bytes.upper])


def test_another_number_of_columns_is_refused() -> None:
    with pytest.raises(BackendProtocolError):
        replace(data_row([b"a", b"b"]), [None])


def test_an_untouched_row_is_the_same_object() -> None:
    raw = data_row([b"a", None])
    assert replace(raw, [None, bytes.upper]) is raw


def test_bytes_that_look_like_messages_stay_values() -> None:
    inner = b"Q\0\0\0\x10DROP TABLE x;\0"
    made = replace(data_row([inner, b"x"]), [None, lambda v: v + inner])
    assert struct.unpack_from("!i", made, 1)[0] == len(made) - 1
    assert split(made[5:]) == [inner, b"x" + inner]
