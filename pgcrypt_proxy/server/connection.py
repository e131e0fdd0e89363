"""One client connection: two transports around one Session; bytes in become events, commands become writes.

Back-pressure: a leg whose write buffer is full stops the reading of the other
leg, a session that holds its frontend's messages stops the reading of the
frontend, and a leg that had its turn is not read until the next (`leg.py`).
Both directions stop on their own, so a client that writes much before it reads
meets what a server does, no earlier deadlock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server import client_tls, log, tls
from pgcrypt_proxy.server.doorkeeper import Visit
from pgcrypt_proxy.server.leg import Leg
from pgcrypt_proxy.server.metrics import Metrics
from pgcrypt_proxy.server.sockets import Keepalive
from pgcrypt_proxy.server.upstream import ConnectFailed, Upstream
from pgcrypt_proxy.server.world import World
from pgcrypt_proxy.session.commands import (
    UNNUMBERED,
    CloseConnection,
    Command,
    FetchKeys,
    FindAccount,
    LookUpRelations,
    NoteFailedLogin,
    OpenBackend,
    RefreshCatalog,
    RelayCancel,
    SendData,
    StartTls,
)
from pgcrypt_proxy.session.events import (
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
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.session.startup import TLS_HANDSHAKE
from pgcrypt_proxy.wire.proxy_header import ProxyHeader


class Connection:
    """Drives one Session. `on_closed` is called once, when both legs are gone."""

    def __init__(
        self,
        session: Session,
        *,
        number: int,
        world: World,
        upstream: Upstream,
        metrics: Metrics,
        identity: tls.Identity | None,
        visit: Visit,
        proxy_header: ProxyHeader | None,
        keepalive: Keepalive,
        login_timeout_s: float,
        on_closed: Callable[[Connection], None],
    ) -> None:
        self.session = session
        self.number = number
        self.keepalive = keepalive
        self._world = world
        self._upstream = upstream
        self._metrics = metrics
        self._identity = identity
        self._visit = visit
        self._proxy_header = proxy_header
        self._on_closed = on_closed
        self.frontend = Leg(Side.FRONTEND, self)
        self._backend = Leg(Side.BACKEND, self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_first_data = True
        self._is_closing = False
        self._is_gone = False
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        self._deadline: asyncio.TimerHandle | None = self._loop.call_later(login_timeout_s, self._on_deadline)

    # -- events

    def on_made(self, leg: Leg) -> None:
        assert leg.transport is not None
        if leg is self.frontend:
            self._world.subscribe(self.feed, self.session.is_using)
            peer = leg.transport.get_extra_info("peername")
            self._visit.host = str(peer[0]) if isinstance(peer, tuple) else ""
        elif self._is_closing:
            leg.close()
        else:
            ssl_object = leg.transport.get_extra_info("ssl_object")
            binding = tls.binding_of_peer(ssl_object) if ssl_object is not None else None
            self.feed(BackendOpened(is_tls=ssl_object is not None, binding=binding))

    @property
    def is_ready(self) -> bool:
        """Whether the login is over, and what comes are messages."""
        return self.session.is_ready

    def on_data(self, leg: Leg, data: bytes) -> None:
        if self._proxy_header is not None and leg is self.frontend:
            data = self._read_proxy_header(self._proxy_header, data)
            if not data:
                return
        is_first, self._is_first_data = self._is_first_data and leg is self.frontend, False
        if is_first and self._identity is not None and data[0] == TLS_HANDSHAKE:
            assert leg.transport is not None
            self._start(self._handshake(leg.transport, self._identity, data))
        else:
            self.feed(DataReceived(leg.side, data))

    def _read_proxy_header(self, header: ProxyHeader, data: bytes) -> bytes:
        """What the client itself has said, behind the words of the load balancer."""
        try:
            rest = header.feed(data)
        except PgcryptError as error:
            log.failure("connection refused", error, connection=self.number)
            self.abort()
            return b""
        if rest is None:
            return b""
        self._proxy_header = None
        self._visit.host = header.host or self._visit.host
        return rest

    def on_ended(self, leg: Leg) -> bool:
        """That side sends nothing more. Returns whether it is still to be sent to."""
        if leg is not self.frontend:
            return False
        self.feed(InputEnded())
        return not self.session.is_closed

    def on_lost(self, leg: Leg) -> None:
        if not self.session.is_closed:
            self.feed(ConnectionClosed(leg.side))
        other = self._backend if leg is self.frontend else self.frontend
        other.close()
        self._finish_if_gone()

    def feed(self, event: Event) -> None:
        """Give the session one event and carry out what it wants."""
        try:
            commands = self.session.handle(event)
            for command in commands:
                self._carry_out(command)
        except Exception as error:  # a fault of ours ends this connection, and tells nothing of what was in it
            log.failure("connection failed", error, connection=self.number)
            self.abort()
            return
        if self._deadline is not None and self.session.is_ready:
            self._deadline.cancel()
            self._deadline = None
            self._visit.logged_in()
            self._metrics.latency.observe(time.monotonic() - self._started)
            self._engage()
        self.balance()

    def _engage(self) -> None:
        """The login is over: what is known of statements needs no Python from now on."""
        course = self.session.course
        if course is not None and self.frontend.transport is not None and self._backend.transport is not None:
            self.frontend.engage(course, self._backend)
            self._backend.engage(course, self.frontend)

    def _on_deadline(self) -> None:
        self._deadline = None
        log.get().info("login took too long", connection=self.number)
        self.abort()

    # -- commands

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, SendData):
            leg = self.frontend if command.side is Side.FRONTEND else self._backend
            leg.write(command.data)
        elif isinstance(command, CloseConnection):
            self._is_closing = True
            (self.frontend if command.side is Side.FRONTEND else self._backend).close()
            self._finish_if_gone()
        elif isinstance(command, OpenBackend):
            self._start(self._open_backend())
        elif isinstance(command, FindAccount):
            self._start(self._find_account(command.user))
        elif isinstance(command, NoteFailedLogin):
            self._visit.failed()
            log.get().info("login failed", connection=self.number, host=self._visit.host)
        elif isinstance(command, StartTls):
            self._start_tls(command.answer)
        elif isinstance(command, RelayCancel):
            self._is_closing = True
            self._metrics.cancels.inc()
            self._start(self._relay_cancel(command.packet))
        elif isinstance(command, RefreshCatalog):
            self._start(self._refresh_catalog(command))
        elif isinstance(command, LookUpRelations):
            self._start(self._look_up_relations(command))
        elif isinstance(command, FetchKeys):
            self._start(self._fetch_keys(command))

    def _start(self, work: object) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)  # type: ignore[arg-type]  # a coroutine
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # what the session waits for will never come
            log.failure("connection failed", error, connection=self.number)
            self.abort()

    async def _find_account(self, user: str) -> None:
        try:
            await self._visit.admit(user)
            account = await self._visit.find_account(user)
        except PgcryptError as error:
            self.feed(LoginDenied(error))
        else:
            self.feed(account)

    async def _open_backend(self) -> None:
        try:
            await self._visit.admit(self.session.user)
            await self._upstream.connect(lambda: self._backend)
        except ConnectFailed as error:
            self.feed(BackendFailed(str(error)))
        except PgcryptError as error:
            self.feed(LoginDenied(error))

    async def _relay_cancel(self, packet: bytes) -> None:
        await self._upstream.cancel(packet)
        self.frontend.close()
        self._finish_if_gone()

    async def _refresh_catalog(self, command: RefreshCatalog) -> None:
        if not command.wait:
            self._world.want_catalog()
            return
        error = await self._world.refresh_catalog()
        self.feed(WorldChanged(self._world.planner, self._world.keyring, error, answers=command.number))

    async def _look_up_relations(self, command: LookUpRelations) -> None:
        error = await self._world.look_up(command.names, but_plain=command.but_plain)
        self.feed(WorldChanged(self._world.planner, self._world.keyring, error, answers=UNNUMBERED))

    async def _fetch_keys(self, command: FetchKeys) -> None:
        error = await self._world.fetch_keys(command.wanted)
        self.feed(KeysFetched(command.side, error))

    def _start_tls(self, answer: bytes) -> None:
        transport, identity = self.frontend.transport, self._identity
        assert transport is not None
        assert identity is not None
        transport.pause_reading()  # what comes now belongs to TLS
        transport.write(answer)
        self._start(self._handshake(transport, identity, None))

    async def _handshake(self, transport: asyncio.Transport, identity: tls.Identity, direct: bytes | None) -> None:
        leg = self.frontend
        try:
            made, data = await client_tls.start(transport, identity.context, direct=direct)
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError is an OSError
            transport.abort()
            leg.connection_lost(None)
            if isinstance(error, asyncio.CancelledError):
                raise
            log.get().info("TLS handshake failed", connection=self.number, host=self._visit.host)
            return
        made.set_protocol(leg)
        leg.connection_made(made)
        self.feed(TlsStarted(identity.binding, tls.names_of_peer(made.get_extra_info("ssl_object"))))
        if data:
            leg.data_received(data)

    # -- flow and end

    def balance(self) -> None:
        """Read each leg only while what it brings can be taken."""
        frontend, backend = self.frontend, self._backend
        is_waiting = self.session.is_holding_backend
        backend.read(wanted=not frontend.is_full and not backend.is_resting and not is_waiting)
        frontend.read(wanted=not backend.is_full and not frontend.is_resting and not self._is_waiting())
        if frontend.is_resting or backend.is_resting:
            self.session.leave_course()
        else:
            self.session.arm()

    def _is_waiting(self) -> bool:
        # In the TLS phase reading must go on: the handshake is read through the same transport.
        return self.session.is_holding_frontend and self.session.is_ready

    def shut_down(self) -> None:
        """End it as an administrator's command would, if it is idle; busy ones are asked again."""
        if self.session.is_idle:
            for command in self.session.shut_down():
                self._carry_out(command)

    def abort(self) -> None:
        """Drop both legs at once."""
        self._is_closing = True
        self.session.leave_course()
        for leg in (self.frontend, self._backend):
            if leg.transport is not None:
                leg.transport.abort()
        self._finish_if_gone()

    def _finish_if_gone(self) -> None:
        if self._is_gone or self.frontend.transport is not None or self._backend.transport is not None:
            return
        self._is_gone = True
        self._is_closing = True
        self.session.close_course()
        if self._deadline is not None:
            self._deadline.cancel()
        current = asyncio.current_task() if self._loop.is_running() else None
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._world.unsubscribe(self.feed, self.session.is_using)
        self._visit.left()
        self._on_closed(self)
