"""One client connection as a pure state machine: an event in, commands out; never waits, never does I/O.

Theory of operation
===================

Rules:

1. Every message that the server will answer has exactly one entry in the reply
   queue, made when it is sent. What the server says is understood by that entry
   alone, never by what the message looks like.
2. Transaction state, order of replies and skip-until-Sync are the server's. A
   refusal is therefore a message of ours that the server is certain to fail, in
   the place of the refused one; its one ErrorResponse is replaced.
3. Nothing of a refused message reaches the server, nothing undecided is sent,
   and nothing unopened reaches the client from a column that is protected.
4. When the session and the server disagree on anything, the connection ends.

Mechanism. `startup.py` leads to the first ReadyForQuery. Then `from_frontend`
takes messages one by one: an untouched statement's bytes go on as they are, a
rewritten one's are made from its plan and `transform.Values`. `statements.py`
remembers what names mean, and when that is certain. `from_backend` matches each
message with the head of `reply_queue.py`. Rows without protected columns pass
in runs.

Waiting is a held message. Planning may need the meaning of a name, which is
asked of the server by messages of our own (`planning.py`), what this session's
own DDL made of protected tables (`shape.py`), or a newer catalog
(`RefreshCatalog`, `LookUpRelations`); a name may be unsettled; COPY data with protected columns wait
for the server's CopyInResponse (`copy.py`). The frontend's next messages then
stay in its buffer (`is_holding_frontend`: the server layer need not read on),
and the held one is tried again from its beginning after every event. Handlers
must therefore raise Hold or Unsettled before they change anything.

Failing late. When rows turn out not to open, or a result is not the one that
was planned, the statement has already run. An ERROR would tell the client that
its effects are rolled back, which is known only in an open transaction block,
and no message of ours could make it so for what is pipelined behind. So the
client gets a FATAL error and both legs close: the outcome is "not known", which
is the truth. What can be foreseen (keys past their time, bad values, changed
definitions of prepared statements) fails before it runs, as a plain ERROR.

Warning. A new frontend message type needs its entry in `reply_queue.ANSWERS`;
a new way to swallow replies must keep rule 1; anything that lets a plan outlive
its catalog or its search_path must go through `Planning.check_current` and
`check_names`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.commands import CloseConnection, Command
from pgcrypt_proxy.session.courses import Courses
from pgcrypt_proxy.session.events import (
    AccountFound,
    BackendFailed,
    BackendOpened,
    ConnectionClosed,
    DataReceived,
    Event,
    InputEnded,
    KeysFetched,
    LoginDenied,
    Side,
    TlsStarted,
    WorldChanged,
)
from pgcrypt_proxy.session.express import Express
from pgcrypt_proxy.session.from_backend import FromBackend
from pgcrypt_proxy.session.from_frontend import FromFrontend
from pgcrypt_proxy.session.link import IDLE, Link, SessionFatal
from pgcrypt_proxy.session.login import LoginRules
from pgcrypt_proxy.session.long_messages import LongMessages
from pgcrypt_proxy.session.observer import Observer
from pgcrypt_proxy.session.planning import Planning
from pgcrypt_proxy.session.question import Hold
from pgcrypt_proxy.session.startup import Phase, Startup
from pgcrypt_proxy.session.statements import Unsettled
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.wire.copy_format import MAX_ROW_BYTES

MAX_MESSAGE_BYTES = 0x3FFFFFFF  # MaxAllocSize - 1 in postgres


class Session:
    """The state machine. The server layer feeds `handle` and carries out what it returns, in order.

    `may_watch`: whether statements on tables of rules with a phase may be sent now.
    """

    def __init__(
        self,
        planner: Planner,
        keyring: Keyring,
        observer: Observer,
        *,
        database_name: str | None = None,
        tls_available: bool = False,
        tls_required: bool = False,
        login: LoginRules | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        may_watch: Callable[[], bool] = lambda: True,
        max_row_bytes: int = MAX_ROW_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = Link(
            planner,
            keyring,
            observer,
            max_message_bytes=max_message_bytes,
            max_row_bytes=max_row_bytes,
            clock=clock,
        )
        self._startup = Startup(
            self._link,
            database_name=database_name,
            tls_available=tls_available,
            tls_required=tls_required,
            login=login or LoginRules(),
        )
        self._planning = Planning(self._link, may_watch)
        self._courses = Courses(self._link, self._planning.swaps)
        self._from_frontend = FromFrontend(self._link, self._planning, self._courses)
        self._from_backend = FromBackend(self._link, self._courses)
        self._long_messages = LongMessages(self._link, self._planning, self._from_frontend)
        self._express = Express(
            self._link, self._from_frontend, self._from_backend, self._planning.swaps, self._courses
        )
        self._held: bytes | None = None
        self._is_first_data = True
        self._has_input_ended = False

    @property
    def is_ready(self) -> bool:
        """Whether authentication is over."""
        return self._startup.phase is Phase.READY

    @property
    def user(self) -> str:
        """The user that the client named, empty before it did."""
        return self._startup.user

    @property
    def is_closed(self) -> bool:
        """Whether the session has nothing more to say."""
        return self._link.is_closed

    @property
    def is_holding_frontend(self) -> bool:
        """Whether the frontend's messages wait in the buffer; reading more of them can be put off."""
        return self._held is not None or self._startup.phase in (
            Phase.TLS,
            Phase.ACCOUNT,
            Phase.CONNECTING,
        )

    @property
    def is_holding_backend(self) -> bool:
        """Whether the server's messages wait in the buffer, for keys."""
        return bool(self._link.awaiting_keys) and Side.BACKEND in self._link.awaiting_keys

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: not logged in yet, or between transactions with no answer due."""
        link = self._link
        if not self.is_ready:
            return True
        self._express.leave()
        return link.transaction_status == IDLE and not len(link.queue) and self._held is None

    def is_using(self, table: str) -> bool:
        """Whether a statement on `table` (schema.name), one whose column is on its way, is with the server."""
        self._express.leave()
        return self._planning.swaps.is_using(table)

    def shut_down(self) -> list[Command]:
        """End the connection as an administrator's command does."""
        self._express.leave()
        self._link.terminate(SessionFatal("terminating connection due to administrator command", sqlstate="57P01"))
        return self._link.take_commands()

    def handle(self, event: Event) -> list[Command]:
        """Take one event; return what is to be done now, in order."""
        link = self._link
        self._express.leave()
        if link.is_closed:
            # The connection asked for came too late.
            return [CloseConnection(Side.BACKEND)] if isinstance(event, BackendOpened) else []
        try:
            if isinstance(event, DataReceived):
                self._on_data(event)
            else:
                self._on_event(event)
        except PgcryptError as error:
            link.terminate(error)
        link.meter.report()
        return link.take_commands()

    @property
    def course(self) -> Any:
        """Takes, in place of `handle`, what it knows once `arm` was called; None without compiled code."""
        return self._courses.native

    def arm(self) -> None:
        """Let the course take what comes next, if nothing is pending. Every other call ends that."""
        if self._held is None and self.is_ready and not self._has_input_ended:
            self._courses.arm()
            self._from_backend.stream()

    def leave_course(self) -> None:
        """Take nothing without `handle` from now on."""
        self._express.leave()

    def report(self) -> None:
        """Tell the observer what was done since."""
        self._courses.settle()
        self._link.meter.report()

    def close_course(self) -> None:
        """The connection is gone."""
        self.report()
        self._courses.close()

    def _on_data(self, event: DataReceived) -> None:
        link = self._link
        is_ready = self._startup.phase is Phase.READY
        if event.side is Side.FRONTEND and link.is_frontend_done:
            return
        if event.side is Side.BACKEND:
            if is_ready and self._express.take_replies(event.data):
                self._pump_frontend()
                return
            link.backend.feed(event.data)
            if self._startup.phase is not Phase.READY:
                self._startup.on_backend()
            if self._startup.phase is Phase.READY:
                self._from_backend.pump()
        else:
            if is_ready and self._held is None and self._express.take_requests(event.data):
                self._pump_frontend()
                return
            if self._startup.phase is Phase.TLS:
                self._startup.on_data_before_tls()
                return
            if self._is_first_data and event.data:
                self._is_first_data = False
                self._startup.check_first_byte(event.data[0])
            link.frontend.feed(event.data)
        self._pump_frontend()

    def _on_event(self, event: Event) -> None:
        link = self._link
        if isinstance(event, WorldChanged):
            before = link.shared_catalog
            link.change_world(event.planner, event.keyring)
            self._planning.swaps.note_changed(before)
            if event.answers is not None and event.error is None:
                link.settle_shape(event.answers)
            self._planning.on_world_changed(event)
        elif isinstance(event, KeysFetched):
            link.awaiting_keys.discard(event.side)
            if event.error is not None:
                link.key_errors[event.side] = event.error
            if event.side is Side.BACKEND:
                self._from_backend.pump()
        elif isinstance(event, TlsStarted):
            self._startup.on_tls_started(event)
        elif isinstance(event, AccountFound):
            self._startup.on_account_found(event)
        elif isinstance(event, LoginDenied):
            link.terminate(event.error)
        elif isinstance(event, BackendOpened):
            self._startup.on_backend_opened(event)
        elif isinstance(event, BackendFailed):
            self._startup.on_backend_failed(event.reason)
        elif isinstance(event, ConnectionClosed):
            self._on_closed(event.side)
        elif isinstance(event, InputEnded):
            self._has_input_ended = True
            if not self.is_ready:
                self._on_closed(Side.FRONTEND)
        self._pump_frontend()

    def _on_closed(self, side: Side) -> None:
        link = self._link
        if side is Side.FRONTEND:
            link.is_closed = True
            link.commands.append(CloseConnection(Side.BACKEND))
        elif link.is_server_ending:
            link.is_closed = True
            link.commands.append(CloseConnection(Side.FRONTEND))
        else:
            link.terminate(SessionFatal("the server closed the connection unexpectedly", sqlstate="08006"))

    def _pump_frontend(self) -> None:
        """Deal with the application's messages until one must wait."""
        link = self._link
        if self._startup.phase is not Phase.READY:
            self._startup.on_frontend()
            return
        if self._held is None and not link.frontend.pending and not self._has_input_ended:
            return
        while not (link.is_closed or link.is_frontend_done):
            raw = self._held if self._held is not None else self._long_messages.take()
            if raw is None:
                if self._has_input_ended:
                    self._end_input()
                return
            try:
                self._from_frontend.on_message(raw)
            except (Hold, Unsettled):
                self._held = raw
                return
            self._held = None
            self._planning.forget()

    def _end_input(self) -> None:
        """All that the application has sent was dealt with, and nothing more comes."""
        link = self._link
        self._express.leave()
        if link.queue.is_copying_in or link.frontend.is_in_parts:
            link.terminate(None)  # its data are not complete: the server learns it by the end of the connection
        else:
            link.end_frontend()
