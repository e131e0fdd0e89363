"""A leg's bytes in compiled code: who gets them, in which order, and what happens when the socket takes no more."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from pgcrypt_proxy import fast
from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.session_doubles import Transport
from tests.session.conversations import BOUND, NO_DATA, bind, describe, done, execute, ready

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

BIND = 0
REQUESTS = bind(b"1", statement="s") + describe() + execute() + SYNC
REPLIES = BOUND + NO_DATA + done("INSERT 0 1") + ready()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    one.setblocking(False)
    with one, other:
        yield one, other


def course() -> Any:
    """One that knows the statement `s`."""
    assert fast.native is not None
    statement = object()
    made = fast.native.Course({b"s": statement})
    route = fast.native.Route(statement, made.renew(), False, None, None)
    assert route.see(True, NO_DATA, NO_DATA, "its result", None)
    made.add(BIND, b"s", route, 10)
    made.arm(0.0)
    return made


def test_an_outlet_writes_to_the_socket_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    assert fast.native is not None
    transport = Transport()
    outlet = fast.native.Outlet(transport, pair[0].fileno())
    outlet.write(b"one")
    outlet.write(b"two")
    assert pair[1].recv(100) == b"onetwo"
    assert transport.written == []


@pytest.mark.parametrize("reason", ["left", "closing", "no socket", "closed socket"])
def test_an_outlet_leaves_it_to_the_transport(pair: tuple[socket.socket, socket.socket], reason: str) -> None:
    assert fast.native is not None
    transport = Transport()
    outlet = fast.native.Outlet(transport, -1 if reason == "no socket" else pair[0].fileno())
    transport.left = int(reason == "left")
    transport.closing = reason == "closing"
    if reason == "closed socket":
        pair[1].close()
    outlet.write(b"data")
    assert transport.written == [b"data"]
    if reason != "closed socket":
        pair[1].setblocking(False)
        with pytest.raises(BlockingIOError):
            pair[1].recv(100)


def test_what_the_socket_does_not_take_is_written_behind_it(pair: tuple[socket.socket, socket.socket]) -> None:
    assert fast.native is not None
    transport = Transport()
    outlet = fast.native.Outlet(transport, pair[0].fileno())
    data = bytes(range(256)) * 40_000
    outlet.write(data)
    outlet.write(b"more")  # the transport has something left: behind it
    rest = b"".join(transport.written)
    assert rest.endswith(b"more")
    received = bytearray()
    pair[1].setblocking(False)
    while len(received) < len(data) + 4 - len(rest):
        received += pair[1].recv(1 << 20)
    assert bytes(received) + rest == data + b"more"


def test_what_is_written_after_the_end_is_lost(pair: tuple[socket.socket, socket.socket]) -> None:
    assert fast.native is not None
    transport = Transport()
    outlet = fast.native.Outlet(transport, pair[0].fileno())
    outlet.close()
    outlet.write(b"data")
    assert transport.written == []
    with pytest.raises(TypeError):
        outlet.write("text")


def test_known_courses_go_on_and_all_else_falls_back(pair: tuple[socket.socket, socket.socket]) -> None:
    assert fast.native is not None
    known, fallen = course(), []
    to_backend, to_frontend = Transport(), Transport()
    frontend = fast.native.Port(known, True, fast.native.Outlet(to_backend, -1), fallen.append)
    backend = fast.native.Port(known, False, fast.native.Outlet(to_frontend, -1), fallen.append)
    backend.data_received(REPLIES)  # of nothing
    frontend.data_received(REQUESTS)
    frontend.data_received(REQUESTS)  # one is under way
    backend.data_received(REPLIES[:-1])
    backend.data_received(REPLIES)
    assert (to_backend.written, to_frontend.written) == ([REQUESTS], [REPLIES])
    assert fallen == [REPLIES, REQUESTS, REPLIES[:-1]]
    executions, batches, untouched, rewritten, idles, status, last, flight = known.leave()
    assert (executions, batches, untouched, rewritten, idles, status, flight) == (2, 1, 0, 0, 1, ord("I"), None)
    assert last[0] == BIND
    assert last[2:] == (REQUESTS[: len(bind(b"1", statement="s"))], True, "its result")
    assert known.leave() is None
    frontend.data_received(REQUESTS)  # not armed
    assert fallen[-1] == REQUESTS
    frontend.close()
    frontend.data_received(REQUESTS)
    assert len(fallen) == 4


def test_a_course_under_way_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    known = course()
    assert known.requests(REQUESTS) == REQUESTS
    *_, last, flight = known.leave()
    assert last is None
    assert flight[3] is True
    assert known.replies(REPLIES) is None  # Python's now


@pytest.mark.parametrize("at", range(len(REQUESTS)))
def test_no_other_requests_are_taken(at: int) -> None:
    """Whatever byte is another: only what passes for the server to judge makes no difference."""
    passing = range(REQUESTS.index(b"s\0") + 2, len(bind(b"1", statement="s")))
    for change in (0x01, 0x80, 0xFF):
        known = course()
        data = bytearray(REQUESTS)
        data[at] ^= change
        made = known.requests(bytes(data))
        assert made is None or (made == data and at in passing)
        assert known.requests(REQUESTS[:at]) is None
        assert known.requests(REQUESTS + REQUESTS[: at + 1]) is None


@pytest.mark.parametrize("at", range(len(REPLIES)))
def test_no_other_replies_are_taken(at: int) -> None:
    tag = range(REPLIES.index(b"INSERT"), REPLIES.index(b"INSERT") + 10)
    for change in (0x01, 0x80, 0xFF):
        known = course()
        known.requests(REQUESTS)
        data = bytearray(REPLIES)
        data[at] ^= change
        made = known.replies(bytes(data))
        assert made is None or (made == data and at in tag)
        assert made is not None or known.replies(REPLIES[:at]) is None
        assert made is not None or known.replies(REPLIES + REPLIES[: at + 1]) is None


def test_a_statement_of_that_name_that_is_another_is_not_taken() -> None:
    assert fast.native is not None
    settled: dict[bytes, object] = {b"s": object()}
    known = fast.native.Course(settled)
    route = fast.native.Route(settled[b"s"], known.renew(), False, None, None)
    route.see(True, NO_DATA, NO_DATA, None, None)
    known.add(BIND, b"s", route, 10)
    known.arm(0.0)
    settled[b"s"] = object()
    assert known.requests(REQUESTS) is None
    del settled[b"s"]
    assert known.requests(REQUESTS) is None


def test_what_was_known_before_a_change_is_forgotten() -> None:
    known = course()
    known.renew()
    assert known.requests(REQUESTS) is None


def test_what_needs_keys_is_taken_in_their_time_only() -> None:
    assert fast.native is not None
    statement = object()
    known = fast.native.Course({b"s": statement})
    route = fast.native.Route(statement, known.renew(), True, None, None)
    route.see(True, NO_DATA, NO_DATA, None, None)
    known.add(BIND, b"s", route, 10)
    known.arm(0.0)
    assert known.requests(REQUESTS) is None
    known.arm(float("inf"))
    assert known.requests(REQUESTS) == REQUESTS


def test_nothing_is_kept_alive() -> None:
    assert fast.native is not None

    class Owner:
        def take(self, data: bytes) -> None: ...

    owner = Owner()
    known = course()
    owner.port = fast.native.Port(known, True, fast.native.Outlet(Transport(), -1), owner.take)  # type: ignore[attr-defined]
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
