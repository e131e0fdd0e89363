"""Applications that write all the while to a table whose column is sealed or opened, and to a plain twin of it.

Direct connections: such writers see the swap. Until then they write values, from then
on they leave the column alone, or make it NULL where it may be.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

from tests.helpers.servers import PostgresServer

_NUMBER = """
SELECT attnum FROM pg_attribute WHERE attrelid = 'public.live'::regclass AND attname = 'v' AND NOT attisdropped
"""


@dataclass(slots=True)
class Writers:
    """Write rows of live(id, v, note) and twin(id, v, note), each time both in one transaction.

    `words` are expressions for new values: of the column in `live`, and of the plain one in `twin`.
    """

    server: PostgresServer
    database: str
    words: tuple[str, str]
    rows: int
    may_be_null: bool
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)
    writes: int = 0
    late_writes: int = 0

    def run(self, number: int) -> None:
        """One of them; `number` makes its rows and words its own."""
        try:
            with self.server.connect(self.database) as connection:
                (first,) = connection.execute(_NUMBER).fetchone() or (0,)
                chance = random.Random(number)
                turn = 0
                while not self.stop.is_set():
                    turn += 1
                    with connection.transaction():
                        connection.execute("LOCK TABLE live IN ROW EXCLUSIVE MODE")
                        (now,) = connection.execute(_NUMBER).fetchone() or (0,)
                        self.write(connection, chance, f"{number}-{turn}", is_swapped=now != first)
                    self.writes += 1
                    self.late_writes += now != first
        except BaseException as error:
            self.failures.append(error)

    def write(self, connection: psycopg.Connection, chance: random.Random, word: str, *, is_swapped: bool) -> None:
        """One change, in both tables."""
        row = chance.randrange(self.rows * 3 // 2)
        kind = chance.randrange(7)
        new = self.rows * 2 + int(word.split("-")[0]) * 1_000_000 + int(word.split("-")[1])
        for table, value in zip(("live", "twin"), self.words, strict=True):
            given = {"id": row, "word": word, "new": new}
            if is_swapped:
                value = f"{table}.v" if kind != 0 or not self.may_be_null else "NULL"
            if kind == 1 and (self.may_be_null or not is_swapped):
                inserted = "NULL" if is_swapped else value
                sql = f"INSERT INTO {table} (id, v, note) VALUES (%(new)s, {inserted}, %(word)s)"
            elif kind == 2:
                sql = f"DELETE FROM {table} WHERE id = %(id)s"
            elif kind == 3:
                sql = f"UPDATE {table} SET note = %(word)s WHERE id = %(id)s"
            elif kind == 4 and self.may_be_null:
                sql = f"UPDATE {table} SET v = NULL WHERE id = %(id)s"
            else:
                sql = f"UPDATE {table} SET v = {value}, note = %(word)s WHERE id = %(id)s"
            connection.execute(sql.encode(), given)


@contextlib.contextmanager
def writing(writers: Writers, count: int = 2) -> Iterator[Writers]:
    """`count` of them at work. Raises what stopped one."""
    threads = [threading.Thread(target=writers.run, args=(number,)) for number in range(1, count + 1)]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        writers.stop.set()
        for thread in threads:
            thread.join(20)
    if writers.failures:
        raise writers.failures[0]
