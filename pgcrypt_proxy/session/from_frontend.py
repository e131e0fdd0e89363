"""Messages that the application sends, once the connection is ready: what of them the server gets to see.

Every handler ends in one of three ways: the bytes go on as they came, a
rewritten message goes on, or one that must fail goes on in its place and its
error is replaced by ours. Nothing is decided here about answers.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

from pgcrypt_proxy.errors import CatalogDrift, FrontendProtocolError, PgcryptError, ProtocolError, Refusal
from pgcrypt_proxy.session.copy import CopyMessages
from pgcrypt_proxy.session.courses import Courses
from pgcrypt_proxy.session.link import Link, SessionFatal, Work
from pgcrypt_proxy.session.parameters import passes_bind, rewritten_bind, upstream_type_oids
from pgcrypt_proxy.session.planning import Planned, Planning
from pgcrypt_proxy.session.prepared import PreparedBySql, Text
from pgcrypt_proxy.session.question import Hold
from pgcrypt_proxy.session.reply_queue import Answer, Expected, Request
from pgcrypt_proxy.session.statements import (
    MAX_KEPT_BIND_BYTES,
    NEVER_PREPARED,
    NO_BATCH,
    Portal,
    Statement,
    check_not_reserved,
)
from pgcrypt_proxy.session.tenants import SessionTenant, has_literals_of_tenants
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.plan import UNTOUCHED, Plan
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT
from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Bind, Close, Describe, Execute, Parse, Query, bind_names
from pgcrypt_proxy.wire.reader import MalformedMessage

STATEMENT, PORTAL = ord("S"), ord("P")

REFUSED_QUERY = Query(REFUSED_STATEMENT.encode()).encode()
#: The server looks up the statement first: it fails with 26000, touches no portal, and skips to Sync.
REFUSED_BIND = Bind(b"", NEVER_PREPARED, (), (), ()).encode()
#: In place of a Sync with a body, of which the server reads no more than that it is there.
BAD_SYNC = writer.message(codes.SYNC, b"\0")
#: No function has OID 0: the server says so before it reads any argument.
REFUSED_CALL = writer.message(codes.FUNCTION_CALL, writer.oid(0))

#: FirstNormalObjectId of PostgreSQL: what comes with it has smaller OIDs.
FIRST_NORMAL_OBJECT_ID = 16_384
_RETURNS_ANY_ROWS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:fetch|execute)\b", re.IGNORECASE | re.DOTALL)


class FromFrontend:
    """Handlers by message type. They raise Hold or Unsettled, before any effect, when the message must wait."""

    def __init__(self, link: Link, planning: Planning, courses: Courses) -> None:
        self._link = link
        self._courses = courses
        self._planning = planning
        self._swaps = planning.swaps
        self._prepared = PreparedBySql(link, planning)
        self.tenant = SessionTenant(link)
        self.copies = CopyMessages(link, self.tenant)
        self.is_batch_doomed = False
        self._handlers: dict[int, Callable[[bytes], None]] = {
            ord("Q"): self.on_query,
            ord("P"): self.on_parse,
            ord("B"): self.on_bind,
            ord("D"): self.on_describe,
            ord("E"): self.on_execute,
            ord("C"): self.on_close,
            ord("H"): self.on_flush,
            ord("S"): self.on_sync,
            ord("F"): self.on_function_call,
            ord("X"): self.on_terminate,
            ord("d"): self.copies.on_message,
            ord("c"): self.copies.on_message,
            ord("f"): self.copies.on_message,
        }

    def on_message(self, raw: bytes) -> None:
        """One message. While the server skips to Sync, or is certain to, it ignores all others: they are not sent."""
        handler = self._handlers.get(raw[0])
        if handler is None:
            raise FrontendProtocolError(f"invalid frontend message type {raw[0]}")
        if self.ignores(raw[0]):
            return
        try:
            handler(raw)
        except PgcryptError as error:
            self.refuse(raw, error)
        self.tenant.forget()

    def ignores(self, kind: int) -> bool:
        """Whether a message of that type is skipped now. Raises SessionFatal where that cannot be known."""
        queue = self._link.queue
        if queue.is_skipping and queue.may_be_synced and kind not in b"SXHdcf":
            raise SessionFatal("a message came between the end of a COPY and its Sync")
        return (queue.is_skipping and kind not in b"SX") or (self.is_batch_doomed and kind not in b"SXH")

    # -- simple query

    def on_query(self, raw: bytes) -> None:
        link = self._link
        self.await_settings()
        text = self._prepared.read(self._planning.plan(Query.decode(raw).text, extended=False))
        plan = text.planned.plan
        work = Work(plan)
        if plan.of_tenants or plan.needs_tenant:
            work.tenant = self._prepared_for_tenants(plan)
        if not plan.is_untouched:
            self._check_settings(plan)
            self._check_keys(plan)
            rendered = self._rendered(text.planned, work)
            plan = work.plan
            raw = Query(link.encoding.encoded(rendered)).encode()
        work.on_complete = self._prepared.changes(plan, text.made, NO_BATCH)
        self.copies.may_copy = plan.refusal is None
        link.note_settings(plan)
        link.note_shape(plan)
        self._swaps.note_sent(plan)
        if text.planned.is_certain:
            self._courses.note_query(raw[5:], text.planned.sql, plan)
            self._courses.note_template(text.planned.sql, plan)
            if self._courses.hand_over(plan, text.planned.sql, work):
                link.executions += 1
                link.to_backend.append(raw)
                return
        self.expect_query(raw, work)

    def _prepared_for_tenants(self, plan: Plan) -> str | None:
        """Whatever the text's own values need of tenants and their keys; the session's tenant. Raises Hold."""
        return None if plan.refusal is not None else self.tenant.for_text(plan)

    def _rendered(self, planned: Planned, work: Work) -> str:
        """The text with its literals sealed; of several statements, one with an unsound literal fails in its place."""
        errors: list[PgcryptError] = []
        while True:
            try:
                text, work.lengths = self._link.values.render(work.plan.pieces)
                return text
            except PgcryptError as error:
                known = {e.position for e in errors}
                if len(work.plan.statements) < 2 or error.position is None or error.position in known:
                    raise
                self._link.observer.refused(error)
                errors.append(error)
                work.plan = self._link.planner.with_failures(planned.sql, planned.resolved, errors)

    def expect_query(self, raw: bytes, work: Work, error: PgcryptError | None = None) -> None:
        """A Query takes away the unnamed statement and the unnamed portal, whether or not it fails."""
        answer = Answer.FORWARD if error is None else Answer.REPLACE
        self._link.executions += 1
        self.await_answer(work, answer, error)
        self._link.to_backend.append(raw)

    def await_answer(self, work: Work, answer: Answer = Answer.FORWARD, error: PgcryptError | None = None) -> None:
        """Note a Query that is, or was, sent."""
        link = self._link
        batch = link.queue.batch
        work.changes = (link.statements.change(b"", None, batch), link.portals.change(b"", None, batch))
        link.queue.add(Expected(Request.QUERY, work, answer, error))

    # -- extended query

    def on_parse(self, raw: bytes) -> None:
        parse = Parse.decode(raw)
        check_not_reserved(parse.statement_name)
        self.await_settings()
        text = self._prepared.read(self._planning.plan(parse.query, extended=True))
        self._check_settings(text.planned.plan)
        if has_literals_of_tenants(text.planned.plan):
            self._prepared_for_tenants(text.planned.plan)
        statement = self._send_parse(raw, parse, text, Answer.FORWARD)
        if text.planned.is_certain and not parse.statement_name:
            self._courses.note_parse(raw[6:], statement, self._link.to_backend[-1])
        self.is_batch_doomed = text.planned.plan.refusal is not None

    def _send_parse(self, raw: bytes, parse: Parse, text: Text, answer: Answer) -> Statement:
        link, plan = self._link, text.planned.plan
        statement = self._statement(parse, text)
        if has_literals_of_tenants(plan):
            statement.literals_of = link.values.tenants.session if plan.needs_tenant else None
        work = Work(plan, statement)
        if not plan.is_untouched:
            self._prepared.check_name(parse.statement_name)
            rendered, work.lengths = link.values.render(plan.pieces)
            statement.sealed_under = link.values.sealing_keys(plan.pieces)
            oids = upstream_type_oids(plan, parse.parameter_type_oids)
            raw = Parse(parse.statement_name, link.encoding.encoded(rendered), oids).encode()
        if answer is Answer.SKIP and statement.name:
            # only now: a value that cannot be sealed must not cost the client its statement
            gone = Work(changes=(link.statements.change(statement.name, None, link.queue.batch),))
            link.expect(Close(STATEMENT, statement.name).encode(), Request.CLOSE, gone, Answer.SKIP)
        work.changes = (link.statements.change(statement.name, statement, link.queue.batch),)
        self._swaps.note_sent(plan)
        link.expect(raw, Request.PARSE, work, answer)
        return statement

    def _statement(self, parse: Parse, text: Text) -> Statement:
        planned = text.planned
        return Statement(
            name=parse.statement_name,
            sql=planned.sql,
            plan=planned.plan,
            executed=text.executed,
            text_plan=text.text_plan,
            parameter_type_oids=tuple(parse.parameter_type_oids),
            resolved=planned.resolved,
            version=self._link.planner.catalog.version,
            resolved_at=self._link.executions,
            may_return_any_rows=_RETURNS_ANY_ROWS.match(planned.sql) is not None,
        )

    def on_bind(self, raw: bytes) -> None:
        link = self._link
        portal_name, statement_name = bind_names(raw)
        check_not_reserved(portal_name)
        self.await_settings()
        statement = self.known_statement(statement_name)
        self._check_settings(statement.plan)
        portal = Portal(statement)
        work = Work(statement.plan, statement, portal)
        if statement.is_of_tenants:
            portal.tenant = self.tenant.for_bind(raw, statement)
        if passes_bind(link, statement) and len(raw) <= MAX_KEPT_BIND_BYTES:
            portal.bind = raw
        else:
            raw, portal.formats = rewritten_bind(link, raw, statement)
        if not statement.plan.is_untouched:
            self._check_keys(statement.plan)
        work.changes = (link.portals.change(portal_name, portal, link.queue.batch),)
        self._swaps.note_sent(statement.plan)
        link.expect(raw, Request.BIND, work)

    def on_describe(self, raw: bytes) -> None:
        link = self._link
        describe = Describe.decode(raw)
        check_not_reserved(describe.name)
        batch = link.queue.batch
        if describe.kind == STATEMENT:
            statement = link.statements.get(describe.name, batch)
            plan = UNTOUCHED
            if statement is not None:
                statement = self._current(statement)
                self._prepared.check(statement)
                plan = statement.plan
                statement.described_in = batch
            link.expect(raw, Request.DESCRIBE_STATEMENT, Work(plan, statement))
        elif describe.kind == PORTAL:
            portal = link.portals.get(describe.name, batch) or Portal(None)
            self._prepared.check(portal.statement)
            portal.described_in = batch
            link.expect(raw, Request.DESCRIBE_PORTAL, Work(_plan_of(portal), portal.statement, portal))
        else:
            raise PgcryptError(f"invalid DESCRIBE message subtype {describe.kind}", sqlstate="08P01")

    def on_execute(self, raw: bytes) -> None:
        link = self._link
        name_end = raw.find(0, 5)
        if name_end + 5 != len(raw):
            Execute.decode(raw)  # raises what is wrong
        name = raw[5:name_end]
        check_not_reserved(name)
        batch = link.queue.batch
        portal = link.portals.get(name, batch) or Portal(None)
        plan = _plan_of(portal)
        self._prepared.check(portal.statement)
        work = Work(plan, portal.statement, portal)
        if portal.statement is not None and portal.statement.is_of_tenants:
            work.tenant = self.tenant.check_execute(plan, portal.tenant)
        work.on_complete = self._prepared.changes(plan, self._prepared.made_by(portal.statement), batch)
        if portal.needs_description(batch):
            portal.described_in = batch
            described = Work(plan, portal.statement, portal)
            link.expect(Describe(PORTAL, name).encode(), Request.DESCRIBE_PORTAL, described, Answer.SKIP)
        self.copies.may_copy = plan.refusal is None
        link.executions += 1
        link.note_settings(plan)
        link.note_shape(plan)
        self._swaps.note_sent(plan)
        link.expect(raw, Request.EXECUTE, work)

    def on_close(self, raw: bytes) -> None:
        link = self._link
        close = Close.decode(raw)
        check_not_reserved(close.name)
        batch = link.queue.batch
        if close.kind == STATEMENT:
            link.expect(raw, Request.CLOSE, Work(changes=(link.statements.change(close.name, None, batch),)))
        elif close.kind == PORTAL:
            link.expect(raw, Request.CLOSE, Work(changes=(link.portals.change(close.name, None, batch),)))
        else:
            raise PgcryptError(f"invalid CLOSE message subtype {close.kind}", sqlstate="08P01")

    def on_flush(self, raw: bytes) -> None:
        if len(raw) != len(FLUSH):
            raise MalformedMessage("invalid message format")
        self._link.to_backend.append(raw)

    def on_sync(self, raw: bytes) -> None:
        self.is_batch_doomed = False
        self._link.executions += 1
        self._link.expect(SYNC if len(raw) == len(SYNC) else BAD_SYNC, Request.SYNC)

    # -- others

    def on_function_call(self, raw: bytes) -> None:
        """Only functions that come with PostgreSQL (large objects use this): others may write anywhere."""
        function_oid = int.from_bytes(raw[5:9])
        if function_oid >= FIRST_NORMAL_OBJECT_ID and self._link.planner.catalog.sensitive_names:
            raise Refusal(
                "FunctionCall messages to functions of the database's own are not supported",
                hint="Call the function with SELECT.",
            )
        self._link.executions += 1
        self._link.expect(raw, Request.FUNCTION_CALL)

    def on_terminate(self, raw: bytes) -> None:
        self._link.end_frontend()

    # -- checks

    def known_statement(self, name: bytes) -> Statement:
        """The statement that a Bind may use. What the session did not see prepared could hold anything."""
        statement = self._link.statements.get(name, self._link.queue.batch)
        if statement is None or statement.plan.refusal is not None:
            shown = name.decode("utf-8", "replace")
            raise PgcryptError(
                f'prepared statement "{shown}" does not exist' if name else "unnamed prepared statement does not exist",
                sqlstate="26000",
            )
        self._planning.await_shape()
        statement = self._current(statement)
        self._planning.check_names(statement)
        self._prepared.check(statement)
        return statement

    def _current(self, statement: Statement) -> Statement:
        """What has that name under the present catalog. Raises Hold and CatalogDrift.

        A statement on a column that was sealed meanwhile, or made plain, is prepared anew, since the client sees
        the same types; so is one with values that were sealed under a key that was retired since. Not so where a
        column was imported: the client would go on with values and types of its own cipher.
        """
        self._swaps.await_swap(statement.plan)
        if statement.sealed_under and not self._link.values.keyring.are_active(statement.sealed_under):
            if self._swaps.speaks_of_imported(statement.plan):
                self._planning.check_current(statement)
            return self._prepared_anew(statement)
        try:
            self._planning.check_current(statement)
        except CatalogDrift as drift:
            if not self._swaps.concerns(statement.plan):
                raise
            return self._prepared_anew(statement, drift if self._swaps.speaks_of_imported(statement.plan) else None)
        return statement

    def _prepared_anew(self, statement: Statement, otherwise: CatalogDrift | None = None) -> Statement:
        """`otherwise`: what is said of a statement that would not be refused."""
        link, name = self._link, statement.name
        parse = Parse(name, link.encoding.encoded(statement.sql), statement.parameter_type_oids)
        text = self._prepared.read(self._planning.plan(parse.query, extended=True))
        plan = text.planned.plan
        if plan.refusal is not None:
            raise copy.copy(plan.refusal)  # the plan is shared: raised itself, it would keep every traceback
        if otherwise is not None:
            raise otherwise
        self._check_settings(plan)
        if has_literals_of_tenants(plan):
            self._prepared_for_tenants(plan)
        return self._send_parse(parse.encode(), parse, text, Answer.SKIP)

    def await_settings(self) -> None:
        """Wait for a change of settings that is sure to be answered, since its Sync was sent. Raises Hold."""
        if self._link.is_in_doubt and self._link.queue.is_synced:
            raise Hold

    def _check_settings(self, plan: Plan) -> None:
        """Behind a change of settings in the same batch no value can be read for certain. Raises Refusal."""
        is_free = plan.is_untouched or plan.is_optional
        if self._link.is_in_doubt and not is_free and plan.refusal is None:
            raise refuse.unsettled_settings()

    def _check_keys(self, plan: Plan) -> None:
        """What could not be opened, or sealed on its way, must not be asked for. Raises KeyUnavailable."""
        if any(s.needs_keys for s in plan.statements):
            self._link.values.check_available()

    def refuse(self, raw: bytes, error: PgcryptError) -> None:
        """Let the server fail in place of this message, and answer with `error`."""
        link = self._link
        if isinstance(error, ProtocolError):
            # A sound frame with an unsound body: the server would say ERROR and go on.
            error = PgcryptError(error.message, sqlstate=error.code)
        link.observer.refused(error)
        if raw[0] == ord("Q"):
            self.copies.may_copy = False
            self.expect_query(REFUSED_QUERY, Work(), error)
        elif raw[0] == ord("F"):
            link.expect(REFUSED_CALL, Request.FUNCTION_CALL, Work(), Answer.REPLACE, error)
        else:
            link.expect(REFUSED_BIND, Request.BIND, Work(), Answer.REPLACE, error)
            self.is_batch_doomed = True


def _plan_of(portal: Portal) -> Plan:
    return UNTOUCHED if portal.statement is None else portal.statement.plan
