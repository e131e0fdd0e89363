"""The delay line passes everything on, in order, and never sooner than it says."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import delay_line

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="not applicable: there is no compiler")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return delay_line.build(tmp_path_factory.mktemp("delay"))


@contextlib.contextmanager
def echoed(program: Path, round_trip_ms: float) -> Iterator[socket.socket]:
    """A connection through the line to a server that says the same."""
    with (
        echo() as port,
        delay_line.line(program, "127.0.0.1", port, round_trip_ms) as through,
        socket.create_connection(("127.0.0.1", through), 10) as sock,
    ):
        yield sock


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A server that answers one connection with what it says, until it says no more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    while data := peer.recv(65536):
                        peer.sendall(data)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=10)


def read_exactly(sock: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count and (data := sock.recv(65536)):
        found += data
    return bytes(found)


def test_a_round_trip_takes_at_least_what_it_should(program: Path) -> None:
    with echoed(program, 20) as sock:
        for _ in range(3):
            started = time.monotonic()
            sock.sendall(b"ping")
            assert read_exactly(sock, 4) == b"ping"
            assert time.monotonic() - started >= 0.020


def test_more_than_it_holds_comes_back_whole(program: Path) -> None:
    data = os.urandom(30 << 20)
    with echoed(program, 1) as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        assert read_exactly(sock, len(data)) == data
        sender.join()


def test_the_end_of_one_direction_is_passed_on_behind_what_was_sent(program: Path) -> None:
    with echoed(program, 5) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert read_exactly(sock, 100) == b"last words"


def test_a_server_that_is_not_there(program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        delay_line.line(program, "127.0.0.1", port, 1) as through,
        socket.create_connection(("127.0.0.1", through), 10) as sock,
        contextlib.suppress(ConnectionError),
    ):
        assert sock.recv(1) == b""
