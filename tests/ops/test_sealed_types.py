"""Types that wait for their columns: made once, found again, taken by `protect`, and never two columns' own."""

from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_loader, protect, sealed_types
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.policy.model import KeyringSettings, Policy
from tests.ops.conftest import OpenProvider, RuleMaker


def policy(*rules: object) -> Policy:
    return Policy(1, KeyringSettings("open"), tuple(rules))  # type: ignore[arg-type]


def ids(connection: psycopg.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM pgcrypt.columns ORDER BY id")]


def test_types_are_made_once_for_columns_that_are_not_there(connection: psycopg.Connection, rule: RuleMaker) -> None:
    rules = policy(rule("public.users.email", "text", ("equality",)), rule("public.users.note"))
    lacking = sealed_types.lacking(catalog_loader.load(connection, rules))
    assert [c.name for c in lacking] == ["email", "note"]
    for _ in range(2):
        sealed_types.prepare(connection, rules)
    assert ids(connection) == [1, 2]
    catalog = catalog_loader.load(connection, rules)
    assert sealed_types.lacking(catalog) == []
    waiting = catalog.ruled["public", "users", "email"]
    assert (waiting.id, waiting.is_armed, waiting.relation_oid) == (1, True, 0)
    assert catalog.unmet_rules == {("public", "users")}


def test_a_rule_that_changed_needs_another_type(connection: psycopg.Connection, rule: RuleMaker) -> None:
    sealed_types.prepare(connection, policy(rule("public.users.email")))
    other = policy(rule("public.users.email", "varchar(20)"))
    assert sealed_types.lacking(catalog_loader.load(connection, other))
    sealed_types.prepare(connection, other)
    assert catalog_loader.load(connection, other).ruled["public", "users", "email"].id == 2


def test_a_column_of_that_type_is_sealed_and_frees_it_when_dropped(
    connection: psycopg.Connection, rule: RuleMaker
) -> None:
    rules = policy(rule("public.users.email"))
    sealed_types.prepare(connection, rules)
    connection.execute("CREATE TABLE public.users (email pgcrypt.sealed_1)")
    (column,) = catalog_loader.load(connection, rules).protected_columns
    assert (column.id, column.is_armed) == (1, True)
    connection.execute("DROP TABLE public.users")
    assert catalog_loader.load(connection, rules).ruled["public", "users", "email"].id == 1


def test_a_type_that_was_renamed_away_does_not_wait(connection: psycopg.Connection, rule: RuleMaker) -> None:
    rules = policy(
        rule("public.users.email"), rule("public.people.email", "text", (), index_domain="public.users.email")
    )
    sealed_types.prepare(connection, rules)
    connection.execute("CREATE TABLE public.people (email pgcrypt.sealed_1)")
    assert [c.table for c in sealed_types.lacking(catalog_loader.load(connection, rules))] == ["users"]
    sealed_types.prepare(connection, rules)
    assert catalog_loader.load(connection, rules).ruled["public", "users", "email"].id == 3


def test_protect_takes_the_type_that_waits(connection: psycopg.Connection, rule: RuleMaker) -> None:
    made = rule("public.users.email")
    sealed_types.prepare(connection, policy(made))
    connection.execute("CREATE TABLE public.users (email text)")
    with psycopg.connect(connection.info.dsn, autocommit=True) as keys:
        store = KeyringStore(keys, OpenProvider())
        outcome = protect.protect(connection, store, made, protect.Options())
    assert outcome.column_id == 1
    assert ids(connection) == [1]


def test_the_role_must_be_allowed(connection: psycopg.Connection, rule: RuleMaker) -> None:
    connection.execute("CREATE ROLE reader_of_types")
    try:
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA pgcrypt TO reader_of_types")
        connection.execute("SET ROLE reader_of_types")
        with pytest.raises(ConfigError) as caught:
            sealed_types.prepare(connection, policy(rule("public.users.email")))
        assert caught.value.code == "42501"
    finally:
        connection.execute("RESET ROLE")
        connection.execute("DROP OWNED BY reader_of_types")
        connection.execute("DROP ROLE reader_of_types")
