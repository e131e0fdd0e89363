"""What the parts of one session share: buffers, books, and what is to be sent.

Holds state and joins outgoing bytes; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.commands import CloseConnection, Command, SendData
from pgcrypt_proxy.session.encodings import codec_of
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import Observer
from pgcrypt_proxy.session.reply_queue import Answer, Expected, ReplyQueue, Request
from pgcrypt_proxy.session.results import Descriptions, Result
from pgcrypt_proxy.session.statements import Change, Names, Portal, Statement
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.plan import UNTOUCHED, LiteralSlot, Plan
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.wire.backend import error_response
from pgcrypt_proxy.wire.framing import FrameBuffer

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


@dataclass(slots=True, eq=False)
class Work:
    """The session's note on a request in flight. `index` is the current statement of a Query."""

    plan: Plan = UNTOUCHED
    statement: Statement | None = None
    portal: Portal | None = None
    changes: tuple[Change[Any], ...] = ()
    lengths: Mapping[LiteralSlot, int] = field(default_factory=lambda: MappingProxyType({}))
    own: OwnReplies | None = None
    index: int = 0
    result: Result | None = None
    openers: list[Callable[[bytes], bytes] | None] | None = None


NO_WORK = Work()


class Link:
    """One client connection and its server connection, as the session's parts see them."""

    def __init__(
        self,
        planner: Planner,
        keyring: Keyring,
        observer: Observer,
        *,
        max_message_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self.planner = planner
        self.observer = observer
        self.clock = clock
        self.meter = Meter(observer, clock)
        self.values = Values(keyring, observer, self.meter)
        self.descriptions = Descriptions(planner.catalog)
        self.frontend = FrameBuffer("frontend", max_message_bytes)
        self.backend = FrameBuffer("backend", max_message_bytes)
        self.queue: ReplyQueue[Work] = ReplyQueue()
        self.statements: Names[Statement] = Names()
        self.portals: Names[Portal] = Names()
        self.transaction_status = IDLE
        self.client_codec: str | None = "utf-8"
        self.standard_conforming_strings = True
        self.is_closed = False
        self.is_ddl_pending = False
        self._doubt_batch: int | None = None
        self._has_changed_settings = False
        #: Grows with everything sent that may change what a name means (search_path above all).
        self.executions = 0
        self.is_server_ending = False
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
            self.to_frontend.append(error_response(fatal(error)))
        self.commands += [CloseConnection(Side.FRONTEND), CloseConnection(Side.BACKEND)]

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
    def is_in_doubt(self) -> bool:
        """Whether such a statement has no answer yet."""
        if self._doubt_batch is not None and len(self.queue) == 0:
            self._doubt_batch = None
            self._has_changed_settings = self.transaction_status != IDLE
        return self._doubt_batch is not None

    # -- state that the server reports

    def set_parameter(self, name: bytes, value: bytes) -> None:
        """ParameterStatus: the settings that change how texts are read and written."""
        text = value.decode("utf-8", "replace")
        settings = self.values.settings
        if name == b"client_encoding":
            self.client_codec = codec_of(text)
        elif name == b"standard_conforming_strings":
            self.standard_conforming_strings = text == "on"
        elif name == b"DateStyle":
            self.values.settings = TextSettings(text, settings.time_zone, settings.bytea_output)
        elif name == b"TimeZone":
            self.values.settings = TextSettings(settings.date_style, text, settings.bytea_output)

    def change_world(self, planner: Planner, keyring: Keyring) -> None:
        """A new catalog or keyring is in force."""
        if planner.catalog is not self.planner.catalog:
            self.descriptions = Descriptions(planner.catalog)
        self.planner = planner
        self.values.keyring = keyring
