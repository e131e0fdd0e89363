"""The TLS handshake with a client, behind an SSLRequest or as the first thing (sslnegotiation=direct)."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from pgcrypt_proxy.server.tls import ALPN

#: How long a client that has gone without a word may keep its place.
SHUTDOWN_S = 5.0


async def start(
    transport: asyncio.Transport, context: ssl.SSLContext, *, direct: bytes | None = None
) -> tuple[asyncio.Transport, bytes]:
    """The transport inside TLS, and what the client has said there already. Raises OSError when the handshake fails.

    The caller sets the new transport's protocol at once. `direct` is what was read
    already, of a handshake without an SSLRequest. Such a one must name PostgreSQL in
    ALPN, so that no client of another protocol can be led here (ALPACA).
    """
    loop = asyncio.get_running_loop()
    transport.pause_reading()  # start_tls resumes it, when what is read goes to TLS
    held = _Held()
    transport.set_protocol(held)
    starting = loop.create_task(
        loop.start_tls(transport, held, context, server_side=True, ssl_shutdown_timeout=SHUTDOWN_S)
    )
    try:
        if direct is not None:
            await _hand_over(direct, transport, held)
        made = await starting
    finally:
        starting.cancel()
    ssl_object = made.get_extra_info("ssl_object") if made is not None else None
    if made is None or ssl_object is None or held.is_lost:
        raise ConnectionAbortedError
    if direct is not None and ssl_object.selected_alpn_protocol() != ALPN:
        made.abort()
        raise ConnectionAbortedError
    return made, bytes(held.data)


class _Held(asyncio.Protocol):
    """Keeps what comes right behind the handshake, in the same segment perhaps, until somebody can take it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


async def _hand_over(data: bytes, transport: asyncio.Transport, held: _Held) -> None:
    """Give TLS the bytes that the transport has read for somebody else, before it reads more."""
    await asyncio.sleep(0)  # start_tls makes its protocol the transport's
    await asyncio.sleep(0)  # and has its connection_made called
    assert transport.get_protocol() is not held
    receiver = cast("asyncio.BufferedProtocol", transport.get_protocol())
    while data:
        buffer = memoryview(receiver.get_buffer(len(data))).cast("B")
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        receiver.buffer_updated(count)
        data = data[count:]
