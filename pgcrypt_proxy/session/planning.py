"""From a statement's bytes to its plan, asking the server or the catalog loader where the plan needs it.

Asking takes time: `plan` then raises `Hold`, the session keeps the message, and
calls again with the same bytes once something happened. The answers so far are
kept until `forget`.

A name is asked for in the client's own server session, at the place in the
stream where the statement will run, with names of our own, so that the client's
unnamed statement and portal survive. Between Syncs the question travels in the
client's batch with a Flush: an error before it skips it together with the
statement it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.session.commands import UNNUMBERED, LookUpRelations, RefreshCatalog
from pgcrypt_proxy.session.events import WorldChanged
from pgcrypt_proxy.session.link import FAILED_TRANSACTION, Link
from pgcrypt_proxy.session.question import Hold, Question
from pgcrypt_proxy.session.reply_queue import Request
from pgcrypt_proxy.session.results import drift
from pgcrypt_proxy.session.shape import ShapeQuestion
from pgcrypt_proxy.session.statements import RESERVED_PREFIX, Statement
from pgcrypt_proxy.session.swaps import Swaps
from pgcrypt_proxy.sql.mention import ANY_RELATIONS, RelationName, text_mentions
from pgcrypt_proxy.sql.plan import UNTOUCHED, NeedsNames, Plan, StatementPlan
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT
from pgcrypt_proxy.wire.frontend import Bind, Close, Execute, Parse
from pgcrypt_proxy.wire.rows import split

NAME_QUESTION = (
    b"SELECT CASE WHEN pg_catalog.left($1, 1) OPERATOR(pg_catalog.=) '+' THEN (pg_catalog.current_schema()"
    b" OPERATOR(pg_catalog.=) pg_catalog.substr($1, 2)::pg_catalog.name)::pg_catalog.int4::pg_catalog.oid"
    b" ELSE pg_catalog.to_regclass($1)::pg_catalog.oid END"
)
OWN_NAME = RESERVED_PREFIX + b"_names"
TEXT_OID = 25
MIN_REFRESH_INTERVAL_S = 1.0
MAX_QUESTIONS = 64


@dataclass(frozen=True, slots=True)
class Planned:
    """A decoded text and its plan; `resolved` are the names asked for on the way.

    `is_certain`: it is the same for every session under that catalog, whatever the settings and names in it.
    """

    sql: str
    plan: Plan
    resolved: Mapping[str, int] | None = None
    is_certain: bool = False


def refused(refusal: Refusal) -> Plan:
    """The plan of a text that is refused as a whole."""
    return Plan(False, (StatementPlan(is_untouched=False, refusal=refusal),), (REFUSED_STATEMENT,))


def unresolved() -> Refusal:
    return Refusal(
        "the table that the statement means cannot be told",
        hint="Qualify the table's name with its schema.",
    )


def _is_same(one: Plan, other: Plan) -> bool:
    """Whether two plans do the same to parameters, text and results."""
    if all(plan.is_untouched or plan.is_optional for plan in (one, other)):
        return True  # what the server has of it may show columns as they were known then
    return one == other and one.refusal is None


class NameQuestion(Question):
    """What some names mean, asked of the server; takes the answers in order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.answers: dict[str, int] = {}

    def ask(self, link: Link) -> None:
        requests = [(Request.PARSE, Parse(OWN_NAME, NAME_QUESTION, (TEXT_OID,)).encode())]
        for name in self.names:
            bind = Bind(OWN_NAME, OWN_NAME, (), (link.encoding.encoded(name),), ())
            requests += [
                (Request.BIND, bind.encode()),
                (Request.EXECUTE, Execute(OWN_NAME, 0).encode()),
                (Request.CLOSE, Close(ord("P"), OWN_NAME).encode()),
            ]
        self.send(link, [*requests, (Request.CLOSE, Close(ord("S"), OWN_NAME).encode())])

    def on_reply(self, raw: bytes) -> None:
        if raw[0] == ord("D"):
            (value,) = split(raw[5:])
            self.answers[self.names[len(self.answers)]] = int(value) if value is not None else 0
        super().on_reply(raw)


class Planning:
    """Makes plans for one session, one message at a time."""

    def __init__(self, link: Link, may_watch: Callable[[], bool] = lambda: True) -> None:
        self._link = link
        self._question: NameQuestion | None = None
        self._shape_question: ShapeQuestion | None = None
        self._is_refreshed = False
        self._is_awaiting_refresh = False
        self.swaps = Swaps(link, may_watch)
        #: when the catalog was last asked about a relation that it lacks; True: plain tables were left out
        self._asked_about: dict[tuple[RelationName, bool], float] = {}

    def plan(self, text: bytes, *, extended: bool) -> Planned:
        """The plan of a statement's bytes. Raises Hold while an answer is awaited."""
        link = self._link
        question = self._question
        if self._is_awaiting_refresh or (question is not None and not question.is_done):
            raise Hold
        started = link.clock()
        try:
            sql = text.decode(link.encoding.codec or "undefined")
        except (UnicodeError, LookupError):
            return self._observed(Planned("", self._undecodable(text)), started)
        shown = self._ended(sql) if not link.is_shape_known else None
        if shown is not None:
            return self._observed(Planned(sql, shown), started)
        try:
            self.await_shape()
        except Refusal as refusal:
            return self._observed(Planned(sql, refused(refusal)), started)
        is_under_way = link.is_reshaped or link.is_ddl_pending
        resolved = question.answers if question is not None else None
        found, unknown = self._plan_and_unknown(sql, extended, resolved)
        if not is_under_way and not self._is_refreshed:
            self._await_catalog(unknown, is_untouched=isinstance(found, Plan) and found.is_untouched)
        if isinstance(found, NeedsNames):
            found = self._ask(found, question)
        self.swaps.await_swap(found)
        if found.is_optional and (link.reads_storage or link.is_in_doubt or not link.encoding.is_rewritable):
            found = found.unwritten
        if found.refusal is None and not link.encoding.is_utf8 and any(s.copy is not None for s in found.statements):
            found = refused(
                Refusal(
                    "COPY of protected columns is possible in client encoding UTF8 only",
                    hint="SET client_encoding TO 'UTF8'.",
                )
            )
        if not found.is_untouched and not link.encoding.is_rewritable and found.refusal is None:
            found = refused(
                Refusal(
                    "a statement on protected columns cannot be rewritten in this client encoding",
                    hint="SET client_encoding TO 'UTF8'.",
                )
            )
        is_certain = not (unknown or resolved or is_under_way or link.is_in_doubt)
        return self._observed(Planned(sql, found, resolved, is_certain), started)

    def await_shape(self) -> None:
        """Know what this session's own DDL made of protected tables.

        Raises Hold while an answer is awaited, and Refusal when there is none to be had.
        """
        link = self._link
        asked = self._shape_question
        if asked is not None:
            if not asked.is_done:
                raise Hold
            self._shape_question = None
            if asked.has_failed and asked.is_own_batch:  # else it was skipped with the client's batch
                raise Refusal("what protected tables are in this transaction could not be read", sqlstate="55000")
            if not asked.has_failed and not link.is_shape_known:  # else the shared catalog came first
                link.use_shape(asked.catalog(link), asked.sent)
        if link.is_shape_known:
            return
        if not self._may_ask():
            raise Refusal(
                "current transaction is aborted, commands ignored until end of transaction block", sqlstate="25P02"
            )
        self._shape_question = ShapeQuestion(link.shared_catalog, link.reshaped)
        self._shape_question.ask(link)
        raise Hold

    def _ended(self, sql: str) -> Plan | None:
        """The plan of a text that only ends a transaction: it names no table, and works in a failed one."""
        found = self._plan(sql, False, None)
        if isinstance(found, Plan) and found.statements and all(s.ends_transaction for s in found.statements):
            return found
        return None

    def check_current(self, statement: Statement) -> None:
        """Under the present catalog a prepared statement's text must still mean the same. Raises CatalogDrift."""
        version = self._link.planner.catalog.version
        if statement.version != version:
            self._check_same(statement, statement.resolved)
            statement.version = version
            statement.result = None

    def check_names(self, statement: Statement) -> None:
        """The names asked for a prepared statement must still mean the same: the server looks them up anew.

        Raises Hold while an answer is awaited, and CatalogDrift.
        """
        link = self._link
        if not statement.resolved or statement.resolved_at == link.executions:
            return
        question = self._question
        if question is None:
            self._ask_for(tuple(statement.resolved))
        elif not question.is_done:
            raise Hold
        elif question.has_failed:
            raise unresolved()
        elif question.answers != statement.resolved:
            self._check_same(statement, question.answers)
            statement.resolved = question.answers
        statement.resolved_at = link.executions

    def _check_same(self, statement: Statement, resolved: Mapping[str, int] | None) -> None:
        again = self._plan(statement.sql, True, resolved)
        if isinstance(again, NeedsNames) or not _is_same(again, statement.text_plan or statement.plan):
            raise drift("prepared statements must be prepared anew")
        if again.is_untouched and statement.plan.is_untouched and statement.text_plan is None:
            statement.plan = again  # the tables that it names may count now

    def forget(self) -> None:
        """The message that was planned is dealt with."""
        self._question = None
        self._is_refreshed = False

    def on_world_changed(self, event: WorldChanged) -> None:
        if self._is_awaiting_refresh and event.answers == UNNUMBERED:  # others' changes may be older than the question
            self._is_awaiting_refresh = False
            self._is_refreshed = True

    def _plan(self, sql: str, extended: bool, resolved: Mapping[str, int] | None) -> Plan | NeedsNames:
        return self._plan_and_unknown(sql, extended, resolved)[0]

    def _plan_and_unknown(
        self, sql: str, extended: bool, resolved: Mapping[str, int] | None
    ) -> tuple[Plan | NeedsNames, frozenset[RelationName]]:
        link = self._link
        return link.planner.plan_and_unknown(
            sql,
            extended=extended,
            resolved=resolved,
            standard_conforming_strings=link.standard_conforming_strings and not link.is_in_doubt,
        )

    def _await_catalog(self, unknown: frozenset[RelationName], *, is_untouched: bool) -> None:
        """Raises Hold, for a newer catalog, unless it was asked about each of these a moment ago.

        What was asked for a statement that is untouched leaves out plain tables, and counts for such statements only.
        """
        if unknown == ANY_RELATIONS:
            self._is_awaiting_refresh = True
            self._link.commands.append(RefreshCatalog(wait=True))
            raise Hold
        now = self._link.clock()
        recent = {asked: at for asked, at in self._asked_about.items() if now - at < MIN_REFRESH_INTERVAL_S}
        if all((name, False) in recent or (is_untouched and (name, True) in recent) for name in unknown):
            return
        self._asked_about = recent | {(name, is_untouched): now for name in unknown}
        self._is_awaiting_refresh = True
        self._link.commands.append(LookUpRelations(frozenset(name for _, name in unknown), but_plain=is_untouched))
        raise Hold

    def _ask(self, needed: NeedsNames, asked: NameQuestion | None) -> Plan:
        """Asks and raises Hold; a refusal when it is known that no answer will come."""
        has_failed = asked is not None and (asked.has_failed or set(needed.names) <= set(asked.answers))
        if has_failed or len(needed.names) > MAX_QUESTIONS:
            return refused(unresolved())
        try:
            self._ask_for(needed.names)
        except Refusal as refusal:
            return refused(refusal)

    def _ask_for(self, names: tuple[str, ...]) -> NoReturn:
        """Asks now, or raises Hold to do so later. Raises Refusal in a failed transaction."""
        if not self._may_ask():
            raise unresolved()
        self._question = NameQuestion(names)
        self._question.ask(self._link)
        raise Hold

    def _may_ask(self) -> bool:
        """Whether the server would answer now: not in a failed transaction. Raises Hold until that is known."""
        link = self._link
        if not link.queue.is_synced:
            return True
        if len(link.queue):
            raise Hold
        return link.transaction_status != FAILED_TRANSACTION

    def _undecodable(self, text: bytes) -> Plan:
        """A text that is not valid in its encoding: the server judges it if it can speak of nothing protected."""
        catalog = self._link.planner.catalog
        names = catalog.sensitive_names | catalog.tainted_functions
        if names and text_mentions(text.decode("latin-1"), names):
            sqlstate = "22021" if self._link.encoding.codec is not None else None  # as the server would say
            hint = "SET client_encoding TO 'UTF8'."
            return refused(Refusal("the statement is not valid in the client's encoding", hint=hint, sqlstate=sqlstate))
        return UNTOUCHED

    def _observed(self, planned: Planned, started: float) -> Planned:
        link = self._link
        plan = planned.plan
        if plan.is_untouched:
            disposition = "untouched"
        elif plan.refusal is None:
            disposition = "rewritten"
        else:
            disposition = "refused"
            link.observer.refused(plan.refusal)
        link.observer.statement(disposition, link.clock() - started)
        link.observer.text(planned.sql)
        return planned
