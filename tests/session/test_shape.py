"""DDL on protected tables in a session: the next statement waits for what the server says of them."""

from __future__ import annotations

from pgcrypt_proxy.session.commands import RefreshCatalog
from pgcrypt_proxy.session.events import Side, WorldChanged
from pgcrypt_proxy.session.from_frontend import REFUSED_QUERY
from pgcrypt_proxy.session.shape import OWN_NAME
from pgcrypt_proxy.sql import shape
from pgcrypt_proxy.sql.plan import Plan, StatementPlan
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Close
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import DOMAIN_OID, USERS_OID, ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    CLOSED,
    PARSED,
    Talk,
    bind,
    describe,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    ready,
    row,
    talk,
)

DDL = Plan(False, (StatementPlan(False, is_ddl=True, reshapes=True, command_tag="CREATE TABLE"),), ("DO 'made of it'",))
END = Plan(True, (StatementPlan(ends_transaction=True),))
PLANS = {"CREATE": DDL, "COMMIT": END, "ROLLBACK": END}
OWN = OWN_NAME.decode()
CLOSES = [Close(ord("P"), OWN_NAME).encode(), Close(ord("S"), OWN_NAME).encode()]
QUESTION = [
    parse(shape.RELATIONS, OWN, (1009,)),
    bind(b'{"users"}', statement=OWN, portal=OWN),
    execute(OWN),
    *CLOSES,
    parse(shape.UNIQUE_TERMS, OWN),
    bind(statement=OWN, portal=OWN),
    execute(OWN),
    *CLOSES,
]
EMAIL_ROW = row(
    b"%d" % USERS_OID, b"public", b"users", b"r", b"mail", b"2", b"%d" % DOMAIN_OID, b"1", None
)  # renamed, in this transaction
ANSWERS = [
    PARSED, BOUND, EMAIL_ROW, done("SELECT 1"), CLOSED, CLOSED, PARSED, BOUND, done("SELECT 0"), CLOSED, CLOSED
]  # fmt: skip


def in_transaction() -> Talk:
    """A table was changed, and the transaction is open."""
    play = talk(PLANS)
    play >> frontend(query("CREATE")) << to_backend(query("DO 'made of it'"))
    play >> backend(done("DO"), ready("T")) << to_frontend(done("CREATE TABLE"), ready("T"))
    return play


def test_the_next_statement_waits_for_the_answer_and_is_planned_with_it():
    play = in_transaction()
    play >> frontend(query("SELECT 1")) << to_backend(*QUESTION, SYNC)
    assert play.session.is_holding_frontend
    play >> backend(*ANSWERS, ready("T")) << to_backend(query("SELECT 1"))
    planner = play.session._link.planner
    assert [c.name for c in planner.catalog.protected_columns] == ["mail"]
    play >> backend(done("SELECT 1"), ready("T")) << to_frontend(done("SELECT 1"), ready("T"))
    play >> frontend(query("SELECT 2")) << to_backend(query("SELECT 2"))
    play.done()


def test_the_shared_catalog_is_in_force_again_when_it_knows():
    play = in_transaction()
    play >> frontend(query("SELECT 1")) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready("T")) << to_backend(query("SELECT 1"))
    play >> backend(done("SELECT 1"), ready("T")) << to_frontend(done("SELECT 1"), ready("T"))
    # an end of the transaction needs no answer, but what is behind it does
    play >> frontend(query("COMMIT")) << to_backend(query("COMMIT"))
    (
        play
        >> backend(done("COMMIT"), ready())
        << to_frontend(done("COMMIT"), ready())
        << RefreshCatalog(wait=True, number=2)
    )
    play >> frontend(query("SELECT 2")) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready()) << to_backend(query("SELECT 2"))
    play >> backend(done("SELECT 1"), ready()) << to_frontend(done("SELECT 1"), ready())
    newer = ScriptedPlanner(PLANS, version=2)
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring)  # of somebody else: this session's own stays
    assert play.session._link.planner.catalog is not newer.catalog
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring, answers=1)  # of a load that began before
    assert play.session._link.planner.catalog is not newer.catalog
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring, answers=2)
    assert play.session._link.planner.catalog is newer.catalog
    play >> frontend(query("SELECT 3")) << to_backend(query("SELECT 3"))


def test_a_catalog_that_could_not_be_loaded_leaves_the_sessions_own_in_force():
    play = in_transaction()
    play >> frontend(query("COMMIT")) << to_backend(query("COMMIT"))
    (
        play
        >> backend(done("COMMIT"), ready())
        << to_frontend(done("COMMIT"), ready())
        << RefreshCatalog(wait=True, number=2)
    )
    play >> WorldChanged(play.planner.as_planner, play.keyring.as_keyring, "down", answers=2)
    play >> frontend(query("SELECT 2")) << to_backend(*QUESTION, SYNC)


def test_in_a_failed_transaction_nothing_but_its_end_passes():
    play = in_transaction()
    play >> frontend(query("SELECT bad")) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready("T")) << to_backend(query("SELECT bad"))
    play >> backend(error("22012"), ready("E")) << to_frontend(error("22012"), ready("E"))
    play >> frontend(query("CREATE")) << to_backend(query("DO 'made of it'"))
    play >> backend(error("25P02"), ready("E"))
    play.said.clear()
    play >> frontend(query("INSERT secret")) << to_backend(REFUSED_QUERY)
    play >> backend(error("25P02", "current transaction is aborted"), ready("E"))
    shown = play.sent(Side.FRONTEND)
    assert fields_of(shown[0])["C"] == "25P02"
    play >> frontend(query("ROLLBACK")) << to_backend(query("ROLLBACK"))


def test_within_a_batch_the_question_travels_with_it():
    play = talk(PLANS)
    play >> frontend(parse("CREATE"), bind(), execute(), parse("SELECT 1"), bind(), execute(), SYNC)
    sent = play.sent(Side.BACKEND)
    assert sent[-len(QUESTION) - 1 :] == [*QUESTION, FLUSH]
    assert parse("SELECT 1") not in sent
    play >> backend(PARSED, BOUND, done("DO"))
    assert play.sent(Side.FRONTEND)[-1] == done("CREATE TABLE")
    play >> backend(*ANSWERS)
    assert play.sent(Side.BACKEND)[0] == parse("SELECT 1")


def test_a_question_that_fails_lets_nothing_pass():
    play = in_transaction()
    play >> frontend(query("SELECT 1")) << to_backend(*QUESTION, SYNC)
    play >> backend(error("57014"), ready("E")) << to_backend(REFUSED_QUERY)


def test_a_prepared_statement_waits_too():
    play = talk(PLANS)
    play >> frontend(parse("SELECT 1", "s"), SYNC) << to_backend(parse("SELECT 1", "s"), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    play >> frontend(query("CREATE")) << to_backend(query("DO 'made of it'"))
    play >> backend(done("DO"), ready("T")) << to_frontend(done("CREATE TABLE"), ready("T"))
    course = (bind(statement="s"), describe(), execute(), SYNC)
    play >> frontend(*course) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready("T")) << to_backend(*course)


def test_a_question_that_was_skipped_is_asked_again():
    play = talk(PLANS)
    play >> frontend(parse("CREATE"), bind(), execute(), parse("SELECT 1"), SYNC)
    play.said.clear()
    play >> backend(PARSED, BOUND, error("42P07"))
    play << to_backend(SYNC) << to_frontend(PARSED, BOUND, error("42P07"))
    play >> backend(ready()) << to_frontend(ready()) << RefreshCatalog(wait=True, number=1)
    play >> frontend(parse("SELECT 2"), SYNC) << to_backend(*QUESTION, SYNC)
    play >> backend(*ANSWERS, ready()) << to_backend(parse("SELECT 2"), SYNC)
