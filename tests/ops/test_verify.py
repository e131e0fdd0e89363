from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError, OpenError
from pgcrypt_proxy.ops import catalog_loader, key_usage, open_one, protect
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.ops.verify import verify
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, Rule
from tests.ops.conftest import OpenProvider


@pytest.fixture
def store(postgres, database, connection) -> Iterator[KeyringStore]:
    with connect(postgres.dsn(database)) as own:
        yield KeyringStore(own, OpenProvider())


@pytest.fixture
def policy(connection, store, rule) -> Policy:
    """Two sealed columns of a table with three rows."""
    connection.execute(
        """
        CREATE TABLE public.users (id int, email text, age int);
        INSERT INTO public.users VALUES (1, 'ada', 41), (2, 'bo', NULL), (3, NULL, 7);
        """
    )
    rules: tuple[Rule, ...] = (
        rule("public.users.email", "text", ("equality",)),
        rule("public.users.age", "integer", data_class="other"),
    )
    for one in rules:
        protect.protect(connection, store, one, Options())
    return Policy(version=1, keyring=KeyringSettings("file", {}), rules=rules)


def test_a_sound_database_is_sound(connection, store, policy):
    report = verify(connection, store, policy)
    assert report.is_sound, report
    assert {c.column: (c.opened, c.nulls, c.failed) for c in report.columns} == {
        "public.users.email": (2, 1, 0),
        "public.users.age": (2, 1, 0),
    }


def test_swapped_values_are_found(connection, store, policy):
    connection.execute("UPDATE public.users SET age = (SELECT age FROM public.users WHERE id = 1) WHERE id = 3")
    assert verify(connection, store, policy).is_sound, "the same column takes it"
    connection.execute("ALTER DOMAIN pgcrypt.sealed_1 DROP CONSTRAINT has_terms")
    connection.execute("UPDATE public.users SET email = age::bytea WHERE id = 1")
    report = verify(connection, store, policy)
    (email, _) = report.columns
    assert (email.opened, email.failed) == (1, 1)
    assert len(email.rows) == 1
    assert "does not check the terms" in email.problems[0]


def test_a_destroyed_key_is_counted_apart(connection, store, policy):
    connection.execute(
        "UPDATE pgcrypt.keyring SET state = 'destroyed', wrapped = NULL, destroyed_at = now()"
        " WHERE kind = 'dek' AND data_class = 'other'"
    )
    report = verify(connection, store, policy)
    assert {c.column: (c.opened, c.destroyed) for c in report.columns} == {
        "public.users.email": (2, 0),
        "public.users.age": (0, 2),
    }


def test_a_tampered_base_domain_is_found(connection, store, policy):
    connection.execute("ALTER DOMAIN pgcrypt.sealed DROP CONSTRAINT is_envelope")
    assert "pgcrypt.sealed does not check" in verify(connection, store, policy).problems[0]


def test_a_replaced_check_function_is_found(connection, store, policy):
    connection.execute(
        "CREATE OR REPLACE FUNCTION pgcrypt.is_envelope(value bytea) RETURNS boolean"
        " LANGUAGE sql IMMUTABLE AS 'SELECT true'"
    )
    assert not verify(connection, store, policy).is_sound


def test_copies_are_verified_and_plaintext_is_a_finding(connection, store, policy, rule):
    connection.execute("CREATE TABLE public.copy AS SELECT email FROM public.users")
    connection.execute("CREATE TABLE public.child () INHERITS (public.users)")
    connection.execute("INSERT INTO public.child SELECT * FROM ONLY public.users WHERE id = 1")
    connection.execute("CREATE TABLE public.late (a text)")
    wider = Policy(1, policy.keyring, (*policy.rules, rule("public.late.a")))
    report = verify(connection, store, wider)
    assert report.problems == ["public.late.a is named in the rules and holds plaintext"]
    opened = {c.column: c.opened for c in report.columns}
    assert opened == {
        "public.users.email": 2,
        "public.users.age": 2,
        "public.copy.email": 2,
        "public.child.email": 1,
        "public.child.age": 1,
    }


def sealed_column(connection, policy, name: str):
    return open_one.find_column(catalog_loader.load(connection, policy), name)


def test_one_envelope_opens_as_text(connection, store, policy):
    envelope = connection.execute("SELECT age::bytea::text FROM public.users WHERE id = 1").fetchone()[0]
    age = sealed_column(connection, policy, "users.age")
    assert open_one.open_envelope(store, age, envelope + "\n") == b"41"
    assert open_one.open_envelope(store, age, envelope[2:]) == b"41"
    with pytest.raises(OpenError):
        open_one.open_envelope(store, sealed_column(connection, policy, "public.users.email"), envelope)
    with pytest.raises(ConfigError, match="no envelope in hexadecimal"):
        open_one.open_envelope(store, age, "ada")


def test_an_unknown_column_lists_the_known(connection, policy):
    with pytest.raises(ConfigError) as caught:
        sealed_column(connection, policy, "public.users.mail")
    assert "public.users.age, public.users.email" in str(caught.value.hint)


def test_key_usage(connection: psycopg.Connection, policy):
    keys = {(k.kind, k.data_class): k for k in key_usage.list_keys(connection)}
    assert keys["dek", "pii"].seals == 3  # granted for the rows, NULL or not
    counts = key_usage.totals(key_usage.envelopes_by_place(connection))
    assert counts == {keys["dek", "pii"].id: 2, keys["dek", "other"].id: 2}
