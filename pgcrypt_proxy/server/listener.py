"""Accepting clients: limits, deadlines, and an end that lets transactions finish."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from dataclasses import dataclass
from typing import cast

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.connection import Connection
from pgcrypt_proxy.server.doorkeeper import Doorkeeper
from pgcrypt_proxy.server.metrics import Metrics
from pgcrypt_proxy.server.seats import Seat
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.server.tls import Identity, TlsFiles
from pgcrypt_proxy.server.upstream import Upstream
from pgcrypt_proxy.server.world import World
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.wire.backend import error_response
from pgcrypt_proxy.wire.proxy_header import ProxyHeader

BACKLOG = 1024
DRAIN_STEP_S = 0.1


class TooManyConnections(PgcryptError):
    """The configured number of client connections is reached."""

    severity = "FATAL"
    sqlstate = "53300"
    kind = "limit"


@dataclass(frozen=True, slots=True)
class Sharing:
    """The address is that of other processes, too; the Unix socket, which listens, is theirs as well."""

    local_socket: socket.socket | None


def cannot_listen(where: str, error: OSError) -> ConfigError:
    reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    return ConfigError(
        f"cannot listen on {where}: {reason}",
        hint="The port is taken, or the address is not this machine's. Set listen_host and listen_port.",
    )


def local_socket(settings: Settings, port: int) -> socket.socket | None:
    """A bound Unix socket where the settings want one. Raises ConfigError.

    Bound under another name first: whoever closes it and removes that name takes it from nobody.
    """
    if settings.unix_socket_dir is None:
        return None
    path = f"{settings.unix_socket_dir}/.s.PGSQL.{port}"
    made = socket.socket(socket.AF_UNIX)
    first = f"{path}.{os.getpid()}"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(first)
        made.bind(first)
        os.replace(first, path)
    except OSError as error:
        made.close()
        raise ConfigError(f"cannot listen on {path}: {os.strerror(error.errno or 0)}") from None
    return made


class Listener:
    """The sockets that clients connect to, and the connections made from them."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        upstream: Upstream,
        metrics: Metrics,
        files: TlsFiles,
        doorkeeper: Doorkeeper,
        sharing: Sharing | None = None,
    ) -> None:
        self.settings = settings
        self._world = world
        self._upstream = upstream
        self._metrics = metrics
        self._files = files
        self._doorkeeper = doorkeeper
        self._sharing = sharing
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._numbers = itertools.count(1)
        self.port = settings.listen_port

    async def open(self) -> None:
        """Listen. Raises ConfigError when the address is taken or not ours."""
        loop = asyncio.get_running_loop()
        settings, sharing = self.settings, self._sharing
        for host in settings.listen_host.split(","):
            try:
                server = await loop.create_server(
                    self._accept,
                    host.strip(),
                    self.port,
                    backlog=BACKLOG,
                    reuse_address=True,
                    reuse_port=sharing is not None,
                )
            except OSError as error:
                self.stop_accepting()
                raise cannot_listen(f"{host}:{self.port}", error) from None
            self._servers.append(server)
            self.port = server.sockets[0].getsockname()[1]
        local = sharing.local_socket if sharing is not None else local_socket(settings, self.port)
        if local is not None:
            self._servers.append(await loop.create_unix_server(self._accept_local, sock=local, backlog=BACKLOG))

    def _accept(self) -> asyncio.BaseProtocol:
        settings = self.settings
        header = ProxyHeader() if settings.proxy_protocol == "v2" else None
        return self._welcome(self._files.client, tls_required=settings.tls == "require", header=header)

    def _accept_local(self) -> asyncio.BaseProtocol:
        """A Unix socket has no use for TLS, and libpq does not ask for it there."""
        return self._welcome(None, tls_required=False)

    def _welcome(
        self, identity: Identity | None, *, tls_required: bool, header: ProxyHeader | None = None
    ) -> asyncio.BaseProtocol:
        seats = self._doorkeeper.seats
        if not seats.take(Seat.CONNECTION, self.settings.max_connections):
            self._metrics.connections_refused.inc()
            return _Refuser()
        if (visit := self._doorkeeper.visit()) is None:
            seats.give(Seat.CONNECTION)
            self._metrics.connections_refused.inc()
            return _Refuser()
        session = Session(
            self._world.planner,
            self._world.keyring,
            self._metrics,
            database_name=self.settings.database_name,
            tls_available=identity is not None,
            tls_required=tls_required,
            login=self._doorkeeper.rules,
            max_message_bytes=self.settings.max_message_bytes,
            may_watch=self._world.may_watch,
            max_row_bytes=self.settings.max_row_bytes,
        )
        connection = Connection(
            session,
            number=next(self._numbers),
            world=self._world,
            upstream=self._upstream,
            metrics=self._metrics,
            identity=identity,
            visit=visit,
            proxy_header=header,
            keepalive=self.settings.keepalive,
            login_timeout_s=self.settings.authentication_timeout_s,
            on_closed=self._on_closed,
        )
        self._connections.add(connection)
        self._metrics.connections_total.inc()
        self._metrics.connections.set(len(self._connections))
        return connection.frontend

    def _on_closed(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._doorkeeper.seats.give(Seat.CONNECTION)
        self._metrics.connections.set(len(self._connections))

    def stop_accepting(self) -> None:
        for server in self._servers:
            server.close()

    async def drain(self) -> None:
        """Let what runs come to its end, until the deadline; then drop the rest."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.drain_timeout_s
        while self._connections and loop.time() < deadline:
            for connection in tuple(self._connections):
                connection.shut_down()
            await asyncio.sleep(DRAIN_STEP_S)
        if self._connections:
            log.get().warning("connections dropped at the deadline", count=len(self._connections))
        self.abort()
        await asyncio.sleep(0)

    def report(self) -> None:
        """Let the metrics know what was sealed and opened."""
        for connection in self._connections:
            connection.session.report()

    def abort(self) -> None:
        for connection in tuple(self._connections):
            connection.abort()


class _Refuser(asyncio.Protocol):
    """Says that there are too many connections, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.WriteTransport", transport)
        transport.write(error_response(TooManyConnections("sorry, too many clients already")))
        transport.close()
