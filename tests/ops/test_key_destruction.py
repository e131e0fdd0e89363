"""A destroyed key is one that nothing needs: proved by the database, whatever happens meanwhile."""

from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.crypto.keyring import SealContext
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from pgcrypt_proxy.ops import audit, key_destruction
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_destruction import destroy
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from tests.ops.conftest import OpenProvider

CONTEXT = SealContext(1, "pii")
OLD, NEW = 2, 3
SCHEMA = """
CREATE DOMAIN pgcrypt.sealed_1 AS pgcrypt.sealed;
CREATE TABLE public.users (id int, email pgcrypt.sealed_1);
"""


@pytest.fixture
def store(connection: psycopg.Connection) -> KeyringStore:
    """Key 2 is retired, key 3 active; one value of each is in the table."""
    store = KeyringStore(connection, OpenProvider())
    connection.execute(SCHEMA)
    for number in (1, 2):
        insert(connection, number, store.unlock_with_grants({"pii": 1}).seal(CONTEXT, b"ada"))
        if number == 1:
            rotate_deks(store, sleep=lambda _: None)
    return store


def insert(connection: psycopg.Connection, number: int, envelope: bytes) -> None:
    connection.execute("INSERT INTO public.users VALUES (%s, %s)", [number, envelope])


def delete_old(connection: psycopg.Connection) -> bytes:
    row = connection.execute("DELETE FROM public.users WHERE id = 1 RETURNING email").fetchone()
    assert row is not None
    return bytes(row[0])


def state(store: KeyringStore, key_id: int) -> tuple[str, bool]:
    (found,) = [r for r in store.records() if r.id == key_id]
    return found.state, found.wrapped is None


def constraints(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT conname FROM pg_constraint WHERE contypid = 'pgcrypt.sealed'::regtype AND conname LIKE 'key%'"
    )
    return [row[0] for row in rows]


def test_a_needed_key_stays(store: KeyringStore) -> None:
    with pytest.raises(ConfigError, match="needed by 1 stored envelopes") as caught:
        destroy(store.connection, OLD)
    assert caught.value.detail == "public.users.email: 1"
    assert state(store, OLD) == ("retired", False)


def test_a_materialised_view_needs_it_too(store: KeyringStore) -> None:
    store.connection.execute("CREATE MATERIALIZED VIEW public.mails AS SELECT email FROM public.users")
    delete_old(store.connection)
    with pytest.raises(ConfigError) as caught:
        destroy(store.connection, OLD)
    assert caught.value.detail == "public.mails.email: 1"


@pytest.mark.parametrize(
    ("key_id", "says"), [(1, "is the active index key"), (NEW, "is active"), (9, "there is no key 9"), (OLD, "already")]
)
def test_what_cannot_be_destroyed(store: KeyringStore, key_id: int, says: str) -> None:
    if key_id == OLD:
        delete_old(store.connection)
        destroy(store.connection, OLD)
    with pytest.raises(ConfigError, match=says):
        destroy(store.connection, key_id)


def test_a_key_that_nothing_needs_is_gone_for_good(store: KeyringStore) -> None:
    old = delete_old(store.connection)
    destroy(store.connection, OLD)
    assert state(store, OLD) == ("destroyed", True)
    last = list(audit.events(store.connection))[-1]
    assert (last.event, last.key_id) == ("key_destroyed", OLD)
    row = store.connection.execute("SELECT destroyed_by FROM pgcrypt.keyring WHERE id = 2").fetchone()
    assert row == (f"postgres {audit.actor()}",)
    with pytest.raises(KeyUnavailable, match="destroyed"):
        store.unlock().open(CONTEXT, old)
    with pytest.raises(psycopg.errors.CheckViolation, match="key_2_is_destroyed"):
        insert(store.connection, 5, old)
    insert(store.connection, 6, store.unlock_with_grants({"pii": 1}).seal(CONTEXT, b"new"))


def test_an_envelope_in_a_prepared_statement_is_kept_out(postgres, database, store: KeyringStore) -> None:
    old = delete_old(store.connection)
    with connect(postgres.dsn(database)) as application:
        application.execute(f"PREPARE late AS INSERT INTO public.users VALUES (1, '\\x{old.hex()}')".encode())
        destroy(store.connection, OLD)
        with pytest.raises(psycopg.errors.CheckViolation):
            application.execute("EXECUTE late")


def test_an_open_transaction_is_waited_for(postgres, database, store: KeyringStore) -> None:
    """Its row is not committed yet: nobody else sees that it needs the key."""
    old = delete_old(store.connection)
    with connect(postgres.dsn(database)) as application:
        application.execute("BEGIN")
        insert(application, 7, old)
        with pytest.raises(ConfigError, match="transactions have been open"):
            destroy(store.connection, OLD, wait_s=0.3)
        assert state(store, OLD) == ("retired", False)
        assert constraints(store.connection) == []

        def commit_meanwhile(_: float) -> None:
            application.execute("COMMIT")

        with pytest.raises(ConfigError, match="needed by envelopes that were stored just now"):
            destroy(store.connection, OLD, sleep=commit_meanwhile)
    assert state(store, OLD) == ("retired", False)
    assert constraints(store.connection) == []
    row = store.connection.execute("SELECT email FROM public.users WHERE id = 7").fetchone()
    assert row is not None
    assert store.unlock().open(CONTEXT, bytes(row[0])) == b"ada"


def test_what_the_database_cannot_look_into_is_refused(store: KeyringStore) -> None:
    delete_old(store.connection)
    store.connection.execute("CREATE TABLE public.lists (mails pgcrypt.sealed_1[])")
    with pytest.raises(ConfigError, match="inside an array or composite column"):
        destroy(store.connection, OLD)
    assert state(store, OLD) == ("retired", False)
    assert constraints(store.connection) == []


def test_a_run_that_was_killed_is_begun_anew(store: KeyringStore) -> None:
    delete_old(store.connection)
    key_destruction._refuse_new_values(store.connection, OLD, "key_2_is_destroyed")
    destroy(store.connection, OLD)
    assert constraints(store.connection) == ["key_2_is_destroyed"]
