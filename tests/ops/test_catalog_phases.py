"""The phases of rules: what may be plain for now, and which moves the rules consent to."""

from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.errors import PolicyError
from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.policy.model import KeyringSettings, Policy
from pgcrypt_proxy.server.world import check_armed, same
from pgcrypt_proxy.sql.catalog import Catalog, Move
from tests.ops.test_catalog_loader import TABLES, seal

EMAIL = "public.users.email"


def load(connection: psycopg.Connection, *rules, **options) -> Catalog:
    return catalog_loader.load(connection, Policy(1, KeyringSettings("file", {}), rules), **options)


def move(connection: psycopg.Connection, direction: str, state: str = "filling", number: int = 5) -> None:
    connection.execute(
        "INSERT INTO pgcrypt.moves (column_id, relation, column_name, direction, state)"
        " VALUES (%s, 'public.users', 'email', %s, %s)",
        [number, direction, state],
    )


@pytest.mark.parametrize("phase", ["sealing", "opening", "importing"])
def test_a_phase_lets_a_column_be_plain(connection, rule, phase):
    connection.execute(TABLES)
    catalog = load(connection, rule(EMAIL, phase=phase))
    assert (catalog.protected_columns, dict(catalog.ruled), catalog.sensitive_names) == ((), {}, {"users"})
    assert catalog.plain == {EMAIL}
    assert catalog.foreign == ({EMAIL} if phase == "importing" else frozenset())
    check_armed(catalog)


def test_without_a_phase_a_plain_column_is_refused(connection, rule):
    connection.execute(TABLES)
    catalog = load(connection, rule(EMAIL))
    assert catalog.plain == frozenset()
    with pytest.raises(PolicyError, match=r"not sealed: public\.users\.email"):
        check_armed(catalog)


@pytest.mark.parametrize("phase", ["sealing", "opening", "importing"])
def test_a_sealed_column_is_protected_in_any_phase(connection, rule, phase):
    connection.execute(TABLES)
    number = seal(connection, EMAIL)
    catalog = load(connection, rule(EMAIL, "text", ("equality",), phase=phase))
    found = [(c.id, c.is_armed, c.is_withheld) for c in catalog.protected_columns]
    assert found == [(number, True, phase == "importing")]
    assert (catalog.plain, catalog.foreign) == (frozenset(), frozenset())
    check_armed(catalog)
    assert ("public", "users", "email") in catalog.ruled


@pytest.mark.parametrize("phase", ["sealing", "opening"])
def test_a_missing_column_is_missing_in_any_phase(connection, rule, phase):
    connection.execute(TABLES)
    catalog = load(connection, rule("public.users.phone", phase=phase))
    assert catalog.unmet_rules == {("public", "users")}
    assert catalog.plain == frozenset()
    with pytest.raises(PolicyError, match="not sealed"):
        check_armed(catalog)


def test_what_is_supposed_sealed_includes_what_is_being_sealed(connection, rule):
    connection.execute(TABLES)
    for phase in ("sealing", "importing"):
        supposed = load(connection, rule(EMAIL, phase=phase), suppose_sealed=True)
        found = [(c.qualified_name, c.is_armed, c.is_withheld) for c in supposed.protected_columns]
        assert found == [(EMAIL, True, False)]
        assert supposed.ruled["public", "users", "email"].is_armed
        assert supposed.plain == frozenset()
    assert load(connection, rule(EMAIL, phase="opening"), suppose_sealed=True).protected_columns == ()


@pytest.mark.parametrize(("direction", "phase"), [("seal", "sealing"), ("open", "opening"), ("import", "importing")])
@pytest.mark.parametrize("state", ["filling", "switching"])
def test_a_move_is_known_with_the_rules_consent(connection, rule, direction, phase, state):
    connection.execute(TABLES)
    before = load(connection, rule(EMAIL, phase=phase))
    move(connection, direction, state)
    catalog = load(connection, rule(EMAIL, phase=phase))
    (users,) = catalog.by_name["users"]
    assert dict(catalog.moving) == {users.oid: (Move(5, state, "email"),)}
    assert users.moving == ("public.users",)
    assert catalog.sensitive_names == {"users"}
    assert not same(before, catalog)
    assert same(catalog, load(connection, rule(EMAIL, phase=phase)))


def test_the_state_of_a_move_tells_catalogs_apart(connection, rule):
    connection.execute(TABLES)
    move(connection, "seal")
    filling = load(connection, rule(EMAIL, phase="sealing"))
    connection.execute("UPDATE pgcrypt.moves SET state = 'switching'")
    assert not same(filling, load(connection, rule(EMAIL, phase="sealing")))


def test_scrubbing_needs_no_consent(connection, rule):
    connection.execute(TABLES)
    seal(connection, EMAIL)
    move(connection, "seal", "scrubbing")
    assert dict(load(connection, rule(EMAIL, "text", ("equality",))).moving) == {}


@pytest.mark.parametrize(
    ("direction", "phase", "says"),
    [
        ("seal", "sealed", r"test.yaml:7: public.users.email is being sealed .* phase is sealed: write phase: sealing"),
        ("seal", "opening", "phase is opening: write phase: sealing"),
        ("open", "sealed", "is being made plain .* write phase: opening"),
        ("open", "sealing", "phase is sealing: write phase: opening"),
        ("import", "sealed", "is being imported .* write phase: importing"),
        ("import", "sealing", "phase is sealing: write phase: importing"),
        ("seal", "importing", "phase is importing: write phase: sealing"),
    ],
)
def test_a_move_without_consent_is_a_problem(connection, rule, direction, phase, says):
    connection.execute(TABLES)
    seal(connection, EMAIL)
    move(connection, direction)
    with pytest.raises(PolicyError, match=says):
        load(connection, rule(EMAIL, "text", ("equality",), phase=phase))


def test_a_move_that_no_rule_names_is_a_problem(connection):
    connection.execute(TABLES)
    move(connection, "seal")
    with pytest.raises(PolicyError, match=r"public\.users\.email is being sealed .* no rule names it"):
        load(connection)


def test_the_move_of_a_dropped_table_is_nobodys(connection, rule):
    connection.execute(TABLES)
    move(connection, "seal")
    connection.execute("DROP TABLE public.users")
    assert dict(load(connection, rule(EMAIL, phase="sealing")).moving) == {}


def test_a_column_beside_is_hidden_and_needs_no_rule(connection, rule):
    connection.execute(TABLES)
    number = seal(connection, "public.orders.total")
    connection.execute(f"ALTER TABLE public.users ADD pgcrypt_next_{number} pgcrypt.sealed_{number}")
    connection.execute("ALTER TABLE public.users ADD pgcrypt_next_x int")
    catalog = load(connection, rule(EMAIL, phase="sealing"), rule("public.orders.total", "text", ("equality",)))
    (users,) = catalog.by_name["users"]
    assert [column.name for column in users.columns] == ["id", "email", "age", "pgcrypt_next_x"]
    assert not users.is_derived


def test_a_view_leads_to_the_moving_table(connection, rule):
    connection.execute(TABLES)
    connection.execute("CREATE VIEW public.mails AS SELECT id, upper(email) FROM public.users WHERE email LIKE '%x'")
    connection.execute("CREATE VIEW public.again AS SELECT m.id FROM public.mails m, public.orders")
    connection.execute("CREATE VIEW public.others AS SELECT id FROM public.orders")
    move(connection, "seal")
    catalog = load(connection, rule(EMAIL, phase="sealing"))
    assert catalog.moving_names == {"users", "mails", "again"}
    (again,) = catalog.by_name["again"]
    assert (again.is_derived, again.moving) == (False, ("public.users",))


def test_a_function_that_names_a_moving_table_is_tainted(connection, rule):
    connection.execute(TABLES)
    connection.execute("CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.users'")
    move(connection, "seal")
    assert load(connection, rule(EMAIL, phase="sealing")).tainted_functions == {"f"}


def test_a_column_that_is_reindexed_stays_protected(connection, rule):
    connection.execute(TABLES)
    number = seal(connection, EMAIL)
    move(connection, "reindex", number=number)
    ruled = rule(EMAIL, "text", ("equality",), phase="reindexing")
    catalog = load(connection, ruled)
    assert [(c.id, c.index_generation) for c in catalog.protected_columns] == [(number, 1)]
    assert (catalog.plain, [*catalog.moving.values()]) == (frozenset(), [(Move(number, "filling", "email"),)])
    with pytest.raises(PolicyError, match="is being reindexed while applications use it"):
        load(connection, rule(EMAIL, "text", ("equality",)))


def test_reindexing_lets_no_column_be_plain(connection, rule):
    connection.execute(TABLES)
    catalog = load(connection, rule(EMAIL, "text", ("equality",), phase="reindexing"))
    assert catalog.plain == frozenset()
    with pytest.raises(PolicyError, match=r"not sealed: public\.users\.email"):
        check_armed(catalog)


def test_terms_of_two_generations_in_one_domain_are_a_contradiction(connection, rule):
    connection.execute(TABLES)
    rules = [rule(name, "text", ("equality",), index_domain="one") for name in (EMAIL, "public.users.age")]
    seal(connection, EMAIL)
    other = seal(connection, "public.users.age")
    connection.execute("UPDATE pgcrypt.columns SET index_domain = 'one'")
    assert len(load(connection, *rules).protected_columns) == 2
    connection.execute("UPDATE pgcrypt.columns SET index_generation = 2 WHERE id = %s", [other])
    with pytest.raises(PolicyError, match="share index domain one, and have terms of index key generations 1 and 2"):
        load(connection, *rules)
