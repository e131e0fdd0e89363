"""Plans on tables of which clients see other columns than the server has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.sql import ddl_effects, shape
from pgcrypt_proxy.sql.catalog import Catalog, Column, Relation
from pgcrypt_proxy.sql.parse import parse
from pgcrypt_proxy.sql.plan import Plan
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.sql.shown_order import arranged
from tests.sql.sample import INT4, TEXT, described, relations

ORDER = (("mail", "id"),)


def table(name: str, oid: int, **changes: object) -> Relation:
    """id, mail, note as clients see them; the server has mail last, and in `hiding` a hidden column behind it."""
    columns, is_unknown = arranged([Column("id", 1, INT4), Column("note", 3, TEXT), Column("mail", 4, TEXT)], ORDER)
    made = Relation(oid, "public", name, "r", columns, shown_after=ORDER, is_order_unknown=is_unknown)
    return replace(made, **changes)  # type: ignore[arg-type]


def catalog() -> Catalog:
    plain = (Column("id", 1, INT4), Column("note", 2, TEXT))
    return Catalog.build(
        1,
        [
            *relations(),
            table("moved", 200),
            table("hiding", 201, hidden=(Column("pgcrypt_next_5", 5, 17),)),
            table("lost", 202, is_order_unknown=True),
            table("on_the_way", 203, moving=("public.on_the_way",), shown_after=()),
            Relation(204, "public", "plain", "r", plain),
        ],
    )


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(catalog())


def planned(planner: Planner, sql: str) -> Plan:
    plan = planner.plan(sql, extended=False)
    assert isinstance(plan, Plan)
    return plan


MOVED = ", ".join(f'"public"."moved"."{name}"' for name in ("id", "mail", "note"))


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT * FROM moved", f"SELECT {MOVED} FROM moved"),
        ("SELECT m.*, 1 FROM moved m", 'SELECT "m"."id", "m"."mail", "m"."note", 1 FROM moved m'),
        ("SELECT * FROM moved m, plain p", 'SELECT "m"."id", "m"."mail", "m"."note", "p".* FROM moved m, plain p'),
        (
            "SELECT * FROM plain p JOIN moved m USING (id)",
            'SELECT "id", "p"."note", "m"."mail", "m"."note" FROM plain p JOIN moved m USING (id)',
        ),
        ("TABLE ONLY moved", f"SELECT {MOVED} FROM ONLY moved"),
        ("SELECT a FROM hiding AS h (a, b)", 'SELECT a FROM hiding AS h ("a", "note", "b", "pgcrypt_next_5")'),
        ("INSERT INTO moved VALUES (1, 'a')", 'INSERT INTO moved ("id", "mail") VALUES (1, \'a\')'),
        ("INSERT INTO moved AS m SELECT id FROM plain", 'INSERT INTO moved AS m ("id") SELECT id FROM plain'),
        ("COPY hiding FROM STDIN", 'COPY hiding ("id", "mail", "note") FROM STDIN'),
        (
            "MERGE INTO moved USING plain ON false WHEN NOT MATCHED THEN INSERT VALUES (1, note)",
            'MERGE INTO moved USING plain ON false WHEN NOT MATCHED THEN INSERT ("id", "mail") VALUES (1, note)',
        ),
        (
            "DELETE FROM hiding h RETURNING old.*",
            'DELETE FROM hiding h RETURNING "old"."id", "old"."mail", "old"."note"',
        ),
        ("SELECT w.* FROM on_the_way w", 'SELECT "w"."id", "w"."mail", "w"."note" FROM on_the_way w'),
        ("PREPARE p AS SELECT m.* FROM moved m", 'PREPARE p AS SELECT "m"."id", "m"."mail", "m"."note" FROM moved m'),
        ("EXPLAIN SELECT m.* FROM moved m", 'EXPLAIN SELECT "m"."id", "m"."mail", "m"."note" FROM moved m'),
        (
            "SELECT u.email, m.* FROM users u, moved m WHERE u.email = 'a'",
            'SELECT u.email, "m"."id", "m"."mail", "m"."note" FROM users u, moved m'
            " WHERE pgcrypt.eq(u.email) OPERATOR(pg_catalog.=) <term email 'a'>",
        ),
    ],
)
def test_columns_are_written_out(planner: Planner, sql: str, text: str) -> None:
    assert described(planned(planner, sql))[0] == f"text: {text}"


@pytest.mark.parametrize("name", ["moved", "hiding", "lost", "on_the_way"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, mail FROM {}",
        "SELECT t.note FROM {} t WHERE t.id = 1 AND t.ctid IS NOT NULL",
        "SELECT count(*) FROM {}",
        "SELECT plain.* FROM plain, {}",
        "SELECT * FROM plain WHERE id IN (SELECT id FROM {})",
        "SELECT s.* FROM (SELECT id, note FROM {}) s",
        "SELECT * FROM XMLTABLE('/a' PASSING (SELECT note::xml FROM {}) COLUMNS x text)",
        "INSERT INTO {} (id) VALUES (1) RETURNING id",
        "INSERT INTO {} DEFAULT VALUES",
        "UPDATE {} SET note = 'a'",
        "DELETE FROM {}",
        "COPY {} (id) FROM STDIN",
        "TRUNCATE {}",
        "DROP TABLE {}",
        "CREATE INDEX ON {} (mail)",
        "ANALYZE {}",
        "COMMENT ON COLUMN {}.mail IS 'x'",
        "REINDEX TABLE {}",
    ],
)
def test_where_only_names_count_nothing_is_touched(planner: Planner, sql: str, name: str) -> None:
    plan = planned(planner, sql.format(name))
    assert plan.is_untouched
    assert [statement.tables for statement in plan.statements] == [(f"public.{name}",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM lost",
        "SELECT l.* FROM lost l",
        "SELECT * FROM plain, lost",
        "SELECT * FROM plain JOIN lost USING (id)",
        "SELECT * FROM (plain JOIN lost USING (id)) j",
        "SELECT * FROM users u JOIN lost l ON l.id = u.id",
        "TABLE lost",
        "SELECT 1 FROM (SELECT * FROM lost) s",
        "WITH l AS (TABLE lost) SELECT 1",
        "INSERT INTO lost VALUES (1)",
        "INSERT INTO lost SELECT id FROM plain",
        "INSERT INTO plain SELECT * FROM lost",
        "MERGE INTO lost USING plain ON false WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "DELETE FROM lost RETURNING *",
        "COPY lost TO STDOUT",
        "COPY lost FROM STDIN",
        "COPY (SELECT * FROM lost) TO STDOUT",
        "SELECT a FROM lost AS l (a)",
        "CREATE TABLE made AS SELECT * FROM lost",
        "CREATE VIEW made AS SELECT * FROM lost",
        "SELECT * INTO made FROM lost",
        "DECLARE c CURSOR FOR SELECT * FROM lost",
        "PREPARE p AS SELECT * FROM lost",
        "EXPLAIN SELECT * FROM lost",
    ],
)
def test_an_unknown_order_is_refused(planner: Planner, sql: str) -> None:
    refusal = planned(planner, sql).refusal
    assert refusal is not None
    assert refusal.code == "55000"
    assert 'the order of the columns of "public.lost" is not known' in refusal.message
    assert "Name the columns" in (refusal.hint or "")


def test_rows_are_counted_in_any_order(planner: Planner) -> None:
    plan = planned(planner, "SELECT id FROM plain p WHERE EXISTS (SELECT * FROM lost WHERE lost.id = p.id)")
    assert plan.is_untouched


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM moved m, ROWS FROM (generate_series(1, 2), generate_series(1, 3))",
        "SELECT * FROM moved NATURAL JOIN generate_series(1, 2) AS g",
        "SELECT * FROM moved JOIN plain USING (id) AS u",
        "SELECT * FROM moved, (SELECT 1 AS a, 2 AS a)",
        "MERGE INTO moved USING plain ON false WHEN MATCHED THEN DELETE RETURNING *",
        "INSERT INTO moved SELECT f.* FROM unknown_function() AS f",
        "INSERT INTO moved VALUES ((SELECT 1), (p).*)",
        "SELECT h IS NOT NULL FROM hiding h",
        "SELECT w IS NOT NULL FROM on_the_way w",
        "SELECT moved.upper FROM moved",
        "ALTER TABLE hiding ADD x int",
        "ALTER TABLE moved RENAME mail TO email",
        "ALTER TABLE moved DROP id",
        "ALTER TABLE moved RENAME id TO number",
        "ALTER TABLE plain INHERIT moved",
        "ALTER TABLE moved INHERIT plain",
        "ALTER TABLE plain ATTACH PARTITION moved DEFAULT",
        "CREATE TABLE made (LIKE moved)",
        "CREATE TABLE made PARTITION OF moved DEFAULT",
        "CREATE TABLE made (x moved)",
        "CREATE TRIGGER t BEFORE INSERT ON on_the_way FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE FUNCTION f() RETURNS SETOF moved LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_what_cannot_be_the_same_is_refused(planner: Planner, sql: str) -> None:
    refusal = planned(planner, sql).refusal
    assert refusal is not None
    assert refusal.code in ("0A000", "55000", "42703")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT m IS NULL, m IS NOT NULL, count(m) FROM moved m GROUP BY 1",
        "SELECT h IS NULL FROM hiding h",
        "ALTER TABLE moved ADD x int",
        "ALTER TABLE moved RENAME note TO notes",
        "ALTER TABLE moved DROP note",
        "ALTER TABLE moved RENAME TO other",
        "CREATE TRIGGER t BEFORE INSERT ON moved FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE POLICY p ON moved USING (id = 1)",
        "CREATE TABLE made (id int REFERENCES moved (id))",
    ],
)
def test_what_makes_no_difference_passes(planner: Planner, sql: str) -> None:
    assert planned(planner, sql).refusal is None


def test_behind_ddl_in_one_text_the_order_is_known(planner: Planner) -> None:
    plan = planned(planner, "ALTER TABLE moved ADD x int; SELECT m.* FROM moved m")
    (text,) = [line for line in described(plan) if line.startswith("text: ")]
    assert text.endswith('SELECT "m"."id", "m"."mail", "m"."note", "m"."x" FROM moved m')
    # id and mail stand as they are shown
    assert planned(planner, "ALTER TABLE moved DROP note; SELECT m.* FROM moved m").is_untouched


def test_what_ddl_leaves_is_rearranged_still() -> None:
    (statement,) = parse("ALTER TABLE moved DROP mail").statements
    after = ddl_effects.after(catalog(), statement, ["public.moved"])
    assert after is not None
    assert after.relations[200].is_order_unknown


def seen(oid: int, name: str, columns: list[tuple[str, int, int]]) -> list[list[str | None]]:
    return [[str(oid), "public", name, "r", c, str(number), str(t), None, None] for c, number, t in columns]


SERVER = [("id", 1, INT4), ("note", 3, TEXT), ("mail", 4, TEXT)]


def test_in_a_session_the_server_says_what_is_there() -> None:
    base = catalog()
    rows = [
        *seen(200, "moved", [*SERVER, ("x", 5, INT4)]),
        *seen(201, "hiding", [*SERVER, ("pgcrypt_next_5", 5, 17), ("y", 6, INT4)]),
        *seen(203, "on_the_way", [("id", 1, INT4), ("mail", 3, TEXT), ("z", 4, INT4)]),
    ]
    made = shape.apply(base, rows, [], 2)
    assert [c.name for c in made.relations[200].columns] == ["id", "mail", "note", "x"]
    assert [c.name for c in made.relations[201].columns] == ["id", "mail", "note", "y"]
    assert [c.name for c in made.relations[201].hidden] == ["pgcrypt_next_5"]
    assert made.relations[203].moving == ("public.on_the_way",)
    assert 202 not in made.relations  # dropped in this transaction


def test_in_a_session_a_table_as_it_was_stays_so() -> None:
    base = catalog()
    rows = [*seen(200, "moved", SERVER), *seen(201, "hiding", [*SERVER, ("pgcrypt_next_5", 5, 17)])]
    made = shape.apply(base, rows, [], 2)
    assert made.relations[200] == base.relations[200]
    assert made.relations[201] == base.relations[201]


def test_in_a_session_a_renamed_column_leaves_no_order() -> None:
    rows = seen(200, "moved", [("id", 1, INT4), ("note", 3, TEXT), ("email", 4, TEXT)])
    moved = shape.apply(catalog(), rows, [], 2).relations[200]
    assert moved.is_order_unknown
    assert moved.is_sensitive
