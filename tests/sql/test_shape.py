"""A session's own catalog from the server's answer: what is protected, what waits, and what cannot be known."""

from __future__ import annotations

from pgcrypt_proxy.sql import shape
from pgcrypt_proxy.sql.catalog import Catalog
from tests.sql.sample import sample_catalog

BASE = sample_catalog()


def rows(
    oid: int, name: str, *columns: tuple[str, str | None], kind: str = "r", schema: str = "public"
) -> list[shape.Row]:
    """Rows of a relation; each column is (name, id of its sealed type)."""
    return [
        (str(oid), "public", name, kind, column, str(number), "25" if sealed is None else f"90{sealed}", sealed, None)
        for number, (column, sealed) in enumerate(columns, 1)
    ]


def applied(*groups: list[shape.Row], terms: tuple[shape.Row, ...] = ()) -> Catalog:
    return shape.apply(BASE, [row for group in groups for row in group], terms, 7)


def test_a_table_that_was_made_is_protected() -> None:
    made = applied(rows(500, "clients", ("id", None), ("email", "23"), ("ssn", "24")))
    relation = made.relations[500]
    assert [c.protected.id if c.protected else None for c in relation.columns] == [None, 23, 24]
    email = made.provenance[500, 2]
    assert (email.qualified_name, email.relation_oid, email.is_armed) == ("public.clients.email", 500, True)
    assert ("public", "clients") not in made.unmet_rules
    assert made.ruled["public", "clients", "email"] == email


def test_a_protected_table_that_is_not_there_is_gone_and_its_rules_wait() -> None:
    made = applied()
    assert 100 not in made.relations
    assert 102 in made.relations
    assert ("public", "users") in made.unmet_rules
    waiting = made.ruled["public", "users", "email"]
    assert (waiting.id, waiting.relation_oid, waiting.is_armed) == (1, 0, True)


def test_a_type_that_a_renamed_column_took_along_does_not_wait() -> None:
    made = applied(rows(100, "clients", ("id", None), ("email", "1"), ("ssn", "2")))
    assert made.relations[100].columns[1].protected is not None
    assert made.ruled["public", "clients", "email"].id == 1
    assert not made.ruled["public", "users", "email"].is_armed


def test_a_plain_column_in_a_ruled_place_is_not_armed() -> None:
    column = applied(rows(500, "clients", ("email", None))).relations[500].columns[0].protected
    assert column is not None
    assert (column.id, column.is_armed) == (0, False)


def test_sealed_types_that_nobody_knows_and_new_views_are_not_understood() -> None:
    made = applied(rows(500, "copies", ("email", "77")), rows(501, "mails", ("email", "1"), kind="v"))
    assert made.relations[500].is_derived
    assert made.relations[501].is_derived


def test_what_is_as_it_was_stays_with_the_terms_of_now() -> None:
    users = [("100", "public", "users", "r", c.name, str(c.attribute_number), str(c.type_oid),
              str(c.protected.id) if c.protected else None, None) for c in BASE.relations[100].columns]  # fmt: skip
    made = applied(users, terms=(("100", "one_mail", "pgcrypt.eq(email)"),))
    assert made.relations[100].columns == BASE.relations[100].columns
    assert made.relations[100].unique_terms == (("one_mail", "pgcrypt.eq(email)"),)


def test_every_name_that_may_be_protected_is_asked_for() -> None:
    assert {"users", "future", "clients", "parties", "unready", "v_users"} <= set(shape.asked_names(BASE))
