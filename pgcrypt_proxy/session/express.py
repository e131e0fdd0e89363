"""The course that nearly all statements of drivers take, dealt with as a whole instead of message by message.

Bind of a prepared statement to the unnamed portal, Describe, Execute and Sync
in one piece from the client; BindComplete, RowDescription, rows, CommandComplete
and ReadyForQuery in one piece from the server. Whatever is not exactly that, in
a session in which nothing else is pending, is left to `from_frontend` and
`from_backend`, whose effects these are the sum of. Decides nothing of its own.
"""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.courses import HANDED, OF_TEMPLATE, PARSE, QUERY, Courses, formats_key, is_straight
from pgcrypt_proxy.session.from_backend import FromBackend
from pgcrypt_proxy.session.from_frontend import PORTAL, FromFrontend
from pgcrypt_proxy.session.link import Link, Work, course_of
from pgcrypt_proxy.session.opening import RowOpener
from pgcrypt_proxy.session.parameters import passes_bind, rewritten_bind
from pgcrypt_proxy.session.reply_queue import Expected, Request
from pgcrypt_proxy.session.results import NO_PROTECTED_COLUMNS, Outputs, Result
from pgcrypt_proxy.session.statements import MAX_KEPT_BIND_BYTES, MAX_NAMES, Portal, Statement
from pgcrypt_proxy.session.swaps import Swaps
from pgcrypt_proxy.session.templates import sent as sent_of_template
from pgcrypt_proxy.session.waiting import RowsWait
from pgcrypt_proxy.wire.backend import BIND_COMPLETE, NO_DATA
from pgcrypt_proxy.wire.framing import run_of
from pgcrypt_proxy.wire.frontend import SYNC, Describe, Execute

UNDESCRIBED = Execute(b"", 0).encode() + SYNC
DESCRIBED = Describe(PORTAL, b"").encode() + UNDESCRIBED
READY_LENGTH = 6
READY = b"Z\0\0\0\5"
MAX_KNOWN = 1000


class Express:
    """Takes what came from either side if it is of that form; returns whether it did."""

    def __init__(
        self, link: Link, from_frontend: FromFrontend, from_backend: FromBackend, swaps: Swaps, courses: Courses
    ) -> None:
        self._link = link
        self._courses = courses
        self._swaps = swaps
        self._from_frontend = from_frontend
        self._from_backend = from_backend
        self._straight: dict[bytes, Statement] = {}  # by name, those that `_is_straight` said yes to

    # -- from the client

    def take_requests(self, data: bytes) -> bool:
        """Bind to Sync of a known statement. Nothing has changed when it returns False."""
        if data[:1] != b"B":
            return False
        is_described = data.endswith(DESCRIBED)
        if not is_described and not data.endswith(UNDESCRIBED):
            return False
        end = len(data) - len(DESCRIBED if is_described else UNDESCRIBED)
        if end < 7 or int.from_bytes(data[1:5]) + 1 != end or data[5]:
            return False
        name_end = data.find(0, 6)
        if name_end >= end or end > MAX_KEPT_BIND_BYTES:
            return False
        link, queue = self._link, self._link.queue
        if self._swaps.is_concerned:
            return False
        if not queue.is_synced or queue.is_copying_in or queue.is_skipping or self._from_frontend.is_batch_doomed:
            return False
        if link.frontend.pending or link.is_in_doubt or not link.is_shape_known or end > link.frontend.max_bytes:
            return False
        statement = self._statement(data[6:name_end])
        if statement is None:
            return False
        portal = Portal(statement)
        if not is_described and portal.needs_description(queue.batch):
            return False
        bind = data[:end]
        if len(link.portals.settled) + len(link.portals.latest) >= MAX_NAMES:
            return False
        if not passes_bind(link, statement):
            try:
                bind, portal.formats = rewritten_bind(link, bind, statement)
            except PgcryptError as error:
                self._from_frontend.refuse(bind, error)
                link.frontend.feed(data[end:])
                return True
            data = bind + data[end:]
        else:
            portal.bind = bind
        self._expect(statement, portal, is_described=is_described)
        link.to_backend.append(data)
        return True

    def _statement(self, name: bytes) -> Statement | None:
        """The statement of that name, if its meaning is certain and its course is straight."""
        link = self._link
        statement = link.statements.settled.get(name)
        if statement is None or name in link.statements.latest or statement.resolved:
            return None
        if statement.version != link.planner.catalog.version:
            return None
        if self._straight.get(name) is not statement:
            if statement.may_return_any_rows or not is_straight(statement.sql, statement.plan):
                return None
            if len(self._straight) >= MAX_KNOWN:
                self._straight.clear()
            self._straight[name] = statement
        keyring = link.values.keyring
        if not statement.plan.is_untouched and keyring.is_expired:
            return None
        if statement.sealed_under and not keyring.are_active(statement.sealed_under):
            return None
        if (link.has_changed_settings or link.is_reshaped) and statement.plan.ends_transaction:
            return None
        return statement

    def _expect(self, statement: Statement, portal: Portal, *, is_described: bool) -> None:
        link, plan = self._link, statement.plan
        batch = link.queue.batch
        work = Work(plan, statement, portal, (link.portals.change(b"", portal, batch),))
        if is_described:
            portal.described_in = batch
        self._swaps.note_sent(plan)
        link.queue.add_course(Expected(Request.COURSE, work))
        link.executions += 2
        self._from_frontend.copies.may_copy = True

    # -- from the server

    def take_replies(self, data: bytes) -> bool:
        """All answers to the course that is due. Nothing has changed when it returns False.

        Raises PgcryptError when a row does not open.
        """
        link = self._link
        entry = link.queue.course
        if entry is None or link.backend.pending or not data.startswith(BIND_COMPLETE):
            return False
        if link.is_ddl_pending or link.is_reshaped:
            return False
        if len(data) > link.backend.max_bytes:
            return False
        work, at = entry.work, len(BIND_COMPLETE)
        statement, portal = work.statement, work.portal
        assert statement is not None
        assert portal is not None
        outputs = work.plan.statements[0].outputs if work.plan.statements else None
        is_described = portal.described_in >= 0
        shown = key = b""
        opener: RowOpener | None = None
        result: Result | None
        if is_described:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5])
            key = data[at:end]
            described = self._described(key, outputs)
            if described is None:
                return False
            (shown, result), at = described, end
        else:
            result = statement.result or (NO_PROTECTED_COLUMNS if outputs is None else None)
        rows_end, count = run_of(data, at, b"D", len(data))
        if result is None or not _is_end(data, rows_end):
            return False
        if result.outputs is None:
            link.to_frontend.append(data)
        else:
            before = len(link.to_frontend)
            link.to_frontend.append(BIND_COMPLETE + shown)
            opener = self._from_backend.opener(work, result.outputs, result.format_codes)
            try:
                if count:
                    opener.open(data[at:rows_end], link.to_frontend)
            except RowsWait:  # for a key: the handlers know how
                del link.to_frontend[before:]
                return False
            link.to_frontend.append(data[rows_end:])
        if is_described:
            portal.describe(result)
        for change in work.changes:
            change.settle()
        link.note_status(data[-1])
        link.queue.finish_course()
        # What nobody has described yet may turn out to be another result.
        if self._courses.native is not None and (key or statement.result is not None):
            key = key or formats_key(portal.result_format_codes)
            self._courses.note_answered(statement, key, shown, result, opener)
        return True

    # -- what compiled code has done

    def leave(self) -> None:
        """Put into the session's books what compiled code has done, and what it has under way; it does no more."""
        course = self._courses.native
        if course is None:
            return
        kept = course.halt()
        if kept:
            self._link.backend.feed(kept)
        done = course.leave()
        if done is None:
            return
        executions, batches, untouched, rewritten, idles, status, last, flight = done
        link = self._link
        if last is not None:
            link.executions += executions
            link.queue.batch += batches
            link.transaction_status = status
            link.idles += idles
            self._from_frontend.copies.may_copy = True
            self._settle(*last)
        if flight is not None:
            kind, route, *_ = flight
            if kind in (QUERY, PARSE, OF_TEMPLATE):
                is_untouched = (route.statement.plan if kind == PARSE else route.statement).is_untouched
                untouched += is_untouched
                rewritten += not is_untouched
            self._adopt(*flight)
        for disposition, count in (("untouched", untouched), ("rewritten", rewritten)):
            if count:
                link.observer.statement(disposition, 0.0, count)

    def _settle(self, kind: int, route: Any, sent: Any, is_described: bool, result: Result | None) -> None:
        """The last of the courses that are over: the unnamed portal is its, whatever it was before."""
        portals = self._link.portals.settled
        if kind in (QUERY, HANDED, OF_TEMPLATE):
            portals.pop(b"", None)
            return
        portal = Portal(route.statement, sent)
        if is_described:
            portal.described_in, portal.result = self._link.queue.batch - 1, result
        portals[b""] = portal

    def _adopt(self, kind: int, route: Any, sent: Any, is_described: bool, _result: None) -> None:
        """One that was sent and has no answer yet."""
        link, statement = self._link, route.statement
        if kind == HANDED:
            self._from_frontend.await_answer(sent)
            return
        if kind in (QUERY, OF_TEMPLATE):
            link.executions += 1
            self._from_frontend.copies.may_copy = True
            plan, lengths = sent_of_template(link, *sent) if kind == OF_TEMPLATE else (statement, {})
            self._from_frontend.await_answer(Work(plan, lengths=lengths, route=route))
            return
        portal = Portal(statement, sent)
        if kind != PARSE:
            self._expect(statement, portal, is_described=is_described)
            return
        plan, batch = statement.plan, link.queue.batch
        link.queue.add(
            Expected(Request.PARSE, Work(plan, statement, changes=(link.statements.change(b"", statement, batch),)))
        )
        work = Work(plan, statement, portal, (link.portals.change(b"", portal, batch),), route=route)
        if is_described:
            portal.described_in = batch
        for entry in course_of(work):
            link.queue.add(entry)
        link.executions += 2
        self._from_frontend.copies.may_copy = True

    def _described(self, raw: bytes, outputs: Outputs | None) -> tuple[bytes, Result] | None:
        """What a RowDescription or NoData says; None if it is neither, is cut short, or contradicts the plan."""
        if raw == NO_DATA:
            return (raw, NO_PROTECTED_COLUMNS) if outputs is None else None
        if raw[:1] != b"T" or len(raw) < 7 or int.from_bytes(raw[1:5]) + 1 != len(raw):
            return None
        try:
            return self._link.descriptions.describe(raw, outputs)
        except PgcryptError:
            return None


def _is_end(data: bytes, at: int) -> bool:
    """Whether CommandComplete and ReadyForQuery are there at `at`, and nothing behind them."""
    end = len(data) - READY_LENGTH
    if end < at + 6 or data[at] != ord("C") or at + 1 + int.from_bytes(data[at + 1 : at + 5]) != end:
        return False
    return data.find(0, at + 5) == end - 1 and data.startswith(READY, end) and data[-1] in b"ITE"
