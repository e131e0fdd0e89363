"""What the parts of one session share: buffers, books, and what is to be sent.

Holds state and joins outgoing bytes; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.commands import CloseConnection, Command, SendData
from pgcrypt_proxy.session.encodings import ClientEncoding
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import Observer
from pgcrypt_proxy.session.opening import RowOpener, RowOpeners
from pgcrypt_proxy.session.reply_queue import Answer, Expected, ReplyQueue, Request
from pgcrypt_proxy.session.results import Descriptions, Result
from pgcrypt_proxy.session.statements import Change, Names, Portal, Statement
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.plan import UNTOUCHED, LiteralSlot, Plan
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.wire.backend import error_response
from pgcrypt_proxy.wire.framing import FrameBuffer
from pgcrypt_proxy.wire.frontend import TERMINATE

if TYPE_CHECKING:
    from pgcrypt_proxy.session.copy import CopyIn, CopyOut

#: Of a server that does not say; taken for a new one.
UNKNOWN_VERSION = 999
#: Programs, by their application_name, that must see sealed types: dumps, and this one behind another proxy.
STORAGE_READERS = frozenset({"pg_dump", "pg_dumpall", "pgcrypt-proxy"})
IDLE, IN_TRANSACTION, FAILED_TRANSACTION = ord("I"), ord("T"), ord("E")


class SessionFatal(PgcryptError):
    """An error after which this connection cannot go on."""

    severity = "FATAL"
    sqlstate = "08P01"
    kind = "session"


def fatal(error: PgcryptError) -> PgcryptError:
    """The same error, as one that ends the connection."""
    if error.severity == "FATAL":
        return error
    return SessionFatal(error.message, detail=error.detail, hint=error.hint, sqlstate=error.code)


class OwnReplies(Protocol):
    """Takes the answers to requests that the session made by itself."""

    def on_reply(self, raw: bytes) -> None: ...

    def on_dropped(self) -> None: ...


class Settling(Protocol):
    """A change of what a name means, in flight."""

    def settle(self) -> None: ...

    def drop(self) -> None: ...


@dataclass(slots=True, eq=False)
class Work:
    """The session's note on a request in flight. `index` is the current statement of a Query.

    `changes` are settled as the request is answered, `on_complete` as the statement of that index is done.
    """

    plan: Plan = UNTOUCHED
    statement: Statement | None = None
    portal: Portal | None = None
    changes: tuple[Change[Any], ...] = ()
    on_complete: Mapping[int, Settling] = field(default_factory=lambda: MappingProxyType({}))
    lengths: Mapping[LiteralSlot, int] = field(default_factory=lambda: MappingProxyType({}))
    own: OwnReplies | None = None
    index: int = 0
    result: Result | None = None
    opener: RowOpener | None = None
    copy_out: CopyOut | None = None
    copy_error: PgcryptError | None = None
    route: Any = None  # of compiled code, which has sent the request and does not know the result
    #: the session's tenant when it was sent, where that matters
    tenant: str | None = None


NO_WORK = Work()


def course_of(work: Work) -> list[Expected[Work]]:
    """The entries that a COURSE of `work` stands for."""
    plan, statement, portal = work.plan, work.statement, work.portal
    course = [Expected(Request.BIND, work)]
    if portal is not None and portal.described_in >= 0:
        course.append(Expected(Request.DESCRIBE_PORTAL, Work(plan, statement, portal, route=work.route)))
    return [*course, Expected(Request.EXECUTE, Work(plan, statement, portal)), Expected(Request.SYNC, NO_WORK)]


class Link:
    """One client connection and its server connection, as the session's parts see them."""

    def __init__(
        self,
        planner: Planner,
        keyring: Keyring,
        observer: Observer,
        *,
        max_message_bytes: int,
        max_row_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._shared_planner = planner
        self.planner = planner
        self.observer = observer
        self.clock = clock
        self.meter = Meter(observer, clock)
        self.values = Values(keyring, observer, self.meter)
        self.openers = RowOpeners(self.values, self.meter)
        self.descriptions = Descriptions(planner.catalog)
        self.max_row_bytes = max_row_bytes  # of COPY data
        self.frontend = FrameBuffer("frontend", max_message_bytes)
        self.backend = FrameBuffer("backend", max_message_bytes)
        self.queue: ReplyQueue[Work] = ReplyQueue()
        self.statements: Names[Statement] = Names()
        self.portals: Names[Portal] = Names()
        self.transaction_status = IDLE
        #: Grows with every ReadyForQuery that says so.
        self.idles = 0
        self.standard_conforming_strings = True
        self.server_version = UNKNOWN_VERSION
        #: Catalogs are shown as they are.
        self.reads_storage = False
        self.copy_in: CopyIn | None = None
        self.is_closed = False
        self.is_ddl_pending = False
        #: Statements sent that may have changed protected tables: how many, how many this session's catalog knows
        #: of, how many were over when the shared catalog was last asked for, and how many it knows of.
        self.reshaped = self.reshaped_known = self.reshaped_asked = self.reshaped_settled = 0
        self._doubt_batch: int | None = None
        self._has_changed_settings = False
        #: Grows with every change of the catalog, the keyring, or the settings that values are read and written by.
        self.generation = 0
        #: Grows with everything sent that may change what a name means (search_path above all).
        self.executions = 0
        #: Which sides wait for keys that are loaded, and why such could not be had.
        self.awaiting_keys: set[Side] = set()
        self.key_errors: dict[Side, PgcryptError] = {}
        self.is_server_ending = False
        self.is_frontend_done = False
        self.to_frontend: list[bytes] = []
        self.to_backend: list[bytes] = []
        self.commands: list[Command] = []

    # -- out

    def expect(
        self,
        raw: bytes,
        request: Request,
        work: Work = NO_WORK,
        answer: Answer = Answer.FORWARD,
        error: PgcryptError | None = None,
    ) -> None:
        """Send `raw` to the server and note what it will answer."""
        self.queue.add(Expected(request, work, answer, error))
        self.to_backend.append(raw)

    def terminate(self, error: PgcryptError | None) -> None:
        """End both legs; `error` is the client's last message. What waits for the server is not sent."""
        if self.is_closed:
            return
        self.is_closed = True
        self.to_backend.clear()
        if error is not None:
            self.observer.failed("session", error)
            if not self.backend.is_in_parts:  # else it would be read as a part of that message
                self.to_frontend.append(error_response(fatal(error), self.encoding.codec))
        self.commands += [CloseConnection(Side.FRONTEND), CloseConnection(Side.BACKEND)]

    def end_frontend(self) -> None:
        """The application has nothing more to say. What the server still owes is passed on until it ends."""
        if len(self.queue) == 0:
            sent = self.to_backend.copy()
            self.terminate(None)
            self.to_backend += [*sent, TERMINATE]
        else:
            self.is_frontend_done = self.is_server_ending = True
            self.to_backend.append(TERMINATE)

    def take_commands(self) -> list[Command]:
        """Everything to be done, bytes first: one SendData for each side."""
        made: list[Command] = []
        if self.to_backend:
            made.append(SendData(Side.BACKEND, b"".join(self.to_backend)))
            self.to_backend.clear()
        if self.to_frontend:
            made.append(SendData(Side.FRONTEND, b"".join(self.to_frontend)))
            self.to_frontend.clear()
        if self.commands:
            made += self.commands
            self.commands.clear()
        return made

    # -- settings whose change is under way

    def note_settings(self, plan: Plan) -> None:
        """A statement is sent that may change how values are read: what it did is known when it is answered."""
        if plan.changes_settings:
            self._has_changed_settings = True
        elif not (plan.ends_transaction and self._has_changed_settings):
            return
        self._doubt_batch = self.queue.batch

    @property
    def has_changed_settings(self) -> bool:
        """Whether the transaction's end may bring settings back."""
        return self._has_changed_settings

    @property
    def is_in_doubt(self) -> bool:
        """Whether such a statement has no answer yet."""
        if self._doubt_batch is not None and len(self.queue) == 0:
            self._doubt_batch = None
            self._has_changed_settings = self.transaction_status != IDLE
        return self._doubt_batch is not None

    # -- protected tables whose change is under way (see `session.shape`)

    def note_shape(self, plan: Plan) -> None:
        """A statement is sent behind which protected tables may be others than the catalog says."""
        if plan.reshapes or (plan.ends_transaction and self.is_reshaped):
            self.reshaped += 1

    @property
    def is_reshaped(self) -> bool:
        """Whether the shared catalog may lack what this session did."""
        return self.reshaped != self.reshaped_settled

    @property
    def is_shape_known(self) -> bool:
        """Whether the catalog in force knows all that was sent."""
        return self.reshaped == self.reshaped_known

    @property
    def shared_catalog(self) -> Catalog:
        """The catalog that all sessions share, whichever is in force here."""
        return self._shared_planner.catalog

    def use_shape(self, catalog: Catalog, sent: int) -> None:
        """A catalog of this session's own, which knows of the first `sent` such statements."""
        self._use(self._shared_planner.under(catalog))
        self.reshaped_known = sent

    def settle_shape(self, asked: int) -> None:
        """The shared catalog was loaded after so many such statements: it is in force again if there were no more."""
        if asked == self.reshaped != self.reshaped_settled:
            self.reshaped_known = self.reshaped_settled = asked
            self._use(self._shared_planner)

    def _use(self, planner: Planner) -> None:
        self.generation += 1
        if planner.catalog is not self.planner.catalog:
            self.descriptions = Descriptions(planner.catalog)
        self.planner = planner

    # -- state that the server reports

    def note_status(self, status: int) -> None:
        """ReadyForQuery."""
        self.transaction_status = status
        if status == IDLE:
            self.idles += 1

    @property
    def encoding(self) -> ClientEncoding:
        return self.values.encoding

    def set_parameter(self, name: bytes, value: bytes) -> None:
        """ParameterStatus: the settings that change how texts are read and written."""
        self.generation += 1
        text = value.decode("utf-8", "replace")
        settings = self.values.settings
        if name == b"client_encoding":
            self.values.encoding = ClientEncoding(text)
        elif name == b"server_version":
            major = text.split(".")[0]
            self.server_version = int(major) if major.isdigit() else UNKNOWN_VERSION
        elif name == b"application_name":
            self.reads_storage = text in STORAGE_READERS
        elif name == b"standard_conforming_strings":
            self.standard_conforming_strings = text == "on"
        elif name == b"DateStyle":
            self.values.settings = replace(settings, date_style=text)
        elif name == b"TimeZone":
            self.values.settings = replace(settings, time_zone=text)
        elif name == b"IntervalStyle":
            self.values.settings = replace(settings, interval_style=text)

    def change_world(self, planner: Planner, keyring: Keyring) -> None:
        """A new catalog or keyring is in force."""
        self.generation += 1
        has_own = self.planner is not self._shared_planner
        self._shared_planner = planner
        if has_own:
            self.reshaped_known = -1  # what is the session's own must be made anew
        else:
            self._use(planner)
        self.values.keyring = keyring
