"""What the server gets to see of what the application sends."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.session.commands import CloseConnection
from pgcrypt_proxy.session.events import ConnectionClosed, Side, WorldChanged
from pgcrypt_proxy.session.from_frontend import REFUSED_BIND, REFUSED_QUERY
from pgcrypt_proxy.session.planning import refused
from pgcrypt_proxy.sql.plan import ParameterUse, Plan, StatementPlan, Use
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, TERMINATE, Close
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import AGE, EMAIL, ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    CLOSED,
    NO_DATA,
    PARSED,
    SEALED_EMAIL,
    SHOWN_EMAIL,
    Talk,
    bind,
    bytea,
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
    storing,
    storing_literal,
    talk,
)

INSERT = "INSERT INTO users(email) VALUES ($1)"
REFUSAL = Refusal('ORDER BY is not possible on protected column "public.users.email"', hint="Sort later.", position=7)
REFUSED = refused(REFUSAL)
AGE_7 = b"[age=%s]" % codec.equality_key(AGE.type, b"\0\0\0\7")
UNDEFINED = error("42883", "function pg_catalog.pgcrypt_proxy_refused() does not exist", P="8")
UNKNOWN_STATEMENT = error("26000", 'prepared statement "pgcrypt_proxy_refused" does not exist')


def shown_error(play: Talk) -> dict[str, str]:
    return fields_of(play.sent(Side.FRONTEND)[0])


# -- untouched


def test_untouched_messages_pass_as_they_came():
    sent = (parse("SELECT $1", oids=(23,)), bind(b"1"), describe(), execute(), SYNC, query("SELECT 1"), FLUSH)
    talk() >> frontend(*sent) << to_backend(*sent)


def test_thousands_of_pipelined_messages():
    play = talk()
    sent = [parse("SELECT $1", "s")] + [bind(b"1", statement="s"), execute()] * 3000 + [SYNC]
    play >> frontend(*sent) << to_backend(*sent)
    said = [PARSED] + [BOUND, row(b"1"), done("SELECT 1")] * 3000 + [ready()]
    play >> backend(*said) << to_frontend(*said)
    play.done()


def test_terminate_closes_both_legs():
    play = talk()
    play >> frontend(TERMINATE) << to_backend(TERMINATE)
    play << CloseConnection(Side.FRONTEND) << CloseConnection(Side.BACKEND)
    play.done()


def test_answers_come_before_terminate_closes():
    play = talk()
    play >> frontend(query("SELECT 1"), TERMINATE, query("SELECT 2")) << to_backend(query("SELECT 1"), TERMINATE)
    play >> frontend(query("SELECT 3"))
    play >> backend(done("SELECT 1"), ready()) << to_frontend(done("SELECT 1"), ready())
    play >> ConnectionClosed(Side.BACKEND) << CloseConnection(Side.FRONTEND)
    play.done()


def test_function_call_is_relayed():
    call = b"F\0\0\0\x0e\0\0\0\1\0\0\0\0\0\0"
    play = talk() >> frontend(call) << to_backend(call)
    said = (b"V\0\0\0\x08\xff\xff\xff\xff", ready())
    play >> backend(*said) << to_frontend(*said)


def test_function_call_of_a_function_of_the_databases_own_is_refused():
    call = b"F\0\0\0\x0e" + (16_384).to_bytes(4) + b"\0\0\0\0\0\0"
    play = talk()
    play >> frontend(call) << to_backend(b"F\0\0\0\x08\0\0\0\0")
    play >> backend(error("42883"), ready())
    refused, answered = play.sent(Side.FRONTEND)
    assert fields_of(refused)["C"] == "0A000"
    assert answered == ready()


def test_password_message_after_authentication():
    play = talk()
    play >> frontend(b"p\0\0\0\4")
    assert shown_error(play)["C"] == "08P01"


# -- simple query


def test_literal_is_sealed():
    text = "INSERT INTO users(email) VALUES ('it''s')"
    play = talk({text: storing_literal(text, "it''s", "it's")})
    sealed = b"<1|1[email=tit's]|it's>".hex()
    play >> frontend(query(text))
    play << to_backend(query(f"INSERT INTO users(email) VALUES (E'\\\\x{sealed}'::pg_catalog.bytea)"))
    assert ("operations", "seal", "pii", 1) in play.observer.told


def test_null_literal_stays_null():
    text = "INSERT INTO users(email) VALUES ('x')"
    plan = storing_literal(text, "x", "x")
    head, slot, tail = plan.pieces
    null = type(slot)(None, slot.use, slot.column, None, slot.position)
    (
        talk({text: Plan(False, plan.statements, (head, null, tail))})
        >> frontend(query(text))
        << to_backend(query("INSERT INTO users(email) VALUES (NULL::pg_catalog.bytea)"))
    )


def test_refused_query_reaches_the_server_as_one_that_fails():
    play = talk({"SELECT secret": REFUSED})
    play >> frontend(query("SELECT secret")) << to_backend(REFUSED_QUERY)
    play >> backend(UNDEFINED, ready())
    shown, rest = play.sent(Side.FRONTEND)
    fields = fields_of(shown)
    assert (fields["C"], fields["M"], fields["H"], fields["P"]) == ("0A000", REFUSAL.message, "Sort later.", "7")
    assert rest == ready()
    assert ("refused", REFUSAL.message) in play.observer.told


def test_other_errors_of_a_refused_query_are_the_servers():
    play = talk({"SELECT secret": REFUSED}, transaction_status="E")
    play >> frontend(query("SELECT secret")) << to_backend(REFUSED_QUERY)
    aborted = error("25P02", "current transaction is aborted")
    play >> backend(aborted, ready("E")) << to_frontend(aborted, ready("E"))


def test_second_statement_of_a_text_is_refused():
    pieces = ("INSERT INTO t VALUES (1); SELECT pg_catalog.pgcrypt_proxy_refused()",)
    plan = Plan(False, (StatementPlan(), StatementPlan(False, refusal=REFUSAL)), pieces)
    play = talk({"two": plan}) >> frontend(query("two")) << to_backend(query(pieces[0]))
    play >> backend(done("INSERT 0 1"), UNDEFINED, ready())
    first, second, third = play.sent(Side.FRONTEND)
    assert (first, third) == (done("INSERT 0 1"), ready())
    assert fields_of(second)["M"] == REFUSAL.message


def test_refused_statement_that_the_server_accepts_ends_the_connection():
    play = talk({"SELECT secret": REFUSED}) >> frontend(query("SELECT secret")) << to_backend(REFUSED_QUERY)
    play >> backend(done("SELECT 1"))
    assert shown_error(play)["V"] == "FATAL"
    assert play.session.is_closed


def test_bad_literal_is_refused_at_its_position():
    text = "UPDATE users SET age = 'x'"
    plan = storing_literal(text, "x", "not a number")
    head, slot = plan.pieces[:2]
    aged = type(slot)(slot.text, Use.SEAL, AGE, None, slot.position)
    play = talk({text: Plan(False, plan.statements, (head, aged))})
    play >> frontend(query(text)) << to_backend(REFUSED_QUERY)
    play >> backend(UNDEFINED, ready())
    fields = shown_error(play)
    assert (fields["C"], fields["P"]) == ("22P02", "24")
    assert "not a number" not in str(fields)


def test_malformed_body_is_an_error_and_not_the_end():
    play = talk() >> frontend(b"Q\0\0\0\6ab") << to_backend(REFUSED_QUERY)
    play >> backend(UNDEFINED, ready())
    assert (shown_error(play)["C"], play.session.is_closed) == ("08P01", False)


# -- extended query


def test_parameter_is_sealed_and_declared_as_bytea():
    play = talk({INSERT: storing()})
    play >> frontend(parse(INSERT), bind(b"a@b.c"), execute(), SYNC)
    play << to_backend(parse(INSERT, oids=(17,)), bind(b"<1|1[email=ta@b.c]|a@b.c>", codes=(1,)), execute(), SYNC)
    said = (PARSED, BOUND, done("INSERT 0 1"), ready())
    play >> backend(*said) << to_frontend(*said)


def test_null_parameter_stays_null():
    play = talk({INSERT: storing()}) >> frontend(parse(INSERT), bind(None))
    play << to_backend(parse(INSERT, oids=(17,)), bind(None, codes=(1,)))


def test_uses_of_one_parameter_become_several():
    text = "UPDATE users SET email = $1, n = $2 WHERE age = $3 OR email = $1"
    uses = (
        ParameterUse(0, Use.SEAL, EMAIL),
        ParameterUse(1, Use.PASS),
        ParameterUse(2, Use.TERM, AGE),
        ParameterUse(0, Use.TERM, EMAIL),
    )
    play = talk({text: Plan(False, (StatementPlan(False),), ("rewritten",), (), uses, 3)})
    play >> frontend(parse(text, oids=(25, 20)), bind(b"x", b"\0\1", b"7", codes=(0, 1, 0)))
    play << to_backend(
        parse("rewritten", oids=(17, 20, 17, 17)),
        bind(
            b"<1|1[email=tx]|x>",
            b"\0\1",
            AGE_7,
            b"[email=tx]",
            codes=(1, 1, 1, 1),
        ),
    )


@pytest.mark.parametrize(
    ("message", "sqlstate"),
    [
        (bind(b"x", b"y"), "08P01"),
        (bind(), "08P01"),
        (bind(b"x", codes=(0, 0)), "08P01"),
        (bind(b"x", codes=(7,)), "22023"),
        (bind(b"x", statement="nobody"), "26000"),
        (bind(b"x", portal="pgcrypt_proxy_x"), "42602"),
        (parse("SELECT 1", "pgcrypt_proxy_names"), "42602"),
        (describe("S", "pgcrypt_proxy_names"), "42602"),
        (execute("pgcrypt_proxy_names"), "42602"),
        (Close(ord("S"), b"pgcrypt_proxy_names").encode(), "42602"),
        (describe("X"), "08P01"),
    ],
)
def test_what_cannot_be_bound_fails_on_the_server_and_skips_to_sync(message: bytes, sqlstate: str):
    play = talk({INSERT: storing()})
    play >> frontend(parse(INSERT), message, execute(), SYNC)
    play << to_backend(parse(INSERT, oids=(17,)), REFUSED_BIND, SYNC)
    play >> backend(PARSED, UNKNOWN_STATEMENT, ready())
    first, second, third = play.sent(Side.FRONTEND)
    assert (first, third) == (PARSED, ready())
    assert fields_of(second)["C"] == sqlstate


def test_wrong_value_for_the_declared_type():
    text = "INSERT INTO users(age) VALUES ($1)"
    plan = Plan(False, (StatementPlan(False),), (text,), (), (ParameterUse(0, Use.SEAL, AGE),), 1)
    play = talk({text: plan}) >> frontend(parse(text, oids=(600,)), bind(b"(1,2)"))
    play << to_backend(parse(text, oids=(17,)), REFUSED_BIND)
    play >> backend(PARSED, UNKNOWN_STATEMENT)
    assert fields_of(play.sent(Side.FRONTEND)[1])["C"] == "42804"


def test_refused_parse():
    play = talk({"SELECT secret": REFUSED})
    play >> frontend(parse("SELECT secret", oids=(25,)), bind(b"plaintext"), execute(), SYNC)
    play << to_backend(parse("SELECT pg_catalog.pgcrypt_proxy_refused()", oids=(25,)), SYNC)
    play >> backend(UNDEFINED, ready())
    assert shown_error(play)["M"] == REFUSAL.message


def test_nothing_is_sent_while_the_server_skips_to_sync():
    play = talk({INSERT: storing()}) >> frontend(parse("SELEC"), FLUSH) << to_backend(parse("SELEC"), FLUSH)
    play >> backend(error("42601")) << to_frontend(error("42601"))
    play >> frontend(query("SELECT 'plaintext'"), parse(INSERT), bind(b"plaintext"))
    play.done()
    play >> frontend(SYNC, query("SELECT 1")) << to_backend(SYNC, query("SELECT 1"))
    play >> backend(ready()) << to_frontend(ready())


def test_names_are_certain_within_a_batch_and_unsettled_after_it():
    play = talk({INSERT: storing()})
    play >> frontend(parse("SELECT $1", "s"), SYNC) << to_backend(parse("SELECT $1", "s"), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    # The server will refuse this Parse (42P05); what "s" means to the Bind is open until it has.
    play >> frontend(parse(INSERT, "s"), SYNC, bind(b"x", statement="s"), SYNC)
    play << to_backend(parse(INSERT, "s", (17,)), SYNC)
    assert play.session.is_holding_frontend
    duplicate = error("42P05", "exists")
    (
        play
        >> backend(duplicate, ready())
        << to_backend(bind(b"x", statement="s"), SYNC)
        << to_frontend(duplicate, ready())
    )
    play.done()


def test_close_and_query_take_names_away():
    play = talk()
    close = Close(ord("S"), b"s").encode()
    sent = (parse("SELECT 1", "s"), close, bind(statement="s"), SYNC)
    play >> frontend(*sent) << to_backend(*sent[:2], REFUSED_BIND, SYNC)
    play >> backend(PARSED, CLOSED, UNKNOWN_STATEMENT, ready())
    assert fields_of(play.sent(Side.FRONTEND)[2])["C"] == "26000"
    play >> frontend(parse("SELECT 1"), query("SELECT 2"), bind(), SYNC)
    play << to_backend(parse("SELECT 1"), query("SELECT 2"), REFUSED_BIND, SYNC)


def test_names_beyond_63_bytes_are_cut_as_the_server_cuts_them():
    long = "x" * 63
    play = talk({INSERT: storing()}) >> frontend(parse(INSERT, long + "a"), bind(b"v", statement=long + "b"))
    play << to_backend(parse(INSERT, long + "a", (17,)), bind(b"<1|1[email=tv]|v>", statement=long + "b", codes=(1,)))


def test_prepared_statement_that_means_something_else_now_is_refused():
    play = talk()
    play >> frontend(parse(INSERT, "s"), SYNC) << to_backend(parse(INSERT, "s"), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    newer = ScriptedPlanner({INSERT: storing()}, version=2)
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring)
    play >> frontend(bind(b"plaintext", statement="s"), SYNC) << to_backend(REFUSED_BIND, SYNC)
    play >> backend(UNKNOWN_STATEMENT, ready())
    assert shown_error(play)["C"] == "0A000"


def test_prepared_statement_that_means_the_same_goes_on():
    play = talk({INSERT: storing()}) >> frontend(parse(INSERT, "s")) << to_backend(parse(INSERT, "s", (17,)))
    newer = ScriptedPlanner({INSERT: storing()}, version=2)
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring)
    play >> frontend(bind(b"v", statement="s"))
    play << to_backend(bind(b"<1|1[email=tv]|v>", statement="s", codes=(1,)))


def test_expired_keys_fail_before_the_statement_runs():
    text = "SELECT email FROM users"
    play = talk({text: reading(text, EMAIL)})
    play.keyring.is_expired = True
    play >> frontend(query(text)) << to_backend(REFUSED_QUERY)
    play >> backend(UNDEFINED, ready())
    assert (shown_error(play)["C"], play.session.is_closed) == ("58030", False)


def test_statement_with_results_only_keeps_its_parameters():
    text = "SELECT email FROM users WHERE id = $1"
    play = talk({text: reading(text, EMAIL)})
    sent = (parse(text, oids=(23,)), bind(b"\0\0\0\1", codes=(1,), results=(0,)), describe(), execute(), SYNC)
    play >> frontend(*sent) << to_backend(*sent)
    play >> backend(PARSED, BOUND, described(SEALED_EMAIL), row(bytea(b"<1||a@b.c>")), done("SELECT 1"), ready())
    play << to_frontend(PARSED, BOUND, described(SHOWN_EMAIL), row(b"a@b.c"), done("SELECT 1"), ready())


# -- COPY


def test_copy_data_passes_while_it_may_be_copied():
    copy = query("COPY t FROM STDIN")
    data, end = b"d\0\0\0\6a\n", b"c\0\0\0\4"
    started = b"G\0\0\0\7\0\0\0"
    play = talk() >> frontend(copy) << to_backend(copy)
    play >> backend(started) << to_frontend(started)
    play >> frontend(data, SYNC, end) << to_backend(data, SYNC, end)
    play >> backend(done("COPY 1"), ready()) << to_frontend(done("COPY 1"), ready())
    play >> frontend(data, end)
    play.done()


def test_copy_data_behind_a_refused_copy_does_not_reach_the_server():
    play = talk({"COPY users FROM STDIN": REFUSED})
    play >> frontend(query("COPY users FROM STDIN"), b"d\0\0\0\6a\n", b"c\0\0\0\4") << to_backend(REFUSED_QUERY)


def test_describe_reports_no_data():
    play = talk() >> frontend(parse("SET x = 1"), describe("S"), SYNC)
    play << to_backend(parse("SET x = 1"), describe("S"), SYNC)
    said = (PARSED, b"t\0\0\0\6\0\0", NO_DATA, ready())
    play >> backend(*said) << to_frontend(*said)
