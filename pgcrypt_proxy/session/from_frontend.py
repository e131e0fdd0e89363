"""Messages that the application sends, once the connection is ready: what of them the server gets to see.

Every handler ends in one of three ways: the bytes go on as they came, a
rewritten message goes on, or one that must fail goes on in its place and its
error is replaced by ours. Nothing is decided here about answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pgcrypt_proxy.errors import FrontendProtocolError, PgcryptError, ProtocolError, Refusal
from pgcrypt_proxy.session.encodings import is_rewritable
from pgcrypt_proxy.session.link import Link, Work
from pgcrypt_proxy.session.planning import Hold, Planned, Planning
from pgcrypt_proxy.session.reply_queue import Answer, Request
from pgcrypt_proxy.session.statements import MAX_KEPT_BIND_BYTES, NEVER_PREPARED, Portal, Statement, check_not_reserved
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.plan import UNTOUCHED, Plan, Use
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, TERMINATE, Bind, Close, Describe, Parse, Query

BYTEA_OID, BYTEA_ARRAY_OID = 17, 1001
STATEMENT, PORTAL = ord("S"), ord("P")

REFUSED_QUERY = Query(REFUSED_STATEMENT.encode()).encode()
#: The server looks up the statement first: it fails with 26000, touches no portal, and skips to Sync.
REFUSED_BIND = Bind(b"", NEVER_PREPARED, (), (), ()).encode()

#: FirstNormalObjectId of PostgreSQL: what comes with it has smaller OIDs.
FIRST_NORMAL_OBJECT_ID = 16_384
_RETURNS_ANY_ROWS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:fetch|execute)\b", re.IGNORECASE | re.DOTALL)


class FromFrontend:
    """Handlers by message type. They raise Hold or Unsettled, before any effect, when the message must wait."""

    def __init__(self, link: Link, planning: Planning) -> None:
        self._link = link
        self._planning = planning
        self._may_copy = False
        self._is_batch_doomed = False
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
            ord("d"): self.on_copy,
            ord("c"): self.on_copy,
            ord("f"): self.on_copy,
        }

    def on_message(self, raw: bytes) -> None:
        """One message. While the server skips to Sync, or is certain to, it ignores all others: they are not sent."""
        handler = self._handlers.get(raw[0])
        if handler is None:
            raise FrontendProtocolError(f"invalid frontend message type {raw[0]}")
        if self._link.queue.is_skipping and raw[0] not in b"SX":
            return
        if self._is_batch_doomed and raw[0] not in b"SXH":
            return
        try:
            handler(raw)
        except ProtocolError as error:
            # A sound frame with an unsound body: the server would say ERROR and go on.
            self._refuse(raw, PgcryptError(error.message, sqlstate=error.code))
        except PgcryptError as error:
            self._refuse(raw, error)

    # -- simple query

    def on_query(self, raw: bytes) -> None:
        link = self._link
        self._await_settings()
        planned = self._planning.plan(Query.decode(raw).text, extended=False)
        plan = planned.plan
        work = Work(plan)
        self._check_executed(plan)
        if not plan.is_untouched:
            self._check_settings(plan)
            self._check_keys(plan)
            text, work.lengths = link.values.render(plan.pieces)
            raw = Query(text.encode()).encode()
        self._may_copy = plan.refusal is None
        link.note_settings(plan)
        self._expect_query(raw, work)

    def _expect_query(self, raw: bytes, work: Work, error: PgcryptError | None = None) -> None:
        """A Query takes away the unnamed statement and the unnamed portal, whether or not it fails."""
        link = self._link
        batch = link.queue.batch
        work.changes = (link.statements.change(b"", None, batch), link.portals.change(b"", None, batch))
        answer = Answer.FORWARD if error is None else Answer.REPLACE
        link.executions += 1
        link.expect(raw, Request.QUERY, work, answer, error)

    # -- extended query

    def on_parse(self, raw: bytes) -> None:
        link = self._link
        parse = Parse.decode(raw)
        check_not_reserved(parse.statement_name)
        self._await_settings()
        planned = self._planning.plan(parse.query, extended=True)
        plan = planned.plan
        self._check_settings(plan)
        self._check_executed(plan)
        statement = self._statement(parse, planned)
        work = Work(plan, statement)
        if not plan.is_untouched:
            text, work.lengths = link.values.render(plan.pieces)
            oids = upstream_type_oids(plan, parse.parameter_type_oids)
            raw = Parse(parse.statement_name, text.encode(), oids).encode()
        work.changes = (link.statements.change(statement.name, statement, link.queue.batch),)
        link.expect(raw, Request.PARSE, work)
        self._is_batch_doomed = plan.refusal is not None

    def _statement(self, parse: Parse, planned: Planned) -> Statement:
        return Statement(
            name=parse.statement_name,
            sql=planned.sql,
            plan=planned.plan,
            parameter_type_oids=tuple(parse.parameter_type_oids),
            resolved=planned.resolved,
            version=self._link.planner.catalog.version,
            resolved_at=self._link.executions,
            may_return_any_rows=_RETURNS_ANY_ROWS.match(planned.sql) is not None,
        )

    def on_bind(self, raw: bytes) -> None:
        link = self._link
        portal_name, statement_name = _two_names(raw)
        check_not_reserved(portal_name)
        self._await_settings()
        statement = self._known_statement(statement_name)
        self._check_settings(statement.plan)
        portal = Portal(statement)
        work = Work(statement.plan, statement, portal)
        if statement.plan.is_untouched and len(raw) <= MAX_KEPT_BIND_BYTES:
            portal.bind = raw
        else:
            bind = Bind.decode(raw)
            portal.formats = tuple(bind.result_format_codes)
            if statement.plan.parameters:
                raw = self._rewritten_bind(bind, statement).encode()
            if not statement.plan.is_untouched:
                self._check_keys(statement.plan)
        work.changes = (link.portals.change(portal_name, portal, link.queue.batch),)
        link.expect(raw, Request.BIND, work)

    def _rewritten_bind(self, bind: Bind, statement: Statement) -> Bind:
        plan, values = statement.plan, self._link.values
        if not is_rewritable(self._link.client_codec):
            raise Refusal(
                "parameters for protected columns cannot be read in this client encoding",
                hint="SET client_encoding TO 'UTF8'.",
            )
        declared = statement.parameter_type_oids
        count, required = len(bind.parameters), max(plan.client_parameters, len(declared))
        codes = bind.parameter_format_codes
        if len(codes) > 1 and len(codes) != count:
            raise PgcryptError(
                f"bind message has {len(codes)} parameter formats but {count} parameters", sqlstate="08P01"
            )
        if count != required:
            name = statement.name.decode("utf-8", "replace")
            raise PgcryptError(
                f'bind message supplies {count} parameters, but prepared statement "{name}" requires {required}',
                sqlstate="08P01",
            )
        parameters: list[bytes | None] = []
        upstream_codes: list[int] = []
        for use in plan.parameters:
            index = use.client_index
            value = bind.parameters[index]
            code = 0 if not codes else codes[0] if len(codes) == 1 else codes[index]
            if use.use is not Use.PASS:
                value = values.parameter(use, declared[index] if index < len(declared) else 0, value, code)
                code = 1
            parameters.append(value)
            upstream_codes.append(code)
        return Bind(
            bind.destination_portal,
            bind.statement_name,
            tuple(upstream_codes),
            tuple(parameters),
            tuple(bind.result_format_codes),
        )

    def on_describe(self, raw: bytes) -> None:
        link = self._link
        describe = Describe.decode(raw)
        check_not_reserved(describe.name)
        batch = link.queue.batch
        if describe.kind == STATEMENT:
            statement = link.statements.get(describe.name, batch)
            plan = UNTOUCHED
            if statement is not None:
                self._planning.check_current(statement)
                plan = statement.plan
                statement.described_in = batch
            link.expect(raw, Request.DESCRIBE_STATEMENT, Work(plan, statement))
        elif describe.kind == PORTAL:
            portal = link.portals.get(describe.name, batch) or Portal(None)
            portal.described_in = batch
            link.expect(raw, Request.DESCRIBE_PORTAL, Work(_plan_of(portal), portal.statement, portal))
        else:
            raise PgcryptError(f"invalid DESCRIBE message subtype {describe.kind}", sqlstate="08P01")

    def on_execute(self, raw: bytes) -> None:
        link = self._link
        name = raw[5 : raw.index(0, 5)]
        check_not_reserved(name)
        batch = link.queue.batch
        portal = link.portals.get(name, batch) or Portal(None)
        plan = _plan_of(portal)
        if portal.needs_description(batch):
            portal.described_in = batch
            described = Work(plan, portal.statement, portal)
            link.expect(Describe(PORTAL, name).encode(), Request.DESCRIBE_PORTAL, described, Answer.SKIP)
        self._may_copy = plan.refusal is None
        link.executions += 1
        link.note_settings(plan)
        link.expect(raw, Request.EXECUTE, Work(plan, portal.statement, portal))

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
        self._link.to_backend.append(FLUSH)

    def on_sync(self, raw: bytes) -> None:
        self._is_batch_doomed = False
        self._link.executions += 1
        self._link.expect(SYNC, Request.SYNC)

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

    def on_copy(self, raw: bytes) -> None:
        """CopyData, CopyDone, CopyFail: the server ignores them outside COPY, and need not see them then."""
        link = self._link
        if len(link.queue) == 0 or not (self._may_copy or link.queue.is_copying_in):
            return
        if raw[0] == ord("d"):
            link.to_backend.append(raw)
        else:
            link.expect(raw, Request.COPY_END)

    def on_terminate(self, raw: bytes) -> None:
        sent = self._link.to_backend.copy()
        self._link.terminate(None)
        self._link.to_backend += [*sent, TERMINATE]

    # -- checks

    def _known_statement(self, name: bytes) -> Statement:
        """The statement that a Bind may use. What the session did not see prepared could hold anything."""
        statement = self._link.statements.get(name, self._link.queue.batch)
        if statement is None or statement.plan.refusal is not None:
            shown = name.decode("utf-8", "replace")
            raise PgcryptError(
                f'prepared statement "{shown}" does not exist' if name else "unnamed prepared statement does not exist",
                hint="A statement made by SQL's PREPARE can be run by SQL's EXECUTE only." if name else None,
                sqlstate="26000",
            )
        self._planning.check_current(statement)
        self._planning.check_names(statement)
        return statement

    def _check_executed(self, plan: Plan) -> None:
        """SQL's EXECUTE hands its arguments to the server as they are. Raises Refusal."""
        link = self._link
        for planned in plan.statements:
            if planned.executes is None:
                continue
            executed = link.statements.get(planned.executes.encode(), link.queue.batch)
            if executed is not None and not executed.plan.is_untouched:
                raise Refusal(
                    f'EXECUTE is not possible on prepared statement "{planned.executes}",'
                    " which works on protected columns",
                    hint="Run it by the extended query protocol, as it was prepared.",
                )

    def _await_settings(self) -> None:
        """Wait for a change of settings that is sure to be answered, since its Sync was sent. Raises Hold."""
        if self._link.is_in_doubt and self._link.queue.is_synced:
            raise Hold

    def _check_settings(self, plan: Plan) -> None:
        """Behind a change of settings in the same batch no value can be read for certain. Raises Refusal."""
        if self._link.is_in_doubt and not plan.is_untouched and plan.refusal is None:
            raise refuse.unsettled_settings()

    def _check_keys(self, plan: Plan) -> None:
        """A result that could not be opened must not be asked for. Raises KeyUnavailable."""
        if any(s.outputs is not None and any(s.outputs) for s in plan.statements):
            self._link.values.check_available()

    def _refuse(self, raw: bytes, error: PgcryptError) -> None:
        """Let the server fail in place of this message, and answer with `error`."""
        link = self._link
        link.observer.refused(error)
        if raw[0] == ord("Q"):
            self._may_copy = False
            self._expect_query(REFUSED_QUERY, Work(), error)
        elif raw[0] == ord("F"):
            raise FrontendProtocolError(error.message)
        else:
            link.expect(REFUSED_BIND, Request.BIND, Work(), Answer.REPLACE, error)
            self._is_batch_doomed = True


def upstream_type_oids(plan: Plan, declared: tuple[int, ...]) -> tuple[int, ...]:
    """The types of the upstream parameters: the client's where values pass, bytea where they are sealed."""
    if not plan.parameters:
        return tuple(declared)
    oids = []
    for use in plan.parameters:
        if use.use is Use.PASS:
            oids.append(declared[use.client_index] if use.client_index < len(declared) else 0)
        else:
            oids.append(BYTEA_ARRAY_OID if use.use.is_array else BYTEA_OID)
    return tuple(oids)


def _plan_of(portal: Portal) -> Plan:
    return UNTOUCHED if portal.statement is None else portal.statement.plan


def _two_names(raw: bytes) -> tuple[bytes, bytes]:
    """The first two strings of a message."""
    end = raw.find(0, 5)
    second_end = raw.find(0, end + 1)
    if end < 0 or second_end < 0:
        raise PgcryptError("invalid message format", sqlstate="08P01")
    return raw[5:end], raw[end + 1 : second_end]
