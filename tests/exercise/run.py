"""The exercise: all that may be done to columns of a live table, one after the other, under load and kills."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.install import install
from tests.exercise import judge
from tests.exercise.clients import Client, Load, Phase, Style
from tests.exercise.engine import STATES, Engine, Kill, choose_moment
from tests.exercise.model import SCHEMA, Model
from tests.helpers.proxies import write_rules
from tests.helpers.servers import PostgresServer
from tests.helpers.serving import Serving, serving

RULES = """
{{table: people, column: email, type: text, search: [equality]{phase}}}
{{table: people, column: note, type: text{note_phase}}}
"""
#: Through which proxy and how. The last one goes to the server itself.
STYLES: Sequence[tuple[int, Style]] = (
    (0, "prepared"), (1, "prepared"), (0, "literals"), (1, "literals"), (0, "snapshots"), (1, "snapshots"),
    (0, "direct"),
)  # fmt: skip

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A command, the phase of the rules that it needs, and how many values it goes through for each row.

    `states` are those of its progress that take some time.
    """

    name: str
    arguments: tuple[str, ...]
    phase: str
    values: int
    states: tuple[str, ...] = STATES


STEPS = (
    Step("protect email", ("protect", "--online", "people.email"), "sealing", 1),
    Step("protect note", ("protect", "--online", "people.note"), "sealing", 1),
    Step("rotate dek", ("rotate", "dek"), "", 0, ()),
    Step("reseal", ("reseal",), "", 2, ("filling",)),
    Step("rotate index", ("rotate", "index"), "reindexing", 1),
    Step("unprotect email", ("unprotect", "--online", "people.email"), "opening", 1, ("filling", "switching")),
    Step("unprotect note", ("unprotect", "--online", "people.note"), "opening", 1, ("filling", "switching")),
)


@dataclass(slots=True)
class Result:
    """`faults` must be none."""

    phases: list[tuple[Phase, int, float]] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """The database; a `Ruled`."""

    server: PostgresServer
    name: str
    rules: Path

    def direct(self) -> psycopg.Connection:
        return self.server.connect(self.name)


async def exercise(
    server: PostgresServer, folder: Path, rows: int, kills: int, *, seed: int, pause_s: float, say: Say = print
) -> Result:
    """`rows` is rounded to what all writers have alike."""
    rows -= rows % len(STYLES)
    dice = random.Random(seed)
    rules, _ = write_rules(folder, "")
    with server.database() as name, contextlib.ExitStack() as stack:
        place = Place(server, name, rules)
        with contextlib.closing(connect(server.dsn(name))) as connection:
            install(connection)
        with server.connect(name) as connection:
            connection.execute(SCHEMA.format(rows=rows).encode())
        proxies = [
            stack.enter_context(serving(place, folder, PGCRYPT_WORKERS="1", PGCRYPT_LOG_LEVEL="warning"))
            for _ in range(2)
        ]
        work = _Work(place, proxies, Load(pause_s), rows, dice, say)
        await work.all(kills)
        return work.result


class _Work:
    def __init__(self, db: Place, proxies: list[Serving], load: Load, rows: int, dice: random.Random, say: Say) -> None:
        self._db, self._proxies, self._load, self._rows, self._dice, self._say = db, proxies, load, rows, dice, say
        self._header = db.rules.read_text().split("columns:")[0]
        self._models = [Model(number, len(STYLES), rows, random.Random(dice.random())) for number in range(len(STYLES))]
        self._phase = "none"
        self.result = Result()

    async def all(self, kills: int) -> None:
        killable = [step for step in STEPS if step.states]
        wanted = Counter(self._dice.choice(killable).name for _ in range(kills))
        ways = [proxy.dsn() for proxy in self._proxies]
        direct = self._db.server.dsn(self._db.name)
        self._load.start(
            [
                Client(self._load, model, direct if style == "direct" else ways[which], style)
                for model, (which, style) in zip(self._models, STYLES, strict=True)
            ],
            direct,
        )
        engine = Engine(self._db, self.result.kills)
        sealed: set[str] = set()
        try:
            for step in STEPS:
                over = await self._step(engine, step, wanted[step.name])
                # a step may be over before its moment comes
                following = next((s.name for s in killable[killable.index(step) + 1 :]), "") if over else ""
                wanted[following] += over
                command, column = step.name.split()[0], step.name.split()[-1]
                sealed = sealed | {column} if command == "protect" else sealed
                sealed = sealed - {column} if command == "unprotect" else sealed
                await self._checked(step, sealed)
            await self._use("none")
        finally:
            await self._load.stop()
        self.result.faults += [*self._load.errors, *self._load.wrong]
        if len(self.result.kills) != kills:
            self.result.faults.append(f"{len(self.result.kills)} kills instead of {kills}")

    async def _step(self, engine: Engine, step: Step, kills: int) -> int:
        """How many of the kills could not be done."""
        await self._use(step.phase)
        moments = [choose_moment(self._dice, step.states) for _ in range(kills)]
        self._load.phase = Phase(step.name)
        before = len(self.result.kills)
        seconds, left = await engine.run(*step.arguments, moments=moments)
        phase, values = self._load.phase, step.values * self._rows
        self.result.phases.append((phase, values, seconds))
        rate = f", {values / seconds:,.0f} values/s" if values else ""
        where = ", ".join(f"{kill.state} {kill.part:.0%}" for kill in self.result.kills[before:])
        self._say(
            f"{step.name}: {seconds:.1f} s{rate}; {phase.operations:,} operations, the longest statement"
            f" {phase.longest_s:.2f} s ({phase.longest_kind}), {phase.late} over 1 s, SELECT 1 directly"
            f" {phase.nothing_s:.2f} s,"
            f" {phase.serialization_failures} x 40001; killed at: {where or 'never'}"
        )
        return len(left)

    async def _use(self, phase: str) -> None:
        """Rules of that phase, in force in both proxies."""
        if phase == self._phase:
            return
        self._phase = phase
        self._load.phase = Phase(f"rules: {phase or 'sealed'}")
        said = f", phase: {phase}" if phase else ""
        columns = RULES.format(phase=said, note_phase="" if phase == "reindexing" else said) if phase != "none" else ""
        lines = "".join(f"\n  - {line}" for line in columns.split("\n") if line)
        self._db.rules.write_text(f"{self._header}columns:{lines or ' []'}\n")
        for proxy in self._proxies:
            await asyncio.to_thread(_reload, proxy)

    async def _checked(self, step: Step, sealed: set[str]) -> None:
        """With the load held."""
        started = time.monotonic()
        await self._load.hold()
        found = await asyncio.to_thread(judge.stored_differ, self._db, sealed)
        if step.name in ("rotate index", "unprotect note"):
            for proxy in self._proxies:
                found += await asyncio.to_thread(judge.rows_differ, proxy.dsn(), self._models)
        if step.name == "unprotect note":
            direct = self._db.server.dsn(self._db.name)
            found += await asyncio.to_thread(judge.rows_differ, direct, self._models)
        if step.name == "rotate index":
            await Engine(self._db, []).run("verify")
            for column in sorted(sealed):
                stored, active = await asyncio.to_thread(judge.keys_of_values, self._db, column)
                if stored != active:
                    found.append(f"{column} has values under keys {sorted(stored)}, not {sorted(active)}")
        self._load.release()
        self.result.faults += [f"behind {step.name}: {fault}" for fault in found]
        self._say(f"  checked in {time.monotonic() - started:.1f} s, {len(found)} faults")


def _reload(proxy: Serving) -> None:
    failed = 'pgcrypt_reloads_total{status="error"}'
    before = proxy.metric(failed)
    proxy.reload()
    if proxy.metric(failed) != before:
        raise AssertionError(f"the rules were not taken:\n{proxy.log.read_text()}")


@contextlib.contextmanager
def quiet_server(running: Callable[..., contextlib.AbstractContextManager[PostgresServer]]) -> Iterator[PostgresServer]:
    """A server that writes down nothing of what it is asked, and has room for a table of a million rows."""
    settings = {"log_statement": "none", "shared_buffers": "256MB", "max_wal_size": "4GB", "log_checkpoints": "off"}
    with running("embedded", settings) as server:
        yield server
