"""The rows of long results in compiled code, from one read to the next: the client gets what Python makes of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import event, given, settings

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.keyring import SealContext
from pgcrypt_proxy.session import courses
from pgcrypt_proxy.session.commands import SendData
from pgcrypt_proxy.session.events import DataReceived, Side
from pgcrypt_proxy.sql.plan import CopyPlan, Plan, StatementPlan
from pgcrypt_proxy.wire.copy_binary import HEADER, TRAILER
from pgcrypt_proxy.wire.copy_format import CopyFormat, CopyKind
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC
from tests.helpers.session_doubles import ScriptedPlanner, Transport
from tests.session.compiled import (
    AGE,
    EMAIL,
    KEYS,
    OUTPUTS,
    PLANS,
    READ,
    TEXTS,
    Run,
    mutated,
    sealed,
    with_formats,
)
from tests.session.conversations import (
    BOUND,
    PARSED,
    bind,
    bytea,
    done,
    error,
    execute,
    parse,
    query,
    ready,
    row,
    status,
)
from tests.session.test_copy import SERVER_DONE, data, wants

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

ALL = "SELECT id, email, age FROM users"
FORMATS = {
    CopyKind.TEXT: CopyFormat(),
    CopyKind.CSV: CopyFormat(kind=CopyKind.CSV, delimiter=b",", null=b""),
    CopyKind.BINARY: CopyFormat(kind=CopyKind.BINARY),
}
COPIES = {f"COPY users TO STDOUT ({kind.value})": kind for kind in FORMATS}
NOTICE, NOTIFICATION = error("00000").replace(b"E", b"N", 1), b"A\0\0\0\x0a\0\0\0\1x\0"
#: Longer rows are Python's, here.
LONG = 2000


def run(*, is_compiled: bool) -> Run:
    plans = {**PLANS, ALL: Plan(False, (StatementPlan(False, outputs=OUTPUTS),), (ALL,))}
    for text, kind in COPIES.items():
        copy = CopyPlan(False, "users", FORMATS[kind], OUTPUTS, ("id", "email", "age"))
        plans[text] = Plan(False, (StatementPlan(False, copy=copy, tables=("public.users",)),), (text,))
    return Run(ScriptedPlanner(plans).as_planner, is_compiled=is_compiled)


class Streamed:
    """A session whose server's bytes come through a port, as a connection has it."""

    def __init__(self) -> None:
        assert fast.native is not None
        self.run = run(is_compiled=True)
        self.session = self.run.session
        self.fallen = 0
        self._client = Transport()
        outlet = fast.native.Outlet(self._client, -1)
        self._port = fast.native.Port(self.session.course, False, outlet, self._on_data)

    def hear(self, piece: bytes) -> bytes:
        """What the client gets of what the server says."""
        self._client.written.clear()
        self._port.data_received(piece)
        return b"".join(self._client.written)

    def say(self, said: bytes) -> None:
        self.session.handle(DataReceived(Side.FRONTEND, said))
        self.session.arm()

    def _on_data(self, piece: bytes) -> None:
        self.fallen += len(piece)
        for command in self.session.handle(DataReceived(Side.BACKEND, piece)):
            if isinstance(command, SendData) and command.side is Side.FRONTEND:
                self._client.write(command.data)
        self.session.arm()


def rows(rng: Random, code: int, count: int) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    for _ in range(count):
        text = rng.choice([*TEXTS, b"y" * rng.randrange(LONG)])
        age = rng.choice([None, struct.pack("!i", rng.randrange(-99, 99))])
        yield b"%d" % rng.randrange(10**6), sealed(EMAIL, rng.choice([None, text, text]), code), sealed(AGE, age, code)


def selected(rng: Random, code: int, count: int) -> list[bytes]:
    return [row(*values) for values in rows(rng, code, count)]


def copied(rng: Random, kind: CopyKind, count: int) -> list[bytes]:
    if kind is CopyKind.BINARY:
        tuples = [row(*values)[5:] for values in rows(rng, 1, count)]
        return [data(HEADER), *map(data, tuples), data(TRAILER)]
    null, lead = (b"", b"") if kind is CopyKind.CSV else (b"\\N", b"\\")
    comma = b"," if kind is CopyKind.CSV else b"\t"
    lines = [[null if value is None else value for value in values] for values in rows(rng, 0, count)]
    return [data(comma.join(lead + v if v[:2] == b"\\x" else v for v in line) + b"\n") for line in lines]


def conversation(rng: Random, count: int) -> tuple[bytes, list[bytes]]:
    """What a client asks, and all that the server says."""
    what = rng.choice(["query", "binary", *COPIES])
    if what == "query":
        return query(ALL), [with_formats((0, 0, 0)), *selected(rng, 0, count), done("SELECT"), ready()]
    if what == "binary":
        asked = parse(READ) + bind(b"1", results=(1,)) + b"D\0\0\0\6P\0" + execute() + SYNC
        answer = [PARSED + BOUND, with_formats((1, 1, 1)), *selected(rng, 1, count), done("SELECT"), ready()]
        return asked, answer
    kind = COPIES[what]
    opening = wants(b"H", int(kind is CopyKind.BINARY), 3)
    return query(what), [opening, *copied(rng, kind, count), SERVER_DONE, done("COPY 1"), ready()]


def pieces(rng: Random, stream: bytes) -> Iterator[bytes]:
    size = rng.choice([3, 300, 5000])
    while stream:
        cut = rng.randint(1, size)
        yield stream[:cut]
        stream = stream[cut:]


@settings(max_examples=60)
@given(st.integers())
def test_the_client_gets_what_python_makes_of_the_rows(seed: int) -> None:
    rng = Random(seed)
    streamed, reference = Streamed(), run(is_compiled=False)
    asked, said = conversation(rng, rng.choice([0, 3, 40]))
    if rng.random() < 0.3:
        said.insert(rng.randrange(len(said)), rng.choice([NOTICE, NOTIFICATION, status("DateStyle", "ISO, MDY")]))
    if rng.random() < 0.2:
        at = rng.randrange(len(said))
        said[at] = mutated(rng, said[at])
    streamed.say(asked)
    reference.feed(Side.FRONTEND, asked)
    heard = b"".join(said)
    with mock.patch.object(courses, "LONG_MESSAGE_BYTES", LONG):
        for piece in pieces(rng, heard):
            assert streamed.hear(piece) == reference.feed(Side.BACKEND, piece).get(Side.FRONTEND, b"")
            if streamed.session.is_closed:
                break
            fate = rng.random()
            if fate < 0.02:
                streamed.say(FLUSH)
                reference.feed(Side.FRONTEND, FLUSH)
            elif fate < 0.04:
                assert streamed.session.is_idle is reference.session.is_idle
            elif fate < 0.05:
                for each in (streamed.run, reference):
                    each.keyring.expires_at = 0.0
                streamed.session.leave_course()  # their time is known when a stream begins
    assert streamed.session.is_closed is reference.session.is_closed
    assert streamed.run.counts() == reference.counts()
    streamed.session.leave_course()
    assert streamed.session._link.backend.pending == reference.session._link.backend.pending
    event(f"{10 * (10 * streamed.fallen // len(heard))} % came to Python")


@pytest.mark.parametrize("what", ["query", *COPIES])
def test_rows_behind_the_first_do_not_come_to_python(what: str) -> None:
    streamed, rng = Streamed(), Random(1)
    said = selected(rng, 0, 200) if what == "query" else copied(rng, COPIES[what], 200)
    opening = with_formats((0, 0, 0)) if what == "query" else wants(b"H", int("binary" in what), 3)
    streamed.say(query(ALL if what == "query" else what))
    streamed.hear(opening + said[0] + said[1])
    rest = b"".join(said[2:])
    before, shown = streamed.fallen, b""
    for piece in pieces(rng, rest):
        shown += streamed.hear(piece)
    assert 0 < len(shown) < len(rest)
    assert streamed.fallen - before <= len(data(TRAILER))
    assert streamed.run.counts()["open", "pii"] > 100


def test_streams_that_are_over_leave_nothing_behind() -> None:
    streamed = Streamed()
    for number in range(1, 4):
        for what, kind in COPIES.items():
            streamed.say(query(what))
            good = copied(Random(number), kind, 30)
            said = [wants(b"H", int(kind is CopyKind.BINARY), 3), *good, SERVER_DONE, done("COPY 30"), ready()]
            for piece in pieces(Random(1), b"".join(said)):
                streamed.hear(piece)
    assert streamed.session.is_idle
    assert not streamed.session._courses._openers
    assert streamed.run.counts()["open", "pii"] > 9 * 30


def test_a_row_that_does_not_open_ends_the_connection_in_a_stream() -> None:
    streamed = Streamed()
    streamed.say(query(ALL))
    good = row(b"1", sealed(EMAIL, b"ann@example.com", 0), None)
    streamed.hear(with_formats((0, 0, 0)) + good)
    bad = row(b"2", bytea(KEYS.seal(SealContext(AGE.id, AGE.data_class), b"ann@example.com")), None)
    shown = streamed.hear(good + bad + good)
    assert shown.startswith(row(b"1", b"ann@example.com", None) + b"E")
    assert shown.count(b"ann@example.com") == 1
    assert streamed.session.is_closed


def test_a_stream_begins_only_where_there_is_none() -> None:
    streamed = Streamed()
    course = streamed.session.course
    assert course.rows(b"D") is None
    assert course.halt() is None
    streamed.say(query(ALL))
    good = row(b"1", sealed(EMAIL, b"ann@example.com", 0), None)
    streamed.hear(with_formats((0, 0, 0)) + good + good[:9])
    native = streamed.session._link.queue.head.work.opener.compiled()  # type: ignore[union-attr]
    assert not course.stream(native, b"", LONG, float("inf"))
    assert course.halt() == good[:9]
    assert not course.stream(native, b"C", LONG, float("inf"))
    assert not course.stream(native, b"D\0\0\0\3", LONG, float("inf"))
    assert not course.stream(native, b"D" + struct.pack("!i", LONG), LONG, float("inf"))
    assert course.stream(native, good[:9], LONG, 0.0)
    assert course.rows(good[9:]) == (None, good)
    assert course.stream(native, good[:9], LONG, float("inf"))
    assert course.rows(good[9:] + good[:3]) == (row(b"1", b"ann@example.com", None), None)
    assert course.rows(good[3:-1]) == (None, None)
    assert course.rows(good[-1:] + b"C") == (row(b"1", b"ann@example.com", None), b"C")
    assert course.rows(b"D") is None
    course.close()
    assert not course.stream(native, b"", LONG, float("inf"))
