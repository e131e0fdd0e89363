from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.ops import catalog_loader, catalog_queries, catalog_views
from pgcrypt_proxy.sql.catalog import Catalog
from tests.ops.test_catalog_loader import derived, policy, protected_columns, seal

TABLES = """
CREATE TABLE public.users (id int PRIMARY KEY, email text, ssn text, age int);
CREATE TABLE public.orders (id int, user_id int, contact text, total int);
CREATE TABLE public.items (id int, name text);
"""


@pytest.fixture
def load(connection, rule):
    """Makes views over three tables with three sealed columns and loads the catalog."""
    connection.execute(TABLES)
    for column in ("public.users.email", "public.users.ssn", "public.orders.contact"):
        seal(connection, column, "{equality}" if column != "public.users.ssn" else "{}")
    rules = (
        rule("public.users.email", "text", ("equality",)),
        rule("public.users.ssn", "text"),
        rule("public.orders.contact", "text", ("equality",)),
    )

    def load(ddl: str) -> Catalog:
        connection.execute(ddl)
        return catalog_loader.load(connection, policy(*rules))

    return load


def shown(catalog: Catalog, view: str = "v") -> list[str | None]:
    """What the columns of a view show, which must not be derived."""
    (relation,) = catalog.by_name[view]
    assert not relation.is_derived
    for column in relation.columns:
        assert catalog.provenance.get((relation.oid, column.attribute_number)) is column.protected
    return [c.protected.qualified_name if c.protected else None for c in relation.columns]


EMAIL, SSN, CONTACT = "public.users.email", "public.users.ssn", "public.orders.contact"


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT * FROM users", [None, EMAIL, SSN, None]),
        ('SELECT u.ssn AS a, u.email AS "B b" FROM public.users u', [SSN, EMAIL]),
        ("SELECT email FROM users WHERE age > 18 AND email IS NOT NULL ORDER BY id LIMIT 5", [EMAIL]),
        (
            "SELECT u.*, o.contact, o.total FROM users u LEFT JOIN orders o ON o.user_id = u.id",
            [None, EMAIL, SSN, None, CONTACT, None],
        ),
        ("SELECT o.id, email, name FROM orders o JOIN users u ON o.user_id = u.id, items i", [None, EMAIL, None]),
        ("SELECT age, count(email) AS n, max(id) FROM users GROUP BY age HAVING count(*) > 1", [None, None, None]),
        ("SELECT email FROM users WHERE id < 5 UNION ALL SELECT email FROM users WHERE id > 5", [EMAIL]),
        ("WITH x AS (SELECT id, email FROM users) SELECT x.email, x.id FROM x", [EMAIL, None]),
        ("SELECT s.e FROM (SELECT email AS e, id FROM users) s WHERE s.id > 1", [EMAIL]),
        ("SELECT l.email FROM items i, LATERAL (SELECT email FROM users WHERE users.id = i.id) l", [EMAIL]),
        ("SELECT name FROM items WHERE EXISTS (SELECT FROM users u WHERE u.id = items.id)", [None]),
        ("SELECT age FROM users", [None]),
        ("SELECT (u).email FROM users u", [EMAIL]),
        ("SELECT id, (SELECT email FROM users WHERE age > 1 LIMIT 1) FROM items", [None, EMAIL]),
        ("SELECT email, row_number() OVER (ORDER BY id) FROM users", [EMAIL, None]),
        (
            "WITH RECURSIVE r AS (SELECT email, 1 AS n FROM users UNION ALL SELECT email, n + 1 FROM r WHERE n < 3)"
            " SELECT email FROM r",
            [EMAIL],
        ),
        ("SELECT lag(email) OVER (ORDER BY id), count(u) OVER () FROM users u", [EMAIL, None]),
    ],
)
def test_a_view_shows_protected_columns(load, query, columns):
    catalog = load(f"SET search_path = public; CREATE VIEW v AS {query}; SET search_path = pg_catalog")
    assert shown(catalog) == columns
    assert derived(catalog) == set()
    assert ("v" in catalog.sensitive_names) == any(columns)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM users WHERE email = '\\x01'",
        "SELECT id FROM users WHERE email IN ('\\x01', '\\x02')",
        "SELECT users.id FROM users JOIN orders ON email = contact",
        "SELECT id FROM users WHERE email IN (SELECT contact FROM orders)",
        "SELECT email FROM users GROUP BY email",
        "SELECT DISTINCT email FROM users",
        "SELECT count(DISTINCT email) FROM users",
        "SELECT email FROM users ORDER BY email",
        "SELECT email FROM users UNION SELECT email FROM users",
        "SELECT email FROM users UNION ALL SELECT contact FROM orders",
        "SELECT email FROM users UNION ALL SELECT name::bytea FROM items",
        "SELECT email::bytea FROM users",
        "SELECT length(email) FROM users",
        "SELECT coalesce(email, ssn) FROM users",
        "SELECT u FROM users u",
        "SELECT array_agg(email) FROM users",
        "SELECT CASE WHEN age > 1 THEN email END FROM users",
        "SELECT email = ssn FROM users",
        "WITH RECURSIVE r AS (SELECT email, 1 AS n FROM users UNION SELECT email, n + 1 FROM r WHERE n < 3)"
        " SELECT email FROM r",
        "SELECT id FROM users u JOIN (SELECT email FROM users) v USING (email)",
        "SELECT email FROM users EXCEPT SELECT email FROM users",
        "SELECT tainted() FROM items",
        "SELECT id FROM items WHERE id === 2",
    ],
)
def test_a_view_that_would_need_rewriting_or_is_not_understood_is_derived(load, query):
    catalog = load(
        """
        SET search_path = public;
        CREATE FUNCTION tainted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.users';
        CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 IN (SELECT id FROM public.users)';
        CREATE OPERATOR === (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
        """
        f"CREATE VIEW v AS {query}; CREATE VIEW outer_v AS SELECT * FROM v; SET search_path = pg_catalog"
    )
    assert derived(catalog) == {"v", "outer_v"}


def test_views_over_views(load):
    catalog = load(
        """
        CREATE VIEW public.z AS SELECT id, email AS mail FROM public.users;
        CREATE VIEW public.y AS SELECT z.mail AS address, o.contact, z.id FROM public.z
            JOIN public.orders o ON o.user_id = z.id;
        CREATE VIEW public.x (a, b) AS SELECT address, id FROM public.y WHERE id > 1
            UNION ALL SELECT mail, id FROM public.z;
        CREATE MATERIALIZED VIEW public.w AS SELECT a AS e, b FROM public.x WITH NO DATA;
        CREATE VIEW public.u AS SELECT e FROM public.w;
        CREATE VIEW public.bad AS SELECT a FROM public.x ORDER BY a;
        CREATE VIEW public.worse AS SELECT bad.a FROM public.bad;
        """
    )
    assert shown(catalog, "y") == [EMAIL, CONTACT, None]
    assert shown(catalog, "x") == [EMAIL, None]
    assert shown(catalog, "w") == [EMAIL, None]
    assert shown(catalog, "u") == [EMAIL]
    assert derived(catalog) == {"bad", "worse"}
    ids = protected_columns(catalog)
    assert ids["u.e"] == ids["w.e"] == ids["users.email"]
    stored = {c.qualified_name for c in catalog.protected_columns}
    assert stored == {EMAIL, SSN, CONTACT}, "of tables only"


def test_names_mean_what_they_meant_when_the_view_was_made(load):
    catalog = load(
        """
        CREATE SCHEMA other;
        CREATE TABLE other.users (id int, email text);
        CREATE VIEW public.v AS SELECT users.email, id FROM public.users;
        CREATE VIEW other.w AS SELECT users.email FROM other.users;
        ALTER TABLE public.users RENAME age TO years;
        ALTER VIEW public.v RENAME id TO number;
        """
    )
    assert shown(catalog) == [EMAIL, None]
    assert shown(catalog, "w") == [None]


def test_a_search_path_of_the_caller_changes_nothing(load, connection):
    connection.execute("SET search_path = public")
    catalog = load(
        "CREATE SCHEMA other; CREATE TABLE other.users (email text); CREATE VIEW v AS SELECT email FROM users"
    )
    assert shown(catalog) == [EMAIL]
    assert connection.execute("SHOW search_path").fetchone() == ("public",)


def test_a_view_that_does_more_than_its_query_is_derived(load):
    catalog = load(
        """
        CREATE VIEW public.ruled AS SELECT id, email FROM public.users;
        CREATE RULE also AS ON UPDATE TO public.ruled DO INSTEAD UPDATE public.items SET name = NEW.email::text;
        CREATE FUNCTION public.on_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE VIEW public.triggered AS SELECT id, email FROM public.users;
        CREATE TRIGGER t INSTEAD OF INSERT ON public.triggered FOR EACH ROW EXECUTE FUNCTION public.on_insert();
        CREATE VIEW public.simple AS SELECT id, email FROM public.users;
        CREATE VIEW public.above AS SELECT email FROM public.ruled;
        """
    )
    assert derived(catalog) == {"ruled", "triggered", "above"}
    assert shown(catalog, "simple") == [None, EMAIL]


def test_a_view_with_a_sealed_type_of_another_origin_is_derived(load):
    catalog = load("CREATE VIEW public.v AS SELECT id, NULL::pgcrypt.sealed_1 AS email FROM public.items")
    assert derived(catalog) == {"v"}


def test_a_view_over_a_column_that_is_not_sealed_yet_is_derived(connection, rule):
    connection.execute(TABLES + "CREATE VIEW public.v AS SELECT id FROM public.users")
    catalog = catalog_loader.load(connection, policy(rule("public.users.email")))
    assert derived(catalog) == {"v"}


def test_a_view_over_a_partition_shows_its_column(load):
    catalog = load(
        "CREATE TABLE public.child () INHERITS (public.users); CREATE VIEW public.v AS SELECT email FROM public.child"
    )
    assert shown(catalog) == ["public.child.email"]


def test_what_is_read_must_be_what_the_server_recorded(load, connection):
    """Had a table another name by the time its view's text was read, the view could not be trusted."""
    catalog = load("CREATE VIEW public.v AS SELECT id FROM public.users")
    rows = catalog_queries.fetch(connection)
    (view,) = catalog.by_name["v"]
    before = Catalog.build(1, (replace(r, is_derived=r is view) for r in catalog.relations.values()))

    def is_derived(definition: str) -> bool:
        made = catalog_views.with_views(before, rows, {view.oid: definition}, frozenset())
        return made.relations[view.oid].is_derived

    assert not is_derived("SELECT users.id FROM public.users")
    assert is_derived("SELECT renamed.id FROM public.renamed")
    assert is_derived("SELECT users.id FROM public.users, public.orders")
    assert is_derived("SELECT users.id, users.age FROM public.users")
    assert is_derived("SELECT FROM")
