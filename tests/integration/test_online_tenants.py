"""Columns with tenants are sealed, made plain and reindexed while applications use them through two proxies."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.ops import erasure, verify
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.ops.online.reindex import Rotation
from pgcrypt_proxy.policy.load import load
from tests.helpers.live import Live, Load, two_proxies
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, tenant_id int NOT NULL, email text UNIQUE NOT NULL, note text,
                    visits int NOT NULL DEFAULT 0);
INSERT INTO users SELECT i, i % 7, 'sown' || i || '@example.com', CASE WHEN i % 3 > 0 THEN 'sown note ' || i END
FROM generate_series(1, 2000) i;
CREATE TABLE jobs (id int PRIMARY KEY, secret text);
"""
COLUMNS = """
{{table: users, column: email, type: text, search: [equality], tenant: {{column: tenant_id}}, phase: {phase}}}
{{table: users, column: note, type: text, tenant: {{column: tenant_id}}{note_phase}}}
"""
#: A plain value of it would be nobody's.
BY_SETTING = """
{{table: jobs, column: secret, type: text, search: [equality], tenant: {{setting: pgcrypt.tenant}}, phase: {phase}}}
"""
#: Rows come to tenants that nobody has heard of, too.
LAST_TENANT = 60


@pytest.fixture
def live(postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The parameter is the phase of the rules: all but `sealing` begin with sealed columns."""
    phase = request.param
    note_phase = "" if phase == "reindexing" else f", phase: {phase}"
    columns = COLUMNS.format(phase=phase, note_phase=note_phase)
    if phase != "sealing":
        columns += BY_SETTING.format(phase=phase).lstrip()
    with two_proxies(postgres, tmp_path, SCHEMA, columns, is_sealed=phase != "sealing") as live:
        yield live


@dataclass(slots=True)
class Tenants(Load):
    """Each client knows whose its rows are. They change hands, with all of their values in the same UPDATE.

    `jobs` are by the setting, if that table's column is sealed: ids of a client's own.
    """

    owners: dict[int, int] = field(default_factory=dict)
    jobs: dict[int, str] | None = None

    def _step(
        self,
        dice: random.Random,
        connection: psycopg.Connection,
        cursor: psycopg.Cursor[Any],
        known: dict[int, tuple[str, str | None]],
        first: int,
    ) -> None:
        key = dice.choice([*known])
        email, note = known[key]
        tenant = self.owners.setdefault(key, key % 7)
        kind = dice.randrange(7 if self.jobs is None else 8)
        if kind == 0:
            cursor.execute("SELECT email, note FROM users WHERE id = %s", [key])
            assert cursor.fetchone() == (email, note), "read by id"
        elif kind == 1:
            cursor.execute("SELECT id, note FROM users WHERE email = %s", [email])
            assert cursor.fetchall() == [(key, note)], "search"
        elif kind == 2:
            changed = f"sown changed {dice.random()}" if dice.random() < 0.8 else None
            cursor.execute("UPDATE users SET note = %s WHERE tenant_id = %s AND id = %s", [changed, tenant, key])
            assert cursor.rowcount == 1, "update"
            known[key] = (email, changed)
        elif kind == 3:
            new, changed = dice.randrange(LAST_TENANT), f"sown{dice.random()}@example.com"
            cursor.execute(
                "UPDATE users SET tenant_id = %s, email = %s, note = %s WHERE id = %s RETURNING email",
                [new, changed, note, key],
            )
            assert cursor.fetchone() == (changed,), "returning"
            known[key], self.owners[key] = (changed, note), new
        elif kind == 4:
            new = first + len(known) + dice.randrange(50_000)
            if new not in known:
                cursor.execute(
                    "INSERT INTO users (id, tenant_id, email, note) VALUES (%s, %s, %s, %s)",
                    [new, new % LAST_TENANT, f"sown{new}x", "n"],
                )
                known[new], self.owners[new] = (f"sown{new}x", "n"), new % LAST_TENANT
        elif kind == 5 and len(known) > 100:
            cursor.execute("DELETE FROM users WHERE email = %s", [email])
            assert cursor.rowcount == 1, "delete"
            del known[key]
        elif kind == 7 and self.jobs is not None:
            with connection.transaction():
                number, secret = first + len(self.jobs), f"sown job {first}"
                cursor.execute(f"SET LOCAL pgcrypt.tenant = 'acme{number % 5}'".encode())
                cursor.execute("INSERT INTO jobs VALUES (%s, %s)", [number, secret])
                cursor.execute("SELECT secret FROM jobs WHERE secret = %s AND id = %s", [secret, number])
                assert cursor.fetchone() == (secret,), "by the setting"
            self.jobs[number] = secret
        else:
            with connection.transaction():
                cursor.execute("UPDATE users SET visits = visits + 1 WHERE id = %s", [key])
                cursor.execute("UPDATE users SET email = %s WHERE id = %s AND tenant_id = %s", [email, key, tenant])
                cursor.execute("SELECT note, email FROM users WHERE id = %s", [key])
                assert cursor.fetchone() == (note, email), "in a transaction"

    def check(self) -> None:
        """Nobody noticed anything, and both proxies show what was written."""
        assert self.errors == []
        assert self.operations > 100
        assert as_read(self.live) == as_read(self.live, 1) == self.expected
        with self.live.direct() as direct:
            rows = direct.execute("SELECT id, tenant_id FROM users").fetchall()
        assert dict(rows) == {key: self.owners.get(key, key % 7) for key in self.expected}


def as_read(live: Live, which: int = 0, where: str = "true") -> dict[int, tuple[str, str | None]]:
    with live.connect(which) as connection:
        return {
            i: (e, n) for i, e, n in connection.execute(f"SELECT id, email, note FROM users WHERE {where}".encode())
        }


def check_sealed(live: Live) -> None:
    """In the database itself: each value is under an active key of its row's tenant, opens, and has its terms."""
    with live.direct() as direct:
        for column in ("email", "note"):
            stored = f"u.{column}::bytea"
            counts = direct.execute(
                f"SELECT count(*), count(*) FILTER (WHERE k.tenant = u.tenant_id::text AND k.state = 'active'),"
                f" count(*) FILTER (WHERE position('sown'::bytea IN {stored}) > 0)"
                f" FROM users u LEFT JOIN pgcrypt.keyring k ON int4send(k.id) = substr({stored}, 3, 4)"
                f" WHERE {stored} IS NOT NULL".encode()
            ).fetchone()
            assert counts is not None
            values, right, plain = counts
            assert values == right > 1000
            assert plain == 0
    policy, url = load([live.rules]), live.server.dsn(live.name)
    with contextlib.closing(connect(url)) as connection, contextlib.closing(connect(url)) as own:
        report = verify.verify(connection, KeyringStore(own, make_providers(policy.keyring).current), policy)
    assert all(column.is_sound for column in report.columns), report


def check_erasable(live: Live, expected: dict[int, tuple[str, str | None]], owners: dict[int, int]) -> None:
    """One tenant goes, and all others stay readable."""
    with contextlib.closing(connect(live.server.dsn(live.name))) as connection:
        made = erasure.erase(connection, "3", sleep=lambda _: None)
    assert made["values"] > 100
    others = {key: values for key, values in expected.items() if owners.get(key, key % 7) != 3}
    for which in (0, 1):
        assert as_read(live, which, "tenant_id <> 3") == others
        assert is_refused(live, which)


def is_refused(live: Live, which: int) -> bool:
    """What is of an erased tenant, once the proxy has let go of the key."""
    while True:
        try:
            as_read(live, which, "tenant_id = 3")
        except psycopg.Error as error:
            return error.sqlstate == "58030"
        time.sleep(0.05)


@pytest.mark.parametrize("live", ["sealing"], indirect=True)
def test_columns_of_tenants_are_sealed_under_load(live: Live) -> None:
    clients = Tenants(live)
    with clients.running():
        live.move("email")
        live.move("note")
    clients.check()
    check_sealed(live)
    check_erasable(live, clients.expected, clients.owners)


@pytest.mark.parametrize("live", ["opening"], indirect=True)
def test_columns_of_tenants_are_made_plain_under_load(live: Live) -> None:
    clients = Tenants(live, jobs={})
    with clients.running():
        for column in ("email", "note", "secret"):
            live.move(column, is_sealing=False)
    clients.check()
    with live.direct() as direct:
        rows = direct.execute("SELECT id, email, note FROM users").fetchall()
        assert dict(direct.execute("SELECT id, secret FROM jobs").fetchall()) == clients.jobs
    assert {i: (email, note) for i, email, note in rows} == clients.expected


@pytest.mark.parametrize("live", ["reindexing"], indirect=True)
def test_a_column_of_tenants_is_reindexed_under_load(live: Live) -> None:
    clients = Tenants(live, jobs={})
    policy, url = load([live.rules]), live.server.dsn(live.name)
    with clients.running(), contextlib.closing(connect(url)) as connection, contextlib.closing(connect(url)) as own:
        store = KeyringStore(own, make_providers(policy.keyring).current)
        Rotation(connection, store, policy, settle_s=5).to_the_end()
    clients.check()
    check_sealed(live)
    with live.connect() as connection:
        for key, (email, _) in [*clients.expected.items()][:50]:
            assert connection.execute("SELECT id FROM users WHERE email = %s", [email]).fetchall() == [(key,)]
        assert clients.jobs
        connection.execute("SET pgcrypt.tenant = 'acme1'")
        found = connection.execute("SELECT id, secret FROM jobs WHERE id % 5 = 1").fetchall()
        assert dict(found) == {number: secret for number, secret in clients.jobs.items() if number % 5 == 1}
    check_erasable(live, clients.expected, clients.owners)
