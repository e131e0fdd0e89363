"""Others write all the while, and the engine is killed: the end is what the same writers made of a plain twin."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.ops import protect
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import change, moves
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.ops.sealed_types import name as domain_name
from tests.helpers.live_writers import Writers, writing
from tests.helpers.proxies import write_rules
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

ROWS = 3000
KILLS = 10

#: type: (a value of rows at the start, of later ones by their word, whether it may be NULL)
KINDS = {
    "varchar(40) NOT NULL UNIQUE": ("'value ' || i", "'value ' || %(word)s::text", False),
    "text": ("nullif(left('value ' || i, i % 9), 'value')", "left('word ' || %(word)s::text, 7)", True),
    "jsonb": ("jsonb_build_object('a', i)", "jsonb_build_object('b', %(word)s::text)", True),
    "json": ("json_build_object('a', i % 7)", "json_build_object('a', %(word)s::text)", True),
    "int4": ("i % 50", "length(%(word)s::text) + %(new)s %% 100", True),
}


def make(connection: psycopg.Connection, column: str, first: str) -> None:
    for table in ("live", "twin"):
        connection.execute(f"CREATE TABLE public.{table} (id int PRIMARY KEY, v {column}, note text)".encode())
        connection.execute(
            f"INSERT INTO public.{table} SELECT i, {first}, 'n' FROM generate_series(0, {ROWS - 1}) i".encode()
        )


def opened(connection: psycopg.Connection, store: KeyringStore, column_id: int) -> dict[int, tuple[Any, Any]]:
    """What the sealed column holds, as the server writes the plain type in binary form."""
    move = moves.Move(column_id, 0, "public", "live", "v", "open", "filling", 0, 0, 0, 0)
    keyring = store.unlock()
    open_value, _ = change.of(connection, move).functions(keyring)
    rows = connection.execute("SELECT id, v::bytea, note FROM public.live").fetchall()
    return {id: (None if v is None else open_value(bytes(v))[0], note) for id, v, note in rows}


def twin(connection: psycopg.Connection, send: str) -> dict[int, tuple[Any, Any]]:
    rows = connection.execute(f"SELECT id, {send}(v), note FROM public.twin".encode()).fetchall()
    return {id: (v, note) for id, v, note in rows}


@pytest.mark.parametrize("kind", KINDS)
def test_no_write_is_lost(postgres: PostgresServer, database, connection, store, sealing, verified, rule, kind):
    first, later, may_be_null = KINDS[kind]
    make(connection, kind, first)
    type_ = kind.split(" ")[0]
    ruled = rule("public.live.v", type_, ("equality",) if type_ != "json" else ())
    connection.execute("SET default_transaction_isolation = 'serializable'")  # as the database or role may have it
    with writing(Writers(postgres, database, (later, later), ROWS, may_be_null)) as writers:
        sealing(ruled, pace=Pace(0.01), batch_blocks=2).to_the_end()
        until(lambda: writers.late_writes > 100)
    assert writers.writes > writers.late_writes + 50
    send = protect.send_function(connection, connection.execute(f"SELECT '{type_}'::regtype::oid").fetchone()[0])
    found, wanted = opened(connection, store, 1), twin(connection, send)
    assert found == wanted
    assert len(found) > ROWS // 2
    assert verified(ruled) == sum(v is not None for v, _ in wanted.values())


def until(is_done: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["text", "jsonb"])
def test_no_write_is_lost_on_the_way_back(postgres: PostgresServer, database, connection, store, opening, rule, kind):
    """Writers take envelopes from a pool, and its plain words for the twin."""
    first, _, _ = KINDS[kind]
    make(connection, kind, first)
    ruled = rule("public.live.v", kind, ("equality",))
    connection.execute("CREATE TABLE public.pool AS SELECT id, v AS word FROM public.live WHERE v IS NOT NULL")
    protect.protect(connection, store, ruled, Options())
    connection.execute(f"CREATE TABLE public.seals (id int, v {domain_name(1)})")
    connection.execute("INSERT INTO public.seals SELECT id, v FROM public.live WHERE v IS NOT NULL")
    chosen = "WHERE id = (SELECT id FROM public.pool ORDER BY abs(id - %(id)s), id LIMIT 1)"
    words = f"(SELECT v FROM public.seals {chosen})", f"(SELECT word FROM public.pool {chosen})"
    with writing(Writers(postgres, database, words, ROWS, may_be_null=True)) as writers:
        opening(ruled, pace=Pace(0.01), batch_blocks=2).to_the_end()
        until(lambda: writers.late_writes > 50)
    assert writers.writes > writers.late_writes + 20
    tables = "SELECT id, v::text, note FROM public.live", "SELECT id, v::text, note FROM public.twin"
    live, plain = ({row[0]: row[1:] for row in connection.execute(query)} for query in tables)
    assert live == plain
    assert connection.execute("SELECT count(*) FROM pgcrypt.columns").fetchone() == (1,)  # the pool's column


@pytest.mark.timeout(300)
def test_killed_at_any_moment_it_goes_on(postgres: PostgresServer, database, connection, tmp_path: Path):
    make(connection, "varchar(40) NOT NULL UNIQUE", KINDS["varchar(40) NOT NULL UNIQUE"][0])
    column = "{table: live, column: v, type: varchar(40), search: [equality], phase: sealing}"
    rules, kek = write_rules(tmp_path, column)
    command = [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()", "protect", "--online", "live.v"]
    command += ["--rules", str(rules), "--batch-blocks", "1", "--pause"]
    environment = {**os.environ, "PGCRYPT_DATABASE_URL": postgres.dsn(database)}
    later = KINDS["varchar(40) NOT NULL UNIQUE"][1]
    chance = random.Random(7)
    states: list[str | None] = []
    with writing(Writers(postgres, database, (later, later), ROWS, may_be_null=False)):
        for pause in ("0.05",) * 2 + ("0.01",) * 3 + ("0",) * (KILLS - 5):
            kill_while_at_work(connection, database, [*command, pause], environment, chance.random())
            states.append(next((move.state for move in moves.every(connection)), "over" if states else None))
        done = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done, states)
    assert "filling" in states
    ((column_id,),) = connection.execute("SELECT id FROM pgcrypt.columns")  # not 1 where a kill lost that
    with connect(postgres.dsn(database)) as another:
        found = opened(connection, KeyringStore(another, FileProvider(kek)), column_id)
    assert found == twin(connection, "pg_catalog.varcharsend")
    assert connection.execute("SELECT count(*) FROM pgcrypt.moves").fetchone() == (0,)
    assert connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'live' ORDER BY 1").fetchall() == [
        ("live_pkey",),
        ("live_v_key",),
    ]


def kill_while_at_work(
    connection: psycopg.Connection, database: str, command: list[str], environment: dict[str, str], after_s: float
) -> None:
    run = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_at_work(connection, database) or run.poll() is not None)
        time.sleep(after_s)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(10)


def is_at_work(connection: psycopg.Connection, database: str) -> bool:
    (count,) = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s::bigint::oid"
        " AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = %s)",
        [moves.ENGINE_LOCK, database],
    ).fetchone() or (0,)
    return bool(count)
