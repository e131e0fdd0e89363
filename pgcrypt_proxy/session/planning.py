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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.session.commands import RefreshCatalog
from pgcrypt_proxy.session.encodings import is_rewritable
from pgcrypt_proxy.session.link import FAILED_TRANSACTION, Link, Work
from pgcrypt_proxy.session.reply_queue import Answer, Request
from pgcrypt_proxy.session.results import drift
from pgcrypt_proxy.session.statements import RESERVED_PREFIX, Statement
from pgcrypt_proxy.sql.mention import text_mentions
from pgcrypt_proxy.sql.plan import UNTOUCHED, NeedsNames, Plan, StatementPlan
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Bind, Close, Execute, Parse
from pgcrypt_proxy.wire.rows import split

NAME_QUESTION = b"SELECT pg_catalog.to_regclass($1)::pg_catalog.oid"
OWN_NAME = RESERVED_PREFIX + b"_names"
TEXT_OID = 25
MIN_REFRESH_INTERVAL_S = 1.0
MAX_QUESTIONS = 64


class Hold(Exception):
    """The message must wait: for the server's answer, or for a newer catalog."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A decoded text and its plan; `resolved` are the names asked for on the way."""

    sql: str
    plan: Plan
    resolved: Mapping[str, int] | None = None


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
    if one.is_untouched and other.is_untouched:
        return True
    return one == other and one.refusal is None


class NameQuestion:
    """What some names mean, asked of the server; takes the answers in order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.answers: dict[str, int] = {}
        self.is_done = False
        self.has_failed = False

    def ask(self, link: Link) -> None:
        """Send the question. Swallows its errors too when it is a batch of its own."""
        work = Work(own=self)
        is_own_batch = link.queue.is_synced
        answer = Answer.SKIP_ALL if is_own_batch else Answer.SKIP
        link.expect(Parse(OWN_NAME, NAME_QUESTION, (TEXT_OID,)).encode(), Request.PARSE, work, answer)
        for name in self.names:
            bind = Bind(OWN_NAME, OWN_NAME, (), (name.encode(link.client_codec or "utf-8"),), ())
            link.expect(bind.encode(), Request.BIND, work, answer)
            link.expect(Execute(OWN_NAME, 0).encode(), Request.EXECUTE, work, answer)
            link.expect(Close(ord("P"), OWN_NAME).encode(), Request.CLOSE, work, answer)
        link.expect(Close(ord("S"), OWN_NAME).encode(), Request.CLOSE, work, answer)
        if is_own_batch:
            link.expect(SYNC, Request.SYNC, work, answer)
        else:
            link.to_backend.append(FLUSH)
            self._closes_left = len(self.names) + 1

    _closes_left = -1

    def on_reply(self, raw: bytes) -> None:
        kind = raw[0]
        if kind == ord("D"):
            (value,) = split(raw[5:])
            self.answers[self.names[len(self.answers)]] = int(value) if value is not None else 0
        elif kind == ord("3"):
            self._closes_left -= 1
            self.is_done = self._closes_left == 0
        elif kind == ord("Z"):
            self.is_done = True

    def on_dropped(self) -> None:
        """An error answers it, or skipped it."""
        self.has_failed = True
        if self._closes_left > 0:
            self.is_done = True


class Planning:
    """Makes plans for one session, one message at a time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._question: NameQuestion | None = None
        self._is_refreshed = False
        self._is_awaiting_refresh = False
        self._refreshed_at = float("-inf")

    def plan(self, text: bytes, *, extended: bool) -> Planned:
        """The plan of a statement's bytes. Raises Hold while an answer is awaited."""
        link = self._link
        question = self._question
        if self._is_awaiting_refresh or (question is not None and not question.is_done):
            raise Hold
        started = link.clock()
        try:
            sql = text.decode(link.client_codec or "undefined")
        except (UnicodeError, LookupError):
            return self._observed(Planned("", self._undecodable(text)), started)
        if not self._is_refreshed and link.planner.unknown_relations(sql, extended=extended):
            self._refresh()
        resolved = question.answers if question is not None else None
        found = self._plan(sql, extended, resolved)
        if isinstance(found, NeedsNames):
            found = self._ask(found, question)
        if not found.is_untouched and not is_rewritable(link.client_codec) and found.refusal is None:
            found = refused(
                Refusal(
                    "a statement on protected columns cannot be rewritten in this client encoding",
                    hint="SET client_encoding TO 'UTF8'.",
                )
            )
        return self._observed(Planned(sql, found, resolved), started)

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
        if isinstance(again, NeedsNames) or not _is_same(again, statement.plan):
            raise drift("prepared statements must be prepared anew")

    def forget(self) -> None:
        """The message that was planned is dealt with."""
        self._question = None
        self._is_refreshed = False

    def on_world_changed(self) -> None:
        if self._is_awaiting_refresh:
            self._is_awaiting_refresh = False
            self._is_refreshed = True

    def _plan(self, sql: str, extended: bool, resolved: Mapping[str, int] | None) -> Plan | NeedsNames:
        link = self._link
        return link.planner.plan(
            sql,
            extended=extended,
            resolved=resolved,
            standard_conforming_strings=link.standard_conforming_strings and not link.is_in_doubt,
        )

    def _refresh(self) -> None:
        now = self._link.clock()
        if now - self._refreshed_at < MIN_REFRESH_INTERVAL_S:
            return
        self._refreshed_at = now
        self._is_awaiting_refresh = True
        self._link.commands.append(RefreshCatalog(wait=True))
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
        link = self._link
        if link.queue.is_synced:
            if len(link.queue):
                raise Hold
            if link.transaction_status == FAILED_TRANSACTION:
                raise unresolved()
        self._question = NameQuestion(names)
        self._question.ask(link)
        raise Hold

    def _undecodable(self, text: bytes) -> Plan:
        """A text that is not valid in its encoding: the server judges it if it can speak of nothing protected."""
        catalog = self._link.planner.catalog
        names = catalog.sensitive_names | catalog.tainted_functions
        if names and text_mentions(text.decode("latin-1"), names):
            return refused(
                Refusal("the statement is not valid in the client's encoding", hint="SET client_encoding TO 'UTF8'.")
            )
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
        return planned
