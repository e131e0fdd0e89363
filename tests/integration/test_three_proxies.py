"""Three proxies as processes follow a rotation and a change of rules, while clients write through all of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer
from tests.helpers.serving import MAIN, Serving, eventually, serving

SCHEMA = """
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, proxy int, email text);
CREATE FUNCTION tally() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users WHERE email IS NOT NULL';
"""
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
#: Of an envelope (docs/envelope.md).
KEY_ID = "substr(email::bytea, 3, 4)"


@pytest.fixture
def db(postgres: PostgresServer, tmp_path: Path) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as made:
        yield made


@contextlib.contextmanager
def three(db: ProtectedDatabase, folder: Path) -> Iterator[list[Serving]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serving(db, folder, PGCRYPT_WORKERS="1")) for _ in range(3)]


@contextlib.contextmanager
def written(proxies: list[Serving]) -> Iterator[list[str]]:
    """Somebody writes through each of them. Gives the errors that they got."""
    is_over, errors = threading.Event(), []

    def write(number: int) -> None:
        try:
            with proxies[number].connect() as connection:
                while not is_over.is_set():
                    sql = "INSERT INTO users (at, proxy, email) VALUES (clock_timestamp(), %s, 'planted-w')"
                    connection.execute(sql.encode(), [number])
                    time.sleep(0.005)
        except Exception as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(proxies))]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        is_over.set()
        for thread in threads:
            thread.join(30)


def rotate(db: ProtectedDatabase) -> None:
    environment = {"PGCRYPT_DATABASE_URL": db.server.dsn(db.name), "PGCRYPT_RULES": str(db.rules)}
    subprocess.run(
        [*MAIN, "rotate", "dek"], env={**os.environ, **environment}, check=True, capture_output=True, timeout=60
    )


def test_a_rotation_and_new_rules_reach_all_three(db: ProtectedDatabase, tmp_path: Path) -> None:
    with three(db, tmp_path) as proxies, db.direct() as direct, contextlib.ExitStack() as stack:
        there = [stack.enter_context(proxy.connect()) for proxy in proxies]
        with written(proxies) as errors:
            eventually(lambda: direct.execute("SELECT count(DISTINCT proxy) FROM users").fetchone() == (3,))
            rotate(db)
            (returned_at,) = direct.execute("SELECT clock_timestamp()").fetchone() or ("",)
            for connection in there:
                with pytest.raises(psycopg.errors.FeatureNotSupported):
                    connection.execute("SELECT tally()")
            db.rules.write_text(db.rules.read_text() + "safe_functions: [public.tally]\n")
            for proxy in proxies:
                proxy.reload()
            for connection in there:
                assert connection.execute("SELECT tally()").fetchone() is not None
            time.sleep(0.5)
        assert errors == []
        keys = direct.execute(
            "SELECT id, retired_at FROM pgcrypt.keyring WHERE kind = 'dek' ORDER BY state = 'active'"
        ).fetchall()
        (old, retired_at), (new, _) = keys
        old, new = old.to_bytes(4, "big"), new.to_bytes(4, "big")
        # by the clock of the database: when each proxy began with the new key, and when it left the old one
        followed = direct.execute(
            f"SELECT extract(epoch FROM min(at) FILTER (WHERE {KEY_ID} = %s) - %s)::float,"
            f" extract(epoch FROM max(at) FILTER (WHERE {KEY_ID} = %s) - %s)::float FROM users GROUP BY proxy",
            [new, retired_at, old, retired_at],
        ).fetchall()
        assert len(followed) == 3
        print(
            direct.execute(f"SELECT proxy, {KEY_ID}, count(*), min(at), max(at) FROM users GROUP BY 1, 2").fetchall(),
            keys,
            returned_at,
        )
        for first_new, last_old in followed:
            assert last_old <= first_new < 5  # half a second when the machine is idle
        late = direct.execute(f"SELECT DISTINCT {KEY_ID} FROM users WHERE at > %s", [returned_at]).fetchall()
        assert late == [(new,)]
