"""`search: [equality_upper]`: upper() compared on terms, as on a plain column beside it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE words (id int PRIMARY KEY, word text, clear text);
CREATE INDEX words_upper ON words (upper(word));
"""
#: Latin with case, a long s and a Kelvin sign (equal in one case only), sigmas, a sharp s, dotted and dotless i.
WORDS = [
    "Straße",
    "STRASSE",
    "straſſe",
    "Kilo",
    "KILO",
    "\u212ailo",
    "ΣΑΣ",
    "σας",
    "σασ",
    "İI",
    "ıi",
    "ÿ",
    "Ÿ",
    "",
    None,
]
QUERIES = [
    "upper({}) = upper(%s)",
    "upper({}) = %s",
    "upper(%s) = upper({}::text)",
    "UPPER({}::text) = UPPER(%s)",
    "upper({}) <> upper(%s)",
    "upper({}) IN (upper(%s), 'KILO')",
    "upper({}) IS DISTINCT FROM upper(%s)",
    "NOT upper({}) = ANY (ARRAY[%s, 'STRASSE'])",
]


@pytest.fixture(scope="module")
def words(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    column = "{table: words, column: word, type: text, search: [equality, equality_upper]}"
    with protected(postgres, tmp_path_factory.mktemp("upper"), SCHEMA, column) as made:
        with made.connect() as connection:
            for number, word in enumerate(WORDS):
                connection.execute("INSERT INTO words VALUES (%s, %s, %s)", [number, word, word])
        yield made


@pytest.mark.parametrize("condition", QUERIES)
@pytest.mark.parametrize("word", WORDS)
def test_like_a_plain_column(words: ProtectedDatabase, condition: str, word: str | None) -> None:
    with words.connect() as connection:
        for binding in (psycopg.Cursor, psycopg.ClientCursor):
            cursor = binding(connection)
            expected, got = (
                cursor.execute(
                    f"SELECT id FROM words WHERE {condition.format(name)} ORDER BY id".encode(), [word]
                ).fetchall()
                for name in ("clear", "word")
            )
            assert got == expected


def test_the_index_serves_it(words: ProtectedDatabase) -> None:
    with words.direct() as direct:
        (index,) = direct.execute("SELECT pg_get_indexdef('words_upper'::regclass)").fetchone() or ()
        assert "pgcrypt.eqci(" in index
    with words.connect() as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute("EXPLAIN SELECT id FROM words WHERE upper(word) = 'KILO'").fetchall()
    assert any("words_upper" in line for (line,) in plan)


def test_lower_and_ilike_are_refused_there(words: ProtectedDatabase) -> None:
    with words.connect() as connection:
        for condition in ("lower(word) = 'kilo'", "word ILIKE 'kilo'", "upper(word) = lower('KILO')"):
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute(f"SELECT id FROM words WHERE {condition}".encode())
