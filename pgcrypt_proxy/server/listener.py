"""Accepting clients: limits, deadlines, and an end that lets transactions finish."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import ssl
from typing import cast

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.connection import Connection, Leg
from pgcrypt_proxy.server.metrics import Metrics
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.server.upstream import Upstream
from pgcrypt_proxy.server.world import World
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.wire.backend import error_response

BACKLOG = 1024
DRAIN_STEP_S = 0.1


class TooManyConnections(PgcryptError):
    """The configured number of client connections is reached."""

    severity = "FATAL"
    sqlstate = "53300"
    kind = "limit"


class Listener:
    """The sockets that clients connect to, and the connections made from them."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        upstream: Upstream,
        metrics: Metrics,
        tls_context: ssl.SSLContext | None,
    ) -> None:
        self._settings = settings
        self._world = world
        self._upstream = upstream
        self._metrics = metrics
        self._tls_context = tls_context
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._numbers = itertools.count(1)
        self.port = settings.listen_port

    async def open(self) -> None:
        """Listen. Raises ConfigError when the address is taken or not ours."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        try:
            server = await loop.create_server(
                self._accept, settings.listen_host, settings.listen_port, backlog=BACKLOG, reuse_address=True
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {settings.listen_host}:{settings.listen_port}: {os.strerror(error.errno or 0)}",
                hint="The port is taken, or the address is not this machine's. Set listen_host and listen_port.",
            ) from None
        self._servers.append(server)
        self.port = server.sockets[0].getsockname()[1]
        if settings.unix_socket_dir is not None:
            path = f"{settings.unix_socket_dir}/.s.PGSQL.{self.port}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            try:
                self._servers.append(await loop.create_unix_server(self._accept, path, backlog=BACKLOG))
            except OSError as error:
                raise ConfigError(f"cannot listen on {path}: {os.strerror(error.errno or 0)}") from None

    def _accept(self) -> Leg:
        if len(self._connections) >= self._settings.max_connections:
            self._metrics.connections_refused.inc()
            return _Refuser()  # type: ignore[return-value]  # a protocol of the same shape
        session = Session(
            self._world.planner,
            self._world.keyring,
            self._metrics,
            database_name=self._settings.database_name,
            tls_available=self._tls_context is not None,
            tls_required=self._settings.tls == "require",
            max_message_bytes=self._settings.max_message_bytes,
        )
        connection = Connection(
            session,
            number=next(self._numbers),
            world=self._world,
            upstream=self._upstream,
            metrics=self._metrics,
            tls_context=self._tls_context,
            login_timeout_s=self._settings.authentication_timeout_s,
            on_closed=self._on_closed,
        )
        self._connections.add(connection)
        self._metrics.connections_total.inc()
        self._metrics.connections.set(len(self._connections))
        return connection.frontend

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._metrics.connections.set(len(self._connections))

    def stop_accepting(self) -> None:
        for server in self._servers:
            server.close()

    async def drain(self) -> None:
        """Let what runs come to its end, until the deadline; then drop the rest."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.drain_timeout_s
        while self._connections and loop.time() < deadline:
            for connection in tuple(self._connections):
                connection.shut_down()
            await asyncio.sleep(DRAIN_STEP_S)
        if self._connections:
            log.get().warning("connections dropped at the deadline", count=len(self._connections))
        self.abort()
        await asyncio.sleep(0)

    def abort(self) -> None:
        for connection in tuple(self._connections):
            connection.abort()


class _Refuser(asyncio.Protocol):
    """Says that there are too many connections, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.WriteTransport", transport)
        transport.write(error_response(TooManyConnections("sorry, too many clients already")))
        transport.close()
