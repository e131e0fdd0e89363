"""What the application gets to see of what the server sends."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.session.commands import CloseConnection, RefreshCatalog
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.sql.plan import ParameterUse, Plan, StatementPlan, Use
from pgcrypt_proxy.wire.backend import NoticeResponse, ParameterDescription
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import AGE, EMAIL
from tests.session.conversations import (
    BOUND,
    ID,
    NO_DATA,
    PARSED,
    SEALED_EMAIL,
    SHOWN_EMAIL,
    SUSPENDED,
    Talk,
    bind,
    bytea,
    column,
    describe,
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
    status,
    talk,
)

SELECT = "SELECT id, email FROM users"
READING = reading(SELECT, None, EMAIL)
A, B = b"<1||a@b.c>", b"<1||b@b.c>"


def asked(text: str = SELECT, plan: Plan = READING) -> Talk:
    """The session after a simple Query of `text`."""
    return talk({text: plan}) >> frontend(query(text)) << to_backend(query(text))


def ends(play: Talk, sqlstate: str, *before: bytes, refreshes: bool = False) -> None:
    """The client got `before`, then a FATAL error; both legs close."""
    *said, last = play.sent(Side.FRONTEND)
    assert said == list(before)
    fields = fields_of(last)
    assert (fields["V"], fields["C"]) == ("FATAL", sqlstate)
    if refreshes:
        play << RefreshCatalog(wait=False)
    play << CloseConnection(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play.done()


# -- results


def test_rows_are_opened_and_retyped():
    play = asked()
    play >> backend(described(ID, SEALED_EMAIL), row(b"1", bytea(A)), row(b"2", None), done("SELECT 2"), ready())
    play << to_frontend(described(ID, SHOWN_EMAIL), row(b"1", b"a@b.c"), row(b"2", None), done("SELECT 2"), ready())
    assert ("operations", "open", "pii", 1) in play.observer.told


def test_rows_may_come_at_any_split():
    play = asked()
    said = described(ID, SEALED_EMAIL) + row(b"1", bytea(A)) + row(b"2", bytea(B)) + done("SELECT 2") + ready()
    got = b""
    for byte in said:
        play >> backend(bytes([byte]))
        while play.said:
            got += b"".join(play.sent(Side.FRONTEND))
    assert got == described(ID, SHOWN_EMAIL) + row(b"1", b"a@b.c") + row(b"2", b"b@b.c") + done("SELECT 2") + ready()


def test_bytea_escape_format_is_read():
    play = asked() >> backend(described(ID, SEALED_EMAIL), row(b"1", rb"<1||a\\\303\244>"))
    play << to_frontend(described(ID, SHOWN_EMAIL), row(b"1", b"a\\\303\244"))


def test_untouched_rows_are_never_looked_into():
    play = talk() >> frontend(query("SELECT x")) << to_backend(query("SELECT x"))
    # No valid DataRow: a session that decoded it would end the connection.
    garbage = b"D\0\0\0\x08\0\5\0\0"
    said = (described(column("x", 0, table=0)), garbage, garbage, done("SELECT 2"), ready())
    play >> backend(*said) << to_frontend(*said)


def test_untouched_results_are_opened_by_provenance():
    play = talk() >> frontend(query("FETCH c")) << to_backend(query("FETCH c"))
    play >> backend(described(SEALED_EMAIL), row(bytea(A)), done("FETCH 1"), ready())
    play << to_frontend(described(SHOWN_EMAIL), row(b"a@b.c"), done("FETCH 1"), ready())


def test_several_statements_each_with_its_columns():
    text = "SELECT id FROM users; SELECT email FROM users"
    plan = Plan(False, (StatementPlan(), StatementPlan(False, outputs=(EMAIL,))), (text,))
    play = asked(text, plan)
    play >> backend(described(ID), row(b"1"), done("SELECT 1"), described(SEALED_EMAIL), row(bytea(A)))
    play << to_frontend(described(ID), row(b"1"), done("SELECT 1"), described(SHOWN_EMAIL), row(b"a@b.c"))


def test_binary_and_text_columns_side_by_side():
    text = "SELECT age, age FROM users"
    play = talk({text: reading(text, AGE, AGE)})
    sent = (parse(text), bind(results=(1, 0)), describe(), execute(), SYNC)
    play >> frontend(*sent) << to_backend(*sent)
    value = b"<2||\0\0\0\7>"
    sealed = (column("age", 3, 17, code=1), column("age", 3, 17))
    shown = (column("age", 3, 23, code=1, length=4), column("age", 3, 23, length=4))
    play >> backend(PARSED, BOUND, described(*sealed), row(value, bytea(value)))
    play << to_frontend(PARSED, BOUND, described(*shown), row(b"\0\0\0\7", b"7"))


def test_formats_of_the_portal_apply_to_a_described_statement():
    text = "SELECT age FROM users"
    play = talk({text: reading(text, AGE)})
    sent = (parse(text, "s"), describe("S", "s"), SYNC)
    play >> frontend(*sent) << to_backend(*sent)
    parameters = ParameterDescription(()).encode()
    play >> backend(PARSED, parameters, described(column("age", 3, 17)), ready())
    play << to_frontend(PARSED, parameters, described(column("age", 3, 23, length=4)), ready())
    for results, value in (((1,), b"\0\0\0\7"), ((), b"7")):
        sent = (bind(statement="s", results=results), execute(), SYNC)
        play >> frontend(*sent) << to_backend(*sent)
        raw = b"<2||\0\0\0\7>"
        play >> backend(BOUND, row(raw if results else bytea(raw)), done("SELECT 1"), ready())
        play << to_frontend(BOUND, row(value), done("SELECT 1"), ready())


def test_a_result_that_nobody_described_is_described_for_us():
    play = talk({SELECT: READING})
    play >> frontend(parse(SELECT), bind(), execute(), SYNC)
    play << to_backend(parse(SELECT), bind(), describe(), execute(), SYNC)
    play >> backend(PARSED, BOUND, described(ID, SEALED_EMAIL), row(b"1", bytea(A)), done("SELECT 1"), ready())
    play << to_frontend(PARSED, BOUND, row(b"1", b"a@b.c"), done("SELECT 1"), ready())
    # From now on it is known, whatever formats a portal asks for.
    sent = (bind(results=(1,)), execute(), SYNC)
    play >> frontend(*sent) << to_backend(*sent)
    play >> backend(BOUND, row(b"\0\0\0\1", A)) << to_frontend(BOUND, row(b"\0\0\0\1", b"a@b.c"))


def test_what_fetch_returns_is_asked_each_time():
    play = talk()
    for _ in range(2):
        play >> frontend(parse("FETCH c", "s"), bind(statement="s"), execute(), SYNC)
        play << to_backend(parse("FETCH c", "s"), bind(statement="s"), describe(), execute(), SYNC)
        play >> backend(PARSED, BOUND, described(SEALED_EMAIL), row(bytea(A)), done("FETCH 1"), ready())
        play << to_frontend(PARSED, BOUND, row(b"a@b.c"), done("FETCH 1"), ready())


def test_a_portal_that_the_session_did_not_see_made():
    play = talk() >> frontend(execute("c"), SYNC) << to_backend(describe("P", "c"), execute("c"), SYNC)
    play >> backend(described(SEALED_EMAIL), row(bytea(A)), done("SELECT 1"), ready())
    play << to_frontend(row(b"a@b.c"), done("SELECT 1"), ready())


def test_an_error_of_our_description_is_the_clients():
    play = talk() >> frontend(execute("c"), SYNC) << to_backend(describe("P", "c"), execute("c"), SYNC)
    gone = error("34000", 'portal "c" does not exist')
    play >> backend(gone, ready()) << to_frontend(gone, ready())


def test_suspended_portals_interleaved():
    play = talk({SELECT: READING})
    sent = (
        parse(SELECT, "s"), bind(statement="s", portal="a"), describe("P", "a"), execute("a", 1),
        bind(statement="s", portal="b", results=(1,)), describe("P", "b"), execute("b", 1), execute("a", 1), FLUSH,
    )  # fmt: skip
    play >> frontend(*sent) << to_backend(*sent)
    binary = (column("id", 1, 23, length=4, code=1), column("email", 2, 17, code=1))
    shown = (binary[0], column("email", 2, 25, code=1))
    play >> backend(
        PARSED, BOUND, described(ID, SEALED_EMAIL), row(b"1", bytea(A)), SUSPENDED,
        BOUND, described(*binary), row(b"\0\0\0\1", A), SUSPENDED, row(b"2", bytea(B)), SUSPENDED,
    )  # fmt: skip
    play << to_frontend(
        PARSED, BOUND, described(ID, SHOWN_EMAIL), row(b"1", b"a@b.c"), SUSPENDED,
        BOUND, described(*shown), row(b"\0\0\0\1", b"a@b.c"), SUSPENDED, row(b"2", b"b@b.c"), SUSPENDED,
    )  # fmt: skip


def test_parameters_are_described_as_the_client_knows_them():
    uses = (
        ParameterUse(1, Use.PASS),
        ParameterUse(0, Use.SEAL, EMAIL),
        ParameterUse(2, Use.TERM_ARRAY, AGE),
        ParameterUse(3, Use.TERM, AGE, cast=EMAIL.type),
    )
    play = talk({"q": Plan(False, (StatementPlan(False),), ("q",), (), uses, 4)})
    play >> frontend(parse("q", "s", (0, 0, 0, 0, 20)), describe("S", "s"), SYNC)
    play << to_backend(parse("q", "s", (0, 17, 1001, 17)), describe("S", "s"), SYNC)
    play >> backend(PARSED, ParameterDescription((1082, 16400, 1001, 17)).encode(), NO_DATA)
    play << to_frontend(PARSED, ParameterDescription((25, 1082, 1007, 25, 20)).encode(), NO_DATA)


# -- drift


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((ID,), id="fewer columns"),
        pytest.param((ID, SEALED_EMAIL, ID), id="more columns"),
        pytest.param((SEALED_EMAIL, SEALED_EMAIL), id="a protected column not planned"),
        pytest.param((ID, column("age", 3, 17)), id="another protected column"),
        pytest.param((ID, column("email", 2, 25)), id="not bytea"),
    ],
)
def test_a_result_that_was_not_planned_does_not_pass(fields: tuple[object, ...]):
    play = asked()
    play >> backend(described(*fields), row(b"1", bytea(A)), done("SELECT 1"), ready())
    ends(play, "0A000", refreshes=True)


def test_no_data_where_columns_were_planned():
    play = talk({SELECT: READING})
    play >> frontend(parse(SELECT, "s"), describe("S", "s")) << to_backend(parse(SELECT, "s"), describe("S", "s"))
    play >> backend(PARSED, ParameterDescription(()).encode(), NO_DATA)
    ends(play, "0A000", PARSED, ParameterDescription(()).encode(), refreshes=True)


def test_columns_without_provenance_are_opened_by_plan():
    play = asked("union", reading("union", EMAIL))
    lost = column("email", 0, 17, table=0)
    play >> backend(described(lost), row(bytea(A)))
    play << to_frontend(described(column("email", 0, 25, table=0)), row(b"a@b.c"))


# -- values that do not open


def test_a_value_that_does_not_open_ends_the_connection_before_its_row():
    play = asked()
    play >> backend(described(ID, SEALED_EMAIL), row(b"1", bytea(A)), row(b"2", bytea(b"<2||a@b.c>")), ready())
    ends(play, "XX001", described(ID, SHOWN_EMAIL), row(b"1", b"a@b.c"))
    assert ("failed", "open", "open", "public.users.email") in play.observer.told


@pytest.mark.parametrize("value", [b"plaintext", b"", rb"\x0", rb"\9"])
def test_plaintext_in_a_protected_column_does_not_pass(value: bytes):
    play = asked() >> backend(described(ID, SEALED_EMAIL), row(b"1", value))
    ends(play, "XX001", described(ID, SHOWN_EMAIL))


def test_destroyed_key():
    play = asked()
    play.keyring.is_destroyed = True
    play >> backend(described(ID, SEALED_EMAIL), row(b"1", bytea(A)))
    ends(play, "58030", described(ID, SHOWN_EMAIL))


def test_row_with_another_number_of_columns():
    play = asked() >> backend(described(ID, SEALED_EMAIL), row(b"1"))
    ends(play, "08P01", described(ID, SHOWN_EMAIL))


# -- order and asynchronous messages


@pytest.mark.parametrize(
    "message",
    [
        PARSED,
        row(b"1"),
        done("SELECT 1"),
        ready(),
        described(ID),
        b"W\0\0\0\7\0\0\0",
        b"R\0\0\0\x08\0\0\0\0",
        b"?\0\0\0\4",
    ],
)
def test_an_answer_to_nothing_ends_the_connection(message: bytes):
    ends(talk() >> backend(message), "08P01")


def test_error_in_answer_to_nothing_ends_the_connection():
    ends(talk() >> backend(error("XX000")), "08P01")


def test_fatal_error_at_rest_is_relayed():
    gone = error("57P01", "terminating connection", severity="FATAL")
    talk() >> backend(gone) << to_frontend(gone)


def test_asynchronous_messages_pass_anywhere():
    notice = NoticeResponse(((ord("S"), b"NOTICE"), (ord("M"), b"hi"))).encode()
    notification = b"A\0\0\0\x0c\0\0\0\1c\0p\0"
    changed = status("TimeZone", "UTC")
    play = asked()
    play >> backend(described(ID, SEALED_EMAIL), notice, row(b"1", bytea(A)), notification, changed, done("SELECT 1"))
    play << to_frontend(
        described(ID, SHOWN_EMAIL), notice, row(b"1", b"a@b.c"), notification, changed, done("SELECT 1")
    )
    play >> backend(ready(), notification) << to_frontend(ready(), notification)


def test_settings_follow_parameter_status():
    play = talk()
    said = (status("DateStyle", "German, DMY"), status("TimeZone", "Asia/Tokyo"))
    play >> backend(*said) << to_frontend(*said)
    settings = play.session._link.values.settings
    assert (settings.date_style, settings.time_zone) == ("German, DMY", "Asia/Tokyo")


def test_ddl_asks_for_the_catalog_once_it_is_committed():
    ddl = Plan(True, (StatementPlan(is_ddl=True),))
    play = talk({"ALTER": ddl}) >> frontend(query("ALTER")) << to_backend(query("ALTER"))
    play >> backend(done("ALTER TABLE"), ready("T")) << to_frontend(done("ALTER TABLE"), ready("T"))
    play >> frontend(query("COMMIT")) << to_backend(query("COMMIT"))
    play >> backend(done("COMMIT"), ready()) << to_frontend(done("COMMIT"), ready()) << RefreshCatalog(wait=False)
    play.done()


def test_error_at_commit_is_answered_by_the_sync():
    play = talk() >> frontend(parse("SELECT 1"), SYNC) << to_backend(parse("SELECT 1"), SYNC)
    deferred = error("23503", "violates")
    play >> backend(PARSED, deferred, ready()) << to_frontend(PARSED, deferred, ready())


def test_copy_out_passes():
    play = talk() >> frontend(query("COPY t TO STDOUT")) << to_backend(query("COPY t TO STDOUT"))
    said = (b"H\0\0\0\7\0\0\0", b"d\0\0\0\6a\n", b"d\0\0\0\6b\n", b"c\0\0\0\4", done("COPY 2"), ready())
    play >> backend(*said) << to_frontend(*said)
