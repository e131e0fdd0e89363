"""The database's own lower() and upper(), character by character, and locales in which they are others."""

from __future__ import annotations

import unicodedata

import psycopg
import pytest

from pgcrypt_proxy.ops import folding
from pgcrypt_proxy.policy.model import EQUALITY, EQUALITY_CASEFOLD, EQUALITY_UPPER
from pgcrypt_proxy.values import casefold
from tests.helpers.servers import PostgresServer


def place(connection: psycopg.Connection, collation: str = "") -> tuple[int, int]:
    """(relation OID, attribute number) of a text column with that collation."""
    connection.execute(f"CREATE TABLE public.words (word text {collation})".encode())
    row = connection.execute("SELECT 'public.words'::regclass::oid::bigint").fetchone()
    assert row is not None
    return row[0], 1


@pytest.mark.parametrize("mode", [EQUALITY, EQUALITY_CASEFOLD, EQUALITY_UPPER])
def test_the_database_folds_as_the_terms_do(connection: psycopg.Connection, mode: str) -> None:
    assert folding.difference(connection, *place(connection), mode) is None


@pytest.mark.parametrize("name", ["lower", "upper"])
def test_every_character_for_itself(connection: psycopg.Connection, name: str) -> None:
    row = connection.execute(f"SELECT pg_catalog.{name}(%s)".encode(), [folding.characters()]).fetchone()
    assert row is not None
    pairs = zip(folding.characters(), row[0], strict=True)
    fold = getattr(casefold, name)
    assert [unicodedata.name(c) for c, folded in pairs if fold(c) != folded] == []


def test_in_locale_c_only_ascii_letters_have_case(connection: psycopg.Connection) -> None:
    where = place(connection, 'COLLATE "C"')
    assert folding.difference(connection, *where, EQUALITY_CASEFOLD) == "lower"
    assert folding.difference(connection, *where, EQUALITY_UPPER) == "upper"
    assert folding.difference(connection, *where, EQUALITY) is None


@pytest.mark.parametrize("mode", [EQUALITY, EQUALITY_CASEFOLD, EQUALITY_UPPER])
def test_columns_to_come_are_folded_as_the_database_does(connection: psycopg.Connection, mode: str) -> None:
    assert folding.default_difference(connection, mode) is None


def test_a_database_in_locale_c_folds_otherwise(postgres: PostgresServer) -> None:
    with postgres.connect() as admin:
        admin.execute("CREATE DATABASE in_c TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        try:
            with postgres.connect("in_c") as plain:
                assert folding.default_difference(plain, EQUALITY_CASEFOLD) == "lower"
                assert folding.default_difference(plain, EQUALITY) is None
        finally:
            admin.execute("DROP DATABASE in_c")
