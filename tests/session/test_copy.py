"""One COPY of protected columns as a conversation: what is held, sealed, opened, stopped and thrown away."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pgcrypt_proxy.session.commands import RefreshCatalog
from pgcrypt_proxy.session.copy import STOPPED
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.session.from_frontend import REFUSED_QUERY
from pgcrypt_proxy.sql.plan import CopyPlan, Plan, StatementPlan
from pgcrypt_proxy.wire.copy_binary import HEADER
from pgcrypt_proxy.wire.copy_format import CopyFormat, CopyKind
from pgcrypt_proxy.wire.frontend import COPY_DONE, FLUSH, SYNC, copy_fail
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import AGE, EMAIL
from tests.session.conversations import (
    BOUND,
    PARSED,
    Talk,
    bind,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    ready,
    status,
    talk,
)

IN, OUT = "COPY users (id, age) FROM STDIN", "COPY users (id, email) TO STDOUT"
SERVER_DONE = b"c\0\0\0\4"
STOP = copy_fail(STOPPED.encode())
STOPPED_ERROR = error("57014", f"COPY from stdin failed: {STOPPED}", W="COPY users, line 1")


def copying(column: Any = AGE, *, is_from: bool = True, **options: Any) -> StatementPlan:
    made = CopyPlan(is_from, "users", CopyFormat(**options), (None, column), ("id", column.name))
    return StatementPlan(False, copy=made, tables=("public.users",))


def plan_of(text: str, *statements: StatementPlan) -> Plan:
    return Plan(False, statements, (text,))


def data(payload: bytes) -> bytes:
    return b"d" + struct.pack("!i", len(payload) + 4) + payload


def wants(kind: bytes = b"G", code: int = 0, count: int = 2) -> bytes:
    """CopyInResponse or CopyOutResponse."""
    body = struct.pack(f"!bH{count}H", code, count, *([code] * count))
    return kind + struct.pack("!i", len(body) + 4) + body


def sealed(value: bytes) -> bytes:
    """The text form of the envelope that the glass keyring makes of an email."""
    return b"\\\\x" + (b"<1|1[email=t%s]|%s>" % (value, value)).hex().encode()


def copying_in(column: Any = EMAIL, **options: Any) -> Talk:
    play = talk({IN: plan_of(IN, copying(column, **options))})
    play >> frontend(query(IN)) << to_backend(query(IN))
    code = int(options.get("kind") is CopyKind.BINARY)
    play >> backend(wants(code=code)) << to_frontend(wants(code=code))
    return play


def shown_error(play: Talk) -> dict[str, str]:
    return fields_of(play.sent(Side.FRONTEND)[0])


def test_rows_are_sealed_as_they_come():
    play = copying_in()
    play >> frontend(data(b"1\ta\n2\t"), FLUSH, SYNC) << to_backend(data(b"1\t" + sealed(b"a") + b"\n"), FLUSH, SYNC)
    play >> frontend(data(b"b")) >> frontend(data(b"\n3\t\\N"))
    play << to_backend(data(b"2\t" + sealed(b"b") + b"\n"))
    play >> frontend(COPY_DONE) << to_backend(data(b"3\t\\N"), COPY_DONE)
    play >> backend(done("COPY 3"), ready()) << to_frontend(done("COPY 3"), ready())
    play >> frontend(data(b"1\tlate\n"), COPY_DONE)
    play.done()
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_data_wait_until_the_server_wants_them():
    play = talk({IN: plan_of(IN, copying(EMAIL))})
    play >> frontend(query(IN), data(b"1\ta\n"), COPY_DONE) << to_backend(query(IN))
    assert play.session.is_holding_frontend
    play >> backend(wants())
    play << to_backend(data(b"1\t" + sealed(b"a") + b"\n"), COPY_DONE) << to_frontend(wants())


def test_data_behind_an_error_are_thrown_away():
    play = talk({IN: plan_of(IN, copying(EMAIL))})
    play >> frontend(query(IN), data(b"1\ta\n"), COPY_DONE, query("SELECT 1")) << to_backend(query(IN))
    denied = error("42501", "permission denied")
    play >> backend(denied, ready()) << to_backend(query("SELECT 1")) << to_frontend(denied, ready())


def test_extended_protocol():
    for sync in ((), (SYNC,)):  # a Sync before the data is ignored by the server, as every one until CopyDone
        play = talk({IN: plan_of(IN, copying(EMAIL))})
        sent = (parse(IN), bind(), execute(), *sync)
        play >> frontend(*sent) << to_backend(*sent)
        play >> backend(PARSED, BOUND, wants()) << to_frontend(PARSED, BOUND, wants())
        play >> frontend(data(b"1\ta\n"), COPY_DONE, SYNC)
        play << to_backend(data(b"1\t" + sealed(b"a") + b"\n"), COPY_DONE, SYNC)
        play >> backend(done("COPY 1"), ready()) << to_frontend(done("COPY 1"), ready())


def test_a_bad_value_stops_the_copy():
    play = copying_in(AGE)
    play >> frontend(data(b"1\t7\n2\tsecret\n3\t8\n"), data(b"4\t9\n"))
    sent = play.sent(Side.BACKEND)  # the row before it is the server's to judge
    assert (sent[0][5:8], sent[0].count(b"\n"), sent[1:]) == (b"1\t\\", 1, [STOP])
    play >> frontend(data(b"5\t9\n"), COPY_DONE)
    play.done()
    play >> backend(STOPPED_ERROR, ready())
    said = play.sent(Side.FRONTEND)
    fields = fields_of(said[0])
    assert (fields["C"], fields["M"]) == ("22P02", "invalid input syntax for type integer")
    assert fields["W"] == "COPY users, line 2, column age"
    assert said[1:] == [ready()]
    play >> frontend(data(b"6\t9\n"), query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_a_bad_value_in_the_extended_protocol_is_followed_by_the_sync():
    play = talk({IN: plan_of(IN, copying(AGE))})
    play >> frontend(parse(IN), bind(), execute()) << to_backend(parse(IN), bind(), execute())
    play >> backend(PARSED, BOUND, wants()) << to_frontend(PARSED, BOUND, wants())
    play >> frontend(data(b"1\tsecret\n")) << to_backend(STOP)
    play >> frontend(data(b"2\tx\n"), COPY_DONE, SYNC) << to_backend(SYNC)
    play >> backend(STOPPED_ERROR)
    assert shown_error(play)["C"] == "22P02"
    play >> backend(ready()) << to_frontend(ready())
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_an_error_of_the_servers_own_wins():
    play = copying_in(AGE)
    play >> frontend(data(b"1\tsecret\n")) << to_backend(STOP)
    canceled = error("57014", "canceling statement due to user request", W='COPY users, line 1: "1\t\\x3c"')
    shown = error("57014", "canceling statement due to user request", W="COPY users, line 1")
    play >> backend(canceled, ready()) << to_frontend(shown, ready())


def test_an_error_of_the_server_in_the_middle():
    play = copying_in()
    play >> frontend(data(b"1\ta\n")) << to_backend(data(b"1\t" + sealed(b"a") + b"\n"))
    taken = error("23505", "duplicate", W='COPY users, line 1: "1\t\\x3c"')
    play >> backend(taken) << to_frontend(error("23505", "duplicate", W="COPY users, line 1"))
    play >> frontend(data(b"2\tb\n"), COPY_DONE)
    play.done()
    play >> backend(ready()) << to_frontend(ready())
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_the_clients_reason_to_stop_is_not_told_to_the_server():
    play = copying_in()
    play >> frontend(data(b"1\ta\n2\tsec"), copy_fail(b"bad value: secret"))
    play << to_backend(data(b"1\t" + sealed(b"a") + b"\n"), STOP)
    play >> backend(STOPPED_ERROR, ready())
    fields = shown_error(play)
    assert (fields["C"], fields["M"]) == ("57014", "COPY from stdin failed: bad value: secret")


def test_a_malformed_copy_fail_stops_it_too():
    play = copying_in()
    play >> frontend(b"f\0\0\0\5x") << to_backend(STOP)
    play >> backend(STOPPED_ERROR, ready())
    assert shown_error(play)["C"] == "08P01"


def test_several_copies_in_one_text():
    text = f"COPY plain FROM STDIN; {IN}; {IN}"
    play = talk({text: plan_of(text, StatementPlan(), copying(EMAIL), copying(EMAIL))})
    play >> frontend(query(text), data(b"1\tp\n"), COPY_DONE, data(b"2\ta\n"), COPY_DONE, data(b"3\tb\n"), COPY_DONE)
    play << to_backend(query(text))
    play >> backend(wants()) << to_backend(data(b"1\tp\n"), COPY_DONE) << to_frontend(wants())
    play >> backend(done("COPY 1")) << to_frontend(done("COPY 1"))
    for number, value in ((b"2", b"a"), (b"3", b"b")):
        play >> backend(wants())
        play << to_backend(data(number + b"\t" + sealed(value) + b"\n"), COPY_DONE) << to_frontend(wants())
        play >> backend(done("COPY 1")) << to_frontend(done("COPY 1"))
    play >> backend(ready()) << to_frontend(ready())


def test_another_number_of_columns_stops_the_copy():
    play = talk({IN: plan_of(IN, copying(EMAIL))})
    play >> frontend(query(IN)) << to_backend(query(IN))
    play >> backend(wants(count=3)) << to_backend(STOP) << to_frontend(wants(count=3)) << RefreshCatalog(wait=False)
    play >> frontend(data(b"1\ta\tsecret\n"), COPY_DONE)
    play.done()
    play >> backend(STOPPED_ERROR, ready())
    assert shown_error(play)["C"] == "0A000"


def test_bad_rows_are_left_to_the_server_to_skip():
    made = CopyPlan(True, "users", CopyFormat(), (None, AGE), ("id", "age"), skips_bad_rows=True)
    play = talk({IN: plan_of(IN, StatementPlan(False, copy=made))})
    play >> frontend(query(IN)) << to_backend(query(IN))
    play >> backend(wants()) << to_frontend(wants())
    play >> frontend(data(b"1\tsecret\n2\t\\N\n")) << to_backend(data(b"1\t\\\\x-\n2\t\\N\n"))


def test_expired_keys_fail_before_the_copy_runs():
    for text, made in ((IN, copying(EMAIL)), (OUT, copying(EMAIL, is_from=False))):
        play = talk({text: plan_of(text, made)})
        play.keyring.is_expired = True
        play >> frontend(query(text)) << to_backend(REFUSED_QUERY)


def test_binary():
    play = copying_in(EMAIL, kind=CopyKind.BINARY)
    head, tail = b"\0\2\0\0\0\4\0\0\0\1\0\0\0\1", b"a\xff\xff"
    envelope = b"<1|1[email=ta]|a>"
    play >> frontend(data(HEADER + head)) << to_backend(data(HEADER))
    play >> frontend(data(tail), COPY_DONE)
    row = head[:-4] + struct.pack("!i", len(envelope)) + envelope
    play << to_backend(data(row + b"\xff\xff"), COPY_DONE)


# -- TO STDOUT


def copying_out(**options: Any) -> Talk:
    play = talk({OUT: plan_of(OUT, copying(EMAIL, is_from=False, **options))})
    code = int(options.get("kind") is CopyKind.BINARY)
    play >> frontend(query(OUT)) << to_backend(query(OUT))
    play >> backend(wants(b"H", code)) << to_frontend(wants(b"H", code))
    return play


def test_rows_are_opened_message_by_message():
    play = copying_out()
    rows = (data(b"1\t\\\\x" + b"<1||a\tb>".hex().encode() + b"\n"), data(b"2\t\\N\n"))
    play >> backend(*rows) << to_frontend(data(b"1\ta\\tb\n"), data(b"2\t\\N\n"))
    play >> backend(SERVER_DONE, done("COPY 2"), ready()) << to_frontend(SERVER_DONE, done("COPY 2"), ready())
    play >> frontend(query("SELECT 1")) << to_backend(query("SELECT 1"))


def test_rows_are_opened_in_binary():
    play = copying_out(kind=CopyKind.BINARY)
    envelope = b"<1||a>"
    row = b"\0\2\0\0\0\1x" + struct.pack("!i", len(envelope)) + envelope
    play >> backend(data(HEADER + row), data(b"\xff\xff"))
    play << to_frontend(data(HEADER + b"\0\2\0\0\0\1x\0\0\0\1a"), data(b"\xff\xff"))


@pytest.mark.parametrize("row", [b"1\tplain\n", b"1\t\\\\x" + b"<2||a>".hex().encode() + b"\n", b"1\n", b"1\t\\\\x-"])
def test_what_does_not_open_is_never_shown(row: bytes):
    play = copying_out()
    play >> backend(data(row), SERVER_DONE)
    (said,) = play.sent(Side.FRONTEND)
    assert fields_of(said)["S"] == "FATAL"
    assert play.session.is_closed


def test_another_number_of_columns_ends_the_connection():
    play = talk({OUT: plan_of(OUT, copying(EMAIL, is_from=False))})
    play >> frontend(query(OUT)) << to_backend(query(OUT))
    play >> backend(wants(b"H", count=3), data(b"1\t\\\\x3c\tx\n"))
    (said,) = play.sent(Side.FRONTEND)
    assert (fields_of(said)["S"], fields_of(said)["C"]) == ("FATAL", "0A000")


def test_an_error_in_the_middle_of_the_rows():
    play = copying_out()
    failed = error("22012", "division by zero")
    play >> backend(data(b"1\t\\N\n"), failed, ready()) << to_frontend(data(b"1\t\\N\n"), failed, ready())
    play >> frontend(query("COPY t TO STDOUT")) << to_backend(query("COPY t TO STDOUT"))
    said = (wants(b"H", count=1), data(b"x\n"), SERVER_DONE, done("COPY 1"), ready())
    play >> backend(*said) << to_frontend(*said)


def test_csv_marker_by_version_of_the_server():
    for version, sent in (("17.2", b"\\.\n"), ("18.1", b"\\.," + sealed(b"")[1:] + b"\n")):
        play = talk({IN: plan_of(IN, copying(EMAIL, kind=CopyKind.CSV, delimiter=b",", null=b"N"))})
        play >> backend(status("server_version", version)) << to_frontend(status("server_version", version))
        play >> frontend(query(IN)) << to_backend(query(IN))
        play >> backend(wants()) << to_frontend(wants())
        if version == "17.2":
            play >> frontend(data(b"\\.\n1,secret\n"), COPY_DONE) << to_backend(data(sent), COPY_DONE)
        else:
            play >> frontend(data(b"\\.,\n"), COPY_DONE) << to_backend(data(sent), COPY_DONE)
