"""Descriptions that concern no protected column are remembered, per catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgcrypt_proxy.errors import CatalogDrift
from pgcrypt_proxy.session import results
from pgcrypt_proxy.session.results import Descriptions
from pgcrypt_proxy.sql.catalog import Catalog
from tests.helpers.session_doubles import AGE, EMAIL, catalog
from tests.session.conversations import ID, SEALED_EMAIL, column, described

PLAIN = described(ID)


def test_a_result_without_protected_columns_is_read_once(monkeypatch: pytest.MonkeyPatch):
    descriptions = Descriptions(catalog())
    assert descriptions.describe(PLAIN, None) == (PLAIN, results.NO_PROTECTED_COLUMNS)
    monkeypatch.setattr(results, "RowDescription", None)
    assert descriptions.describe(PLAIN, None) == (PLAIN, results.NO_PROTECTED_COLUMNS)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(results, "MAX_REMEMBERED", 3)
    descriptions = Descriptions(catalog())
    for number in range(10):
        descriptions.describe(described(column(f"c{number}", 9)), None)
    assert len(descriptions._unconcerned) <= 3


def test_remembering_a_planned_result_does_not_hide_provenance():
    descriptions = Descriptions(catalog())
    with pytest.raises(CatalogDrift):
        descriptions.describe(described(SEALED_EMAIL), (None,))
    _, result = descriptions.describe(described(SEALED_EMAIL), None)
    assert result.outputs == (EMAIL,)


def test_a_column_that_is_not_sealed_yet_is_no_envelope():
    waiting = replace(EMAIL, id=0, is_armed=False)
    plain = described(column("email", 2, 25))
    assert Descriptions(catalog(1, waiting)).describe(plain, None) == (plain, results.NO_PROTECTED_COLUMNS)


def test_no_value_of_a_withheld_column_passes():
    withheld = replace(EMAIL, is_withheld=True)
    for outputs in (None, (withheld,)):
        with pytest.raises(CatalogDrift, match="which was imported"):
            Descriptions(catalog(1, withheld)).describe(described(SEALED_EMAIL), outputs)


def test_bytea_of_a_column_that_is_new_may_be_one_that_a_rule_awaits():
    base = catalog()
    awaited = replace(EMAIL, id=9, name="phone", relation_oid=0, attribute_number=0)
    lacking = Catalog.build(1, base.relations.values(), ruled={("public", "users", "phone"): awaited})
    for outputs in (None, (None,)):
        with pytest.raises(CatalogDrift, match="a result column is new"):
            Descriptions(lacking).describe(described(column("phone", 9, 17)), outputs)
    plain = described(column("other", 9, 25))
    assert Descriptions(lacking).describe(plain, None) == (plain, results.NO_PROTECTED_COLUMNS)


def test_domain_oid_is_as_good_as_bytea():
    shown, _ = Descriptions(catalog()).describe(described(column("age", 3, AGE.domain_oid)), (AGE,))
    assert shown == described(column("age", 3, 23, length=4))
