"""The session as a whole: any split of the bytes gives the same conversation."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.session.commands import CloseConnection, SendData
from pgcrypt_proxy.session.events import BackendOpened, ConnectionClosed, DataReceived, Side, WorldChanged
from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.playbook import backend, frontend, to_backend
from tests.helpers.session_doubles import EMAIL, ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    ID,
    PARSED,
    SEALED_EMAIL,
    STARTUP,
    Talk,
    bind,
    bytea,
    describe,
    described,
    done,
    error,
    execute,
    parse,
    query,
    reading,
    ready,
    row,
    storing,
    talk,
)

SELECT, INSERT = "SELECT id, email FROM users", "INSERT INTO users(email) VALUES ($1)"
PLANS = {SELECT: reading(SELECT, None, EMAIL), INSERT: storing()}
ASKED = b"".join(
    [query(SELECT), parse(INSERT), bind(b"a"), execute(), SYNC, query("SELECT 1"), parse(SELECT), bind(), describe(),
     execute(), SYNC]
)  # fmt: skip
SAID = b"".join(
    [
        described(ID, SEALED_EMAIL), row(b"1", bytea(b"<1||a>")), done("SELECT 1"), ready(),
        PARSED, BOUND, error("23505"), ready(),
        described(ID), row(b"1"), row(b"2"), done("SELECT 2"), ready(),
        PARSED, BOUND, described(ID, SEALED_EMAIL), row(b"1", bytea(b"<1||b>")), row(b"2", None), done("SELECT 2"),
        ready(),
    ]
)  # fmt: skip


def conversation(*events: DataReceived) -> tuple[bytes, bytes]:
    """Everything sent to the server and to the client."""
    play = talk(PLANS)
    sent = {Side.BACKEND: b"", Side.FRONTEND: b""}
    for event in events:
        for command in play.session.handle(event):
            assert isinstance(command, SendData)
            sent[command.side] += command.data
    return sent[Side.BACKEND], sent[Side.FRONTEND]


@given(st.lists(st.integers(0, len(ASKED))), st.lists(st.integers(0, len(SAID))))
def test_any_split_gives_the_same_conversation(asked_at: list[int], said_at: list[int]):
    def split(data: bytes, at: list[int]) -> list[bytes]:
        bounds = [0, *sorted(at), len(data)]
        return [data[a:b] for a, b in pairwise(bounds)]

    pieces = [*(frontend(p) for p in split(ASKED, asked_at)), *(backend(p) for p in split(SAID, said_at))]
    assert conversation(*pieces) == conversation(frontend(ASKED), backend(SAID))


@given(st.binary(max_size=200), st.sampled_from(Side))
def test_any_bytes_end_in_commands_and_never_in_an_exception(data: bytes, side: Side):
    play = talk(PLANS)
    play.session.handle(frontend(query(SELECT)))
    play.session.handle(DataReceived(side, data))
    play.session.handle(ConnectionClosed(side))


@given(st.data())
def test_damaged_answers_show_no_envelope(data: st.DataObject):
    # What answers a plain statement passes unread: a server that lies about lengths there could put anything into it.
    plain = row(b"1") + row(b"2") + done("SELECT 2") + ready()
    start = SAID.index(plain)
    at = data.draw(st.integers(0, len(SAID) - 1).filter(lambda n: not start <= n < start + len(plain)))
    damaged = SAID[:at] + bytes([data.draw(st.integers(0, 255))]) + SAID[at + 1 :]
    play = talk(PLANS)
    play.session.handle(frontend(ASKED))
    shown = b"".join(c.data for c in play.session.handle(backend(damaged)) if isinstance(c, SendData))
    assert bytea(b"<1||a>") not in shown
    assert bytea(b"<1||b>") not in shown


def test_nothing_more_is_said_once_closed():
    play = talk()
    play >> ConnectionClosed(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play >> backend(ready()) >> frontend(query("SELECT 1"))
    play >> WorldChanged(play.planner.as_planner, play.keyring.as_keyring)
    play.done()


def test_a_new_world_is_in_force_at_once():
    play = talk()
    play >> WorldChanged(ScriptedPlanner(PLANS, version=2).as_planner, play.keyring.as_keyring)
    play >> frontend(parse(INSERT)) << to_backend(parse(INSERT, oids=(17,)))


def test_a_new_world_before_authentication():
    play = Talk()
    play >> WorldChanged(ScriptedPlanner(PLANS, version=2).as_planner, play.keyring.as_keyring)
    play >> frontend(STARTUP)
    play.next()
    play >> BackendOpened() << to_backend(STARTUP)
