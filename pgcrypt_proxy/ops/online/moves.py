"""The row of `pgcrypt.moves` that says how far a column is: what a run that follows a killed one goes by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.swap_locks import ENGINE_LOCK, ROTATION_LOCK
from pgcrypt_proxy.sql.catalog import HIDDEN_PREFIX

SEAL, OPEN, REINDEX, IMPORT = "seal", "open", "reindex", "import"
FILLING, SWITCHING, SCRUBBING = "filling", "switching", "scrubbing"

COMMANDS = {SEAL: "protect --online", OPEN: "unprotect --online", REINDEX: "rotate index", IMPORT: "import --online"}

#: How long a killed run's session may take to end.
ENGINE_WAIT_S = 15.0

_MOVES = """
SELECT m.column_id, m.relation::oid::bigint, n.nspname, c.relname, m.column_name, m.direction, m.state,
       m.next_block, m.blocks, m.moved, m.seconds
FROM pgcrypt.moves m
JOIN pg_catalog.pg_class c ON c.oid = m.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
"""
_STEP = """
UPDATE pgcrypt.moves SET next_block = GREATEST(next_block, %s), blocks = %s, moved = moved + %s, seconds = seconds + %s
WHERE column_id = %s
"""


@dataclass(frozen=True, slots=True)
class Move:
    """A column on its way. `seconds` is time at work, pauses of the program left out."""

    column_id: int
    relation_oid: int
    schema: str
    table: str
    column: str
    direction: str
    state: str
    next_block: int
    blocks: int
    moved: int
    seconds: float

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"

    @property
    def qualified_table(self) -> str:
        """As SQL."""
        return quoted(self.schema, self.table)

    @property
    def hidden(self) -> str:
        """The name of the column beside."""
        return f"{HIDDEN_PREFIX}{self.column_id}"

    @property
    def is_sealing(self) -> bool:
        """Whether the values in the column beside are sealed."""
        return self.direction != OPEN

    @property
    def command(self) -> str:
        """What is at work on it."""
        return COMMANDS[self.direction]


def every(connection: psycopg.Connection) -> list[Move]:
    """All columns that are on their way."""
    return [Move(*row) for row in connection.execute(f"{_MOVES} ORDER BY m.column_id".encode())]


def of_tenants(connection: psycopg.Connection) -> list[Move]:
    """Those of columns with tenants."""
    query = f"{_MOVES} JOIN pgcrypt.columns k ON k.id = m.column_id WHERE k.tenant <> '' ORDER BY m.column_id"
    return [Move(*row) for row in connection.execute(query.encode())]


def find(connection: psycopg.Connection, schema: str, table: str, column: str) -> Move | None:
    """The move of that column, if it is on its way."""
    row = connection.execute(
        f"{_MOVES} WHERE n.nspname = %s AND c.relname = %s AND m.column_name = %s".encode(), [schema, table, column]
    ).fetchone()
    return None if row is None else Move(*row)


def add(connection: psycopg.Connection, column_id: int, relation_oid: int, column: str, direction: str) -> None:
    """The move begins."""
    connection.execute(
        "INSERT INTO pgcrypt.moves (column_id, relation, column_name, direction)"
        " VALUES (%s, %s::bigint::oid::regclass, %s, %s)",
        [column_id, relation_oid, column, direction],
    )


def switch(connection: psycopg.Connection, move: Move, before: str, after: str) -> None:
    """From one state to the other, if it is in that. Proxies are told of it when the transaction commits."""
    connection.execute(
        "UPDATE pgcrypt.moves SET state = %s WHERE column_id = %s AND state = %s", [after, move.column_id, before]
    )


def step(connection: psycopg.Connection, move: Move, next_block: int, blocks: int, moved: int, seconds: float) -> None:
    """In the transaction of the values that it tells of."""
    connection.execute(_STEP, [next_block, blocks, moved, seconds, move.column_id])


def turn_to_scrubbing(connection: psycopg.Connection, move: Move, direction: str | None = None) -> None:
    """The columns have changed places. All blocks that the table has now hold rows of before."""
    connection.execute(
        "UPDATE pgcrypt.moves SET state = 'scrubbing', direction = %s, next_block = 0, moved = 0, seconds = 0,"
        " blocks = pg_catalog.pg_relation_size(relation) / pg_catalog.current_setting('block_size')::bigint"
        " WHERE column_id = %s",
        [direction or move.direction, move.column_id],
    )


def remove(connection: psycopg.Connection, move: Move) -> None:
    """The move is over."""
    connection.execute("DELETE FROM pgcrypt.moves WHERE column_id = %s", [move.column_id])


def remove_dropped(connection: psycopg.Connection) -> list[tuple[int, str]]:
    """Moves of tables that are there no more: (column id, direction)."""
    return connection.execute(
        "DELETE FROM pgcrypt.moves m WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = m.relation)"
        " RETURNING column_id, direction"
    ).fetchall()


@contextlib.contextmanager
def only_engine(connection: psycopg.Connection, schema: str, table: str) -> Iterator[None]:
    """One run for each table. The session's death frees it. Raises ConfigError."""
    row = connection.execute(
        "SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        [schema, table],
    ).fetchone()
    if row is None:
        raise ConfigError(f"there is no table {schema}.{table}", sqlstate="42P01")
    with _session_lock(connection, ENGINE_LOCK << 32 | int(row[0]), f"another run is at work on {schema}.{table}"):
        yield


@contextlib.contextmanager
def only_rotation(connection: psycopg.Connection) -> Iterator[None]:
    """One rotation of index keys at a time. Proxies rely on it: all tables that are reindexed are so together."""
    with _session_lock(connection, ROTATION_LOCK, "another run is at work on index keys"):
        yield


@contextlib.contextmanager
def _session_lock(connection: psycopg.Connection, number: int, refusal: str) -> Iterator[None]:
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {int(ENGINE_WAIT_S * 1000)}".encode())
            connection.execute("SELECT pg_catalog.pg_advisory_lock(%s::bigint)", [number])
    except pg_errors.LockNotAvailable:
        raise ConfigError(
            refusal,
            hint="One run for each table at a time. The session of a killed run ends with its statement.",
            sqlstate="55P03",
        ) from None
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s::bigint)", [number])
