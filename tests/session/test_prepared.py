"""SQL's PREPARE, EXECUTE and DEALLOCATE in the session's books."""

from __future__ import annotations

from typing import Any

import pytest

from pgcrypt_proxy.session.events import Side, WorldChanged
from pgcrypt_proxy.session.from_frontend import REFUSED_BIND, REFUSED_QUERY
from pgcrypt_proxy.sql.operands import Operand
from pgcrypt_proxy.sql.plan import (
    ALL_PREPARED,
    UNTOUCHED,
    Argument,
    Execution,
    Plan,
    Prepared,
    StatementPlan,
)
from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    PARSED,
    bind,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    ready,
    storing,
    talk,
)

INSERT = "INSERT INTO users(email) VALUES ($1)"
PREPARE, DEALLOCATE, DISCARD = f"PREPARE p AS {INSERT}", "DEALLOCATE p", "DISCARD ALL"
EXECUTE = "EXECUTE p ('v')"
SENT_PREPARE = f"PREPARE p (bytea) AS {INSERT}"
SENT_EXECUTE = f"EXECUTE p (E'\\\\x{b'<1|1[email=tv]|v>'.hex()}'::pg_catalog.bytea)"


def executes(text: str = EXECUTE) -> Plan:
    start = text.index("'")
    argument = Argument(start, start + 3, (Operand(start, start + 3, text="v"),))
    return Plan(True, (StatementPlan(executes=Execution("p", (argument,), start - 1, start + 4)),))


def script() -> dict[str, Plan]:
    prepared = Prepared("p", INSERT, storing(), ())
    return {
        PREPARE: Plan(False, (StatementPlan(False, prepares=prepared),), (SENT_PREPARE,)),
        EXECUTE: executes(),
        DEALLOCATE: Plan(True, (StatementPlan(deallocates="p"),)),
        DISCARD: Plan(True, (StatementPlan(deallocates=ALL_PREPARED),)),
        INSERT: storing(),
    }


def answered(play: Any, tag: str) -> None:
    play >> backend(done(tag), ready()) << to_frontend(done(tag), ready())


def test_execute_waits_for_the_prepare_before_it():
    play = talk(script()) >> frontend(query(PREPARE), query(EXECUTE)) << to_backend(query(SENT_PREPARE))
    assert play.session.is_holding_frontend
    play >> backend(done("PREPARE")) << to_backend(query(SENT_EXECUTE)) << to_frontend(done("PREPARE"))


def test_failed_prepare_makes_nothing():
    play = talk(script()) >> frontend(query(PREPARE), query(EXECUTE)) << to_backend(query(SENT_PREPARE))
    failed = error("42P05")
    # the name means nothing, and the argument may be for a protected column
    play >> backend(failed) << to_backend(query("EXECUTE p  ")) << to_frontend(failed)


@pytest.mark.parametrize("text", [DEALLOCATE, DISCARD])
def test_deallocated_when_the_server_did_it(text: str):
    play = talk(script()) >> frontend(query(PREPARE)) << to_backend(query(SENT_PREPARE))
    answered(play, "PREPARE")
    play >> frontend(query(text)) << to_backend(query(text))
    failed = error("25001")
    play >> backend(failed, ready()) << to_frontend(failed, ready())
    play >> frontend(query(EXECUTE)) << to_backend(query(SENT_EXECUTE))
    answered(play, "INSERT 0 1")
    play >> frontend(query(text)) << to_backend(query(text))
    answered(play, "DEALLOCATE")
    play >> frontend(query(EXECUTE)) << to_backend(query("EXECUTE p  "))


def test_discard_leaves_the_unnamed_statement():
    play = talk(script())
    play >> frontend(parse(INSERT), SYNC) << to_backend(parse(INSERT, "", (17,)), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    discard = (parse(DISCARD, "d"), bind(statement="d", portal="d"), execute("d"), SYNC)
    play >> frontend(*discard) << to_backend(*discard)
    said = (PARSED, BOUND, done("DISCARD ALL"), ready())
    play >> backend(*said) << to_frontend(*said)
    play >> frontend(bind(b"v")) << to_backend(bind(b"<1|1[email=tv]|v>", codes=(1,)))


def test_prepare_and_execute_of_one_batch():
    play = talk(script())
    play >> frontend(parse(PREPARE), bind(b"v"), execute(), parse(EXECUTE, "e"), bind(statement="e"), execute(), SYNC)
    sent = b"".join(play.sent(Side.BACKEND))
    assert parse(SENT_PREPARE) + bind(None) in sent  # what was bound to no parameter stays here
    assert parse(SENT_EXECUTE, "e") in sent


def test_bind_of_an_execute_whose_statement_changed_is_refused():
    play = talk(script()) >> frontend(query(PREPARE)) << to_backend(query(SENT_PREPARE))
    answered(play, "PREPARE")
    play >> frontend(parse(EXECUTE, "e"), SYNC) << to_backend(parse(SENT_EXECUTE, "e"), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    play >> frontend(query(DEALLOCATE)) << to_backend(query(DEALLOCATE))
    answered(play, "DEALLOCATE")
    play >> frontend(parse("SELECT $1", "p"), SYNC) << to_backend(parse("SELECT $1", "p"), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    play >> frontend(bind(statement="e"), SYNC) << to_backend(REFUSED_BIND, SYNC)
    play >> backend(error("26000"), ready())
    assert "is another one now" in fields_of(play.sent(Side.FRONTEND)[0])["M"]


def test_execute_of_a_statement_that_means_something_else_now_is_refused():
    play = talk(script()) >> frontend(query(PREPARE)) << to_backend(query(SENT_PREPARE))
    answered(play, "PREPARE")
    newer = ScriptedPlanner({**script(), INSERT: UNTOUCHED}, version=2)
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring)
    play >> frontend(query(EXECUTE)) << to_backend(REFUSED_QUERY)
    play >> backend(error("42883"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["C"] == "0A000"
