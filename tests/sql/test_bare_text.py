"""A statement's text without its values."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.sql.bare_text import without_values


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT a  FROM t -- planted\n WHERE b = 'planted' AND c=1.5", "SELECT a FROM t WHERE b = $1 AND c = $2"),
        ("SELECT $2, 'x', E'\\n', $q$y$q$, U&'z', B'1', X'f'", "SELECT $2 , $3 , $4 , $5 , $6 , $7 , $8"),
        ("/* planted */ INSERT INTO t VALUES (-7, true)", "INSERT INTO t VALUES ( - $1 , true )"),
        ("ALTER ROLE a PASSWORD 'planted'", "ALTER ROLE a PASSWORD $1"),
        ('SELECT "a\nb"', 'SELECT "a b"'),
        ("SET a.b TO planted", None),
        ("SELECT 1; SET LOCAL a.b = planted", None),
        ("ALTER ROLE r SET a.b = planted", None),
        ("SELECT 'planted", None),
        ("", None),
    ],
)
def test_without_values(sql: str, shown: str | None) -> None:
    assert without_values(sql) == shown
