"""Waiting for names and for the catalog, and texts that cannot be read."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.session.commands import LookUpRelations, RefreshCatalog
from pgcrypt_proxy.session.events import Side, WorldChanged
from pgcrypt_proxy.session.from_frontend import REFUSED_BIND, REFUSED_QUERY
from pgcrypt_proxy.session.planning import NAME_QUESTION, OWN_NAME
from pgcrypt_proxy.sql.mention import ANY_RELATIONS
from pgcrypt_proxy.sql.plan import UNTOUCHED, NeedsNames, Plan, StatementPlan
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Close, Query
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import Clock, ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    CLOSED,
    PARSED,
    Talk,
    bind,
    described,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    ready,
    row,
    status,
    storing,
    storing_literal,
    talk,
)

ASK = NeedsNames(('"users"', "other.users"))
REWRITTEN = Plan(False, (StatementPlan(False),), ("SELECT 2",))
OWN = OWN_NAME.decode()
NEW_LOOKED_UP = LookUpRelations(frozenset({"new"}), but_plain=True)


def asking(*names: str) -> list[bytes]:
    sent = [parse(NAME_QUESTION.decode(), OWN, (25,))]
    for name in names:
        sent += [bind(name.encode(), statement=OWN, portal=OWN), execute(OWN), Close(ord("P"), OWN_NAME).encode()]
    return [*sent, Close(ord("S"), OWN_NAME).encode()]


def answers(*values: bytes | None) -> list[bytes]:
    said = [PARSED]
    for value in values:
        said += [BOUND, row(value), done("SELECT 1"), CLOSED]
    return [*said, CLOSED]


QUESTION = asking('"users"', "other.users")
ANSWERS = answers(b"16384", None)


def test_names_are_asked_for_and_the_answers_swallowed():
    play = talk({"SELECT 1": ASK}, after_names={"SELECT 1": REWRITTEN})
    play >> frontend(query("SELECT 1"), query("SELECT 3")) << to_backend(*QUESTION, SYNC)
    assert play.session.is_holding_frontend
    play >> backend(*ANSWERS, ready()) << to_backend(query("SELECT 2"), query("SELECT 3"))
    play.done()
    assert {'"users"': 16384, "other.users": 0} in play.planner.resolved
    play >> backend(done("SELECT 1"), ready()) << to_frontend(done("SELECT 1"), ready())


def test_question_waits_until_the_server_is_at_rest():
    play = talk({"SELECT 1": ASK}, after_names={"SELECT 1": UNTOUCHED})
    play >> frontend(query("SELECT 0"), query("SELECT 1")) << to_backend(query("SELECT 0"))
    play >> backend(done("SELECT 1")) << to_frontend(done("SELECT 1"))
    play >> backend(ready()) << to_backend(*QUESTION, SYNC) << to_frontend(ready())
    play >> backend(*ANSWERS, ready()) << to_backend(query("SELECT 1"))


def test_question_within_a_batch_travels_with_it():
    play = talk({"SELECT 1": ASK}, after_names={"SELECT 1": UNTOUCHED})
    play >> frontend(parse("SELECT 0"), bind(), parse("SELECT 1"), SYNC)
    play << to_backend(parse("SELECT 0"), bind(), *QUESTION, FLUSH)
    play >> backend(PARSED, BOUND) << to_frontend(PARSED, BOUND)
    play >> backend(*ANSWERS) << to_backend(parse("SELECT 1"), SYNC)


def test_question_within_a_failing_batch_is_skipped_with_its_statement():
    play = talk({"SELECT 1": ASK}, after_names={"SELECT 1": UNTOUCHED})
    play >> frontend(parse("SELEC"), parse("SELECT 1"), bind(), SYNC)
    play << to_backend(parse("SELEC"), *QUESTION, FLUSH)
    play >> backend(error("42601")) << to_backend(SYNC) << to_frontend(error("42601"))
    play >> backend(ready()) << to_frontend(ready())
    play.done()


def test_question_that_fails_refuses_the_statement():
    play = talk({"SELECT 1": ASK})
    play >> frontend(query("SELECT 1")) << to_backend(*QUESTION, SYNC)
    play >> backend(error("57014"), ready()) << to_backend(REFUSED_QUERY)
    play >> backend(error("42883"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["H"] == "Qualify the table's name with its schema."


def test_planner_that_asks_the_same_again_is_not_asked_forever():
    play = talk({"SELECT 1": ASK})
    play >> frontend(query("SELECT 1")) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready()) << to_backend(REFUSED_QUERY)


def test_failed_transaction_cannot_be_asked():
    play = talk({"SELECT 1": ASK}, transaction_status="E")
    play >> frontend(query("SELECT 1")) << to_backend(REFUSED_QUERY)
    aborted = error("25P02", "current transaction is aborted")
    play >> backend(aborted, ready("E")) << to_frontend(aborted, ready("E"))


def test_unknown_relation_waits_for_a_newer_catalog():
    play = talk(unknown={"SELECT new": [(None, "new")]})
    play >> frontend(query("SELECT new"), query("SELECT 2")) << NEW_LOOKED_UP
    newer = ScriptedPlanner({"SELECT new": REWRITTEN}, version=2)
    loaded = WorldChanged(newer.as_planner, play.keyring.as_keyring, answers=0)
    play >> loaded << to_backend(query("SELECT 2"), query("SELECT 2"))


def test_changes_that_others_asked_for_do_not_answer():
    play = talk(unknown={"SELECT new": [(None, "new")]})
    play >> frontend(query("SELECT new")) << NEW_LOOKED_UP
    play >> WorldChanged(play.planner.as_planner, play.keyring.as_keyring)  # new keys, say
    play >> WorldChanged(play.planner.as_planner, play.keyring.as_keyring, answers=1)
    newer = ScriptedPlanner({"SELECT new": REWRITTEN}, version=2)
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring, answers=0) << to_backend(query("SELECT 2"))


def test_refresh_is_asked_for_once_a_second_at_most():
    clock = Clock()
    play = Talk(ScriptedPlanner(unknown={"SELECT new": [(None, "new")]}), clock=clock).opened()
    play >> frontend(query("SELECT new")) << NEW_LOOKED_UP
    play >> WorldChanged(play.planner.as_planner, play.keyring.as_keyring, answers=0) << to_backend(query("SELECT new"))
    play >> frontend(query("SELECT new")) << to_backend(query("SELECT new"))
    clock.now = 1.0
    play >> frontend(query("SELECT new")) << NEW_LOOKED_UP


def test_another_unknown_relation_never_rides_on_the_last_refresh():
    first, both = [(None, "new")], [(None, "new"), ("public", "new")]
    play = talk(unknown={"SELECT new": first, "SELECT both": both})
    refreshed = WorldChanged(play.planner.as_planner, play.keyring.as_keyring, answers=0)
    play >> frontend(query("SELECT new")) << NEW_LOOKED_UP
    play >> refreshed << to_backend(query("SELECT new"))
    play >> frontend(query("SELECT both")) << NEW_LOOKED_UP
    play >> refreshed << to_backend(query("SELECT both"))
    play >> frontend(query("SELECT new"), query("SELECT both")) << to_backend(query("SELECT new"), query("SELECT both"))


def test_a_text_that_may_name_any_relation_waits_for_a_newer_catalog_each_time():
    play = talk(unknown={"SELECT long": ANY_RELATIONS})
    loaded = WorldChanged(play.planner.as_planner, play.keyring.as_keyring, answers=0)
    for _ in range(2):
        play >> frontend(query("SELECT long")) << RefreshCatalog(wait=True)
        play >> loaded << to_backend(query("SELECT long"))


def test_a_lookup_for_untouched_statements_does_not_count_for_others():
    new = [(None, "new")]
    play = talk({"SELECT 1": REWRITTEN}, unknown={"SELECT new": new, "SELECT 1": new, "SELECT old": new})
    looked_up = WorldChanged(play.planner.as_planner, play.keyring.as_keyring, answers=0)
    play >> frontend(query("SELECT new")) << NEW_LOOKED_UP
    play >> looked_up << to_backend(query("SELECT new"))
    play >> frontend(query("SELECT old")) << to_backend(query("SELECT old"))
    play >> frontend(query("SELECT 1")) << LookUpRelations(frozenset({"new"}), but_plain=False)
    play >> looked_up << to_backend(query("SELECT 2"))
    play >> frontend(query("SELECT new"), query("SELECT 1")) << to_backend(query("SELECT new"), query("SELECT 2"))


def test_rewriting_needs_an_encoding_in_which_ascii_is_ascii():
    text = "INSERT INTO users(email) VALUES ('x')"
    play = Talk(ScriptedPlanner({text: storing_literal(text, "x", "x")})).opened("I", status("client_encoding", "SJIS"))
    play >> frontend(query(text)) << to_backend(REFUSED_QUERY)
    play >> backend(error("42883"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["H"] == "SET client_encoding TO 'UTF8'."


def test_bind_in_another_encoding_is_refused():
    text = "INSERT INTO users(email) VALUES ($1)"
    play = talk({text: storing()}) >> frontend(parse(text, "s")) << to_backend(parse(text, "s", (17,)))
    changed = status("client_encoding", "SJIS")
    play >> backend(PARSED, changed) << to_frontend(PARSED, changed)
    play >> frontend(bind(b"\x83\x5c", statement="s"))
    (sent,) = play.sent(Side.BACKEND)
    assert b"\x83" not in sent


@pytest.mark.parametrize(
    ("text", "is_forwarded"),
    [
        (b"SELECT '\xff'", True),
        (b"SELECT '\xff' FROM users", False),
        (b"SELECT '\xff' FROM USERS", False),
        (b"SELECT '\xff' FROM U&\"\\0075sers\"", False),
    ],
)
def test_text_that_cannot_be_decoded(text: bytes, is_forwarded: bool):
    raw = Query(text).encode()
    talk() >> frontend(raw) << to_backend(raw if is_forwarded else REFUSED_QUERY)


def test_dispositions_are_observed():
    play = talk({"SELECT 1": REWRITTEN}) >> frontend(query("SELECT 0"), query("SELECT 1"))
    play.next()
    assert [told[1] for told in play.observer.told if told[0] == "statement"] == ["untouched", "rewritten"]


def test_a_row_for_an_own_question_is_not_described():
    play = talk({"SELECT 1": ASK}, after_names={"SELECT 1": UNTOUCHED})
    play >> frontend(query("SELECT 1")) << to_backend(*QUESTION, SYNC)
    play >> backend(PARSED, BOUND, described())
    assert fields_of(play.sent(Side.FRONTEND)[0])["V"] == "FATAL"


def test_names_of_a_prepared_statement_are_asked_anew_when_they_may_have_changed():
    text = "INSERT INTO users(email) VALUES ($1)"
    play = talk({text: ASK}, after_names={text: storing()})
    play >> frontend(parse(text, "s"), SYNC) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready()) << to_backend(parse(text, "s", (17,)), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    play >> frontend(query("SET search_path = x")) << to_backend(query("SET search_path = x"))
    play >> backend(done("SET"), ready()) << to_frontend(done("SET"), ready())
    play >> frontend(bind(b"v", statement="s"), bind(b"w", statement="s"), SYNC) << to_backend(*QUESTION, SYNC)
    bound = [bind(b"<1|1[email=t%s]|%s>" % (v, v), statement="s", codes=(1,)) for v in (b"v", b"w")]
    play >> backend(*ANSWERS, ready()) << to_backend(*bound, SYNC)
    play >> backend(BOUND, BOUND, ready()) << to_frontend(BOUND, BOUND, ready())
    # Now they mean something else, and so would the statement.
    play.planner.after_names[text] = UNTOUCHED
    play >> frontend(bind(b"v", statement="s"), SYNC) << to_backend(*QUESTION, SYNC)
    play >> backend(*answers(b"7", None), ready()) << to_backend(REFUSED_BIND, SYNC)
    play >> backend(error("26000"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["C"] == "0A000"


def test_bind_right_behind_its_parse_asks_nothing_again():
    text = "INSERT INTO users(email) VALUES ($1)"
    play = talk({text: ASK}, after_names={text: storing()})
    play >> frontend(parse(text), bind(None), SYNC) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready()) << to_backend(parse(text, "", (17,)), bind(None, codes=(1,)), SYNC)
