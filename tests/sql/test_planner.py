"""What the golden cases do not show: names with several meanings, caching, limits, settings."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.sql.catalog import Catalog, Column, Relation
from pgcrypt_proxy.sql.mention import ANY_RELATIONS
from pgcrypt_proxy.sql.parse import ParsedText, parse
from pgcrypt_proxy.sql.plan import UNTOUCHED, LiteralSlot, NeedsNames, Plan, StatementPlan, Use
from pgcrypt_proxy.sql.planner import MAX_CACHED_TEXT, REFUSED_STATEMENT, Planner
from tests.sql.sample import INT4, TEXT, protected, relations, sample_catalog


def two_users() -> Catalog:
    """`users` in two schemas, one of them protected."""
    other = Relation(200, "other", "users", "r", (Column("id", 1, INT4), Column("email", 2, TEXT)))
    return Catalog.build(1, [*relations(), other])


def plan(planner: Planner, sql: str, resolved: dict[str, int] | None = None) -> Plan:
    made = planner.plan(sql, extended=True, resolved=resolved)
    assert isinstance(made, Plan)
    return made


class TestNames:
    def test_a_name_in_two_schemas_is_asked_for(self) -> None:
        made = Planner(two_users()).plan("SELECT email FROM users", extended=True)
        assert made == NeedsNames(('"users"',))

    def test_the_answer_decides(self) -> None:
        planner = Planner(two_users())
        sql = "SELECT email FROM users"
        assert plan(planner, sql, {'"users"': 200}).is_untouched
        assert not plan(planner, sql, {'"users"': 100}).is_untouched

    def test_the_cache_keeps_answers_apart(self) -> None:
        planner = Planner(two_users())
        sql = "SELECT email FROM users"
        for _ in range(2):
            assert plan(planner, sql, {'"users"': 200}).is_untouched
            assert not plan(planner, sql, {'"users"': 100}).is_untouched

    def test_a_qualified_name_needs_no_question(self) -> None:
        planner = Planner(two_users())
        assert plan(planner, "SELECT email FROM other.users").is_untouched
        assert not plan(planner, "SELECT email FROM public.users").is_untouched

    def test_a_name_without_relation_is_refused(self) -> None:
        made = plan(Planner(two_users()), "INSERT INTO users (email) VALUES ('x')", {'"users"': 0})
        assert made.refusal is not None
        assert made.refusal.code == "42P01"

    def test_a_temporary_table_unknown_to_the_catalog_is_plain(self) -> None:
        made = plan(Planner(two_users()), "SELECT email FROM users", {'"users"': 99_999})
        assert made.is_untouched

    def test_unknown_relations_are_seen(self) -> None:
        planner = Planner(sample_catalog())
        assert planner.unknown_relations("SELECT * FROM brand_new, x.newer; DELETE FROM brand_new", extended=False) == {
            (None, "brand_new"),
            ("x", "newer"),
        }
        assert planner.unknown_relations("PREPARE p AS SELECT * FROM brand_new") == {(None, "brand_new")}
        assert not planner.unknown_relations("SELECT * FROM items, pg_class, information_schema.tables")
        assert not planner.unknown_relations("WITH x AS (SELECT 1) SELECT * FROM x")

    def test_a_long_text_is_parsed_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        texts: list[str] = []

        def counted(sql: str, *rest: Any) -> ParsedText:
            texts.append(sql)
            return parse(sql, *rest)

        monkeypatch.setattr("pgcrypt_proxy.sql.planner.parse", counted)
        sql = f"SELECT '{'x' * MAX_CACHED_TEXT}' FROM brand_new"
        assert Planner(sample_catalog()).plan_and_unknown(sql, extended=True) == (
            Plan(is_untouched=True, statements=(StatementPlan(is_untouched=True),)),
            {(None, "brand_new")},
        )
        assert texts == [sql]

    def test_unknown_relations_of_a_text_that_is_not_read_for_certain_are_seen(self) -> None:
        found, unknown = Planner(sample_catalog()).plan_and_unknown(
            r"SELECT 'a\b' FROM brand_new", extended=True, standard_conforming_strings=False
        )
        assert found == Plan(is_untouched=True)
        assert unknown == {(None, "brand_new")}

    def test_unknown_relations_beside_an_ambiguous_name_are_seen(self) -> None:
        planner, sql = Planner(two_users()), "SELECT email FROM users, brand_new"
        assert planner.unknown_relations(sql, resolved={'"users"': 99_999}) == {(None, "brand_new")}


class TestLimits:
    def test_long_texts_about_something_protected_are_refused_unplanned(self) -> None:
        planner = Planner(sample_catalog(), max_statement_bytes=100)
        made = plan(planner, "SELECT name FROM users /*" + "x" * 200 + "*/")
        assert made.refusal is not None
        assert made.refusal.code == "54001"

    def test_long_texts_about_nothing_protected_pass_once_the_catalog_is_new(self) -> None:
        planner = Planner(sample_catalog(), max_statement_bytes=100)
        sql = "SELECT 1 /*" + "x" * 200 + "*/"
        assert planner.plan_and_unknown(sql, extended=False) == (UNTOUCHED, ANY_RELATIONS)

    def test_texts_that_are_longer_by_far_are_not_looked_at(self) -> None:
        planner = Planner(sample_catalog(), max_statement_bytes=100)
        assert planner.too_long(1600) is None
        assert planner.too_long(1601) is not None
        made = plan(planner, "SELECT 1 /*" + "x" * 1600 + "*/")
        assert made.refusal is not None
        assert made.refusal.code == "54001"

    def test_without_protected_columns_everything_passes(self) -> None:
        planner = Planner(Catalog.build(1, []), max_statement_bytes=100)
        assert plan(planner, "SELECT 1 /*" + "x" * 200 + "*/").is_untouched
        assert plan(planner, "not sql at all").is_untouched

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT " + "(" * 50_000 + "1" + ")" * 50_000 + " FROM users",
            "SELECT email FROM users WHERE " + " OR ".join(["id = 1"] * 20_000),
            "SELECT email FROM users WHERE id = " + "- " * 20_000 + "1",
            " UNION ALL ".join(["SELECT email FROM users"] * 5_000),
        ],
        ids=["parentheses", "or", "minus", "union"],
    )
    def test_deep_nesting_neither_crashes_nor_passes(self, sql: str) -> None:
        made = plan(Planner(sample_catalog()), sql)
        assert not made.is_untouched

    def test_the_cache_is_bounded(self) -> None:
        planner = Planner(sample_catalog(), max_cached_plans=10)
        for number in range(100):
            planner.plan(f"SELECT {number}", extended=True)
        assert len(planner.plans) == 10


class TestSettings:
    def test_backslashes_without_standard_strings_are_refused_near_protected_tables(self) -> None:
        planner = Planner(sample_catalog())
        sql = r"SELECT 'a\' FROM users"
        made = planner.plan(sql, extended=False, standard_conforming_strings=False)
        assert isinstance(made, Plan)
        assert made.refusal is not None
        assert planner.plan(r"SELECT 'a\' FROM items", extended=False, standard_conforming_strings=False) == Plan(
            is_untouched=True
        )

    @pytest.mark.parametrize(
        "sql",
        [r"DO 'BEGIN EXECUTE ''SELECT 1 FROM us\145rs''; END'", r"SELECT query_to_xml('SELECT 1 FROM us\145rs', 'a')"],
    )
    def test_code_in_which_escapes_may_spell_names_is_refused(self, sql: str) -> None:
        made = Planner(sample_catalog()).plan(sql, extended=False, standard_conforming_strings=False)
        assert isinstance(made, Plan)
        assert made.refusal is not None

    def test_several_commands_in_a_parse_with_a_protected_table_are_refused(self) -> None:
        made = plan(Planner(sample_catalog()), "SELECT 1; UPDATE users SET email = 'x'")
        assert made.refusal is not None
        assert made.refusal.code == "42601"
        assert made.pieces == (REFUSED_STATEMENT,)


class TestSlots:
    def test_a_slot_shows_no_value(self) -> None:
        made = plan(Planner(sample_catalog()), "INSERT INTO users (email) VALUES ('planted-value')")
        assert "planted-value" not in repr(made)

    def test_positions_count_characters_of_the_clients_text(self) -> None:
        made = plan(Planner(sample_catalog()), "SELECT 'ä€😀' FROM users WHERE email = 'x'")
        (slot,) = (p for p in made.pieces if isinstance(p, LiteralSlot))
        assert slot.position == 39
        assert slot.use is Use.TERM

    def test_splices_tell_where_the_text_changed(self) -> None:
        sql = "SELECT id FROM users WHERE email = $1"
        made = plan(Planner(sample_catalog()), sql)
        assert [sql[s.start : s.end] for s in made.splices if s.end > s.start] == ["=", "$1"]

    def test_equal_names_with_other_case_stay_apart(self) -> None:
        email = protected(7, "Users", "Email", oid=300, attribute=1)
        catalog = Catalog.build(1, [Relation(300, "public", "Users", "r", (Column("Email", 1, 9007, email),))])
        planner = Planner(catalog)
        assert plan(planner, "SELECT email FROM users").is_untouched
        assert not plan(planner, 'SELECT "Email" FROM "Users"').is_untouched


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=6))
def test_no_literal_for_a_protected_column_stays_in_the_text(value: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    sql = f"INSERT INTO users (email, ssn) VALUES ({quoted}, {quoted}) ON CONFLICT (email) DO UPDATE SET ssn = {quoted}"
    made = Planner(sample_catalog()).plan(sql, extended=False)
    assert isinstance(made, Plan)
    assert made.refusal is None
    slots = [p for p in made.pieces if isinstance(p, LiteralSlot)]
    assert [s.text for s in slots] == [value] * 3
    text = "".join(p for p in made.pieces if isinstance(p, str))
    assert quoted not in text


def test_ddl_finds_names_in_any_spelling() -> None:
    column = protected(8, "User Data", "Email", oid=301, attribute=1)
    catalog = Catalog.build(1, [Relation(301, "public", "User Data", "r", (Column("Email", 1, 9008, column),))])
    planner = Planner(catalog)
    for body in ('UPDATE "User Data" SET x = 1', 'update "user data"', 'SELECT U&"\\0055ser Data"'):
        made = plan(planner, f"CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $${body}$$")
        assert made.refusal is not None
    assert plan(planner, "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$SELECT 'user', 'data'$$").is_untouched


class TestFailures:
    SQL = "BEGIN; UPDATE users SET email = 'a'; UPDATE users SET email = 'b'; COMMIT"

    def test_the_statement_at_the_position_fails_in_its_place(self) -> None:
        planner = Planner(sample_catalog())
        error = PgcryptError("unsound", hint="hint", position=self.SQL.index("'b'") + 1, sqlstate="22007")
        made = planner.with_failures(self.SQL, None, [error])
        assert [s.refusal is not None for s in made.statements] == [False, False, True, False]
        refusal = made.statements[2].refusal
        assert refusal is not None
        assert (refusal.message, refusal.hint, refusal.code) == ("unsound", "hint", "22007")
        text = "".join(piece if isinstance(piece, str) else "?" for piece in made.pieces)
        assert text == f"BEGIN; UPDATE users SET email = ?;  {REFUSED_STATEMENT}; COMMIT"

    def test_several_fail(self) -> None:
        planner = Planner(sample_catalog())
        errors = [PgcryptError("unsound", position=self.SQL.index(value) + 1) for value in ("'a'", "'b'")]
        made = planner.with_failures(self.SQL, None, errors)
        assert [s.refusal is not None for s in made.statements] == [False, True, True, False]
        assert not any(isinstance(piece, LiteralSlot) for piece in made.pieces)


class TestNamesInOneText:
    """A name that several tables bear is asked for once: what may change its meaning in the same text ends that."""

    @pytest.mark.parametrize(
        "first",
        [
            "SET search_path = other",
            "SET LOCAL search_path TO other",
            "SET SCHEMA 'other'",
            "RESET ALL",
            "SET ROLE app",
            "SET SESSION AUTHORIZATION app",
            "DISCARD ALL",
            "SELECT set_config('search_path', 'other', false)",
            "ROLLBACK",
            "EXECUTE p",
            "CALL f()",
        ],
    )
    def test_behind_a_change(self, first: str) -> None:
        planner = Planner(two_users())
        for answer in (100, 200):
            made = planner.plan(
                f"{first}; INSERT INTO users (email) VALUES ('alpha')", extended=False, resolved={'"users"': answer}
            )
            assert isinstance(made, Plan)
            assert made.refusal is not None
            assert "alpha" not in "".join(map(str, made.pieces))
        made = planner.plan(f"{first}; INSERT INTO public.users (email) VALUES ('alpha')", extended=False)
        assert isinstance(made, Plan)

    @pytest.mark.parametrize(
        "first", ["BEGIN", "SELECT 1", "SAVEPOINT s", "SET work_mem = '1MB'", "SET lock_timeout = 1"]
    )
    def test_behind_nothing_of_the_kind(self, first: str) -> None:
        made = Planner(two_users()).plan(f"{first}; SELECT email FROM users", extended=False, resolved={'"users"': 100})
        assert isinstance(made, Plan)
        assert made.refusal is None


@pytest.mark.parametrize("number", [0, 65_536, 2_000_000_000])
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO users (email) VALUES (${})",
        "UPDATE users SET email = $1, name = ${}",
        "SELECT email FROM users WHERE email = ${}",
        "SELECT id FROM users WHERE email = 'x' AND id = ${}",
    ],
)
def test_parameters_that_no_bind_has(sql: str, number: int) -> None:
    for extended in (False, True):
        made = Planner(sample_catalog()).plan(sql.format(number), extended=extended)
        assert isinstance(made, Plan)
        assert made.refusal is not None
        assert made.refusal.code == "42P02"
