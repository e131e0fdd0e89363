"""Either leg cut after every byte of a conversation: nothing is left of it, in the proxy or on the server."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from pgcrypt_proxy.server.run import Running, start
from pgcrypt_proxy.wire.frontend import COPY_DONE, SYNC, TERMINATE
from tests.helpers.proxies import settings_for
from tests.helpers.raw_peers import Peer, Place, eventually, startup_packet
from tests.parity.conftest import Twins
from tests.session.conversations import bind, describe, execute, parse, query

pytestmark = pytest.mark.one_server

#: Sealed parameters, opened rows, a COPY and a transaction, as one client would send them.
STEPS = [
    query("BEGIN"),
    parse("INSERT INTO people (id, email, ssn) VALUES ($1, $2, $3) RETURNING email")
    + bind(b"500", b"planted-cut", b"1-1")
    + describe()
    + execute()
    + SYNC,
    query("COPY people (id, email) FROM STDIN"),
    b"d" + struct.pack("!i", 20) + b"501\tplanted-cu\n\0"[:16],
    COPY_DONE,
    parse("SELECT email, ssn FROM people WHERE email = $1") + bind(b"planted-cut") + execute("", 1) + SYNC,
    query("ROLLBACK"),
    TERMINATE,
]
assert len(STEPS[3]) == 21
#: How many messages end the answer to each step.
ANSWERED_BY = ["Z", "Z", "G", "", "Z", "Z", "Z", ""]

#: The proxy's own tasks: what keeps it up to date, and the one that counts.
OWN_TASKS = 4


class Cut:
    """Relays to the server. Connections made while `after` is set are cut after so many bytes of one way."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.after: tuple[str, int] | None = None
        self.count = {"to server": 0, "from server": 0}
        self._watched: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._relay, args=(near, self.after), daemon=True)
            if self.after is not None:
                self._watched.append(thread)
            thread.start()

    def _relay(self, near: socket.socket, after: tuple[str, int] | None) -> None:
        with near, socket.create_connection(self._server) as far:
            back = threading.Thread(target=self._copy, args=(far, near, "from server", after), daemon=True)
            back.start()
            self._copy(near, far, "to server", after)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket, way: str, after: tuple[str, int] | None) -> None:
        left = after[1] if after is not None and after[0] == way else None
        with contextlib.suppress(OSError):
            while left != 0 and (data := source.recv(65536)):
                if after is not None:
                    self.count[way] += len(data)
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        for thread in self._watched:
            thread.join(10)
            assert not thread.is_alive()
        self._watched.clear()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Rig:
    """A proxy whose way to the server can be cut, and what must be empty when nobody is connected."""

    def __init__(self, twins: Twins, running: Running, cut: Cut) -> None:
        self.running = running
        self.cut = cut
        self.place = Place(("127.0.0.1", running.port), twins.sealed.name, {})
        self._direct = twins.sealed.direct()
        self._own = self._backends()

    def _backends(self) -> set[int]:
        query = (
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database()"
        )
        return {pid for (pid,) in self._direct.execute(query)}

    def assert_empty(self) -> None:
        proxy = self.running.proxy
        eventually(lambda: not (proxy.listener._connections or proxy._doorkeeper.pending_count))
        eventually(lambda: tasks(self.running) <= OWN_TASKS)
        eventually(lambda: self._backends() <= self._own)
        ids = self._direct.execute("SELECT count(*) FROM people WHERE id >= 500").fetchone()
        assert ids == (0,)

    def talk(self, *, after: int | None = None) -> int:
        """The whole conversation, or until somebody closes; this side does `after` that many bytes. Says how many."""
        sent = 0
        peer = Peer(self.place)
        try:
            packet = startup_packet(database=self.place.database)
            for data, answer in [(packet, "Z"), *zip(STEPS, ANSWERED_BY, strict=True)]:
                part = data if after is None else data[: max(after - sent, 0)]
                peer.sock.sendall(part)
                sent += len(part)
                if len(part) < len(data):
                    break
                if answer and any(heard[0] in ("closed", "E") for heard in peer.hear(answer)):
                    break
        except (ConnectionError, AssertionError):
            pass  # cut in the middle of a message
        finally:
            peer.close()
        return sent

    def close(self) -> None:
        self._direct.close()


@pytest.fixture(scope="module")
def rig(shared_twins: Twins) -> Iterator[Rig]:
    sealed = shared_twins.sealed
    cut = Cut(sealed.server.port)
    settings = settings_for(sealed.server, sealed.name, sealed.rules)
    with sealed.direct() as direct:
        direct.execute("TRUNCATE people")
    url = f"postgresql://postgres@127.0.0.1:{cut.port}/{sealed.name}"
    running = start(dataclasses.replace(settings, database_url=url))
    made = Rig(shared_twins, running, cut)
    yield made
    made.close()
    running.stop()
    cut.stop()


def test_the_client_goes_after_every_byte(rig: Rig) -> None:
    whole = rig.talk()
    rig.assert_empty()
    for after in range(whole):
        rig.talk(after=after)
        if after % 10 == 0:
            rig.assert_empty()
    rig.assert_empty()


@pytest.mark.parametrize("way", ["to server", "from server"])
def test_the_server_goes_after_every_byte(rig: Rig, way: str) -> None:
    cut = rig.cut
    cut.count = dict.fromkeys(cut.count, 0)
    cut.after = (way, 1 << 30)
    try:
        rig.talk()
        rig.assert_empty()
        cut.join()
        for after in range(1, cut.count[way]):
            cut.after = (way, after)
            rig.talk()
            if after % 10 == 0:
                rig.assert_empty()
                cut.join()
        rig.assert_empty()
    finally:
        cut.after = None


def tasks(running: Running) -> int:
    """How many the proxy's loop has."""

    async def count() -> int:
        return len(asyncio.all_tasks())

    return asyncio.run_coroutine_threadsafe(count(), running._loop).result(10)
