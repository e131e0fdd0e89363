"""Somebody between the proxy and its server: relays faithfully, until a test has it say something else."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Act = Callable[[socket.socket], None]
TIMEOUT_S = 10.0


class Middle:
    """Listens on loopback. `act`, when set, gets every new connection in the server's stead."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._acting: list[threading.Thread] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.act: Act | None = None
        self.seen: list[bytes] = []

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(TIMEOUT_S)
            self._open.append(client)
            if self.act is None:
                self._run(self._relay, client)
            else:
                self._run(self._perform, client, threads=self._acting)

    def _run(
        self, work: Callable[..., None], *arguments: object, threads: list[threading.Thread] | None = None
    ) -> None:
        """Do `work` in a thread, which is listed before it starts, so that nobody waits for too few."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        (self._threads if threads is None else threads).append(thread)
        thread.start()

    def _perform(self, client: socket.socket) -> None:
        assert self.act is not None
        with contextlib.suppress(OSError), client:
            self.act(client)

    def heard(self) -> list[bytes]:
        """What connections with an act got to read, once all of them are over."""
        for thread in self._acting:
            thread.join(TIMEOUT_S)
        return self.seen

    def _relay(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._server_port), TIMEOUT_S)
        self._open.append(server)
        client.settimeout(None)
        server.settimeout(None)
        self._run(_copy, client, server)
        self._run(_copy, server, client)

    def stop(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in (*self._threads, *self._acting):
            thread.join(TIMEOUT_S)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def between(server_port: int) -> Iterator[Middle]:
    middle = Middle(server_port)
    thread = threading.Thread(target=middle.serve, daemon=True)
    thread.start()
    try:
        yield middle
    finally:
        middle.stop()
        thread.join(TIMEOUT_S)


def answers(middle: Middle, data: bytes) -> Act:
    """Reads the SSLRequest, says `data`, and listens to what comes."""

    def act(client: socket.socket) -> None:
        client.recv(8)
        client.sendall(data)
        middle.seen.append(client.recv(65536))

    return act


def takes_tls(middle: Middle, certificate: Path, key: Path, *replies: bytes) -> Act:
    """Takes TLS with that certificate, then answers each message with the next reply."""

    def act(client: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        client.recv(8)
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as secured:
            for reply in replies:
                middle.seen.append(secured.recv(65536))
                secured.sendall(reply)
            middle.seen.append(secured.recv(65536))

    return act


def error(text: str) -> bytes:
    """An ErrorResponse."""
    body = b"SFATAL\0VFATAL\0C28000\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body
