"""The product's commands as processes, killed at moments that dice choose, and started again until they are done."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from tests.helpers.serving import MAIN, Ruled

POLL_S = 0.01
STATES = ("filling", "switching", "scrubbing")
_PROGRESS = """
SELECT state, next_block, blocks FROM pgcrypt.moves
UNION ALL
SELECT 'filling', next_block, blocks FROM pgcrypt.reseal WHERE finished_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: as soon as that part of that state is done, and a little later."""

    state: str
    part: float
    later_s: float

    def has_come(self, progress: Sequence[tuple[str, int, int]]) -> bool:
        """By the column that is furthest behind."""
        wanted = STATES.index(self.state), self.part
        return bool(progress) and min(_place(*row) for row in progress) >= wanted


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that was done."""

    command: str
    state: str
    part: float


def choose_moment(dice: random.Random, states: Sequence[str]) -> Moment:
    """One of them, of those states."""
    state = dice.choice(states)
    return Moment(state, 0.0 if state == "switching" else 0.95 * dice.random(), 0.3 * dice.random())


def _place(state: str, done: int, total: int) -> tuple[int, float]:
    return STATES.index(state), done / total if total else 0.0


@dataclass(slots=True)
class Engine:
    """Runs commands on the database. `kills` were done."""

    db: Ruled
    kills: list[Kill]

    async def run(self, *arguments: str, moments: Sequence[Moment] = ()) -> tuple[float, list[Moment]]:
        """Run it to its end; seconds with all restarts, and the moments that never came."""
        started, left = time.monotonic(), list(moments)
        while True:
            process = await self._start(arguments)
            said = asyncio.create_task(process.communicate())
            try:
                if left and await self._await_moment(left[0], said, " ".join(arguments)):
                    left.pop(0)
                    process.kill()
                    await said
                    continue
                out, _ = await said
            except BaseException:
                process.kill()
                raise
            if process.returncode != 0:
                raise AssertionError(f"{' '.join(arguments)} ended with {process.returncode}:\n{out.decode()}")
            return time.monotonic() - started, left

    async def _start(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "PGCRYPT_DATABASE_URL": self.db.server.dsn(self.db.name),
            "PGCRYPT_RULES": str(self.db.rules),
        }
        return await asyncio.create_subprocess_exec(
            *MAIN,
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def _await_moment(self, moment: Moment, said: asyncio.Task[tuple[bytes, bytes]], command: str) -> bool:
        """False: the command came to its end before."""
        async with await psycopg.AsyncConnection.connect(
            self.db.server.dsn(self.db.name), autocommit=True
        ) as connection:
            while not said.done():
                progress = await (await connection.execute(_PROGRESS)).fetchall()
                if moment.has_come(progress):
                    await asyncio.wait([said], timeout=moment.later_s)
                    progress = await (await connection.execute(_PROGRESS)).fetchall()
                    if said.done() or not progress:
                        return False
                    place, part = min(_place(*row) for row in progress)
                    self.kills.append(Kill(command, STATES[place], part))
                    return True
                await asyncio.sleep(POLL_S)
        return False
