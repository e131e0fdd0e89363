"""The index key rotates while applications search, join and write through two proxies."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.ops import key_usage, verify
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_destruction import destroy
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.ops.online import reindex, swap
from pgcrypt_proxy.ops.online.engine import Outcome
from pgcrypt_proxy.ops.online.reindex import Rotation
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.server.run import start
from tests.helpers.live import Live, Load, two_proxies
from tests.helpers.proxies import settings_for
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE NOT NULL, note text, visits int NOT NULL DEFAULT 0);
CREATE TABLE orders (id int PRIMARY KEY, email text);
CREATE TABLE others (id int);
CREATE INDEX orders_email ON orders (email);
INSERT INTO users SELECT i, 'sown' || i || '@example.com', CASE WHEN i % 3 > 0 THEN 'sown note ' || i END
FROM generate_series(1, 2000) i;
INSERT INTO orders SELECT id, email FROM users;
"""
COLUMNS = """
{table: users, column: email, type: text, search: [equality], index_domain: email, phase: reindexing}
{table: orders, column: email, type: text, search: [equality], index_domain: email, phase: reindexing}
"""


@pytest.fixture
def live(postgres: PostgresServer, tmp_path: Path) -> Iterator[Live]:
    with two_proxies(postgres, tmp_path, SCHEMA, COLUMNS, is_sealed=True) as live:
        yield live


def rotate(live: Live, **keywords: Any) -> list[Outcome]:
    policy = load([live.rules])
    url = live.server.dsn(live.name)
    with contextlib.closing(connect(url)) as connection, contextlib.closing(connect(url)) as own:
        store = KeyringStore(own, make_providers(policy.keyring).current)
        return Rotation(connection, store, policy, **keywords).to_the_end()


class Joins(Load):
    """The same addresses are in both tables, and each client's are its own."""

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
        kind = dice.randrange(6)
        if kind == 0:
            cursor.execute("SELECT o.id FROM users u JOIN orders o ON o.email = u.email WHERE u.id = %s", [key])
            assert cursor.fetchall() == [(key,)], "join"
        elif kind == 1:
            cursor.execute(
                "SELECT u.note, o.email FROM users u JOIN orders o ON o.email = u.email WHERE o.email = %s", [email]
            )
            assert cursor.fetchall() == [(note, email)], "join and search"
        elif kind == 2:
            changed = f"sown{dice.random()}@example.com"
            with connection.transaction():
                cursor.execute("UPDATE users SET email = %s WHERE id = %s", [changed, key])
                cursor.execute("UPDATE orders SET email = %s WHERE email = %s", [changed, email])
                assert cursor.rowcount == 1, "update by address"
                cursor.execute(
                    "SELECT count(*) FROM users u JOIN orders o ON o.email = u.email WHERE u.email = %s", [changed]
                )
                assert cursor.fetchone() == (1,), "join in a transaction"
            known[key] = (changed, note)
        elif kind == 3:
            cursor.execute(
                "INSERT INTO users (id, email) VALUES (%s, %s) ON CONFLICT (email) DO NOTHING", [-first - key, email]
            )
            assert cursor.rowcount == 0, "on conflict"
        elif kind == 4:
            cursor.execute(
                "SELECT count(DISTINCT email) FROM orders WHERE id BETWEEN %s AND %s", [min(known), max(known)]
            )
            assert cursor.fetchone() == (len(known),), "distinct"
        else:
            cursor.execute(
                "SELECT count(*) FROM users WHERE id = %s AND email IN (SELECT email FROM orders WHERE id = %s)",
                [key, key],
            )
            assert cursor.fetchone() == (1,), "semi-join"


def in_both(live: Live) -> dict[int, str]:
    with live.connect() as connection:
        rows = connection.execute("SELECT u.id, u.email FROM users u JOIN orders o ON o.email = u.email").fetchall()
    return dict(rows)


@pytest.mark.timeout(240)
def test_columns_are_reindexed_under_load_and_no_answer_is_wrong(live: Live) -> None:
    joins = Joins(live)
    with joins.running():
        done = rotate(live)
    assert joins.errors == []
    assert joins.operations > 100
    assert in_both(live) == {key: email for key, (email, _) in joins.expected.items()}
    assert sum(outcome.values for outcome in done) >= 4000
    policy, url = load([live.rules]), live.server.dsn(live.name)
    with contextlib.closing(connect(url)) as connection, contextlib.closing(connect(url)) as own:
        (old,) = (k.id for k in key_usage.list_keys(connection) if k.kind == "index" and k.state == "retired")
        destroy(connection, old)
        store = KeyringStore(own, make_providers(policy.keyring).current)
        report = verify.verify(connection, store, policy)
    assert report.is_sound, report
    assert len(in_both(live)) == 2000


FIND = "SELECT id FROM users WHERE email = %s"


def test_statements_that_were_prepared_before_find_what_they_found(live: Live) -> None:
    with live.connect(prepare_threshold=0) as prepared, live.connect(1) as by_name:
        by_name.execute("PREPARE find (text) AS SELECT id FROM users WHERE email = $1")
        by_name.execute("PREPARE store (int, text) AS INSERT INTO users (id, email) VALUES ($1, $2)")
        for number in (7, 8):
            address = f"sown{number}@example.com"
            assert prepared.execute(FIND, [address]).fetchall() == [(number,)]
            assert by_name.execute(f"EXECUTE find ('{address}')").fetchall() == [(number,)]
            prepared.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [-number, f"x{number}"])
            if number == 7:
                rotate(live, settle_s=5)
                # what PREPARE made is looked up as the driver's own is, or said to be out of date; never a wrong answer
                with contextlib.suppress(psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName):
                    assert by_name.execute("EXECUTE find ('sown7@example.com')").fetchall() == [(7,)]
                by_name.execute("DEALLOCATE find")
                by_name.execute("PREPARE find (text) AS SELECT id FROM users WHERE email = $1")
        with live.connect() as fresh:
            assert fresh.execute("SELECT id FROM users WHERE email IN ('x7', 'x8') ORDER BY id").fetchall() == [
                (-8,),
                (-7,),
            ]


def test_a_transaction_that_has_used_one_table_goes_on_with_the_other(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock on the one keeps both from being swapped, so it need not wait for the swap, which waits for it."""
    reached, may_swap = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def switch(*arguments: Any) -> None:
        reached.set()
        may_swap.wait(30)
        swap.switch(*arguments)

    monkeypatch.setattr(reindex, "switch", switch)

    def run() -> None:
        try:
            rotate(live, settle_s=5)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    with live.connect(autocommit=False) as busy:
        thread.start()
        assert reached.wait(30)
        busy.execute("UPDATE users SET email = 'sown mine' WHERE id = 7")
        may_swap.set()
        with live.direct() as direct:
            while direct.execute("SELECT FROM pgcrypt.moves WHERE state = 'switching'").fetchone() is None:
                pass
        busy.execute("UPDATE orders SET email = 'sown mine' WHERE id = 7")
        row = busy.execute(
            "SELECT u.id, o.id FROM users u JOIN orders o ON o.email = u.email WHERE u.id = 7"
        ).fetchone()
        assert row == (7, 7)
        busy.commit()
        thread.join(60)
        assert not thread.is_alive()
        assert errors == []
        row = busy.execute(
            "SELECT u.id, o.id FROM users u JOIN orders o ON o.email = 'sown mine' AND u.id = 7"
        ).fetchone()
        assert row == (7, 7)
        busy.commit()
        assert busy.execute(FIND, ["sown mine"]).fetchall() == [(7,)]


def test_a_proxy_whose_rules_do_not_say_it_refuses_and_recovers(live: Live, tmp_path: Path) -> None:
    stale = tmp_path / "stale.yaml"
    stale.write_text(live.rules.read_text().replace(", phase: reindexing", ""))
    unaware = start(settings_for(live.server, live.name, stale))
    live.proxies.append(unaware)
    refusals: list[str] = []
    is_over = threading.Event()

    def search() -> None:
        with live.connect(2, prepare_threshold=None) as connection:
            while not is_over.is_set():
                try:
                    assert connection.execute(FIND, ["sown7@example.com"]).fetchall() == [(7,)]
                except psycopg.Error as error:
                    refusals.append(error.sqlstate or "?")
                except AssertionError:
                    refusals.append("nothing found")

    thread = threading.Thread(target=search)
    thread.start()
    try:
        rotate(live, settle_s=5)
    finally:
        is_over.set()
        thread.join()
    assert set(refusals) == {"55000"}
    with live.connect(2) as connection:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(psycopg.errors.ObjectNotInPrerequisiteState):
                assert connection.execute(FIND, ["sown7@example.com"]).fetchall() == [(7,)]
                break
            assert time.monotonic() < deadline
    unaware.stop()
