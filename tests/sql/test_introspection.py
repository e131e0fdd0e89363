"""Which statements on the catalogs are rewritten, and which stay as they came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.sql.parse import parse
from pgcrypt_proxy.sql.plan import ParameterUse, Plan, Use
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.sql.shown_catalog import RELATIONS
from tests.sql.sample import sample_catalog

SYSTEM_COLUMNS = {
    ("pg_catalog", "pg_attribute"): ("attrelid", "attname", "atttypid", "atttypmod", "attnum", "attlen"),
    ("pg_catalog", "pg_attrdef"): ("oid", "adrelid", "adnum", "adbin"),
    ("pg_catalog", "pg_index"): ("indexrelid", "indrelid", "indisprimary", "indkey", "indexprs"),
    ("pg_catalog", "pg_constraint"): ("oid", "conname", "contype", "conkey"),
    ("pg_catalog", "pg_indexes"): ("schemaname", "tablename", "indexname", "indexdef"),
    ("pg_catalog", "pg_class"): ("oid", "relname", "reloptions", "relkind"),
    ("information_schema", "columns"): ("table_name", "column_name", "data_type", "domain_name"),
    ("information_schema", "table_constraints"): ("constraint_name", "constraint_type"),
    ("information_schema", "key_column_usage"): ("constraint_name", "column_name", "ordinal_position"),
    ("information_schema", "constraint_column_usage"): ("constraint_name", "column_name"),
}

REWRITTEN = [
    "SELECT atttypid FROM pg_attribute",
    "SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attnum > 0",
    'SELECT * FROM "pg_catalog" . "pg_attribute" AS a (x, y)',
    "SELECT pg_catalog.pg_attribute.attname FROM pg_catalog.pg_attribute ORDER BY pg_catalog.pg_attribute.attnum",
    "SELECT c.oid FROM pg_class c LEFT JOIN (pg_index i JOIN pg_attribute a ON true) ON i.indrelid = c.oid",
    "SELECT (SELECT count(*) FROM pg_constraint) AS n",
    "WITH a AS (SELECT * FROM pg_attribute) SELECT * FROM a",
    "SELECT reloptions FROM pg_class",
    "SELECT a.attname, count(*) FROM pg_attribute a GROUP BY a.attname",
    "SELECT i.k, i.indexrelid FROM (SELECT indexrelid, indkey AS k FROM pg_index) i GROUP BY i.indexrelid, i.k",
    "SELECT c FROM pg_class c",
    "SELECT c.oid::regclass, c.tableoid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid",
    "SELECT pg_get_indexdef(oid), pg_catalog.pg_get_indexdef(oid, 1, (true)) FROM pg_class",
    "SELECT pg_get_constraintdef(pg_get_indexdef(1)::oid)",
    "INSERT INTO items SELECT attnum, attname FROM pg_attribute",
    "DECLARE c CURSOR FOR SELECT * FROM information_schema.columns",
    "COPY (SELECT * FROM pg_indexes) TO STDOUT",
    "SELECT information_schema.columns.data_type FROM information_schema.columns",
    "SELECT 'ä', atttypid FROM /* ä */ pg_attribute -- ä",
]
AS_THEY_CAME = [
    "SELECT oid, relname FROM pg_class",
    "SELECT * FROM pg_type",
    "SELECT * FROM columns",
    "SELECT * FROM other.pg_attribute",
    "SELECT tableoid, attname FROM pg_attribute",
    "SELECT a.ctid FROM pg_attribute a",
    "TABLE pg_attribute",
    "SELECT * FROM ONLY pg_attribute",
    "SELECT * FROM pg_attribute *",
    "SELECT * FROM pg_attribute TABLESAMPLE system (1)",
    "SELECT * FROM pg_attribute FOR SHARE",
    "WITH pg_attribute AS (SELECT 1) SELECT * FROM pg_attribute",
    "SELECT * FROM pg_get_indexdef(1)",
    "SELECT pg_get_indexdef()",
    "SELECT pg_get_indexdef(unnest(ARRAY[1, 2]::oid[]))",
    "SELECT own.pg_get_indexdef(1)",
    "SELECT pg_catalog.pg_attribute.attname FROM pg_catalog.pg_attribute, other.pg_attribute",
    "SELECT c.relname, c.reloptions, count(*) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid GROUP BY c.oid",
    "SELECT attname FROM pg_attribute GROUP BY attrelid, attnum",
    "UPDATE pg_attribute SET attname = attname",
    "DELETE FROM pg_attribute USING pg_index",
    "CREATE VIEW shapes AS SELECT * FROM pg_attribute",
    "SELECT * INTO shapes FROM pg_attribute",
    "EXPLAIN SELECT * FROM pg_attribute",
    "PREPARE p AS SELECT * FROM pg_attribute",
    "COPY pg_attribute TO STDOUT",
]


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(replace(sample_catalog(), system_columns=SYSTEM_COLUMNS))


def planned(planner: Planner, sql: str, *, extended: bool = False) -> Plan:
    plan = planner.plan(sql, extended=extended)
    assert isinstance(plan, Plan)
    assert plan.refusal is None
    return plan


def text(plan: Plan) -> str:
    assert all(isinstance(piece, str) for piece in plan.pieces)
    return "".join(map(str, plan.pieces))


@pytest.mark.parametrize("sql", REWRITTEN)
def test_rewritten(planner: Planner, sql: str) -> None:
    plan = planned(planner, sql)
    assert plan.is_optional
    assert not plan.is_untouched
    assert all(statement.is_untouched for statement in plan.statements)
    assert len(parse(text(plan)).statements) == 1
    assert plan.unwritten.is_untouched


@pytest.mark.parametrize("sql", AS_THEY_CAME)
def test_as_they_came(planner: Planner, sql: str) -> None:
    assert planned(planner, sql).is_untouched


@pytest.mark.parametrize("place", RELATIONS)
def test_relations_keep_their_columns(planner: Planner, place: tuple[str, str]) -> None:
    (statement,) = parse(text(planned(planner, f"SELECT * FROM {'.'.join(place)}"))).statements
    query = statement.tree["fromClause"][0]["RangeSubselect"]["subquery"]["SelectStmt"]
    while "targetList" not in query:
        query = query["larg"]
    names = []
    for target in query["targetList"]:
        fields = target["ResTarget"].get("val", {}).get("ColumnRef", {}).get("fields", [])
        names.append(target["ResTarget"].get("name") or fields[-1]["String"]["sval"])
    assert tuple(names) == SYSTEM_COLUMNS[place]


def test_nothing_where_nothing_is_sealed() -> None:
    catalog = sample_catalog()
    empty = Planner(replace(catalog, provenance={}, ruled={}, system_columns=SYSTEM_COLUMNS))
    assert planned(empty, "SELECT * FROM pg_attribute").is_untouched


def test_parameters_pass_under_their_numbers(planner: Planner) -> None:
    plan = planned(planner, "SELECT $2::int FROM pg_attribute WHERE attrelid = $1", extended=True)
    assert plan.parameters == (ParameterUse(0, Use.PASS), ParameterUse(1, Use.PASS))
    assert text(plan).endswith("AS pg_attribute WHERE attrelid = $1")


def test_beside_protected_tables_the_catalogs_stay_as_they_are(planner: Planner) -> None:
    plan = planned(planner, "SELECT u.name FROM users u, pg_attribute a WHERE u.email = 'ada@x'")
    assert not plan.is_optional
    plan = planned(planner, "SELECT email FROM users; SELECT atttypid FROM pg_attribute")
    assert not plan.is_optional
    assert "pg_catalog.pg_attribute AS a" in text(plan)


def test_the_cache_counts_what_plans_hold(planner: Planner) -> None:
    before = planner.plans.bytes
    plan = planned(planner, "SELECT atttypid, 'counted' FROM pg_attribute")
    assert planner.plans.bytes - before > plan.length > 500


def test_words_of_texts_with_backslashes_are_read_alike(planner: Planner) -> None:
    made = text(planned(planner, "SELECT pg_get_indexdef(1)"))
    assert "E'pgcrypt\\\\.eq" in made
    assert "lower(" in made
    assert "upper(" in made
