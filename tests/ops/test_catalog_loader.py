from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError, PolicyError
from pgcrypt_proxy.ops import catalog_loader, catalog_queries, catalog_rules
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, SafeFunction
from pgcrypt_proxy.sql.catalog import Catalog

TABLES = """
CREATE TABLE public.users (id int PRIMARY KEY, gone int, email text, age int);
ALTER TABLE public.users DROP COLUMN gone;
CREATE TABLE public.orders (id int, total int);
"""


def policy(*rules) -> Policy:
    return Policy(version=1, keyring=KeyringSettings("file", {"path": "x"}), rules=tuple(rules))


def seal(connection: psycopg.Connection, column: str, search: str = "{equality}") -> int:
    """Give a column of an empty table its sealed type, as protect does."""
    schema, table, name = column.split(".")
    row = connection.execute(
        "INSERT INTO pgcrypt.columns"
        " (logical_type, data_class, search, index_domain, schema_name, table_name, column_name, index_generation)"
        " VALUES ('text', 'pii', %s, %s, %s, %s, %s, CASE WHEN %s THEN 1 ELSE 0 END) RETURNING id",
        [search, column, schema, table, name, bool(search)],
    ).fetchone()
    assert row is not None
    connection.execute(f"CREATE DOMAIN pgcrypt.sealed_{row[0]} AS pgcrypt.sealed")
    connection.execute(
        f"ALTER TABLE {schema}.{table} ALTER {name} TYPE pgcrypt.sealed_{row[0]} USING NULL::pgcrypt.sealed_{row[0]}"
    )
    return int(row[0])


def names(catalog, what) -> set[str]:
    return {relation.name for relation in catalog.relations.values() if what(relation)}


def derived(catalog) -> set[str]:
    return names(catalog, lambda relation: relation.is_derived)


def test_relations_come_with_their_live_columns(connection):
    connection.execute(TABLES)
    connection.execute("CREATE TEMP TABLE passing (a int)")
    catalog = catalog_loader.load(connection, policy(), version=4)
    assert catalog.version == 4
    assert names(catalog, lambda _: True) == {"users", "orders"}
    (users,) = catalog.by_name["users"]
    assert [(c.name, c.attribute_number, c.type_oid) for c in users.columns] == [
        ("id", 1, 23),
        ("email", 3, 25),
        ("age", 4, 23),
    ]
    assert (users.schema, users.kind, users.is_sensitive) == ("public", "r", False)


def test_a_sealed_column_is_known_by_its_type(connection, rule):
    connection.execute(TABLES)
    column_id = seal(connection, "public.users.email")
    catalog = catalog_loader.load(connection, policy(rule("public.users.email", "text", ("equality",))))
    (column,) = catalog.protected_columns
    (users,) = catalog.by_name["users"]
    assert (column.id, column.qualified_name, column.attribute_number) == (column_id, "public.users.email", 3)
    assert column.is_armed
    assert column.relation_oid == users.oid
    assert column.search == {"equality"}
    assert column.domain_oid == users.columns[1].type_oid
    assert catalog.sensitive_names == {"users"}


def test_a_renamed_column_asks_for_its_new_name(connection, rule):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    connection.execute("ALTER TABLE public.users RENAME email TO mail")
    with pytest.raises(PolicyError, match=r"rules/test.yaml:7: .*email is called public.users.mail now"):
        catalog_loader.load(connection, policy(rule("public.users.email", "text", ("equality",))))


def test_a_rule_that_is_not_sealed_yet_is_not_armed(connection, rule):
    connection.execute(TABLES)
    catalog = catalog_loader.load(connection, policy(rule("public.users.email")))
    (column,) = catalog.protected_columns
    assert (column.id, column.is_armed, column.domain_oid) == (0, False, 0)


@pytest.mark.parametrize("name", ["public.missing.email", "public.users.missing"])
def test_a_rule_without_its_column_is_unmet(connection, rule, name):
    connection.execute(TABLES)
    catalog = catalog_loader.load(connection, policy(rule(name)))
    assert catalog.unmet_rules == {tuple(name.split(".")[:2])}
    assert catalog.protected_columns == ()


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"type": "integer"}, "type text"),
        ({"search": frozenset()}, r"search \[equality\]"),
        ({"data_class": "secret"}, "data_class pii"),
        ({"index_domain": "email"}, "index_domain public.users.email"),
    ],
)
def test_a_contradiction_names_line_and_right_value(connection, rule, changes, right):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    wrong = rule("public.users.email", "text", ("equality",), **changes)
    with pytest.raises(PolicyError, match=f"rules/test.yaml:7: public.users.email is sealed with {right}"):
        catalog_loader.load(connection, policy(wrong))


def test_a_removed_rule_is_refused(connection):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    with pytest.raises(PolicyError, match="a rule was removed while its column holds envelopes"):
        catalog_loader.load(connection, policy())


def test_a_rule_for_a_view_is_refused(connection, rule):
    connection.execute(TABLES + "CREATE VIEW public.v AS SELECT email FROM public.users")
    with pytest.raises(PolicyError, match="is a view"):
        catalog_loader.load(connection, policy(rule("public.v.email")))


def test_a_sealed_type_without_its_row_is_refused(connection, rule):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    connection.execute("DELETE FROM pgcrypt.columns")
    with pytest.raises(PolicyError, match="does not list"):
        catalog_loader.load(connection, policy(rule("public.users.email", "text", ("equality",))))


def test_views_are_derived_transitively(connection, rule):
    connection.execute(
        TABLES
        + """
        CREATE VIEW public.a AS SELECT id FROM public.users;
        CREATE MATERIALIZED VIEW public.b AS SELECT count(*) FROM public.a;
        CREATE VIEW public.c AS SELECT 1 FROM public.orders;
        CREATE RULE r AS ON INSERT TO public.orders DO ALSO DELETE FROM public.users;
        """
    )
    catalog = catalog_loader.load(connection, policy(rule("public.users.email")))
    assert derived(catalog) == {"a", "b", "orders", "c"}


def test_inheritance_parents_and_children_are_derived(connection, rule):
    connection.execute(
        """
        CREATE TABLE public.grandparent (id int);
        CREATE TABLE public.parent () INHERITS (public.grandparent);
        CREATE TABLE public.users (email text) INHERITS (public.parent);
        CREATE TABLE public.child () INHERITS (public.users);
        CREATE TABLE public.sibling () INHERITS (public.parent);
        """
    )
    catalog = catalog_loader.load(connection, policy(rule("public.users.email")))
    assert derived(catalog) == {"grandparent", "parent", "child"}


def protected_columns(catalog: Catalog) -> dict[str, int]:
    """Each protected column that can be named, with the id of the column whose values it holds."""
    return {
        f"{relation.name}.{column.name}": column.protected.id
        for relation in catalog.relations.values()
        for column in relation.columns
        if column.protected is not None
    }


@pytest.fixture
def load(connection, rule):
    """Loads the catalog under a rule for public.users.email."""

    def load(*safe: str) -> Catalog:
        made = policy(rule("public.users.email", "text", ("equality",)))
        functions = (SafeFunction(*name.split("."), f"rules/test.yaml:{line}") for line, name in enumerate(safe, 9))
        return catalog_loader.load(
            connection, Policy(made.version, made.keyring, made.rules, safe_functions=tuple(functions))
        )

    return load


def test_a_child_of_a_sealed_parent_needs_no_rule(connection, load):
    connection.execute("CREATE TABLE public.users (email text)")
    column_id = seal(connection, "public.users.email")
    connection.execute(
        "CREATE TABLE public.child (id int) INHERITS (public.users);"
        "CREATE TABLE public.grandchild (email pgcrypt.sealed_1, note text) INHERITS (public.child)"
    )
    catalog = load()
    assert derived(catalog) == set()
    assert protected_columns(catalog) == dict.fromkeys(["users.email", "child.email", "grandchild.email"], column_id)
    (child,) = catalog.by_name["child"]
    column = child.columns[0].protected
    assert column is not None
    assert (column.is_armed, column.qualified_name, column.search) == (True, "public.child.email", {"equality"})
    assert catalog.provenance[child.oid, 1] is column
    assert {"users", "child", "grandchild"} == catalog.sensitive_names


def test_a_parent_that_lacks_the_rule_is_derived(connection, load):
    connection.execute(
        "CREATE TABLE public.parent (id int); CREATE TABLE public.users (email text) INHERITS (public.parent)"
    )
    seal(connection, "public.users.email")
    assert derived(load()) == {"parent"}


PARTITIONS = """
ALTER TABLE public.users RENAME TO users_1;
CREATE TABLE public.users (LIKE public.users_1) PARTITION BY RANGE (id);
ALTER TABLE public.users ATTACH PARTITION public.users_1 FOR VALUES FROM (0) TO (100);
CREATE TABLE public.users_2 PARTITION OF public.users FOR VALUES FROM (100) TO (200);
CREATE TABLE public.users_3 (email pgcrypt.sealed_1, id int NOT NULL);
ALTER TABLE public.users ATTACH PARTITION public.users_3 FOR VALUES FROM (200) TO (300);
"""


def test_partitions_attached_and_detached_need_no_rule(connection, load):
    connection.execute("CREATE TABLE public.users (id int NOT NULL, email text)")
    column_id = seal(connection, "public.users.email")
    connection.execute(PARTITIONS)
    everywhere = dict.fromkeys(["users.email", "users_1.email", "users_2.email", "users_3.email"], column_id)
    catalog = load()
    assert (protected_columns(catalog), derived(catalog)) == (everywhere, set())
    (third,) = catalog.by_name["users_3"]
    assert third.columns[0].protected is not None
    connection.execute("ALTER TABLE public.users DETACH PARTITION public.users_2")
    assert protected_columns(load()) == everywhere


def test_a_copy_of_a_sealed_table_is_protected_as_the_original_is(connection, load):
    connection.execute(TABLES)
    column_id = seal(connection, "public.users.email")
    connection.execute("CREATE TABLE public.backup AS SELECT email AS mail, id FROM public.users")
    assert protected_columns(load()) == {"users.email": column_id, "backup.mail": column_id}


def test_children_of_a_table_without_its_rule_are_said_once(connection):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    connection.execute("CREATE TABLE public.child () INHERITS (public.users)")
    with pytest.raises(PolicyError, match=r"public\.users\.email holds envelopes and no rule names it") as caught:
        catalog_loader.load(connection, policy())
    assert caught.value.detail is None


def test_a_foreign_table_with_a_sealed_type_is_derived(connection, load):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    connection.execute(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;"
        "CREATE FOREIGN TABLE public.remote (email pgcrypt.sealed_1) SERVER far"
    )
    assert derived(load()) == {"remote"}


def test_functions_that_name_a_protected_table_are_tainted(connection, rule):
    connection.execute(
        TABLES
        + """
        CREATE FUNCTION public.by_source() RETURNS bigint LANGUAGE plpgsql
            AS 'BEGIN RETURN (SELECT count(*) FROM "public".USERS); END';
        CREATE FUNCTION public.by_body() RETURNS bigint LANGUAGE sql
            BEGIN ATOMIC SELECT count(*) FROM public.users; END;
        CREATE FUNCTION public.by_call() RETURNS bigint LANGUAGE sql AS 'SELECT public.by_source()';
        CREATE FUNCTION public.add_body(n bigint, x int) RETURNS bigint LANGUAGE sql
            RETURN n + x + public.by_body();
        CREATE AGGREGATE public.by_aggregate(int) (SFUNC = public.add_body, STYPE = bigint);
        CREATE PROCEDURE public.by_procedure() LANGUAGE sql AS 'DELETE FROM public.users';
        CREATE FUNCTION public.on_change() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM 1 FROM public.users; RETURN NEW; END';
        CREATE FUNCTION public.harmless() RETURNS text LANGUAGE sql AS 'SELECT ''superusers''';
        CREATE VIEW public.v AS SELECT public.by_call() AS n;
        """
    )
    catalog = catalog_loader.load(connection, policy(rule("public.users.email")))
    assert catalog.tainted_functions == {
        "by_source",
        "by_body",
        "by_call",
        "add_body",
        "by_aggregate",
        "by_procedure",
    }
    assert derived(catalog) == {"v"}


def test_a_table_that_is_not_there_yet_taints_too(connection, rule):
    connection.execute("CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN DELETE FROM later; END'")
    assert catalog_loader.load(connection, policy(rule("public.later.a"))).tainted_functions == {"f"}


def test_a_name_that_is_no_word_is_found_in_a_body(connection, rule):
    connection.execute('CREATE TABLE public."user data" (email text)')
    connection.execute(
        "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.\"user data\"'"
    )
    assert catalog_loader.load(connection, policy(rule("public.user data.email"))).tainted_functions == {"f"}


def test_without_init_the_error_says_what_to_run(postgres, database):
    with connect(postgres.dsn(database)) as connection, pytest.raises(ConfigError) as caught:
        catalog_loader.load(connection, policy())
    assert "pgcrypt-proxy init" in str(caught.value.hint)


def test_inside_a_transaction_its_own_changes_are_seen(connection):
    with connection.transaction():
        connection.execute("CREATE TABLE public.fresh (a int)")
        assert "fresh" in catalog_loader.load(connection, policy()).by_name


def test_a_safe_function_is_not_tainted_and_taints_nothing(connection, rule, load):
    connection.execute(
        TABLES
        + """
        CREATE SCHEMA other;
        CREATE FUNCTION public.touch(id int) RETURNS void LANGUAGE sql
            AS 'UPDATE public.users SET age = age + 1 WHERE id = $1';
        CREATE FUNCTION public.touch() RETURNS void LANGUAGE sql AS 'UPDATE public.users SET age = 0';
        CREATE FUNCTION public.calls() RETURNS void LANGUAGE sql AS 'SELECT public.touch(1)';
        CREATE FUNCTION other.rename(id int) RETURNS void LANGUAGE sql AS 'UPDATE public.users SET age = 1';
        CREATE FUNCTION public.rename(id int) RETURNS void LANGUAGE sql AS 'UPDATE public.users SET age = 1';
        CREATE VIEW public.v AS SELECT public.calls() IS NULL AS n;
        """
    )
    assert load().tainted_functions == {"touch", "calls", "rename"}
    catalog = load("public.touch", "public.rename")
    assert catalog.tainted_functions == {"rename"}, "another schema's is not vouched for"
    assert derived(catalog) == set()


def test_a_safe_function_that_is_not_there_is_said_with_the_nearest_name(connection, rule):
    connection.execute(
        TABLES
        + """
        CREATE FUNCTION public.rename_user() RETURNS void LANGUAGE sql AS 'SELECT';
        CREATE FUNCTION public.on_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        """
    )
    names = ("public.rename_users", "public.on_change", "public.xyz")
    safe = tuple(SafeFunction(*name.split("."), "rules/test.yaml:3") for name in names)
    joined = catalog_rules.join(
        Policy(1, KeyringSettings("file", {}), (), safe_functions=safe), catalog_queries.fetch(connection)
    )
    assert joined.absent == [
        "rules/test.yaml:3: there is no function public.rename_users; did you mean public.rename_user?",
        "rules/test.yaml:3: there is no function public.xyz",
    ]
