"""Connections to PostgreSQL: for sessions, and for CancelRequests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

MAX_CANCELS_AT_ONCE = 64


class Upstream:
    """One PostgreSQL: `host` is an address, or a folder of Unix sockets."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.host = host
        self.port = port
        self._timeout_s = timeout_s
        self._cancels = asyncio.Semaphore(MAX_CANCELS_AT_ONCE)

    async def connect(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Connect; the factory's protocol gets the transport. Raises OSError and TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s):
            if self.host.startswith("/"):
                await loop.create_unix_connection(factory, f"{self.host}/.s.PGSQL.{self.port}")
            else:
                await loop.create_connection(factory, self.host, self.port)

    async def cancel(self, packet: bytes) -> None:
        """Send a CancelRequest on a connection of its own and wait until the server closes it. Never raises."""
        async with self._cancels:
            with contextlib.suppress(OSError, TimeoutError):
                closed = asyncio.get_running_loop().create_future()
                await self.connect(lambda: _Cancel(packet, closed))
                async with asyncio.timeout(self._timeout_s):
                    await closed


class _Cancel(asyncio.Protocol):
    def __init__(self, packet: bytes, closed: asyncio.Future[None]) -> None:
        self._packet = packet
        self._closed = closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.WriteTransport", transport)
        transport.write(self._packet)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
