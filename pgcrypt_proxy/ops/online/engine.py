"""`protect --online`, `unprotect --online` and `import --online`: every step from where the last run left off.

Each step is either one transaction or harmless to do again; `pgcrypt.moves` says which comes next.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import importing, sealed_types
from pgcrypt_proxy.ops.column_checks import Assessment
from pgcrypt_proxy.ops.column_rows import Progress, no_progress
from pgcrypt_proxy.ops.connect import read_committed, readable_errors
from pgcrypt_proxy.ops.fresh_keys import FreshKeys
from pgcrypt_proxy.ops.index_conversion import concurrently
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import begin as beginning
from pgcrypt_proxy.ops.online import change, checks, indexes, moves, scrub, triggers
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.fill import Batch, Filler
from pgcrypt_proxy.ops.online.first_pass import FirstPass
from pgcrypt_proxy.ops.online.locking import IN_THE_WAY, Pauses, holders
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.online.swap import MAX_PENDING, Filled, NotYet, switch
from pgcrypt_proxy.ops.swap_locks import PLANNING_LOCK

Helper = Callable[[], contextlib.AbstractContextManager[tuple[psycopg.Connection, KeyringStore]]]

BATCH_BLOCKS = 16
#: So often values may be there again when all were written, before it is said that it cannot be done now.
MAX_ROUNDS = 1000
QUICK_ROUNDS = 5

WHO_IS_IN_THE_WAY = (
    "These are in the way: end their transactions, or run it again later, it goes on from here."
    " A proxy that is named here has a statement under way."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done.

    `values` were written in this run, changed ones again; `unproved` are constraints of the
    sealed type that hold, and that no scan has proved; `older` keeps the server from taking
    old forms of rows away.
    """

    move: Move
    values: int
    indexes: tuple[str, ...]
    warnings: tuple[str, ...]
    unproved: tuple[str, ...]
    older: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class Run:
    """One run for one column. `store` has a connection of its own.

    `helper` gives both again for each of the other `jobs` that fill. Without `cut_over` it ends when all is ready for
    the columns to change places. `on_switched` is called when they have.
    """

    connection: psycopg.Connection
    store: KeyringStore
    target: Target
    batch_blocks: int = BATCH_BLOCKS
    pace: Pace = field(default_factory=Pace)
    progress: Progress = no_progress
    jobs: int = 1
    helper: Helper | None = None
    cut_over: bool = True
    on_switched: Callable[[], None] | None = None
    _values: int = field(default=0, init=False)

    def to_the_end(self) -> Outcome:
        """Whatever is left to do. Raises ConfigError with every obstacle; a later run goes on."""
        started = time.monotonic()
        rule = self.target.rule
        with readable_errors(f"moving {rule.qualified_name}"), session(self.connection, rule.schema, rule.table):
            move = self._resumed()
            if move is None or move.state == moves.FILLING:
                self.target.require_phase()
            move = move or self._begun()
            warnings: list[str] = []
            if move.state == moves.FILLING:
                warnings = self._assessed().warnings
                self._filled(move)
                move = self._found()
            unproved, older = ((), ()) if move.state == moves.FILLING else self._finished(move)
            names = tuple(index.name for index in checks.facts(self.connection, self.target).indexes)
            seconds = time.monotonic() - started
            return Outcome(move, self._values, names, tuple(warnings), unproved, older, seconds)

    def is_done(self) -> bool:
        """Whether nothing is left to do: the column is as it shall be, and not on its way."""
        with readable_errors(f"looking at {self.target.rule.qualified_name}"):
            facts = checks.facts(self.connection, self.target)
            is_sealed = sealed_types.id_of(self.connection, facts.relation_oid, facts.name) is not None
            return is_sealed == self.target.is_sealing and moves.find(self.connection, *self.target.place) is None

    def abandon(self) -> None:
        """Leave the column as it is. Raises ConfigError when there is nothing to leave, or it is too late."""
        rule = self.target.rule
        with readable_errors(f"abandoning {rule.qualified_name}"), session(self.connection, rule.schema, rule.table):
            move = self._resumed()
            if move is None:
                raise ConfigError(f"{rule.qualified_name} is not on its way", sqlstate="55000")
            if move.state != moves.FILLING:
                raise ConfigError(
                    f"{rule.qualified_name}: the columns have changed places already",
                    hint="Run it again without --abandon to the end; then it can be taken back the other way.",
                    sqlstate="55000",
                )
            self._retried(move, lambda: beginning.abandon(self.connection, move))
            left = moves.find(self.connection, *self.target.place)
            if left is not None:  # plain values are in the rows' old form
                self._finished(left)

    def _resumed(self) -> Move | None:
        move = moves.find(self.connection, *self.target.place)
        if move is None:
            return None
        if move.direction != self.target.direction:
            raise ConfigError(
                f"{move.qualified_name} is on its way by {move.command}",
                hint=f"Run {move.command} to its end, or with --abandon, first.",
                sqlstate="55000",
            )
        if move.state == moves.SWITCHING:  # left by a run that was killed
            moves.switch(self.connection, move, moves.SWITCHING, moves.FILLING)
            move = self._found()
        return move

    def _begun(self) -> Move:
        if self.target.is_sealing:
            self.store.ensure_keys([] if self.target.rule.tenant is not None else [self.target.rule.data_class])
        checks.raise_obstacles(self.target, self._assessed())
        place = checks.facts(self.connection, self.target)
        pauses = Pauses(f"{place.qualified_name}: the table could not be had", WHO_IS_IN_THE_WAY, self.pace.sleep)
        while True:
            try:
                beginning.begin(self.connection, self.target)
                return self._found()
            except IN_THE_WAY:
                pauses.wait(lambda: holders(self.connection, place.relation_oid))

    def _assessed(self) -> Assessment:
        return checks.assess(self.connection, self.target, checks.facts(self.connection, self.target))

    def _found(self) -> Move:
        move = moves.find(self.connection, *self.target.place)
        assert move is not None
        return move

    def _filled(self, move: Move) -> None:
        keys = FreshKeys(self.store)
        try:
            filler = self._nearly_filled(keys, move)
            if self.cut_over:
                self._swapped(filler, self._found())
                if self.on_switched is not None:
                    self.on_switched()
            else:
                self._ready(filler, self._found())
        finally:
            keys.close()

    def _nearly_filled(self, keys: FreshKeys, move: Move) -> Filler:
        foreign = self.target.foreign
        wanted = change.of(self.connection, move, foreign)
        if move.direction != moves.REINDEX:  # which goes by the column as it was sealed
            checks.require_same(self.connection, self.target, wanted.column)
        if foreign is not None and not foreign.is_authenticated:
            # A wrong secret opens some of them: which it is shows in all of them together only.
            survey = importing.survey(self.connection, self.target.rule, foreign, self.progress)
            survey.require_readable(move.qualified_name)
        filler = Filler(self.connection, keys, move, wanted)
        triggers.check(self.connection, move)
        self._first_pass(filler, move, wanted)
        filler.require_readable()
        move = self._found()
        scrub.reuse(self.connection, move)
        indexes.make_pending(self.connection, move)
        return filler

    def _first_pass(self, filler: Filler, move: Move, wanted: change.Change) -> None:
        with contextlib.ExitStack() as stack:
            fillers = [filler]
            if self.helper is not None:
                for _ in range(self.jobs - 1):
                    connection, store = stack.enter_context(self.helper())
                    keys = FreshKeys(store)
                    stack.callback(keys.close)
                    fillers.append(Filler(connection, keys, move, wanted))
            blocks = move.blocks or self._blocks(move)
            work = FirstPass(move, blocks, self.batch_blocks, self.pace, self.progress)
            try:
                work.run(fillers)
            finally:
                self._values += work.values

    def _blocks(self, move: Move) -> int:
        row = self.connection.execute(
            "SELECT (pg_catalog.pg_relation_size(%s::bigint::oid::regclass)"
            " / pg_catalog.current_setting('block_size')::bigint)::bigint",
            [move.relation_oid],
        ).fetchone()
        return int(row[0]) if row else 0

    def _swapped(self, filler: Filler, move: Move) -> None:
        pauses = Pauses(
            f"{move.qualified_name}: the columns could not change places", WHO_IS_IN_THE_WAY, self.pace.sleep
        )
        while True:
            self._ready(filler, move)
            try:
                switch(
                    self.connection,
                    [Filled(filler, self.target, move)],
                    lambda: self._caught_up_quickly(filler, move),
                )
                return
            except (NotYet, *IN_THE_WAY):
                pass
            except ConfigError as error:
                if error.code != "55P03":  # what waits for a lock deeper down says so itself
                    raise
            pauses.wait(lambda: holders(self.connection, move.relation_oid, PLANNING_LOCK, move.relation_oid))

    def _ready(self, filler: Filler, move: Move) -> None:
        """All that can be done before nobody may use the table."""
        self._indexes_made(move)
        filler.look_again()
        self._caught_up(filler, move)
        if self.target.is_import:  # what does not open must show before the table is locked
            self._written(filler, move)
            filler.require_readable()
        filler.warm(MAX_PENDING)

    def _indexes_made(self, move: Move) -> None:
        found = checks.facts(self.connection, self.target)
        made = checks.conversions(self.connection, self.target, found, move.hidden)
        wanted = {name: concurrently(beside, name) for name, _, beside in made}
        self.progress("indexes", 0, len(wanted))
        indexes.make(self.connection, move, wanted)

    def _caught_up(self, filler: Filler, move: Move) -> None:
        """Until there are few enough for the swap. Rows that somebody holds are waited for."""
        for _ in range(MAX_ROUNDS):
            with self.connection.transaction():
                pending = filler.pending(10 * MAX_PENDING)
            if pending <= filler.at_once(MAX_PENDING) // 2:
                return
            self.progress("catching up", 0, pending)
            done = self._written(filler, move)
            if not done.moved and done.is_last:
                filler.require_readable()
                self.pace.sleep(0.2)
            self.pace.keep(self.connection)
        raise ConfigError(
            f"{move.qualified_name}: values are changed faster than they are written, or held all the time",
            detail=holders(self.connection, move.relation_oid) or None,
            hint="Run it again at a quieter time: it goes on from here.",
            sqlstate="55P03",
        )

    def _written(self, filler: Filler, move: Move) -> Batch:
        with self.connection.transaction():
            done = filler.batch("true")
            self._values += done.moved
            moves.step(self.connection, move, move.blocks, move.blocks, done.moved, 0)
        return done

    def _caught_up_quickly(self, filler: Filler, move: Move) -> None:
        """What came while proxies were waited for. They hold statements now, so it is not more and more."""
        for _ in range(QUICK_ROUNDS):
            with self.connection.transaction():
                most = filler.at_once(MAX_PENDING)
                if filler.pending(most + 1) <= most:
                    return
                done = filler.batch("true")
                self._values += done.moved

    def _retried(self, move: Move, action: Callable[[], None]) -> None:
        pauses = Pauses(f"{move.qualified_name}: the table could not be had", WHO_IS_IN_THE_WAY, self.pace.sleep)
        while True:
            try:
                action()
                return
            except IN_THE_WAY:
                pauses.wait(lambda: holders(self.connection, move.relation_oid))

    def _finished(self, move: Move) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What stays unproved, and what keeps old forms of rows."""
        scrub.keep_not_null(self.connection, move, self.pace.sleep)
        unproved: list[str] = []
        if move.is_sealing:
            scrub.scrub(self.connection, move, self.batch_blocks, self.pace, self.progress)
        older = scrub.vacuum(self.connection, move, self.pace.sleep)
        if move.is_sealing:
            unproved = scrub.prove_constraints(self.connection, move)
        with self.connection.transaction():
            moves.remove(self.connection, move)
            if not move.is_sealing:
                sealed_types.forget(self.connection, move.column_id)
        return tuple(unproved), tuple(older)


@contextlib.contextmanager
def session(connection: psycopg.Connection, schema: str, table: str) -> Iterator[None]:
    """Alone at work on the table. A statement that waits ends soon when this program was killed."""
    with contextlib.suppress(pg_errors.InvalidParameterValue, pg_errors.UndefinedObject):
        connection.execute("SET client_connection_check_interval = '1s'")
    read_committed(connection)
    connection.execute("SET lock_timeout = 0")  # indexes and VACUUM wait as long as they must
    with moves.only_engine(connection, schema, table):
        yield
