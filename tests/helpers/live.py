"""A database behind two proxies whose columns are on their way, and clients that check all that they read."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from pgcrypt_proxy.demo import scenario
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.install import install
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.ops.online import engine
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.policy.model import Rule
from pgcrypt_proxy.server.run import Running, start
from tests.helpers.proxies import settings_for, write_rules
from tests.helpers.servers import PostgresServer


@dataclass(slots=True)
class Live:
    """A database behind two proxies whose rules say that columns are on their way."""

    server: PostgresServer
    name: str
    rules: Path
    proxies: list[Running]

    def connect(self, which: int = 0, **keywords: Any) -> psycopg.Connection:
        port = self.proxies[which].port
        return psycopg.connect(
            f"postgresql://postgres@127.0.0.1:{port}/{self.name}?sslmode=disable",
            **{"autocommit": True, **keywords},
        )

    def direct(self) -> psycopg.Connection:
        return self.server.connect(self.name)

    def move(self, column: str, *, is_sealing: bool = True, **keywords: Any) -> engine.Outcome:
        """Run the engine to its end."""
        return self._run(Target(self._rule(column), is_sealing), **keywords)

    def bring_in(self, column: str, foreign: Foreign, **keywords: Any) -> engine.Outcome:
        """Import the column, to the end or as far as `cut_over` says."""
        return self._run(Target(self._rule(column), True, is_import=True, foreign=foreign), **keywords)

    def _rule(self, column: str) -> Rule:
        (rule,) = (rule for rule in load([self.rules]).rules if rule.column == column)
        return rule

    def _run(self, target: Target, **keywords: Any) -> engine.Outcome:
        policy = load([self.rules])
        with (
            contextlib.closing(connect(self.server.dsn(self.name))) as connection,
            contextlib.closing(connect(self.server.dsn(self.name))) as own,
        ):
            store = KeyringStore(own, make_providers(policy.keyring).current)
            return engine.Run(connection, store, target, **keywords).to_the_end()

    def use_rules(self, columns: str) -> None:
        """These rules, in force in both proxies."""
        header = self.rules.read_text().partition("columns:")[0]
        lines = "".join(f"\n  - {line}" for line in columns.splitlines() if line)
        self.rules.write_text(f"{header}columns:{lines or ' []'}\n")
        for proxy in self.proxies:
            before = proxy.proxy.world.policy
            asyncio.run_coroutine_threadsafe(proxy.proxy.reload(), proxy._loop).result(timeout=30)
            assert proxy.proxy.world.policy is not before


@contextlib.contextmanager
def two_proxies(server: PostgresServer, folder: Path, schema: str, columns: str, *, is_sealed: bool) -> Iterator[Live]:
    """`columns` are rules, whose columns are sealed first if that is asked for."""
    rules, _ = write_rules(folder, columns)
    with server.database() as name, contextlib.ExitStack() as stack:
        with connect(server.dsn(name)) as connection:
            install(connection)
        with server.connect(name) as connection:
            connection.execute(schema.encode())
        if is_sealed:
            scenario.seal_columns(server, name, rules)
        proxies = []
        for _ in range(2):
            proxies.append(start(settings_for(server, name, rules)))
            stack.callback(proxies[-1].stop)
        yield Live(server, name, rules, proxies)


@dataclass(slots=True)
class Load:
    """Clients in threads, each with rows of its own, which it knows: what it reads must be what it wrote."""

    live: Live
    seconds_blocked: float = 0.0
    operations: int = 0
    errors: list[str] = field(default_factory=list)
    expected: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self, clients: int = 4) -> Iterator[None]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.5)
            yield
            time.sleep(0.5)
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join()

    def _client(self, number: int) -> None:
        dice, mine = random.Random(number), range(number * 500 + 1, number * 500 + 501)
        known = {i: (f"sown{i}@example.com", f"sown note {i}" if i % 3 else None) for i in mine}
        try:
            # half of them prepare their statements, half send literals
            with self.live.connect(number % 2, prepare_threshold=0 if number % 4 < 2 else None) as connection:
                cursor = psycopg.ClientCursor(connection) if number % 4 >= 2 else connection.cursor()
                while not self.is_over.is_set():
                    started = time.monotonic()
                    self._step(dice, connection, cursor, known, 100_000 * (number + 1))
                    self.seconds_blocked = max(self.seconds_blocked, time.monotonic() - started)
                    self.operations += 1
        except Exception as error:
            self.errors.append(f"client {number}: {type(error).__name__} {error}")
        self.expected |= known

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
        kind = dice.randrange(7)
        if kind == 0:
            cursor.execute("SELECT email, note FROM users WHERE id = %s", [key])
            assert cursor.fetchone() == (email, note), "read by id"
        elif kind == 1:
            cursor.execute("SELECT id, note FROM users WHERE email = %s", [email])
            assert cursor.fetchall() == [(key, note)], "search"
        elif kind == 2:
            changed = f"sown changed {dice.random()}" if dice.random() < 0.8 else None
            cursor.execute("UPDATE users SET note = %s, visits = visits + 1 WHERE id = %s", [changed, key])
            known[key] = (email, changed)
        elif kind == 3:
            changed = f"sown{dice.random()}@example.com"
            cursor.execute("UPDATE users SET email = %s WHERE id = %s RETURNING note", [changed, key])
            assert cursor.fetchone() == (note,), "returning"
            known[key] = (changed, note)
        elif kind == 4:
            new = first + len(known) + dice.randrange(50_000)
            if new not in known:
                cursor.execute("INSERT INTO users (id, email, note) VALUES (%s, %s, %s)", [new, f"sown{new}x", "n"])
                known[new] = (f"sown{new}x", "n")
        elif kind == 5 and len(known) > 100:
            cursor.execute("DELETE FROM users WHERE email = %s", [email])
            assert cursor.rowcount == 1, "delete"
            del known[key]
        else:
            with connection.transaction():
                cursor.execute("SELECT visits FROM users WHERE id = %s FOR UPDATE", [key])
                cursor.execute("UPDATE users SET visits = visits + 1 WHERE id = %s", [key])
                cursor.execute("SELECT note, email FROM users WHERE id = %s", [key])
                assert cursor.fetchone() == (note, email), "in a transaction"


def await_state(live: Live, wanted: str | None) -> None:
    deadline = time.monotonic() + 30
    with live.direct() as direct:
        while True:
            row = direct.execute("SELECT state FROM pgcrypt.moves").fetchone()
            if (row and row[0]) == wanted:
                return
            assert time.monotonic() < deadline
            time.sleep(0.005)
