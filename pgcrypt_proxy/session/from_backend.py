"""Messages that the server sends, once the connection is ready: what of them the application gets to see.

Rows of results without protected columns pass in runs and are never looked
into. What cannot be shown to the application ends the connection: once the
server has run a statement, an error made up here would say "rolled back" about
work that may well be committed, while a lost connection says "not known".
"""

from __future__ import annotations

from collections.abc import Callable

from pgcrypt_proxy.errors import BackendProtocolError, CatalogDrift, KeyNotLoaded, KeyUnavailable, PgcryptError
from pgcrypt_proxy.session import copy, error_fields
from pgcrypt_proxy.session.commands import RefreshCatalog
from pgcrypt_proxy.session.courses import Courses
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.session.link import IDLE, Link, Work, course_of
from pgcrypt_proxy.session.opening import RowOpener
from pgcrypt_proxy.session.reply_queue import Answer, Expected, Request
from pgcrypt_proxy.session.results import NO_PROTECTED_COLUMNS, Outputs, Result, drift, parameter_description
from pgcrypt_proxy.session.tenants import MAX_TRIES, ask_for_keys
from pgcrypt_proxy.session.waiting import RowsWait
from pgcrypt_proxy.wire.backend import CommandComplete, ErrorResponse, ParameterStatus, ReadyForQuery, error_response

#: ParseComplete, BindComplete, CloseComplete, NoData, PortalSuspended, EmptyQueryResponse have no body.
EMPTY_KINDS = frozenset(b"123nsI")
ROW_KINDS = frozenset(b"Dd")
COPY_DATA = frozenset(b"d")
DATA_ROWS = frozenset(b"D")

#: How the server fails what was sent in place of a refused message.
UNDEFINED_FUNCTION, INVALID_STATEMENT_NAME = "42883", "26000"
_FAILS_WITH = {
    Request.QUERY: UNDEFINED_FUNCTION,
    Request.PARSE: UNDEFINED_FUNCTION,
    Request.BIND: INVALID_STATEMENT_NAME,
    Request.FUNCTION_CALL: UNDEFINED_FUNCTION,
}

Handler = Callable[[bytes, Expected[Work]], bytes | None]


class FromBackend:
    """Handlers by message type. Each returns what the application gets, or None."""

    def __init__(self, link: Link, courses: Courses) -> None:
        self._link = link
        self._courses = courses
        self._rest = b""  # rows that wait for keys
        self._waited_for = self._waits = 0
        self._handlers: dict[int, Handler] = {
            ord("1"): self.on_parse_complete,
            ord("t"): self.on_parameter_description,
            ord("T"): self.on_row_description,
            ord("n"): self.on_no_data,
            ord("D"): self.on_data_row,
            ord("C"): self.on_command_complete,
            ord("I"): self.on_command_complete,
            ord("G"): self.on_copy_in_response,
            ord("H"): self.on_copy_out_response,
            ord("c"): self.on_copy_done,
            ord("Z"): self.on_ready_for_query,
        }

    def pump(self) -> None:
        """Deal with all complete messages that came."""
        link = self._link
        link.queue.unfold(course_of)
        while not (link.is_closed or (link.awaiting_keys and Side.BACKEND in link.awaiting_keys)):
            head = link.queue.head
            if head is not None and head.work.copy_out is not None:
                run, count = self._take_run(COPY_DATA)
                if count:
                    try:
                        head.work.copy_out.open(run, link.to_frontend)
                    except RowsWait as rows:
                        self._await_keys(rows)
                    else:
                        self._note_opened()
                    continue
            elif head is not None and head.request in _ROWS and head.answer is Answer.FORWARD and self._take_rows(head):
                continue
            raw = link.backend.take()
            if raw is None:
                return
            try:
                shown = self.on_message(raw)
            except CatalogDrift as error:
                link.commands.append(RefreshCatalog(wait=False))
                link.terminate(error)
                return
            if shown is not None:
                link.to_frontend.append(shown)

    def _take_run(self, kinds: frozenset[int]) -> tuple[bytes, int]:
        """The next messages of these types: those that have waited, or what came."""
        if self._rest:
            run, self._rest = self._rest, b""
            return run, 1
        return self._link.backend.take_run(kinds)

    def _await_keys(self, rows: RowsWait) -> None:
        """Nothing more is dealt with before the keys are there. Raises PgcryptError where they could not be had."""
        link = self._link
        error = link.key_errors.pop(Side.BACKEND, None)
        if error is not None:
            raise error
        self._waits = self._waits + 1 if len(rows.rest) == self._waited_for else 1
        self._waited_for = len(rows.rest)
        if self._waits > MAX_TRIES:
            raise KeyUnavailable("the data encryption keys do not stay in memory until they are used")
        self._rest = rows.rest
        ask_for_keys(link, Side.BACKEND, KeyNotLoaded(key_ids=rows.key_ids))

    def _note_opened(self) -> None:
        """The keys that were waited for have served; what could not be had was not needed after all."""
        self._waits = 0
        self._link.key_errors.pop(Side.BACKEND, None)

    def _part_of_long_row(self) -> bytes:
        backend = self._link.backend
        if not backend.is_in_parts:
            head = backend.long_head()
            if head is None or head[0] not in ROW_KINDS:
                return b""
            backend.start_parts(with_header=True)
        return backend.take_part()

    def on_message(self, raw: bytes) -> bytes | None:
        """One message; returns what the application gets."""
        kind = raw[0]
        link = self._link
        if kind == ord("E"):
            return self.on_error_response(raw)
        if kind == ord("N"):
            return self._shown_fields(raw, link.queue.head)
        if kind == ord("A"):
            return raw
        if kind == ord("S"):
            status = ParameterStatus.decode(raw)
            link.set_parameter(status.name, status.value)
            return raw
        if (kind in EMPTY_KINDS and len(raw) != 5) or (kind == ord("C") and raw.find(0, 5) != len(raw) - 1):
            # What a longer one would hold passes unread, so it must hold nothing.
            raise BackendProtocolError("the server sent a message of an impossible length")
        entry = link.queue.match(kind)
        if entry.answer is Answer.REPLACE:
            raise BackendProtocolError("the server accepted what must fail")
        own = entry.work.own
        if own is not None:
            own.on_reply(raw)
            return self.on_ready_for_query(raw, entry) if kind == ord("Z") else None
        if entry.request in _SETTLED_AT_ONCE:
            for change in entry.work.changes:
                change.settle()
        handler = self._handlers.get(kind)
        shown = raw if handler is None else handler(raw, entry)
        return shown if entry.answer is Answer.FORWARD else None

    # -- successes

    def on_parse_complete(self, raw: bytes, entry: Expected[Work]) -> bytes:
        if entry.work.plan.refusal is not None:
            raise BackendProtocolError("the server accepted what must fail")
        return raw

    def on_parameter_description(self, raw: bytes, entry: Expected[Work]) -> bytes:
        statement = entry.work.statement
        if statement is None:
            return raw
        return parameter_description(raw, statement.plan, statement.parameter_type_oids)

    def on_row_description(self, raw: bytes, entry: Expected[Work]) -> bytes:
        work = entry.work
        shown, result = self._link.descriptions.describe(raw, _planned_outputs(work))
        self._describe(entry, result)
        if work.route is not None:
            opener = None if result.outputs is None else self.opener(work, result.outputs, result.format_codes)
            self._courses.note_described(work.route, raw, shown, result, opener)
        return shown

    def on_no_data(self, raw: bytes, entry: Expected[Work]) -> bytes:
        if _planned_outputs(entry.work) is not None:
            raise drift("the statement returns no rows")
        self._describe(entry, NO_PROTECTED_COLUMNS)
        if entry.work.route is not None:
            self._courses.note_described(entry.work.route, raw, raw, NO_PROTECTED_COLUMNS, None)
        return raw

    def _describe(self, entry: Expected[Work], result: Result) -> None:
        work = entry.work
        if entry.request is Request.QUERY:
            work.result = result
            work.opener = None
        elif entry.request is Request.DESCRIBE_STATEMENT:
            if work.statement is not None:
                work.statement.result = result
        elif work.portal is not None:
            work.portal.describe(result)

    def on_data_row(self, raw: bytes, entry: Expected[Work]) -> bytes:
        """A row that `_take_rows` left: of a result that the server did not describe, or that nobody gets to see."""
        if entry.answer is Answer.FORWARD or self._result(entry) is None:
            raise BackendProtocolError("the server sent rows of a result that it did not describe")
        return raw

    def opener(self, work: Work, outputs: Outputs, codes: tuple[int, ...]) -> RowOpener:
        portal = work.portal
        if portal is not None and portal.result is None:
            # The description was the statement's, which does not know the portal's formats.
            asked = portal.result_format_codes
            codes = asked if len(asked) > 1 else (asked or (0,)) * len(outputs)
        if len(codes) != len(outputs):
            raise BackendProtocolError("the server's result has other columns than it described")
        return self._link.openers.of(outputs, codes, work.tenant)

    def on_command_complete(self, raw: bytes, entry: Expected[Work]) -> bytes:
        work = entry.work
        statements = work.plan.statements
        if work.index < len(statements):
            planned = statements[work.index]
            if planned.refusal is not None:
                raise BackendProtocolError("the server accepted what must fail")
            if planned.is_ddl:
                self._link.is_ddl_pending = True
            if planned.command_tag is not None:
                raw = CommandComplete(planned.command_tag.encode()).encode()
        if (settled := work.on_complete.get(work.index)) is not None:
            settled.settle()
        work.index += 1
        work.result = work.opener = work.copy_out = self._link.copy_in = None
        return raw

    # -- COPY

    def on_copy_in_response(self, raw: bytes, entry: Expected[Work]) -> bytes:
        link, plan = self._link, copy.planned_copy(entry.work)
        link.queue.start_copy_in()
        if plan is not None:
            link.copy_in = copy.CopyIn(plan, link, entry.work)
            try:
                copy.check_response(raw, plan)
            except CatalogDrift as error:
                link.commands.append(RefreshCatalog(wait=False))
                link.copy_in.fail(error)
        return raw

    def on_copy_out_response(self, raw: bytes, entry: Expected[Work]) -> bytes:
        plan = copy.planned_copy(entry.work)
        if plan is None:
            entry.work.result = NO_PROTECTED_COLUMNS
        else:
            copy.check_response(raw, plan)
            entry.work.copy_out = copy.CopyOut(plan, self._link, entry.work.tenant)
        return raw

    def on_copy_done(self, raw: bytes, entry: Expected[Work]) -> bytes:
        if entry.work.copy_out is not None:
            entry.work.copy_out.check_done()
        return raw

    def on_ready_for_query(self, raw: bytes, entry: Expected[Work]) -> bytes | None:
        link = self._link
        link.note_status(ReadyForQuery.decode(raw).status)
        for change in entry.work.changes:
            change.settle()
        if link.transaction_status == IDLE and (link.is_ddl_pending or link.is_reshaped):
            self._ask_for_catalog()
        return raw if entry.answer in (Answer.FORWARD, Answer.REPLACE) else None

    def _ask_for_catalog(self) -> None:
        """DDL is committed, or gone: the shared catalog must know. This session hears when, if it must."""
        link = self._link
        if link.reshaped != link.reshaped_asked and not len(link.queue):
            link.reshaped_asked = link.reshaped
            link.commands.append(RefreshCatalog(wait=True, number=link.reshaped))
        elif link.is_ddl_pending:
            link.commands.append(RefreshCatalog(wait=False))
        link.is_ddl_pending = False

    # -- errors

    def on_error_response(self, raw: bytes) -> bytes | None:
        """Relayed, or replaced where it answers what we let fail. FATAL ends the connection from the server's side."""
        link = self._link
        response = ErrorResponse.decode(raw)
        head = link.queue.head
        if (response.get("V") or response.get("S")) in (b"FATAL", b"PANIC"):
            link.is_server_ending = True
            return self._shown_fields(raw, head)
        head, dropped = link.queue.fail()
        link.copy_in = None
        for entry in dropped or [head]:
            if entry.work.own is not None:
                entry.work.own.on_dropped()
            for unsettled in entry.work.on_complete.values():
                unsettled.drop()
        for entry in dropped:
            for change in entry.work.changes:
                change.drop()
        if head.answer is Answer.SKIP_ALL:
            return None
        refusal = self._refusal(head)
        if refusal is not None and response.sqlstate == _FAILS_WITH.get(head.request):
            head.answer = Answer.FORWARD
            return error_response(refusal, link.encoding.codec)
        head.answer = Answer.FORWARD
        stopped = copy.replaced_error(response, head.work)
        return self._shown_fields(raw, head) if stopped is None else error_response(stopped)

    def _refusal(self, head: Expected[Work]) -> PgcryptError | None:
        """Our own error, if the request was to fail at this point."""
        if head.error is not None:
            return head.error
        work = head.work
        if head.request in (Request.QUERY, Request.PARSE) and work.index < len(work.plan.statements):
            return work.plan.statements[work.index].refusal
        return None

    def _shown_fields(self, raw: bytes, head: Expected[Work] | None) -> bytes:
        plan, lengths = (head.work.plan, head.work.lengths) if head is not None else (None, {})
        return error_fields.for_client(raw, plan, lengths, self._link.planner.catalog, self._link.encoding.codec)

    # -- rows

    def _take_rows(self, head: Expected[Work]) -> bool:
        """Pass on the rows that came, opened if the result has protected columns; returns whether any came."""
        result = self._result(head)
        if result is None:
            return False
        link, work = self._link, head.work
        run, count = self._take_run(ROW_KINDS if result.outputs is None else DATA_ROWS)
        if result.outputs is None:
            run = run or self._part_of_long_row()
            link.to_frontend.append(run)
            return bool(run)
        if not count:
            return False
        if work.opener is None:
            work.opener = self.opener(work, result.outputs, result.format_codes)
        try:
            work.opener.open(run, link.to_frontend)
        except RowsWait as rows:
            self._await_keys(rows)
        else:
            if self._waits:
                self._note_opened()
        return True

    def stream(self) -> None:
        """Leave the rows that come next to compiled code, if rows of that result were opened already."""
        link, head = self._link, self._link.queue.head
        if head is None or head.answer is not Answer.FORWARD or link.is_closed or link.awaiting_keys:
            return
        copy_out = head.work.copy_out
        opener = head.work.opener if copy_out is None else copy_out.rows_opener
        if opener is not None and not self._rest:
            self._courses.stream(opener)

    def _result(self, entry: Expected[Work]) -> Result | None:
        """What the rows of this Query or Execute hold, as far as it is known."""
        work = entry.work
        if work.result is None and entry.request is Request.EXECUTE:
            portal = work.portal
            if portal is not None:
                statement = portal.statement
                work.result = portal.result or (statement.result if statement is not None else None)
                if work.result is None and statement is not None and _planned_outputs(work) is None:
                    work.result = NO_PROTECTED_COLUMNS
        return work.result


_ROWS = frozenset({Request.QUERY, Request.EXECUTE})
_SETTLED_AT_ONCE = frozenset({Request.PARSE, Request.BIND, Request.CLOSE})


def _planned_outputs(work: Work) -> Outputs | None:
    statements = work.plan.statements
    return statements[work.index].outputs if work.index < len(statements) else None
