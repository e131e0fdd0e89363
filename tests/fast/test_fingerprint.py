"""The compiled fingerprint is the reference's, of any text."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from pgcrypt_proxy import fast
from pgcrypt_proxy.sql.fingerprint import fingerprint, fingerprint_in_python
from tests.sql.test_fingerprint import FRAGMENTS

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

MORE = [
    "\0", "\ud800", "\x0b", "\x0c", "\x1c", "1234567890123456789", "1.1234567890123456789", "123456789012345678.5",
    "1.e5", "1.e", ".5e", "12.e+", "1e+5.", "E''", "e'\\", "e'a'\n--", "E'a' /", "\"\"", "\"\"\"", "/*/", "$1a", "$a",
]  # fmt: skip
fragments = st.lists(st.sampled_from([*FRAGMENTS, *MORE]), max_size=10).map("".join)
marks = st.text(alphabet="'\"$-*/\\\n eEuUnNbBxX&_1.0a+\0\N{LATIN SMALL LETTER E WITH ACUTE}", max_size=14)
any_text = st.text(max_size=20)


@given(fragments | marks | any_text)
def test_texts_have_the_fingerprint_of_the_reference(sql: str) -> None:
    found = fingerprint(sql)
    assert found == fingerprint_in_python(sql)
    event("has one" if found is not None else "has none")


@given(fragments, st.integers(20, 70), st.sampled_from(["", " ", ","]))
def test_long_texts_and_many_literals(sql: str, times: int, between: str) -> None:
    long = between.join([sql] * times) + "," + "'x' 1" * times
    assert fingerprint(long) == fingerprint_in_python(long)
    padded = " " * 5000 + long
    assert fingerprint(padded) == fingerprint_in_python(padded)


def test_only_texts_have_one() -> None:
    assert fast.native is not None
    with pytest.raises(TypeError):
        fast.native.fingerprint(b"SELECT 1")
    with pytest.raises(UnicodeEncodeError):
        fast.native.fingerprint("SELECT '\ud800'")
