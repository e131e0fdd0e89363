"""Which columns of a table clients see, and in which order."""

from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.policy.model import KeyringSettings, Policy
from pgcrypt_proxy.sql.catalog import Catalog, Relation
from tests.ops.test_catalog_loader import seal

TABLES = """
CREATE TABLE public.users (id int, gone int, name text, email text);
ALTER TABLE public.users DROP COLUMN gone;
CREATE TABLE public.orders (id int, total int);
"""


def load(connection: psycopg.Connection, *rules) -> Catalog:
    return catalog_loader.load(connection, Policy(1, KeyringSettings("file", {}), rules))


def users(catalog: Catalog) -> Relation:
    (found,) = catalog.by_name["users"]
    return found


def show(connection: psycopg.Connection, *entries: tuple[str, str]) -> None:
    for entry in entries:
        connection.execute("INSERT INTO pgcrypt.shown_order VALUES ('public.users', %s, %s)", entry)


def order(relation: Relation) -> list[str]:
    return [column.name for column in relation.columns]


@pytest.mark.parametrize(
    ("entries", "shown"),
    [
        ([("email", "id")], ["id", "email", "name"]),
        ([("email", "")], ["email", "id", "name"]),
        ([("email", "name"), ("name", "")], ["name", "email", "id"]),
    ],
)
def test_columns_come_as_they_are_shown(connection, entries, shown):
    connection.execute(TABLES)
    show(connection, *entries)
    catalog = load(connection)
    found = users(catalog)
    assert (order(found), found.is_order_unknown, found.is_rearranged) == (shown, False, True)
    assert catalog.sensitive_names == catalog.rearranged_names == {"users"}


def test_an_order_that_is_the_tables_own_makes_no_difference(connection):
    connection.execute(TABLES)
    show(connection, ("email", "name"))
    catalog = load(connection)
    assert (users(catalog).is_rearranged, catalog.sensitive_names) == (False, frozenset())


@pytest.mark.parametrize("entries", [[("email", "gone")], [("mail", "id")], [("email", "name"), ("name", "email")]])
def test_an_order_that_cannot_be_told_is_unknown(connection, entries):
    connection.execute(TABLES)
    show(connection, *entries)
    found = users(load(connection))
    assert (order(found), found.is_order_unknown) == (["id", "name", "email"], True)
    assert found.is_sensitive


def test_the_order_of_a_dropped_table_is_nobodys(connection):
    connection.execute(TABLES)
    show(connection, ("email", "id"))
    connection.execute("DROP TABLE public.users")
    assert load(connection).rearranged_names == frozenset()


def test_a_hidden_column_is_none_of_the_tables(connection):
    connection.execute(TABLES)
    connection.execute("ALTER TABLE public.users ADD pgcrypt_next_3 int")
    found = users(load(connection))
    assert (order(found), [c.name for c in found.hidden]) == (["id", "name", "email"], ["pgcrypt_next_3"])
    assert found.is_rearranged


def test_views_have_their_own_order(connection):
    connection.execute(TABLES)
    show(connection, ("email", "id"))
    connection.execute("CREATE VIEW public.people AS SELECT * FROM public.users WHERE id > 0")
    connection.execute("CREATE VIEW public.rows AS SELECT u FROM public.users u")
    catalog = load(connection)
    ((people,), (rows,)) = (catalog.by_name[name] for name in ("people", "rows"))
    assert (order(people), people.is_sensitive) == (["id", "name", "email"], False)
    assert rows.is_derived


def test_functions_that_name_it_are_tainted(connection):
    connection.execute(TABLES)
    connection.execute(
        "CREATE FUNCTION public.all_users() RETURNS SETOF public.users LANGUAGE sql AS 'TABLE public.users'"
    )
    assert load(connection).tainted_functions == frozenset()
    show(connection, ("email", "id"))
    assert load(connection).tainted_functions == {"all_users"}


@pytest.mark.parametrize(("schema", "hazards"), [("pgcrypt", 0), ("public", 1)])
def test_triggers_of_the_products_own_are_no_hazard(connection, rule, schema, hazards):
    connection.execute(TABLES)
    seal(connection, "public.users.email")
    connection.execute(
        f"CREATE FUNCTION {schema}.empty() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.email := NULL; RETURN NEW; END'"
    )
    connection.execute(f"CREATE TRIGGER t BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION {schema}.empty()")
    found = users(load(connection, rule("public.users.email", "text", ("equality",))))
    assert len(found.write_hazards) == hazards
