"""Which texts pass without being parsed: never one that may reach something protected, or change the session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.sql.catalog import Catalog, Column, Relation
from pgcrypt_proxy.sql.long_text import MAX_WORK, touches_nothing
from pgcrypt_proxy.sql.mention import SQL_RUNNING_FUNCTIONS, SQL_RUNNING_PARTS
from tests.sql.sample import sample_catalog


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The sample's, and a plain table with a trigger that moves protected values."""
    base = sample_catalog()
    moving = Relation(
        99, "public", "outbox", "r", (Column("a", 1, 23),), write_hazards=(("INSERT", "trigger t (function f)"),)
    )
    built = Catalog.build(1, [*base.relations.values(), moving], tainted_functions={"tally"})
    return replace(built, system_columns={("pg_catalog", "pg_stats"): ("tablename",)})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'long'",
        "  ((SELECT 1))",
        "insert into Logs values ('a;b'), ($$;drop table x$$) on conflict do nothing",
        "/* an application's */ -- and more\n UPDATE logs SET a = E'\\'; DROP TABLE logs; --'",
        "WITH x AS (SELECT 1) DELETE FROM logs",
        "VALUES (1); TABLE logs; MERGE INTO logs USING x ON true WHEN MATCHED THEN DELETE;",
        "",
    ],
)
def test_what_passes(catalog: Catalog, sql: str) -> None:
    assert touches_nothing(sql, catalog)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM users",
        'SELECT 1 FROM "users"',
        "SELECT 1 FROM USERS",
        'SELECT \'x\' AS "a""users"',
        'SELECT 1 FROM U&"\\0075sers"',
        "SELECT 1 FROM u&\"!0075sers\" UESCAPE '!'",
        "INSERT INTO outbox VALUES (1)",
        "SELECT tally()",
        "SELECT * FROM pg_stats",
        "SELECT Query_To_Xml('x', true, true, '')",
        "SELECT pg_catalog.set_config('a.b', 'c', false)",
        "UPDATE pg_settings SET setting = 'x'",
        "SET standard_conforming_strings = off",
        "SELECT 1; RESET ALL",
        "SELECT 1; DISCARD ALL; SELECT 2",
        "BEGIN",
        "VALUES (1); COMMIT",
        "EXECUTE s",
        "FETCH c",
        "DO 'x'",
        "CREATE TABLE x ()",
        "COPY x FROM STDIN",
        "EXPLAIN ANALYZE EXECUTE s",
        "PREPARE s AS SELECT 1",
        "CALL p()",
        "/* /* SELECT */ SELECT */ EXECUTE s",
        "/* SELECT */ EXECUTE s",
        "-- SELECT\nEXECUTE s",
        "--\rEXECUTE s",
        "selected",
        "SELECT 1; nonsense",
        "nonsense; SELECT 1",
        "select$1",
        "SELECT 'unfinished",
        "SELECT 1 /* unfinished",
    ],
)
def test_what_does_not(catalog: Catalog, sql: str) -> None:
    assert not touches_nothing(sql, catalog)


def test_a_search_has_a_bound() -> None:
    names = [Relation(n, "public", f"t{n}", "r", (), is_derived=True) for n in range(1000)]
    catalog = Catalog.build(1, names)
    short, long = "SELECT ''", f"SELECT '{'x' * (MAX_WORK // 1000)}'"
    assert touches_nothing(short, catalog)
    assert not touches_nothing(long, catalog)


@pytest.mark.parametrize(
    "function",
    [
        "query_to_xml", "query_to_xml_and_xmlschema", "query_to_xmlschema", "table_to_xml", "cursor_to_xml",
        "schema_to_xml", "database_to_xml", "ts_stat", "ts_rewrite", "crosstab", "crosstab4", "connectby", "dblink",
        "dblink_exec", "xpath_table", "lo_import", "lo_export", "pg_read_file", "pg_read_binary_file",
        "pg_logical_slot_get_changes",
    ],
)  # fmt: skip
def test_the_parts_find_every_function_that_runs_sql(function: str) -> None:
    assert SQL_RUNNING_FUNCTIONS.match(function)
    assert any(part in function for part in SQL_RUNNING_PARTS)
