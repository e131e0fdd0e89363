"""What a text that was not parsed may name or run."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.sql.mention import text_mentions, text_runs_code


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT FROM users", "users"),
        ('SELECT FROM "USERS"', "users"),
        ('SELECT FROM "a""b"', 'a"b'),
        ('SELECT FROM "ΟΔΟΣ" x', "οδοσ"),  # a small sigma is another one at the end of a word
        ('SELECT FROM "ΟΔΟΣ"', "ΟΔΟΣ"),
        ('SELECT FROM U&"\\0075sers"', "users"),
    ],
)
def test_names_in_every_spelling(text: str, name: str) -> None:
    assert text_mentions(text, frozenset({name}))
    assert not text_mentions("SELECT FROM items", frozenset({name}))


@pytest.mark.parametrize(
    "text", ["DO 'x'", "select Query_To_Xml('x')", "CREATE FUNCTION f()", "SELECT dblink_exec('x')"]
)
def test_code(text: str) -> None:
    assert text_runs_code(text)
    assert not text_runs_code("SELECT done, domain FROM functions")
