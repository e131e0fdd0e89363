"""COPY of protected columns: the state of one COPY, and the frontend's CopyData, CopyDone and CopyFail.

Joins the formats of `wire` with the values of `transform`; knows nothing of SQL.

The frontend's data are taken only when the server has said that it wants them
for this very COPY: until then they are held. When they turn out bad, the server
gets a CopyFail, so that it undoes the statement itself; its error is replaced by
ours, and what the client still sends of the data is thrown away.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from pgcrypt_proxy.errors import BackendProtocolError, KeyNotLoaded, PgcryptError
from pgcrypt_proxy.session import copy_checks, copy_rows
from pgcrypt_proxy.session.copy_tenants import Collected, copy_of, further_keys, start_rows
from pgcrypt_proxy.session.link import Link, Work
from pgcrypt_proxy.session.opening import RowOpener
from pgcrypt_proxy.session.question import Hold
from pgcrypt_proxy.session.reply_queue import Request
from pgcrypt_proxy.session.results import drift
from pgcrypt_proxy.session.tenants import SessionTenant
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.session.waiting import RowsWait
from pgcrypt_proxy.sql.plan import CopyPlan
from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.backend import ErrorResponse
from pgcrypt_proxy.wire.copy_binary import BinaryReplacer
from pgcrypt_proxy.wire.copy_format import MAX_LEFT, Actions, BadField, Checks, CopyKind
from pgcrypt_proxy.wire.copy_leaders import LedLines, LedTuples
from pgcrypt_proxy.wire.copy_lines import LineReplacer
from pgcrypt_proxy.wire.frontend import COPY_DONE, copy_fail
from pgcrypt_proxy.wire.reader import MalformedMessage, Reader

#: What the server is told, and repeats in the error that is replaced.
STOPPED = "stopped by pgcrypt-proxy"
QUERY_CANCELED = "57014"
#: Data for the server go on in messages of this size at most.
MAX_COPY_DATA_BYTES = 1024 * 1024
#: From this version on a line of `\.` is data in CSV.
MARKER_IS_DATA_IN_CSV = 18

#: Data with tenants are taken in stretches that need no more keys than are kept at once.
STRETCH_BYTES = 8192

_LENGTH = struct.Struct("!i")
_TAKES_DATA = frozenset({Request.QUERY, Request.EXECUTE})


def planned_copy(work: Work) -> CopyPlan | None:
    """The plan of the COPY that this request is at, if it has one."""
    statements = work.plan.statements
    return statements[work.index].copy if work.index < len(statements) else None


def check_response(raw: bytes, plan: CopyPlan) -> None:
    """CopyInResponse and CopyOutResponse must tell of the planned format and columns. Raises CatalogDrift."""
    reader = Reader(raw)
    format_code, count = reader.byte(), reader.int16()
    if format_code != (plan.format.kind is CopyKind.BINARY) or count != len(plan.columns):
        raise drift("COPY has other columns than it was planned for")


def _replacer(
    plan: CopyPlan, actions: Actions, link: Link, checks: Checks | None = None
) -> LineReplacer | BinaryReplacer:
    taker = copy_rows.taker(plan, link.values, link.meter, link.max_row_bytes) if plan.is_from else None
    lines: Callable[..., LineReplacer] = LineReplacer
    tuples: Callable[..., BinaryReplacer] = BinaryReplacer
    if plan.tenant_at is not None:
        on_row = link.values.tenants.on_row
        lines, tuples = partial(LedLines, plan.tenant_at, on_row), partial(LedTuples, plan.tenant_at, on_row)
    if plan.format.kind is CopyKind.BINARY:
        return tuples(actions, checks, link.max_row_bytes, taker)
    return lines(
        plan.format,
        plan.names,
        actions,
        is_output=not plan.is_from,
        marker_ends_csv=link.server_version < MARKER_IS_DATA_IN_CSV,
        checks=checks,
        max_row_bytes=link.max_row_bytes,
        taker=taker,
    )


class CopyIn:
    """A COPY FROM STDIN that the server waits for the data of."""

    def __init__(self, plan: CopyPlan, link: Link, work: Work) -> None:
        self._plan = plan
        self._link = link
        self._work = work
        self._at = 5  # in the message under way
        self._collected = Collected() if any(c.tenant for c in plan.columns if c is not None) else None
        actions = _sealers(plan, link.values)
        if self._collected is not None:
            actions = self._collected.around(actions)
            start_rows(plan, link.values, work.tenant)
        checks = None if plan.skips_bad_rows else copy_checks.of(plan, link.values)
        self._replacer = _replacer(plan, actions, link, checks)
        self.is_done = False
        self.has_failed = False

    def on_data(self, raw: bytes, tenant: SessionTenant) -> None:
        """A CopyData. Raises Hold while keys of tenants are loaded."""
        if self._collected is None:
            self._feed(raw[5:], tenant)
            return
        while self._at < len(raw) and not self.has_failed:
            self._feed(raw[self._at : self._at + STRETCH_BYTES], tenant)
            self._at += STRETCH_BYTES  # a message that is held goes on from here
        self._at = 5

    def _feed(self, data: bytes, tenant: SessionTenant) -> None:
        try:
            made = self._taken(lambda replacer: replacer.feed(data), tenant)
        except PgcryptError as error:
            self._stop(error)
        else:
            self._send(made)

    def _taken(self, take: Callable[[LineReplacer | BinaryReplacer], bytes], tenant: SessionTenant) -> bytes:
        """What `take` gives, once every key is there that its rows need: until then nothing is taken."""
        if self._collected is None:
            return take(self._replacer)
        before = copy_of(self._replacer)
        failure: PgcryptError | None = None
        made = b""
        try:
            made = take(self._replacer)
        except PgcryptError as error:
            failure = error
        seals = self._collected.taken()
        if seals:
            self._replacer = before
            tenant.await_seals(seals)
            raise Hold
        tenant.note_progress()
        if failure is not None:
            raise failure
        return made

    def on_done(self, tenant: SessionTenant) -> None:
        """CopyDone. Raises Hold as `on_data`."""
        try:
            made = self._taken(lambda replacer: replacer.finish(), tenant)
        except PgcryptError as error:
            self._stop(error)
            return
        self._send(made)
        self.is_done = True
        self._link.expect(COPY_DONE, Request.COPY_END)

    def on_fail(self, raw: bytes) -> None:
        """CopyFail. Drivers put the values into its text at which they failed: the server does not see it."""
        try:
            reason = Reader(raw).string().decode("utf-8", "replace")
        except MalformedMessage as malformed:
            self.fail(PgcryptError(malformed.message, sqlstate=malformed.code))
            return
        error = PgcryptError(f"COPY from stdin failed: {reason}", sqlstate=QUERY_CANCELED)
        error.context = self._place(self._replacer.line + 1)
        self.fail(error)

    def _stop(self, error: PgcryptError) -> None:
        """`error` is in the data. The rows before it are the server's to judge."""
        self._send(self._replacer.before)
        self.fail(self._placed(error))

    def fail(self, error: PgcryptError) -> None:
        """Let the server fail the COPY; the client hears `error`."""
        self.has_failed = True
        self._work.copy_error = error
        self._link.expect(copy_fail(STOPPED.encode()), Request.COPY_END)

    def _send(self, data: bytes) -> None:
        for at in range(0, len(data), MAX_COPY_DATA_BYTES):
            self._link.to_backend.append(writer.message(codes.COPY_DATA, data[at : at + MAX_COPY_DATA_BYTES]))

    def _placed(self, error: PgcryptError) -> PgcryptError:
        """`error` with its line, and its column if it is about one."""
        place = self._place(self._replacer.line)
        if isinstance(error, BadField):
            place += f", column {self._plan.names[error.column]}"
            error = error.cause
        if self._replacer.line:  # else it is about the header of the binary format
            error.context = place
        return error

    def _place(self, line: int) -> str:
        return f"COPY {self._plan.table}, line {line}"


def _sealers(plan: CopyPlan, values: Values) -> Actions:
    is_binary = plan.format.kind is CopyKind.BINARY
    return tuple(
        None if column is None else values.sealer(column, is_binary=is_binary, skips_bad_values=plan.skips_bad_rows)
        for column in plan.columns
    )


class CopyOut:
    """A COPY TO STDOUT under way: data of the server become the client's."""

    def __init__(self, plan: CopyPlan, link: Link, tenant: str | None = None) -> None:
        format_code = int(plan.format.kind is CopyKind.BINARY)
        actions = tuple(
            None if column is None else link.values.opener(column, format_code, tenant) for column in plan.columns
        )
        self._replacer = _replacer(plan, actions, link)
        self._opener = copy_rows.CopyOpener(plan, link.values, link.meter)
        self._between_rows: LineReplacer | BinaryReplacer | None = None
        self._has_tenants = any(column.tenant for column in plan.columns if column is not None)

    def open(self, run: bytes, out: list[bytes]) -> None:
        """Append the CopyData messages for the client; `run` are whole ones of the server.

        Raises what opening raises, and RowsWait; what is before is in `out`.
        """
        at, size, left = 0, len(run), 0
        before = None
        try:
            while at < size:
                if left < MAX_LEFT and self._replacer.is_between_rows:
                    opened, reached = self._opener.take(run, at)
                    if reached > at:
                        out.append(opened)
                        at, left = reached, 0
                        continue
                left += 1
                end = at + 1 + _LENGTH.unpack_from(run, at + 1)[0]
                before = self._as_it_is()
                made = self._replacer.feed(run[at + 5 : end])
                if made:
                    out.append(writer.message(codes.COPY_DATA, made))
                at = end
        except BadField as error:
            if before is not None and isinstance(error.cause, KeyNotLoaded):
                self._replacer = copy_of(before)
                raise RowsWait(run[at:], further_keys(before, run, at)) from None
            raise error.cause from None

    def _as_it_is(self) -> LineReplacer | BinaryReplacer | None:
        """The replacer, to go back to. In the midst of a long row only where keys are asked for all the time."""
        if not self._replacer.is_between_rows:
            return copy_of(self._replacer) if self._has_tenants else None
        if self._between_rows is None:  # which it is alike behind every row
            self._between_rows = copy_of(self._replacer)
        return self._between_rows

    @property
    def rows_opener(self) -> RowOpener | None:
        """What opens the rows that come next, if the last one was complete."""
        return self._opener if self._replacer.is_between_rows else None

    def check_done(self) -> None:
        """CopyDone: the last row must have been complete. Raises BackendProtocolError."""
        if self._replacer.finish():
            raise BackendProtocolError("the server's COPY data end in the middle of a row")


class CopyMessages:
    """Takes CopyData, CopyDone and CopyFail from the frontend."""

    def __init__(self, link: Link, tenant: SessionTenant) -> None:
        self._link = link
        self._tenant = tenant
        #: Whether a statement was sent that may take data: others' data the server need not see.
        self.may_copy = False

    def on_message(self, raw: bytes) -> None:
        """The server ignores these messages outside COPY. Raises Hold."""
        link = self._link
        if len(link.queue) == 0:
            return
        copy = link.copy_in
        if copy is not None:
            self._take(copy, raw)
        elif link.queue.is_copying_in:
            self._pass(raw)
        elif any(_awaits_data(entry.request, entry.work) for entry in link.queue):
            raise Hold
        elif self.may_copy:
            self._pass(raw)

    def _pass(self, raw: bytes) -> None:
        if raw[0] == codes.COPY_DATA:
            self._link.to_backend.append(raw)
        else:
            self._link.expect(raw, Request.COPY_END)

    def _take(self, copy: CopyIn, raw: bytes) -> None:
        if copy.has_failed:
            self.may_copy = False
        elif copy.is_done:
            raise Hold  # it may be for another COPY of the same text
        elif raw[0] == codes.COPY_DATA:
            copy.on_data(raw, self._tenant)
        elif raw[0] == codes.COPY_DONE:
            copy.on_done(self._tenant)
        else:
            copy.on_fail(raw)


def _awaits_data(request: Request, work: Work) -> bool:
    """Whether a COPY FROM with protected columns may come of this request."""
    statements = work.plan.statements[work.index :]
    return request in _TAKES_DATA and any(s.copy is not None and s.copy.is_from for s in statements)


def replaced_error(response: ErrorResponse, work: Work) -> PgcryptError | None:
    """Our own error, if `response` is what came of our CopyFail."""
    error = work.copy_error
    if error is None or response.sqlstate != QUERY_CANCELED or STOPPED.encode() not in (response.get("M") or b""):
        return None
    return error
