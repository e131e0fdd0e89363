"""Tables of tenants as tools see them: sealed, checked, sealed anew, made plain; keys rotated and destroyed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable, PolicyError
from pgcrypt_proxy.ops import audit, catalog_loader, catalog_queries, catalog_rules, erasure, key_usage, open_one
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.install import install
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.protect import Options, protect, unprotect
from pgcrypt_proxy.ops.reseal import reseal
from pgcrypt_proxy.ops.verify import verify
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.policy.model import Policy
from pgcrypt_proxy.server.run import start
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for, write_rules
from tests.helpers.servers import PostgresServer

TABLES = """
CREATE TABLE events (id int PRIMARY KEY, payload text, tenant_id int);
INSERT INTO events SELECT n, 'value ' || n, n % 3 FROM generate_series(1, 30) n;
INSERT INTO events VALUES (31, NULL, NULL);
CREATE TABLE jobs (id int PRIMARY KEY, secret text);
INSERT INTO jobs VALUES (1, 'one'), (2, 'two');
"""
RULES = """
{table: public.events, column: payload, type: text, search: [equality], tenant: {column: tenant_id}}
{table: public.jobs, column: secret, type: text, tenant: {setting: pgcrypt.tenant}}
"""


@pytest.fixture
def prepared(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> Iterator[tuple[psycopg.Connection, KeyringStore, Policy]]:
    rules, kek = write_rules(tmp_path, RULES)
    with connect(postgres.dsn(database)) as connection, connect(postgres.dsn(database)) as keys:
        install(connection)
        connection.execute("SET search_path = public")
        connection.execute(TABLES)
        yield connection, KeyringStore(keys, FileProvider(kek)), load([rules])


def owners(connection: psycopg.Connection, table: str, column: str) -> dict[int, tuple[str, str]]:
    """Tenant and state of the key that each envelope names, by the row's id."""
    keys = {i: (t, s) for i, t, s in connection.execute("SELECT id, tenant, state FROM pgcrypt.keyring")}
    rows = connection.execute(f"SELECT id, {column}::bytea FROM {table} WHERE {column} IS NOT NULL")
    return {number: keys[int.from_bytes(envelope[2:6])] for number, envelope in rows}


def test_a_table_is_sealed_by_its_tenant_column_and_made_plain_again(prepared) -> None:
    connection, store, policy = prepared
    events, jobs = policy.rules
    done = protect(connection, store, events, Options())
    assert (done.values, done.nulls) == (30, 1)
    assert owners(connection, "events", "payload") == {n: (str(n % 3), "active") for n in range(1, 31)}
    with pytest.raises(ConfigError, match="whose the values are is not known"):
        protect(connection, store, jobs, Options())
    protect(connection, store, jobs, Options(tenant="acme"))
    assert owners(connection, "jobs", "secret") == {1: ("acme", "active"), 2: ("acme", "active")}
    report = verify(connection, store, policy)
    assert report.is_sound, report
    assert [column.opened for column in report.columns] == [30, 2]
    catalog = catalog_loader.load(connection, policy)
    envelope = connection.execute("SELECT payload::bytea FROM events WHERE id = 4").fetchone()
    column = open_one.find_column(catalog, "events.payload")
    assert open_one.open_envelope(store, column, envelope[0].hex()) == b"value 4"
    for column in catalog.protected_columns:
        unprotect(connection, store, column, Options())
    assert connection.execute("SELECT payload FROM events WHERE id = 7").fetchone() == ("value 7",)
    assert connection.execute("SELECT secret FROM jobs ORDER BY id").fetchall() == [("one",), ("two",)]


@pytest.mark.parametrize(
    ("number", "setup", "options", "says"),
    [
        (
            0,
            "UPDATE events SET tenant_id = NULL WHERE id = 3",
            Options(),
            "1 rows have a value and no tenant_id",
        ),
        (0, "", Options(tenant="acme"), "leave --tenant out"),
        (1, "", Options(tenant=" acme"), "no name of a tenant"),
        (0, "ALTER TABLE events RENAME tenant_id TO owner", Options(), "no column tenant_id of type text"),
    ],
)
def test_what_is_not_of_one_tenant_is_not_sealed(
    prepared, number: int, setup: str, options: Options, says: str
) -> None:
    connection, store, policy = prepared
    if setup:
        connection.execute(setup)
    with pytest.raises(ConfigError) as caught:
        protect(connection, store, policy.rules[number], options)
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert connection.execute("SELECT payload FROM events WHERE id = 1").fetchone() == ("value 1",)


def test_verify_finds_values_of_other_tenants(prepared) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())
    protect(connection, store, policy.rules[1], Options(tenant="acme"))
    connection.execute("UPDATE events SET tenant_id = 1 WHERE id = 3")
    report = verify(connection, store, policy)
    (problem,) = report.columns[0].problems
    assert problem.startswith("1 values are sealed for another tenant than their row's, at ctid (")
    assert not report.is_sound
    connection.execute("UPDATE events SET payload = (SELECT payload FROM events WHERE id = 4) WHERE id = 3")
    assert verify(connection, store, policy).is_sound


def test_a_rule_must_say_what_the_column_was_sealed_by(prepared, rule) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())
    other = replace(policy, rules=(replace(policy.rules[0], tenant=None), policy.rules[1]))
    with pytest.raises(PolicyError, match=r"sealed with tenant {column: tenant_id}, the rule says none"):
        catalog_loader.load(connection, other)
    connection.execute("ALTER TABLE events RENAME tenant_id TO owner")
    (missing,) = catalog_rules.join(policy, catalog_queries.fetch(connection)).absent
    assert "has no column tenant_id, which is to name the tenants" in missing
    connection.execute("ALTER TABLE events ADD COLUMN tenant_id float8")
    with pytest.raises(PolicyError, match="cannot name tenants: its type must be text"):
        catalog_loader.load(connection, policy)


def test_one_tenants_keys_are_rotated_and_its_values_sealed_anew(prepared) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())
    protect(connection, store, policy.rules[1], Options(tenant="acme"))
    with pytest.raises(ConfigError, match='no key of tenant "nobody" is active'):
        rotate_deks(store, tenant="nobody", sleep=lambda _: None)
    (rotated,) = rotate_deks(store, tenant="1", sleep=lambda _: None)
    assert owners(connection, "events", "payload") == {
        n: (str(n % 3), "retired" if n % 3 == 1 else "active") for n in range(1, 31)
    }
    before = dict(connection.execute("SELECT id, payload::bytea FROM events WHERE tenant_id <> 1").fetchall())
    done = {state.place: state.resealed for state in reseal(connection, store, policy)}
    assert done == {"public.events.payload": 10, "public.jobs.secret": 0}
    assert {key for key, _ in owners(connection, "events", "payload").values()} == {"0", "1", "2"}
    assert all(state == "active" for _, state in owners(connection, "events", "payload").values())
    assert before == dict(connection.execute("SELECT id, payload::bytea FROM events WHERE tenant_id <> 1").fetchall())
    assert verify(connection, store, policy).is_sound
    assert [k.state for k in key_usage.list_keys(connection) if k.id == rotated.old_id] == ["retired"]


def test_a_key_that_is_rotated_meanwhile_seals_nothing_more(prepared) -> None:
    """Though the run had it in memory: else it would find its own values under a retired key, in pass after pass."""
    connection, store, policy = prepared
    connection.execute("INSERT INTO events SELECT n, repeat('x', 800), 1 FROM generate_series(100, 400) n")
    protect(connection, store, policy.rules[0], Options())
    protect(connection, store, policy.rules[1], Options(tenant="acme"))
    rotate_deks(store, tenant="1", sleep=lambda _: None)
    rotated: list[int] = []

    def rotate(_: float) -> None:
        if not rotated:
            rotated.extend(done.old_id for done in rotate_deks(store, tenant="1", sleep=lambda _: None))

    done = {state.place: state.resealed for state in reseal(connection, store, policy, pause_s=1, sleep=rotate)}
    assert rotated
    assert {state for _, state in owners(connection, "events", "payload").values()} == {"active"}
    assert 311 < done["public.events.payload"] < 2 * 311  # those of the first stretch twice


def test_an_erased_tenants_values_are_left_by_reseal(prepared) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())
    protect(connection, store, policy.rules[1], Options(tenant="acme"))
    erasure.erase(connection, "1", sleep=lambda _: None)
    assert {state.place: state.resealed for state in reseal(connection, store, policy)}["public.events.payload"] == 0
    report = verify(connection, store, policy)
    assert (report.columns[0].destroyed, report.columns[0].opened) == (10, 20)


def test_the_certificate_says_what_cannot_be_opened_and_can_be_checked(prepared) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())
    waited: list[float] = []
    made = erasure.erase(connection, "1", on_waiting=waited.append, sleep=lambda _: None)
    assert waited == [erasure.LET_GO_S]
    assert made["columns"] == [{"column": "public.events.payload", "values": 10}]
    assert (made["tenant"], made["values"]) == ("1", 10)
    (key,) = made["keys"]
    assert connection.execute("SELECT state, wrapped FROM pgcrypt.keyring WHERE id = %s", [key["id"]]).fetchone() == (
        "destroyed",
        None,
    )
    text = json.dumps(made)
    assert erasure.check(connection, json.loads(text)) == []
    assert f"Audit event {made['audit']['event']}" in "\n".join(erasure.text_of(made))
    assert erasure.check(connection, {**made, "tenant": "2"})[0] == "its text was changed"
    forged = {**made, "values": 9}
    body = {k: v for k, v in forged.items() if k not in ("audit", "digest")}
    assert erasure.check(connection, {**forged, "digest": erasure._digest(body)}) == [
        "the audit trail has no such event"
    ]
    assert erasure.check(connection, {"certificate": "x"}) == ["it is no certificate of erasure"]
    with connection.transaction():
        connection.execute("ALTER TABLE pgcrypt.audit DISABLE TRIGGER append_only")
        connection.execute("UPDATE pgcrypt.audit SET actor = 'nobody' WHERE id = %s", [made["audit"]["event"]])
        connection.execute("ALTER TABLE pgcrypt.audit ENABLE TRIGGER append_only")
    assert erasure.check(connection, made)[0].startswith("audit trail: event")
    with pytest.raises(ConfigError, match="destroyed already"):
        erasure.erase(connection, "1", sleep=lambda _: None)
    with pytest.raises(ConfigError, match='tenant "nobody" has no keys'):
        erasure.erase(connection, "nobody", sleep=lambda _: None)
    with pytest.raises(ConfigError, match='tenant "" has no keys'):
        erasure.erase(connection, "", sleep=lambda _: None)


def test_an_erasure_that_was_killed_goes_on(prepared) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())

    def kill(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erasure.erase(connection, "1", sleep=kill)
    assert {state for tenant, state in owners(connection, "events", "payload").values() if tenant == "1"} == {"retired"}
    assert verify(connection, store, policy).columns[0].opened == 30
    assert erasure.erase(connection, "1", sleep=lambda _: None)["values"] == 10


def test_values_of_transactions_that_are_open_are_waited_for(postgres: PostgresServer, prepared) -> None:
    connection, store, policy = prepared
    protect(connection, store, policy.rules[0], Options())
    with postgres.connect(connection.info.dbname) as other, other.transaction():
        other.execute("SELECT 1 FROM events")
        other.execute("DELETE FROM events WHERE id = 1")
        with pytest.raises(ConfigError, match="tenant 1 was not erased: 1 transactions have been open"):
            erasure.erase(connection, "1", wait_s=0.2, sleep=lambda _: None)
    assert erasure.erase(connection, "1", sleep=lambda _: None)["values"] == 9


# -- with proxies


@pytest.fixture
def live(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    schema = "CREATE TABLE events (id int PRIMARY KEY, payload text, tenant_id text);"
    columns = "{table: public.events, column: payload, type: text, tenant: {column: tenant_id}}"
    with protected(postgres, tmp_path, schema, columns) as database:
        yield database


def until_closed(dsn: str) -> psycopg.Error:
    """The error of a proxy once it has let go of the key. A row that does not open ends the connection."""
    while True:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("SELECT payload FROM events WHERE tenant_id = 'acme'").fetchall()
        except psycopg.Error as error:
            return error
        time.sleep(0.05)


def test_all_proxies_let_go_of_an_erased_tenant(postgres: PostgresServer, live: ProtectedDatabase) -> None:
    running = start(settings_for(postgres, live.name, live.rules))
    try:
        second = f"postgresql://postgres@127.0.0.1:{running.port}/{live.name}?sslmode=disable"
        with live.connect() as connection:
            connection.execute("INSERT INTO events VALUES (1, 'a', 'acme'), (2, 'b', 'bolt')")
        for dsn in (live.dsn(), second):
            with psycopg.connect(dsn) as connection:
                assert connection.execute("SELECT payload FROM events ORDER BY id").fetchall() == [("a",), ("b",)]
        with connect(postgres.dsn(live.name)) as connection:
            made = erasure.erase(connection, "acme", sleep=lambda _: None)
        key_id = made["keys"][0]["id"]
        for dsn in (live.dsn(), second):
            error = until_closed(dsn)
            assert error.sqlstate == "58030"
            assert f"key {key_id}, was destroyed" in str(error)
            assert 'Column "public.events.payload"' in str(error)
            with psycopg.connect(dsn, autocommit=True) as connection:
                found = connection.execute("SELECT payload FROM events WHERE tenant_id = 'bolt'").fetchall()
                assert found == [("b",)]
                with pytest.raises(psycopg.Error, match='keys of tenant "acme" were destroyed') as caught:
                    connection.execute("INSERT INTO events VALUES (3, 'c', 'acme')")
                assert caught.value.sqlstate == "55000"
                connection.execute("SELECT 1")
        with connect(postgres.dsn(live.name)) as connection:
            erasure.readmit(connection, "acme")
            with pytest.raises(ConfigError, match="is not erased"):
                erasure.readmit(connection, "acme")
            assert [e.event for e in audit.events(connection)][-1] == audit.READMITTED
        with live.connect() as connection:
            connection.execute("INSERT INTO events VALUES (3, 'c', 'acme')")
            assert connection.execute("SELECT payload FROM events WHERE id = 3").fetchall() == [("c",)]
        assert until_closed(live.dsn()).sqlstate == "58030"
    finally:
        running.stop()


def test_new_values_are_under_the_new_key_after_a_rotation(postgres: PostgresServer, live: ProtectedDatabase) -> None:
    with live.connect(prepare_threshold=0) as connection, connect(postgres.dsn(live.name)) as keys:
        in_the_text = "INSERT INTO events VALUES (%s, 'c', 'acme')"
        connection.execute(in_the_text, [0])
        connection.execute("INSERT INTO events VALUES (1, 'a', 'acme')")
        (rotated,) = rotate_deks(KeyringStore(keys, FileProvider(live.kek)), tenant="acme")  # waits for the lease
        connection.execute("INSERT INTO events VALUES (2, 'b', 'acme')")
        connection.execute(in_the_text, [3])
        values = connection.execute("SELECT payload FROM events ORDER BY id").fetchall()
        assert values == [("c",), ("a",), ("b",), ("c",)]
        rows = keys.execute("SELECT payload::bytea FROM public.events ORDER BY id").fetchall()
        old, new = rotated.old_id, rotated.new_id
        assert [int.from_bytes(envelope[2:6]) for (envelope,) in rows] == [old, old, new, new]


class Fragile:
    """A provider that can be away."""

    def __init__(self, inner: FileProvider) -> None:
        self._inner = inner
        self.name, self.kek_id = inner.name, inner.kek_id
        self.is_away = False

    def wrap(self, key, context):
        self._check()
        return self._inner.wrap(key, context)

    def unwrap(self, wrapped, context):
        self._check()
        return self._inner.unwrap(wrapped, context)

    def _check(self) -> None:
        if self.is_away:
            raise KeyUnavailable("the provider is away")


def test_an_outage_of_the_provider_fails_new_tenants_only(postgres: PostgresServer, live: ProtectedDatabase) -> None:
    provider = Fragile(FileProvider(live.kek))
    settings = settings_for(postgres, live.name, live.rules)
    running = start(settings, make_provider=lambda name, options: provider)
    try:
        dsn = f"postgresql://postgres@127.0.0.1:{running.port}/{live.name}?sslmode=disable"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO events VALUES (1, 'a', 'acme')")
            provider.is_away = True
            with pytest.raises(psycopg.Error) as caught:
                connection.execute("INSERT INTO events VALUES (2, 'b', 'bolt')")
            assert caught.value.sqlstate == "58030"
            connection.execute("INSERT INTO events VALUES (3, 'a', 'acme')")
            assert connection.execute("SELECT count(payload) FROM events").fetchone() == (2,)
            provider.is_away = False
            connection.execute("INSERT INTO events VALUES (2, 'b', 'bolt')")
            assert connection.execute("SELECT payload FROM events ORDER BY id").fetchall() == [("a",), ("b",), ("a",)]
    finally:
        running.stop()
