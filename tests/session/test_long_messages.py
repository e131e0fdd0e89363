"""Messages over a megabyte: which pass before they are whole, and what is said when they never become so."""

from __future__ import annotations

import struct

from pgcrypt_proxy.session.commands import CloseConnection
from pgcrypt_proxy.session.events import ConnectionClosed, InputEnded, Side
from pgcrypt_proxy.sql.plan import UNTOUCHED
from pgcrypt_proxy.wire.frontend import COPY_DONE, SYNC, TERMINATE
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import EMAIL
from tests.session.conversations import (
    BOUND,
    ID,
    PARSED,
    SEALED_EMAIL,
    bind,
    described,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    reading,
    ready,
    row,
    storing,
    talk,
)

LONG = b"x" * (3 << 20)
HALF = 2 << 20
INSERT = "INSERT INTO users(email) VALUES ($1)"
SELECT = "SELECT id, email FROM users"
COPY = "COPY t FROM STDIN"
CLOSED = CloseConnection(Side.FRONTEND), CloseConnection(Side.BACKEND)


def copy_data(data: bytes) -> bytes:
    return b"d" + struct.pack("!i", len(data) + 4) + data


def test_a_bind_that_passes_goes_on_as_it_comes():
    play = talk() >> frontend(parse("SELECT $1")) << to_backend(parse("SELECT $1"))
    raw = bind(LONG)
    play >> frontend(raw[:HALF]) << to_backend(raw[:HALF])
    play >> frontend(raw[HALF:], execute(), SYNC) << to_backend(raw[HALF:], execute(), SYNC)
    said = PARSED, BOUND, done("SELECT 1"), ready()
    play >> backend(*said) << to_frontend(*said)
    play.done()


def test_a_bind_that_is_sealed_is_held():
    play = talk({INSERT: storing()}) >> frontend(parse(INSERT))
    play.said.clear()
    raw = bind(LONG)
    play >> frontend(raw[:HALF])
    play.done()
    play >> frontend(raw[HALF:])
    assert LONG in play.sent(Side.BACKEND)[0]


def test_a_bind_of_a_statement_that_is_not_known_is_held():
    play = talk()
    raw = bind(LONG, statement="nosuch")
    play >> frontend(raw[:HALF])
    play.done()
    play >> frontend(raw[HALF:], SYNC)
    assert len(b"".join(play.sent(Side.BACKEND))) < 100  # what is sent in its place


def test_copy_data_become_several_messages():
    play = talk({COPY: UNTOUCHED}) >> frontend(query(COPY)) << to_backend(query(COPY))
    play >> backend(b"G\0\0\0\7\0\0\0") << to_frontend(b"G\0\0\0\7\0\0\0")
    raw = copy_data(LONG)
    play >> frontend(raw[:HALF]) << to_backend(copy_data(LONG[: HALF - 5]))
    play >> frontend(raw[HALF:], COPY_DONE) << to_backend(copy_data(LONG[HALF - 5 :]), COPY_DONE)
    play.done()


def test_a_text_too_long_is_refused_before_it_is_whole():
    play = talk()
    raw = b"Q" + struct.pack("!i", 50 << 20)
    play >> frontend(raw, LONG)
    play.sent(Side.BACKEND)
    play >> backend(error("42883"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["C"] == "54001"
    left = (50 << 20) - 4 - len(LONG)
    while left:
        part = LONG[:left]
        play >> frontend(part)
        play.done()
        left -= len(part)
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_rows_pass_as_they_come():
    play = talk() >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    raw = row(LONG)
    play >> backend(described(ID), raw[:HALF]) << to_frontend(described(ID), raw[:HALF])
    play >> backend(raw[HALF:], done("SELECT 1"), ready()) << to_frontend(raw[HALF:], done("SELECT 1"), ready())
    play.done()


def test_rows_of_protected_columns_are_held():
    play = talk({SELECT: reading(SELECT, None, EMAIL)}) >> frontend(query(SELECT)) << to_backend(query(SELECT))
    play >> backend(described(ID, SEALED_EMAIL))
    play.said.clear()
    play >> backend(row(b"1", LONG)[:HALF])
    play.done()


def test_no_error_is_put_into_a_row_that_never_ends():
    play = talk() >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    raw = row(LONG)
    play >> backend(described(ID), raw[:HALF]) << to_frontend(described(ID), raw[:HALF])
    play >> ConnectionClosed(Side.BACKEND) << CLOSED[0] << CLOSED[1]
    play.done()


def test_a_client_that_ends_in_the_middle_is_gone():
    play = talk() >> frontend(parse("SELECT $1")) << to_backend(parse("SELECT $1"))
    raw = bind(LONG)
    play >> frontend(raw[:HALF]) << to_backend(raw[:HALF])
    play >> InputEnded() << CLOSED[0] << CLOSED[1]
    play.done()


def test_a_client_that_ends_its_half_is_answered():
    play = talk() >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    play >> InputEnded() << to_backend(b"X\0\0\0\4")
    said = described(ID), row(b"1"), done("SELECT 1"), ready()
    play >> backend(*said) << to_frontend(*said)
    play >> ConnectionClosed(Side.BACKEND) << CLOSED[0]
    play.done()


def test_a_client_that_ends_while_it_copies_is_gone():
    play = talk({COPY: UNTOUCHED}) >> frontend(query(COPY)) << to_backend(query(COPY))
    play >> backend(b"G\0\0\0\7\0\0\0") << to_frontend(b"G\0\0\0\7\0\0\0")
    play >> InputEnded() << CLOSED[0] << CLOSED[1]
    play.done()


def test_a_part_that_looks_like_requests_is_a_part():
    play = talk({INSERT: storing()}) >> frontend(parse(INSERT, "s"), SYNC)
    play.said.clear()
    play >> backend(PARSED, ready())
    play.said.clear()
    play >> frontend(parse("SELECT $1"), SYNC)
    play.said.clear()
    play >> backend(PARSED, ready())
    play.said.clear()
    looks = bind(b"a", statement="s") + execute() + SYNC
    raw = bind(LONG[: 2 << 20] + looks + LONG[: 1 << 20])
    at = raw.index(looks)
    play >> frontend(raw[:at]) << to_backend(raw[:at])
    play >> frontend(looks) << to_backend(looks)
    play >> frontend(raw[at + len(looks) :]) << to_backend(raw[at + len(looks) :])
    play.done()


def test_a_part_that_looks_like_answers_is_a_part():
    play = talk({SELECT: reading(SELECT, None, EMAIL)}) >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))
    looks = BOUND + row(b"1") + done("SELECT 1") + ready()
    raw = row(LONG[: 2 << 20] + looks + LONG[: 1 << 20])
    at = raw.index(looks)
    play >> backend(described(ID), raw[:at]) << to_frontend(described(ID), raw[:at])
    play >> backend(looks) << to_frontend(looks)
    play >> backend(raw[at + len(looks) :]) << to_frontend(raw[at + len(looks) :])
    play.done()


def test_nothing_is_taken_behind_terminate():
    play = talk({INSERT: storing()}) >> frontend(parse(INSERT, "s"), SYNC)
    play.said.clear()
    play >> backend(PARSED, ready())
    play.said.clear()
    play >> frontend(query("SELECT 1"), TERMINATE) << to_backend(query("SELECT 1"), TERMINATE)
    play >> frontend(bind(b"a", statement="s") + execute() + SYNC)
    play.done()
