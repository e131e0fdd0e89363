"""One transport of a connection: when it is read, how long it has its turn, and how it ends.

One thread serves all clients, and renews the keys' leases. The loop would read
megabytes at once from a client that copies rows in, and seal all of their values
before anybody else is served. So what took long ends a leg's turn: it is not
read, and what is left of its bytes waits, until everybody else was asked.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol, cast

from pgcrypt_proxy import fast
from pgcrypt_proxy.server.sockets import Keepalive, tune
from pgcrypt_proxy.session.events import Side

#: Bytes that may wait to be written on a leg before the other one is not read any more.
HIGH_WATER_BYTES = 256 * 1024
#: How long a peer that takes nothing more may keep what is left to be written before its leg is dropped.
LINGER_S = 5.0
#: A turn ends after the piece in which so much time has passed. A client's bytes can be dear; a server's rows are
#: opened in long runs, so they are one piece.
TURN_S = 0.005
PIECE_BYTES = 16 * 1024


class Owner(Protocol):
    """The connection that a leg belongs to."""

    keepalive: Keepalive

    @property
    def is_ready(self) -> bool: ...

    def on_made(self, leg: Leg) -> None: ...

    def on_data(self, leg: Leg, data: bytes) -> None: ...

    def on_ended(self, leg: Leg) -> bool: ...

    def on_lost(self, leg: Leg) -> None: ...

    def balance(self) -> None: ...


class Leg(asyncio.Protocol):
    """One transport; its side decides what its bytes mean."""

    def __init__(self, side: Side, connection: Owner) -> None:
        self.side = side
        self._connection = connection
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        #: Its turn is over, and the next has not come.
        self.is_resting = False
        self._left = b""
        self._is_paused = False
        self._has_ended = False
        self._lingering: asyncio.TimerHandle | None = None
        self.outlet: Any = None  # of compiled code, where there is any
        self._port: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_first = self.transport is None
        self.transport = cast("asyncio.Transport", transport)  # uvloop's have another base
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        self._make_outlet()
        if is_first:
            tune(transport.get_extra_info("socket"), self._connection.keepalive)
            self._connection.on_made(self)

    def _make_outlet(self) -> None:
        if fast.native is not None:
            assert self.transport is not None
            sock = self.transport.get_extra_info("socket")
            is_plain = sock is not None and self.transport.get_extra_info("ssl_object") is None
            self.outlet = fast.native.Outlet(self.transport, sock.fileno() if is_plain else -1)

    def write(self, data: bytes) -> None:
        """Send it, at once if the socket takes it."""
        if self.transport is None:
            return
        if self.outlet is not None:
            self.outlet.write(data)
        else:
            self.transport.write(data)

    def engage(self, course: Any, other: Leg) -> None:
        """From now on what `course` takes of this leg's bytes goes to the other leg without Python."""
        if self.transport is None or other.outlet is None:
            return
        assert fast.native is not None
        self._port = fast.native.Port(course, self.side is Side.FRONTEND, other.outlet, self.data_received)
        self.data_received = self._port.data_received  # type: ignore[method-assign]  # transports look it up here
        self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        if self.is_resting:
            self._left += data  # had been read already
        elif len(data) <= PIECE_BYTES or not self._connection.is_ready:
            self._connection.on_data(self, data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        ends_at = time.monotonic() + TURN_S
        length = PIECE_BYTES if self.side is Side.FRONTEND else len(data)
        for at in range(0, len(data), length):
            self._connection.on_data(self, data[at : at + length])
            if time.monotonic() >= ends_at:
                self._rest(data[at + length :])
                return

    def _rest(self, left: bytes) -> None:
        self.is_resting, self._left = True, left
        self._connection.balance()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        data, self._left, self.is_resting = self._left, b"", False
        if self.transport is None or self.transport.is_closing():
            return
        if data:
            self._take(data)
        self._connection.balance()

    def _take_left(self) -> None:
        """What came before the end counts before the end."""
        data, self._left = self._left, b""
        if data:
            self._connection.on_data(self, data)

    def eof_received(self) -> bool:
        """Whether the transport stays, to be written to. TLS knows no half of a connection."""
        self._take_left()
        self._has_ended = True
        if self.transport is None or self.transport.get_extra_info("ssl_object") is not None:
            return False
        return self._connection.on_ended(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_left()
        self.transport = None
        for native in (self._port, self.outlet):
            if native is not None:
                native.close()
        if self._lingering is not None:
            self._lingering.cancel()
        self._connection.on_lost(self)

    def pause_writing(self) -> None:
        self.is_full = True
        self._connection.balance()

    def resume_writing(self) -> None:
        self.is_full = False
        self._connection.balance()

    def read(self, *, wanted: bool) -> None:
        """Read on, or stop reading."""
        if wanted is not self._is_paused or self.transport is None or self.transport.is_closing() or self._has_ended:
            return
        self._is_paused = not wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self) -> None:
        """Close it when what is left is written: a leg that is closed is not read, so its peer may be stuck too."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self._linger(None)

    def _linger(self, before: int | None) -> None:
        transport = self.transport
        if transport is None:
            return
        left = transport.get_write_buffer_size()
        if left == before:
            transport.abort()
        else:
            self._lingering = asyncio.get_running_loop().call_later(LINGER_S, self._linger, left)
