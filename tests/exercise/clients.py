"""The constant load: clients that read, search and write rows of their own, and check all that they are given.

Some go through one proxy, some through the other, with prepared statements, with literals, or in transactions whose
snapshot is old; one writes directly to the server as long as that takes plain values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
from psycopg import errors as pg_errors

from tests.exercise.model import Model, Values, digest

Style = Literal["prepared", "literals", "snapshots", "direct"]

RANGE = 25
_IS_PLAIN = """
SELECT attname, atttypid = 'text'::regtype FROM pg_attribute
WHERE attrelid = 'public.people'::regclass AND attname IN ('email', 'note') AND NOT attisdropped
"""


@dataclass(slots=True)
class Phase:
    """What clients saw while one thing was done to the columns.

    `nothing_s` is the longest that a query of no table took directly: what the machine itself is late by.
    """

    name: str
    operations: int = 0
    longest_s: float = 0.0
    longest_kind: str = ""
    late: int = 0
    serialization_failures: int = 0
    nothing_s: float = 0.0


@dataclass(slots=True)
class Load:
    """All clients. `errors` are what no client may get; `wrong` are answers that are not what was written."""

    pause_s: float
    phase: Phase = field(default_factory=lambda: Phase("before"))
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _may_run: asyncio.Event = field(default_factory=asyncio.Event)
    _is_over: bool = False
    _clients: list[Client] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, clients: list[Client], direct: str) -> None:
        """Let them begin. `direct` leads to the server itself."""
        self._may_run.set()
        self._clients = clients
        self._tasks = [asyncio.create_task(client.run()) for client in clients]
        self._tasks.append(asyncio.create_task(self._ask_nothing(direct)))

    async def hold(self) -> None:
        """Return when every client stands between two operations, and let none begin another."""
        self._may_run.clear()
        await asyncio.sleep(2 * self.pause_s)
        while any(client.is_busy for client in self._clients):  # noqa: ASYNC110 (they are many)
            await asyncio.sleep(0.01)

    def release(self) -> None:
        """They go on."""
        self._may_run.set()

    async def stop(self) -> None:
        """Every client ends behind its operation."""
        self._is_over = True
        self.release()
        await asyncio.gather(*self._tasks)

    async def turn(self) -> bool:
        """Before each operation. False: it is over."""
        await asyncio.sleep(self.pause_s)
        await self._may_run.wait()
        return not self._is_over

    async def _ask_nothing(self, dsn: str) -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            while not self._is_over:
                started = time.monotonic()
                await connection.execute("SELECT 1")
                self.phase.nothing_s = max(self.phase.nothing_s, time.monotonic() - started)
                await asyncio.sleep(self.pause_s)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Around one statement."""
        started = time.monotonic()
        yield
        taken = time.monotonic() - started
        phase = self.phase
        phase.late += taken > 1
        if taken > phase.longest_s:
            phase.longest_s, phase.longest_kind = taken, kind


@dataclass(slots=True)
class Client:
    """One connection with rows of its own."""

    load: Load
    model: Model
    dsn: str
    style: Style
    is_busy: bool = False

    async def run(self) -> None:
        """Until the load is over, or an error that nobody may get."""
        name = f"client {self.model.owner} ({self.style})"
        factory = psycopg.AsyncClientCursor if self.style == "literals" else psycopg.AsyncCursor
        try:
            connection = await psycopg.AsyncConnection.connect(
                self.dsn,
                autocommit=True,
                prepare_threshold=0 if self.style == "prepared" else None,
                cursor_factory=factory,
            )
            async with connection:
                while await self.load.turn():
                    self.is_busy = True
                    try:
                        await self._operation(connection)
                        self.load.phase.operations += 1
                    finally:
                        self.is_busy = False
        except Exception as error:
            state = getattr(error, "sqlstate", None)
            self.load.errors.append(f"{self.load.phase.name}: {name}: {type(error).__name__} {state} {error}")

    async def _operation(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if self.style == "direct":
            await self._directly(connection)
        elif self.style == "snapshots":
            await self._in_a_snapshot(connection)
        else:
            steps = (
                self._read, self._read_range, self._search, self._search_nothing, self._change_note,
                self._change_email, self._insert, self._delete, self._in_a_transaction,
            )  # fmt: skip
            await self.model.dice.choice(steps)(connection)

    async def _ask(self, connection: psycopg.AsyncConnection[Any], kind: str, sql: str, *values: object) -> list[Any]:
        with self.load.timed(kind):
            cursor = await connection.execute(sql.encode(), values)
            if cursor.description is None:
                return [cursor.rowcount]
            return await cursor.fetchall()

    def _must_be(self, kind: str, got: object, wanted: object) -> None:
        if got != wanted:
            self.load.wrong.append(f"{self.load.phase.name}: {kind}: {got!r} instead of {wanted!r}")

    # -- through a proxy

    async def _read(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, (email, note) = self.model.choose()
        sql = "SELECT email, note, digest FROM people WHERE id = %s"
        self._must_be("read", await self._ask(connection, "read", sql, row), [(email, note, digest(email, note))])

    async def _read_range(self, connection: psycopg.AsyncConnection[Any]) -> None:
        first = self.model.dice.randrange(1, self.model.rows)
        sql = "SELECT id, email, note, digest FROM people WHERE id BETWEEN %s AND %s"
        for row, email, note, found in await self._ask(connection, "range", sql, first, first + RANGE):
            self._must_be(f"range, row {row}", digest(email, note), found)

    async def _search(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, (email, note) = self.model.choose()
        sql = "SELECT id, note FROM people WHERE email = %s"
        self._must_be("search", await self._ask(connection, "search", sql, email), [(row, note)])

    async def _search_nothing(self, connection: psycopg.AsyncConnection[Any]) -> None:
        sql = "SELECT id FROM people WHERE email = %s"
        self._must_be("no such", await self._ask(connection, "search", sql, self.model.word()), [])

    async def _change_note(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, (email, _) = self.model.choose()
        note = self.model.word() if self.model.dice.random() < 0.8 else None
        sql = "UPDATE people SET note = %s, digest = %s WHERE id = %s"
        self._must_be("update", await self._ask(connection, "update", sql, note, digest(email, note), row), [1])
        self.model.changed[row] = email, note

    async def _change_email(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, (_, note) = self.model.choose()
        email = self.model.word()
        sql = "UPDATE people SET email = %s, digest = %s WHERE id = %s RETURNING note"
        got = await self._ask(connection, "update", sql, email, digest(email, note), row)
        self._must_be("returning", got, [(note,)])
        self.model.changed[row] = email, note

    async def _insert(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, email, note = self.model.new(), self.model.word(), self.model.word()
        sql = "INSERT INTO people (id, email, note, digest) VALUES (%s, %s, %s, %s)"
        self._must_be("insert", await self._ask(connection, "insert", sql, row, email, note, digest(email, note)), [1])
        self.model.changed[row] = email, note

    async def _delete(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, (email, _) = self.model.choose()
        self._must_be(
            "delete", await self._ask(connection, "delete", "DELETE FROM people WHERE email = %s", email), [1]
        )
        self.model.changed[row] = None

    async def _in_a_transaction(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row, values = self.model.choose()
        note = self.model.word()
        async with connection.transaction():
            sql = "SELECT email, note FROM people WHERE id = %s FOR UPDATE"
            self._must_be("for update", await self._ask(connection, "for update", sql, row), [values])
            sql = "UPDATE people SET note = %s, digest = %s, visits = visits + 1 WHERE id = %s"
            await self._ask(connection, "update", sql, note, digest(values[0], note), row)
            sql = "SELECT id, note FROM people WHERE email = %s"
            self._must_be("own write", await self._ask(connection, "search", sql, values[0]), [(row, note)])
        self.model.changed[row] = values[0], note

    async def _in_a_snapshot(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """40001 is what docs/online.md says of snapshots from before the swap; nothing else may come."""
        row, (email, note) = self.model.choose()
        try:
            async with connection.transaction():
                await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                await self._ask(connection, "snapshot", "SELECT 1")
                for _ in range(3):
                    sql = "SELECT email, note FROM people WHERE id = %s"
                    self._must_be("snapshot", await self._ask(connection, "snapshot", sql, row), [(email, note)])
                    await asyncio.sleep(0.1)
                sql = "SELECT id FROM people WHERE email = %s"
                self._must_be("snapshot", await self._ask(connection, "snapshot", sql, email), [(row,)])
        except pg_errors.SerializationFailure:
            self.load.phase.serialization_failures += 1

    # -- directly

    async def _directly(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """As programs that go round the proxies: plain values as long as the columns are plain."""
        row, (email, note) = self.model.choose()
        changed: Values = email, note
        async with connection.transaction():
            await self._ask(connection, "direct", "LOCK TABLE people IN ROW EXCLUSIVE MODE")
            plain = dict(await self._ask(connection, "direct", _IS_PLAIN))
            if plain["email"] and self.model.dice.random() < 0.5:
                changed = self.model.word(), changed[1]
                await self._ask(connection, "direct", "UPDATE people SET email = %s WHERE id = %s", changed[0], row)
            if plain["note"]:
                changed = changed[0], self.model.word()
                await self._ask(connection, "direct", "UPDATE people SET note = %s WHERE id = %s", changed[1], row)
            sql = "UPDATE people SET digest = %s, visits = visits + 1 WHERE id = %s"
            self._must_be("direct", await self._ask(connection, "direct", sql, digest(*changed), row), [1])
        self.model.changed[row] = changed
