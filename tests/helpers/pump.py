"""The smallest server layer that can run sessions: blocking sockets, a thread for each connection, no TLS.

For tests of the session against a real PostgreSQL with real clients.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from pgcrypt_proxy.session.commands import (
    UNNUMBERED,
    CloseConnection,
    LookUpRelations,
    OpenBackend,
    RefreshCatalog,
    RelayCancel,
    SendData,
)
from pgcrypt_proxy.session.events import BackendOpened, ConnectionClosed, DataReceived, Event, Side, WorldChanged
from pgcrypt_proxy.session.session import Session
from tests.helpers.ready import readable

World = Callable[[], WorldChanged]
READ_BYTES = 65_536
#: Writes are never refused for want of space here: tests stay below what the kernel buffers for loopback.
TIMEOUT_S = 30.0


class Pump:
    """Listens on loopback and runs a session for each connection."""

    def __init__(self, upstream: tuple[str, int], make_session: Callable[[], Session], world: World) -> None:
        self._upstream = upstream
        self._make_session = make_session
        self._world = world
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run_guarded, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _run_guarded(self, client: socket.socket) -> None:
        try:
            self._run(client)
        except BaseException as error:
            self.failures.append(error)
        finally:
            client.close()

    def _run(self, client: socket.socket) -> None:
        session = self._make_session()
        legs: dict[Side, socket.socket] = {Side.FRONTEND: client}
        try:
            while legs and not (session.is_closed and Side.FRONTEND not in legs):
                ready = readable(list(legs.values()), TIMEOUT_S)
                if not ready:
                    return
                for side, leg in list(legs.items()):
                    if leg in ready and side in legs:
                        try:
                            data = leg.recv(READ_BYTES)
                        except ConnectionError:
                            data = b""
                        if not data:
                            del legs[side]
                        self._handle(session, DataReceived(side, data) if data else ConnectionClosed(side), legs)
        finally:
            for leg in legs.values():
                leg.close()

    def _handle(self, session: Session, event: Event, legs: dict[Side, socket.socket]) -> None:
        for command in session.handle(event):
            if isinstance(command, SendData):
                if command.side in legs:
                    with contextlib.suppress(ConnectionError):
                        legs[command.side].sendall(command.data)
            elif isinstance(command, OpenBackend):
                legs[Side.BACKEND] = socket.create_connection(self._upstream)
                self._handle(session, BackendOpened(), legs)
            elif isinstance(command, RefreshCatalog):
                self._handle(session, replace(self._world(), answers=command.number), legs)
            elif isinstance(command, LookUpRelations):
                self._handle(session, replace(self._world(), answers=UNNUMBERED), legs)
            elif isinstance(command, RelayCancel):
                with socket.create_connection(self._upstream) as relay:
                    relay.sendall(command.packet)
                    relay.recv(1)
                legs.pop(Side.FRONTEND).close()
            elif isinstance(command, CloseConnection) and command.side in legs:
                leg = legs.pop(command.side)
                with contextlib.suppress(OSError):
                    leg.shutdown(socket.SHUT_WR)
                leg.close()


@contextlib.contextmanager
def pumping(upstream: tuple[str, int], make_session: Callable[[], Session], world: World) -> Iterator[Pump]:
    """A Pump that runs; a failure inside it fails the test."""
    pump = Pump(upstream, make_session, world)
    thread = threading.Thread(target=pump.serve, daemon=True)
    thread.start()
    try:
        yield pump
    finally:
        pump.stop()
        thread.join(TIMEOUT_S)
    if pump.failures:
        raise pump.failures[0]
