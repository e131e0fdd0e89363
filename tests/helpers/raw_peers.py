"""The same bytes to a server directly and through a proxy, and the answers compared field by field.

`Peer` is one raw connection that reads messages and decodes what may differ:
process ids and cancel keys are reduced to their lengths, table OIDs to the
tables' names. `Pair` holds two peers, and every `hear` of it compares.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgcrypt_proxy.session.from_frontend import FIRST_NORMAL_OBJECT_ID
from pgcrypt_proxy.wire.backend import ErrorResponse, ParameterStatus, RowDescription
from tests.helpers.ready import readable
from tests.session.conversations import packet

TIMEOUT_S = 8.0
#: Where in PostgreSQL's source an error was made: the proxy's own errors have none.
SOURCE_FIELDS = frozenset("FLR")

#: One answer: its type and its fields, as plain values that can be compared and read in a failure.
Heard = tuple[str, Any]
CLOSED: Heard = ("closed", None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect. `tables` names the tables of the database by OID."""

    address: tuple[str, int] | str
    database: str
    tables: Mapping[int, str]

    def connect(self) -> socket.socket:
        if isinstance(self.address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.address)
        else:
            sock = socket.create_connection(self.address, TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(TIMEOUT_S)
        return sock


class Peer:
    """One raw connection."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.sock = place.connect()
        self._data = bytearray()
        self.raw: list[bytes] = []  # every message as it came
        self.key: tuple[int, bytes] = (0, b"")

    def start(self, *, minor: int = 0, **parameters: str) -> list[Heard]:
        """StartupMessage, and all that comes up to the first ReadyForQuery."""
        self.sock.sendall(startup_packet(minor=minor, **{"database": self.place.database, **parameters}))
        return self.hear("Z")

    def say(self, *messages: bytes) -> None:
        """Send them in one segment; a peer that has closed does not mind."""
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(b"".join(messages))

    def hear(self, until: str = "Z", count: int = 1) -> list[Heard]:
        """All messages up to the `count`th of the type `until`, or up to the end of the connection."""
        heard: list[Heard] = []
        while count:
            message = self.message()
            if message is None:
                return [*heard, CLOSED]
            heard.append(self.decoded(message))
            count -= chr(message[0]) in until
        return heard

    def hear_quiet(self, quiet_s: float = 0.3) -> list[Heard]:
        """All messages that come until nothing does for a while."""
        heard: list[Heard] = []
        while self._has_message() or readable([self.sock], quiet_s):
            message = self.message()
            if message is None:
                return [*heard, CLOSED]
            heard.append(self.decoded(message))
        return heard

    def byte(self) -> bytes:
        """One byte that is no message: the answer to a request for encryption."""
        return self.sock.recv(1)

    def message(self) -> bytes | None:
        """The next whole message, None at the end."""
        while not self._has_message():
            try:
                received = self.sock.recv(1 << 16)
            except ConnectionError:
                received = b""
            if not received:
                assert not self._data, f"the connection ended inside of a message: {bytes(self._data[:80])!r}"
                return None
            self._data += received
        length = struct.unpack_from("!i", self._data, 1)[0] + 1
        message = bytes(self._data[:length])
        del self._data[:length]
        self.raw.append(message)
        return message

    def _has_message(self) -> bool:
        return len(self._data) >= 5 and len(self._data) > struct.unpack_from("!i", self._data, 1)[0]

    def decoded(self, raw: bytes) -> Heard:
        kind = chr(raw[0])
        if kind == "K":
            self.key = struct.unpack_from("!i", raw, 5)[0], raw[9:]
            return kind, len(raw)
        if kind in "EN":
            return kind, {chr(c): v.decode("utf-8", "replace") for c, v in ErrorResponse.decode(raw).fields}
        if kind == "S":
            status = ParameterStatus.decode(raw)
            return kind, (status.name.decode(), status.value.decode())
        if kind == "T":
            return kind, [self._field(f) for f in RowDescription.decode(raw).fields]
        if kind == "A":
            return kind, raw[9:]
        return kind, raw[5:]

    def _field(self, field: Any) -> tuple[object, ...]:
        is_new = field.table_oid >= FIRST_NORMAL_OBJECT_ID
        table = self.place.tables.get(field.table_oid, "a new one" if is_new else field.table_oid)
        numbers = field.attribute_number, field.type_oid, field.type_length, field.type_modifier, field.format_code
        return (field.name.decode(), table, *numbers)

    def cancel_packet(self) -> bytes:
        """The CancelRequest of this connection."""
        process_id, key = self.key
        return packet(80877102, struct.pack("!i", process_id) + key)

    def close(self) -> None:
        self.sock.close()


def startup_packet(*, minor: int = 0, **parameters: str) -> bytes:
    """A StartupMessage of protocol 3.`minor`, by default as postgres."""
    named = {"user": "postgres", **parameters}
    pairs = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in named.items() if k != "user" or v)
    return packet(3 << 16 | minor, pairs + b"\0")


class Pair:
    """The same conversation twice: `direct` with the server, `proxied` with the proxy."""

    def __init__(self, direct: Peer, proxied: Peer) -> None:
        self.direct = direct
        self.proxied = proxied
        self.ignored: frozenset[str] = frozenset()  # fields of errors and notices

    @property
    def peers(self) -> tuple[Peer, Peer]:
        return self.direct, self.proxied

    def say(self, *messages: bytes) -> None:
        for peer in self.peers:
            peer.say(*messages)

    def say_slowly(self, data: bytes, step: int = 1) -> None:
        """In segments of `step` bytes."""
        for peer in self.peers:
            for at in range(0, len(data), step):
                peer.say(data[at : at + step])

    def hear(self, until: str = "Z", count: int = 1) -> list[Heard]:
        """What both heard, which must be the same."""
        return self.same(*(peer.hear(until, count) for peer in self.peers))

    def hear_quiet(self, quiet_s: float = 0.3) -> list[Heard]:
        return self.same(*(peer.hear_quiet(quiet_s) for peer in self.peers))

    def ask(self, *messages: bytes, until: str = "Z", count: int = 1) -> list[Heard]:
        """Say, and hear."""
        self.say(*messages)
        return self.hear(until, count)

    def byte(self) -> bytes:
        first, second = (peer.byte() for peer in self.peers)
        assert first == second
        return first

    def start(self, *, minor: int = 0, **parameters: str) -> list[Heard]:
        return self.same(*(peer.start(minor=minor, **parameters) for peer in self.peers))

    def same(self, direct: Sequence[Heard], proxied: Sequence[Heard]) -> list[Heard]:
        expected, found = ([self._compared(h) for h in heard] for heard in (direct, proxied))
        for one, other in zip(found, expected, strict=False):
            assert one == other, f"directly:       {other!r}\nthrough the proxy: {one!r}"
        assert kinds(found) == kinds(expected), f"directly {kinds(expected)}, through the proxy {kinds(found)}"
        return list(direct)

    def _compared(self, heard: Heard) -> Heard:
        kind, fields = heard
        if kind in "EN" and self.ignored:
            return kind, {code: value for code, value in fields.items() if code not in self.ignored}
        return heard

    def close(self) -> None:
        for peer in self.peers:
            peer.close()


def kinds(heard: Sequence[Heard]) -> str:
    """The types of the messages, one character each; `.` for the end of the connection."""
    return "".join("." if h == CLOSED else h[0] for h in heard)


def errors(heard: Sequence[Heard]) -> list[tuple[str, str]]:
    """SQLSTATE and message of each error."""
    return [(fields["C"], fields["M"]) for kind, fields in heard if kind == "E"]


def rows(heard: Sequence[Heard]) -> list[list[bytes | None]]:
    """The values of the data rows."""
    return [_values(fields) for kind, fields in heard if kind == "D"]


def _values(body: bytes) -> list[bytes | None]:
    found: list[bytes | None] = []
    at = 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        length = struct.unpack_from("!i", body, at)[0]
        at += 4
        found.append(None if length < 0 else body[at : at + length])
        at += max(length, 0)
    return found


def eventually(reached: Any, timeout_s: float = TIMEOUT_S) -> None:
    """Waits until `reached()` is true."""
    for _ in _until(time.monotonic() + timeout_s):
        if reached():
            return
    assert reached()


def _until(deadline: float) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
