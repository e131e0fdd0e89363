"""A proxy in a process of its own, whose memory is measured: messages longer than it may hold, and peers that stall."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgcrypt_proxy.sql.planner import MAX_CACHED_BYTES, MAX_CACHED_PLANS
from pgcrypt_proxy.wire.frontend import COPY_DONE, SYNC, Close
from tests.helpers.raw_peers import Peer, Place, errors, eventually, kinds, rows
from tests.helpers.ready import writable
from tests.parity.conftest import Twins
from tests.session.conversations import CLOSED, PARSED, bind, execute, parse, query, ready

pytestmark = pytest.mark.one_server

SIZE = 96 << 20
#: What may be added to the proxy's memory, whatever passes.
BOUND = 32 << 20


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Process:
    """`serve`, and how much memory it had at most."""

    def __init__(self, twins: Twins, folder: Path) -> None:
        environment = {
            "PGCRYPT_DATABASE_URL": twins.sealed.server.dsn(twins.sealed.name),
            "PGCRYPT_RULES": str(twins.sealed.rules),
            "PGCRYPT_METRICS_PORT": str(free_port()),
            "PGCRYPT_LISTEN_PORT": "0",
            "PGCRYPT_DRAIN_TIMEOUT_S": "1",
        }
        self.metrics_port = environment["PGCRYPT_METRICS_PORT"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()", "serve"],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        assert self.process.stderr is not None
        ready = next(line for line in self.process.stderr if '"ready"' in line)
        port = int(ready.partition('"port": ')[2].partition(",")[0].strip("} \n"))
        self.place = Place(("127.0.0.1", port), twins.sealed.name, {})

    def peer(self) -> Peer:
        peer = Peer(self.place)
        peer.sock.settimeout(60)
        peer.start()
        return peer

    def memory(self, what: str = "VmRSS") -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) * 1024

    def connections(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            return int(float(answer.read().decode().partition("\npgcrypt_connections_open ")[2].split()[0]))

    def stop(self) -> None:
        try:
            eventually(lambda: self.connections() == 0, 20)
        finally:
            self.process.terminate()
            self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def process(shared_twins: Twins, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(shared_twins, tmp_path_factory.mktemp("memory"))
    yield made
    made.stop()


def send(sock: socket.socket, size: int, chunk: bytes = b"x" * (1 << 20)) -> None:
    while size:
        part = chunk[:size]
        sock.sendall(part)
        size -= len(part)


class TestLongMessages:
    def test_a_row(self, process: Process) -> None:
        peer, before = process.peer(), process.memory()
        peer.say(query(f"SELECT 1, repeat('x', {SIZE})"))
        assert kinds(peer.hear()) == "TDCZ"
        assert process.memory("VmHWM") - before < BOUND
        peer.close()
        eventually(lambda: process.connections() == 0, 20)

    def test_copy_data(self, process: Process) -> None:
        peer, before = process.peer(), process.memory()
        for table in ("big", "items (id, name)", "people (id, name)"):
            peer.say(query(f"COPY {table} FROM STDIN (FORMAT csv)"))
            assert kinds(peer.hear("G")) == "G"
            peer.say(b"d" + struct.pack("!i", SIZE + 7) + b"77,")
            send(peer.sock, SIZE)
            peer.say(COPY_DONE)
            assert len(peer.hear()) == 2
        assert process.memory("VmHWM") - before < BOUND
        peer.close()
        eventually(lambda: process.connections() == 0, 20)

    def test_a_parameter(self, process: Process) -> None:
        peer, before = process.peer(), process.memory()
        tail = struct.pack("!h", 0)
        head = b"\0\0" + struct.pack("!hhhi", 1, 1, 1, SIZE)
        peer.say(parse("SELECT length($1::bytea)"), b"B" + struct.pack("!i", 4 + len(head) + SIZE + len(tail)), head)
        send(peer.sock, SIZE)
        peer.say(tail, execute(), SYNC)
        assert kinds(peer.hear()) == "12DCZ"
        assert process.memory("VmHWM") - before < BOUND
        peer.close()
        eventually(lambda: process.connections() == 0, 20)

    def test_a_text_too_long_to_be_read(self, process: Process) -> None:
        peer, before = process.peer(), process.memory()
        peer.say(b"Q" + struct.pack("!i", SIZE + 5))
        send(peer.sock, SIZE)
        peer.say(b"\0", b"P" + struct.pack("!i", SIZE + 8) + b"\0")
        send(peer.sock, SIZE)
        peer.say(b"\0\0\0", bind(), execute(), SYNC, query("SELECT 1"))
        heard = peer.hear(count=3)
        assert kinds(heard) == "EZEZTDCZ"
        assert {code for code, _ in errors(heard)} == {"54001"}
        assert process.memory("VmHWM") - before < BOUND
        peer.close()
        eventually(lambda: process.connections() == 0, 20)

    def test_what_is_skipped(self, process: Process) -> None:
        peer, before = process.peer(), process.memory()
        peer.say(parse("nonsense"), b"H\0\0\0\4")
        peer.hear("E")
        peer.say(b"B" + struct.pack("!i", SIZE + 4))
        send(peer.sock, SIZE)
        assert kinds(self.asked(peer)) == "Z"
        assert process.memory("VmHWM") - before < BOUND
        peer.close()
        eventually(lambda: process.connections() == 0, 20)

    def asked(self, peer: Peer) -> list[tuple[str, object]]:
        peer.say(SYNC)
        return peer.hear()


def test_a_length_alone_costs_nothing(process: Process) -> None:
    peers, before = [process.peer() for _ in range(10)], process.memory()
    for kind, peer in zip("QPBFdQPBFd", peers, strict=True):
        peer.say(kind.encode() + struct.pack("!i", 0x3FFFFFFF) + b"x" * 1000)
    time.sleep(0.3)
    assert process.memory() - before < 4 << 20
    for peer in peers:
        peer.close()


class TestStalledPeers:
    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT repeat('x', 1000) FROM generate_series(1, 10000000)",
            "SELECT p.email, repeat('x', 1000) FROM people p, generate_series(1, 10000000)",
            "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT",
        ],
    )
    def test_a_client_that_does_not_read(self, process: Process, sql: str) -> None:
        peer, before = process.peer(), process.memory()
        peer.say(query(sql))
        time.sleep(1.5)
        assert process.memory() - before < BOUND
        other = process.peer()  # nobody else notices
        other.say(query("SELECT 1"))
        assert kinds(other.hear()) == "TDCZ"
        for one in (peer, other):
            one.close()
        eventually(lambda: process.connections() == 0, 20)

    def test_a_client_that_only_writes(self, process: Process) -> None:
        peer, before = process.peer(), process.memory()
        peer.sock.setblocking(False)
        batch = b"".join([parse("SELECT repeat('x', 10000)"), bind(), execute(), SYNC]) * 100
        written, deadline = 0, time.monotonic() + 5
        while time.monotonic() < deadline and written < 200 << 20:
            if not writable(peer.sock, 1):
                break  # nobody takes more
            written += peer.sock.send(batch)
        assert process.memory() - before < BOUND
        peer.close()
        eventually(lambda: process.connections() == 0, 20)


class TestManyStatements:
    """An application that spells every statement anew, and closes all that it has prepared."""

    BATCH = 500

    def prepare_and_close(self, peer: Peer, numbers: range) -> None:
        """Statements with these numbers in their texts, every tenth of a protected column."""
        for first in range(numbers.start, numbers.stop, self.BATCH):
            names = range(first, first + self.BATCH)
            texts = (f"SELECT {n} AS n{n}" + ", email FROM people" * (n % 10 == 0) for n in names)
            peer.say(
                *(parse(text, f"s{n}") for n, text in zip(names, texts, strict=True)),
                *(Close(ord("S"), f"s{n}".encode()).encode() for n in names),
                SYNC,
            )
            expected = PARSED * self.BATCH + CLOSED * self.BATCH + ready()
            assert peer.sock.recv(len(expected), socket.MSG_WAITALL) == expected

    @pytest.mark.timeout(300)
    def test_a_hundred_thousand_cost_what_ten_thousand_do(self, process: Process) -> None:
        peer = process.peer()
        self.prepare_and_close(peer, range(10_000))
        before = process.memory()
        self.prepare_and_close(peer, range(10_000, 110_000))
        assert process.memory() - before < BOUND // 2
        peer.say(query("SELECT count(*) FROM pg_prepared_statements"))
        assert rows(peer.hear()) == [[b"0"]]
        peer.close()

    def test_the_oldest_plans_go(self, twins: Twins) -> None:
        planner = twins.sealed.running.proxy.world.planner
        peer = Peer(twins.proxied)
        peer.start()
        self.prepare_and_close(peer, range(MAX_CACHED_PLANS + 1_000))
        assert len(planner.plans) <= MAX_CACHED_PLANS
        assert planner.plans.bytes + planner.templates.bytes <= MAX_CACHED_BYTES
        assert planner.plans.misses > MAX_CACHED_PLANS
        peer.close()
