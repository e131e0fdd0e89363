"""`rotate index`: values get terms under a new index key (docs/adr/0014-rotating-index-keys.md).

All columns of one index domain change places in one transaction, since their terms are compared with each other.
Which columns are left is what `pgcrypt.columns` and `pgcrypt.moves` say, so a run that follows a killed one goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import sealed_types
from pgcrypt_proxy.ops.column_checks import Assessment
from pgcrypt_proxy.ops.column_rows import Progress, no_progress
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.fresh_keys import FreshKeys
from pgcrypt_proxy.ops.key_rotation import LET_GO_S, rotate_index_key
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import checks, moves
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.engine import BATCH_BLOCKS, WHO_IS_IN_THE_WAY, Outcome, Run, session
from pgcrypt_proxy.ops.online.locking import IN_THE_WAY, Pauses, holders
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.online.swap import Filled, NotYet, switch
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK
from pgcrypt_proxy.policy.model import Policy, Rule
from pgcrypt_proxy.sql.catalog import is_hidden

Column = tuple[str, str, str]

# Columns that have terms, hidden ones too; without a table those whose types wait for it.
_COLUMNS = """
SELECT c.index_domain, c.index_generation, n.nspname, r.relname, a.attname
FROM pgcrypt.columns c
LEFT JOIN (pg_catalog.pg_attribute a
           JOIN pg_catalog.pg_class r ON r.oid = a.attrelid AND r.relkind IN ('r', 'p', 'f', 'm')
           JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace)
    ON a.atttypid = pg_catalog.to_regtype('pgcrypt.sealed_' || c.id) AND NOT a.attisdropped
WHERE c.search <> '{}'
ORDER BY c.index_domain, n.nspname, r.relname, a.attnum, c.id
"""
_NEWEST = "SELECT generation FROM pgcrypt.keyring WHERE kind = 'index' AND state = 'active'"
_AGE = """
SELECT COALESCE(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.max(started_at)), 0)::double precision
FROM pgcrypt.moves WHERE column_id = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class Term:
    """A column with terms; `column` is None for a type that waits for its column."""

    domain: str
    generation: int
    column: Column | None


@dataclass(slots=True)
class Rotation:
    """One run. `store` has a connection of its own. `settle_s`: how long proxies may take to hear of a new key."""

    connection: psycopg.Connection
    store: KeyringStore
    policy: Policy
    column: Column | None = None  # its index domain only
    settle_s: float = LET_GO_S
    batch_blocks: int = BATCH_BLOCKS
    pace: Pace = field(default_factory=Pace)
    progress: Progress = no_progress
    on_key: Callable[[int], None] = lambda _: None

    def to_the_end(self) -> list[Outcome]:
        """Make a new index key, unless the last run left something to do, and give every column terms under it.

        Raises ConfigError with every obstacle, before anything is changed; a later run goes on.
        """
        with readable_errors("rotating the index key"), moves.only_rotation(self.connection):
            found = self._found()
            begun = self._begun()
            domains = {term.domain for term in found}
            if not self._left(found) and not any(self._domain_of(move) in domains for move in begun):
                _refuse_begun(begun)
                self._check(found)
                self.on_key(rotate_index_key(self.store))
            generation = self._newest()
            outcomes: list[Outcome] = []
            for domain in sorted(domains):
                outcomes += self._domain(domain, generation, begun)
            return outcomes

    def assess(self) -> list[tuple[str, Assessment]]:
        """What is in the way, and what becomes of indexes, by column. Changes nothing."""
        with readable_errors("looking at columns with index terms"):
            return [(t.rule.qualified_name, self._assessed(t)) for t in self._targets(self._found(), self._newest())]

    def abandon(self) -> list[str]:
        """Leave columns as they are whose domain has not changed places yet; their names."""
        with readable_errors("abandoning the rotation of the index key"), moves.only_rotation(self.connection):
            domains = {term.domain for term in self._found()}
            begun = [move for move in self._begun() if self._domain_of(move) in domains]
            if not begun:
                raise ConfigError("no column is being reindexed", sqlstate="55000")
            for move in begun:
                Run(self.connection, self.store, self._target(_place(move), self._newest()), pace=self.pace).abandon()
            return [move.qualified_name for move in begun]

    def _newest(self) -> int:
        row = self.connection.execute(_NEWEST).fetchone()
        if row is None:
            raise ConfigError("there is no index key", hint="Keys are made when the first column needs them.")
        return int(row[0])

    def _found(self) -> list[Term]:
        """Everything that has terms, of the chosen domain if one is chosen."""
        rows = self.connection.execute(_COLUMNS).fetchall()
        every = [Term(d, g, None if name is None else (schema, table, name)) for d, g, schema, table, name in rows]
        if self.column is not None:
            chosen = {term.domain for term in every if term.column == self.column}
            if not chosen:
                raise ConfigError(f"{'.'.join(self.column)} is no sealed column with index terms", sqlstate="55000")
            every = [term for term in every if term.domain in chosen]
        if not every:
            raise ConfigError("no column has index terms", sqlstate="55000")
        return every

    def _left(self, found: Iterable[Term]) -> bool:
        newest = self._newest()
        return any(term.generation != newest for term in found)

    def _begun(self) -> list[Move]:
        return [move for move in moves.every(self.connection) if move.direction == moves.REINDEX]

    def _domain_of(self, move: Move) -> str:
        return sealed_types.column(self.connection, move.column_id, _place(move), move.relation_oid).index_domain

    def _target(self, column: Column, generation: int) -> Target:
        return Target(_rule(self.policy, column), is_sealing=True, generation=generation)

    def _targets(self, found: Iterable[Term], generation: int) -> list[Target]:
        visible = [t.column for t in found if t.column is not None and not is_hidden(t.column[2])]
        return [self._target(column, generation) for column in sorted(visible)]

    def _check(self, found: Sequence[Term]) -> None:
        """Raises ConfigError with what is in the way of any of them."""
        _refuse_hidden(found)
        for target in self._targets(found, 1):
            target.require_phase()
            checks.raise_obstacles(target, self._assessed(target))

    def _assessed(self, target: Target) -> Assessment:
        made = checks.assess(self.connection, target, checks.facts(self.connection, target))
        move = moves.find(self.connection, *target.place)
        if move is not None and move.direction != moves.REINDEX:
            made.obstacles.append(f"it is on its way by {move.command}: run that to its end, or with --abandon, first")
        return made

    def _domain(self, domain: str, generation: int, begun: Sequence[Move]) -> list[Outcome]:
        found = [term for term in self._found() if term.domain == domain]
        places = {_place(move) for move in begun if self._domain_of(move) == domain}
        left = [term for term in found if term.generation != generation]
        _refuse_hidden(left)
        places |= {term.column for term in left if term.column is not None}
        if not places:
            if left:  # types that wait for their columns
                with self.connection.transaction():
                    sealed_types.settle_domain(self.connection, domain, generation)
            return []
        targets = [self._target(column, generation) for column in sorted(places)]
        columns = [
            _Column(self.connection, self.store, t, self.batch_blocks, self.pace, self.progress) for t in targets
        ]
        with contextlib.ExitStack() as stack:
            for schema, table in dict.fromkeys((t.rule.schema, t.rule.table) for t in targets):
                stack.enter_context(session(self.connection, schema, table))
            waiting = [column for column in columns if column.is_before_swap()]
            if waiting:
                self._check_pairs(waiting)
                self._swapped(domain, waiting)
            return [column.finish() for column in columns]

    def _check_pairs(self, columns: Sequence[_Column]) -> None:
        """An index over two of them would have to be made over both hidden columns. Raises ConfigError."""
        seen: dict[int, str] = {}
        for column in columns:
            for index in checks.facts(self.connection, column.target).indexes:
                other = seen.setdefault(index.oid, column.target.rule.qualified_name)
                if other != column.target.rule.qualified_name:
                    raise ConfigError(
                        f"index {index.name} is over {other} and {column.target.rule.qualified_name}, which share an"
                        " index domain",
                        hint="Drop it, and make it again afterwards.",
                        sqlstate="55000",
                    )

    def _swapped(self, domain: str, columns: Sequence[_Column]) -> None:
        for column in columns:
            column.check()
        for column in columns:
            column.begin()
        keys = FreshKeys(self.store)
        try:
            for column in columns:
                column.fill(keys)
            self._await_proxies(columns)
            pauses = Pauses(
                f"index domain {domain}: the columns could not change places", WHO_IS_IN_THE_WAY, self.pace.sleep
            )
            while True:
                filled = [column.ready() for column in columns]
                try:
                    switch(self.connection, filled, lambda: self._caught_up(columns))
                    return
                except (NotYet, *IN_THE_WAY):
                    pass
                except ConfigError as error:
                    if error.code != "55P03":
                        raise
                pauses.wait(lambda: self._in_the_way(columns))
        finally:
            keys.close()

    def _caught_up(self, columns: Sequence[_Column]) -> None:
        for column in columns:
            column.catch_up()

    def _await_proxies(self, columns: Sequence[_Column]) -> None:
        """A proxy whose rules do not say the phase refuses everything once it has heard of the move."""
        ids = [column.move.column_id for column in columns]
        row = self.connection.execute(_AGE, [ids]).fetchone()
        if row is not None and row[0] < self.settle_s:
            self.pace.sleep(self.settle_s - row[0])

    def _in_the_way(self, columns: Sequence[_Column]) -> str:
        oids = dict.fromkeys(column.move.relation_oid for column in columns)
        return "\n".join(filter(None, (holders(self.connection, oid, PLANNING_LOCK, oid) for oid in oids)))


@dataclass(slots=True)
class _Column(Run):
    """The steps of one column, taken together with those of others."""

    _beside: Filled | None = field(default=None, init=False)
    _warnings: tuple[str, ...] = field(default=(), init=False)

    @property
    def move(self) -> Move:
        return self._found()

    def is_before_swap(self) -> bool:
        move = self._resumed()
        return move is None or move.state == moves.FILLING

    def check(self) -> None:
        """Raises ConfigError with every obstacle."""
        self.target.require_phase()
        assessment = self._assessed()
        checks.raise_obstacles(self.target, assessment)
        self._warnings = tuple(assessment.warnings)

    def begin(self) -> None:
        if moves.find(self.connection, *self.target.place) is None:
            self._begun()

    def fill(self, keys: FreshKeys) -> None:
        filler = self._nearly_filled(keys, self._found())
        self._beside = Filled(filler, self.target, self._found())

    def ready(self) -> Filled:
        assert self._beside is not None
        self._ready(self._beside.filler, self._beside.move)
        return self._beside

    def catch_up(self) -> None:
        assert self._beside is not None
        self._caught_up_quickly(self._beside.filler, self._beside.move)

    def finish(self) -> Outcome:
        started = time.monotonic()
        move = self._found()
        unproved, older = self._finished(move)
        names = tuple(index.name for index in checks.facts(self.connection, self.target).indexes)
        return Outcome(move, self._values, names, self._warnings, unproved, older, time.monotonic() - started)


def _place(move: Move) -> Column:
    return move.schema, move.table, move.column


def _refuse_begun(begun: Iterable[Move]) -> None:
    """A third generation would come before all columns of a domain have the second."""
    for move in begun:
        raise ConfigError(
            f"{move.qualified_name} is on its way under the newest index key",
            hint="Let `pgcrypt-proxy rotate index` come to its end for it first.",
            sqlstate="55006",
        )


def _refuse_hidden(found: Iterable[Term]) -> None:
    for term in found:
        if term.column is not None and is_hidden(term.column[2]):
            raise ConfigError(
                f"a column of {'.'.join(term.column[:2])} is on its way by {moves.COMMANDS[moves.SEAL]}",
                hint="Run that to its end, or with --abandon, first.",
                sqlstate="55006",
            )


def _rule(policy: Policy, column: Column) -> Rule:
    for rule in policy.rules:
        if (rule.schema, rule.table, rule.column) == column:
            return rule
    raise ConfigError(
        f"{'.'.join(column)} has index terms of a domain that is reindexed, and no rule names it",
        hint="A copy of a table has the same sealed types: drop it, or give its columns rules of their own.",
        sqlstate="55000",
    )
