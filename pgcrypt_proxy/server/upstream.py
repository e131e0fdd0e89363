"""Connections to PostgreSQL: for sessions, and for CancelRequests. With TLS where the address says so, or not at all.

Manual: protocol-flow.html, "SSL Session Encryption". What a server says before
it has shown a certificate is believed by nobody, and shown to nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable
from typing import cast

from pgcrypt_proxy.ops.address import Address
from pgcrypt_proxy.server import log, tls
from pgcrypt_proxy.wire.codes import SSL_REQUEST_CODE

MAX_CANCELS_AT_ONCE = 64
_SSL_REQUEST = struct.pack("!iI", 8, SSL_REQUEST_CODE)

Factory = Callable[[], asyncio.Protocol]


class ConnectFailed(Exception):
    """No connection, or none that is as secure as it must be. The text is fixed, and fit for a client."""


class Upstream:
    """One PostgreSQL, and the files that secure the way to it."""

    def __init__(self, address: Address, files: tls.TlsFiles, timeout_s: float) -> None:
        self.address = address
        self._files = files
        self._timeout_s = timeout_s
        self._cancels = asyncio.Semaphore(MAX_CANCELS_AT_ONCE)

    async def connect(self, factory: Factory) -> None:
        """Connect; the factory's protocol gets the transport, past the TLS handshake. Raises ConnectFailed."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connect(factory)
        except ConnectFailed as error:
            log.get().warning("no connection to the server", reason=str(error))
            raise
        except TimeoutError:
            raise self._failed("the server did not answer in time") from None
        except ssl.SSLCertVerificationError as error:
            raise self._failed("the server's certificate is not valid", detail=error.verify_message) from None
        except ssl.SSLError as error:
            raise self._failed("the TLS handshake failed", detail=error.reason) from None
        except OSError:
            raise self._failed("the server refused the connection") from None

    def _failed(self, reason: str, detail: str | None = None) -> ConnectFailed:
        log.get().warning("no connection to the server", reason=f"{reason}: {detail}" if detail else reason)
        return ConnectFailed(reason)

    async def _connect(self, factory: Factory) -> None:
        loop, address = asyncio.get_running_loop(), self.address
        if address.is_unix:
            await loop.create_unix_connection(factory, f"{address.host}/.s.PGSQL.{address.port}")
        elif not address.is_tls:
            await loop.create_connection(factory, address.hostaddr or address.host, address.port)
        else:
            await self._connect_with_tls(factory)

    async def _connect_with_tls(self, factory: Factory) -> None:
        loop, address, context = asyncio.get_running_loop(), self.address, self._files.upstream
        assert context is not None
        place = address.hostaddr or address.host, address.port
        if address.is_direct_tls:
            secured, answer = await loop.create_connection(_Answer, *place, ssl=context, server_hostname=address.host)
            ssl_object = secured.get_extra_info("ssl_object")
            if ssl_object is None or ssl_object.selected_alpn_protocol() != tls.ALPN:
                secured.abort()
                raise ConnectFailed("the server does not know direct TLS connections")
        else:
            made, answer = await loop.create_connection(_Answer, *place)
            try:
                made.write(_SSL_REQUEST)
                _check(await answer.received)
                upgraded = await loop.start_tls(made, answer, context, server_hostname=address.host)
            except BaseException:
                made.abort()
                raise
            if upgraded is None:
                raise ConnectFailed("the TLS handshake failed")
            secured = upgraded
        if answer.is_lost:  # nobody would tell the protocol
            raise ConnectFailed("the server closed the connection")
        protocol = factory()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)

    async def cancel(self, packet: bytes) -> None:
        """Send a CancelRequest on a connection of its own and wait until the server closes it. Never raises."""
        async with self._cancels:
            with contextlib.suppress(ConnectFailed, TimeoutError):
                closed = asyncio.get_running_loop().create_future()
                await self.connect(lambda: _Cancel(packet, closed))
                async with asyncio.timeout(self._timeout_s):
                    await closed


def _check(answer: bytes) -> None:
    """Only `S` and nothing behind it leads on (CVE-2021-23222); an error's text is not shown (CVE-2024-10977)."""
    if answer == b"S":
        return
    if answer[:1] == b"S":
        raise ConnectFailed("the server sent unencrypted data after its answer to the SSL request")
    if answer == b"N":
        raise ConnectFailed("the server does not support TLS, which sslmode asks for")
    raise ConnectFailed("the server did not accept the SSL request")


class _Answer(asyncio.Protocol):
    """Takes the answer to the SSLRequest, and then stops reading: what follows belongs to TLS."""

    def __init__(self) -> None:
        self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self.received.done():
            self._transport.abort()  # nobody asked it for more yet
            return
        self._transport.pause_reading()
        self.received.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if not self.received.done():
            self.received.set_exception(ConnectFailed("the server closed the connection instead of TLS"))
            self.received.exception()  # asked for or not, it is not lost


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
