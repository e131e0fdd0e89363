"""SQL texts for the planner, and whole sessions with any bytes from either side."""

from __future__ import annotations

import struct

from pgcrypt_proxy.session.commands import OpenBackend, SendData
from pgcrypt_proxy.session.events import ConnectionClosed, DataReceived, Side
from pgcrypt_proxy.sql.fingerprint import fingerprint, fingerprint_in_python
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.wire.framing import FrameBuffer
from tests.helpers.playbook import backend
from tests.helpers.session_doubles import EMAIL, ScriptedPlanner, catalog
from tests.session.conversations import Talk, bind, describe, execute, parse, query, reading, ready, storing
from tests.session.test_client_login import asked, offered
from tests.session.test_hostile_peers import INSERT, SELECT, SYNC
from tests.sql.test_fingerprint import test_literals_are_the_scanners as literals
from tests.sql.test_planner_fuzz import check

PLANS = {SELECT: reading(SELECT, None, EMAIL), INSERT: storing()}
#: Longer texts tell nothing new, and take long.
MAX_TEXT = 400


def _text(data: bytes) -> str | None:
    text = data[:MAX_TEXT].decode("utf-8", "ignore")
    return None if "\0" in text else text


def sql_literals(data: bytes) -> None:
    """Literals are cut out of a text where PostgreSQL's scanner sees them, in compiled code too."""
    if (text := _text(data)) is not None:
        assert fingerprint(text) == fingerprint_in_python(text)
        literals.hypothesis.inner_test(text)  # type: ignore[attr-defined]


def sql_texts(data: bytes) -> None:
    """All that holds for every text holds for this one."""
    if (text := _text(data)) is not None:
        check(text)


class RealPlanner(ScriptedPlanner):
    """A planner of the doubles' catalog that plans."""

    @property
    def as_planner(self) -> Planner:
        return Planner(catalog())


def client_bytes(data: bytes) -> None:
    """After the login. The first byte says how the bytes are cut, and whether the server answers with errors."""
    if not data:
        return
    step, answers, stream = 1 + data[0] % 64, data[0] >= 0x80, data[1:]
    planner = RealPlanner() if data[0] & 0x40 else ScriptedPlanner(PLANS)
    play, upstream = Talk(planner).opened(), FrameBuffer("frontend")
    for at in range(0, len(stream), step):
        _take(play, DataReceived(Side.FRONTEND, stream[at : at + step]), upstream, answers=answers)
        if play.session.is_closed:
            return
    play.session.handle(ConnectionClosed(Side.FRONTEND))


def _take(play: Talk, event: DataReceived, upstream: FrameBuffer, *, answers: bool) -> None:
    """What goes to the server is made of messages that it takes."""
    for command in play.session.handle(event):
        if isinstance(command, SendData) and command.side is Side.BACKEND:
            upstream.feed(command.data)
    while (message := upstream.take()) is not None:
        assert chr(message[0]) in "QPBDCEHSFXdcf"
        if answers and message[0] in b"QFS" and not play.session.is_closed:
            play.session.handle(backend(ready()))


def server_bytes(data: bytes) -> None:
    """Behind requests of every kind; nothing sealed is shown, and nothing but PgcryptError's ends it."""
    if not data:
        return
    play = Talk(ScriptedPlanner(PLANS)).opened()
    starts = (
        query(SELECT),
        query("SELECT 1"),
        parse(SELECT) + bind() + describe() + execute() + SYNC,
        parse(INSERT) + describe("S") + bind(b"x") + execute() + SYNC,
        query("COPY t FROM STDIN"),
        b"",
    )
    play.session.handle(DataReceived(Side.FRONTEND, starts[data[0] % len(starts)]))
    step, stream = 1 + data[0] // len(starts), data[1:]
    for at in range(0, len(stream), step):
        play.session.handle(DataReceived(Side.BACKEND, stream[at : at + step]))


def login_bytes(data: bytes) -> None:
    """Before the proof: nothing that a client says opens the way to the server."""
    play = asked()
    offered(play)
    for side in (data, b"p" + struct.pack("!i", len(data) + 4) + data):
        assert OpenBackend() not in play.session.handle(DataReceived(Side.FRONTEND, side))
