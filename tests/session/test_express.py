"""What is dealt with as a whole has the effects of its messages, one by one, in any split of the stream."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pgcrypt_proxy.session.commands import CloseConnection, SendData
from pgcrypt_proxy.session.events import DataReceived, Side, WorldChanged
from pgcrypt_proxy.session.express import Express
from pgcrypt_proxy.sql.plan import ParameterUse, Plan, StatementPlan, Use
from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import EMAIL, ScriptedPlanner
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
    describe,
    described,
    done,
    error,
    execute,
    fields_of,
    parse,
    reading,
    ready,
    row,
    status,
    storing,
    talk,
)

READ, STORE, PLAIN, SET = "SELECT id, email FROM users WHERE id = $1", "INSERT", "SELECT 1", "SET x = 1"
PLANS = {
    READ: Plan(False, (StatementPlan(False, outputs=(None, EMAIL)),), (READ,), (), (ParameterUse(0, Use.PASS),), 1),
    STORE: storing(),
    SET: Plan(True, (StatementPlan(changes_settings=True),)),
}
COLUMNS = described(ID, SEALED_EMAIL)
SHOWN_COLUMNS = described(ID, SHOWN_EMAIL)
ROW, SHOWN_ROW = row(b"1", bytea(b"<1||ann>")), row(b"1", b"ann")


def prepared(*texts: str, **options: Any) -> Talk:
    """A session in which these texts are prepared statements, named by their first letters."""
    play = talk(PLANS, **options)
    for text in texts:
        play >> frontend(parse(text, text[:2]), SYNC)
        play.said.clear()
        play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    return play


class Watch:
    """Counts what the express course took."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = 0
        for name in ("take_requests", "take_replies"):
            monkeypatch.setattr(Express, name, self._watched(getattr(Express, name)))

    def _watched(self, method: Any) -> Any:
        def watched(express: Express, data: bytes) -> bool:
            took: bool = method(express, data)
            self.taken += took
            return took

        return watched


def test_a_prepared_statement_takes_the_course(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    play = prepared(READ, PLAIN, STORE)
    for _ in range(2):
        batch = (bind(b"1", statement="SE"), describe(), execute(), SYNC)
        play >> frontend(*batch) << to_backend(*batch)
        plain = (BOUND, described(ID), row(b"1"), done("SELECT 1"), ready())
        play >> backend(*plain) << to_frontend(*plain)
    assert watch.taken == 4


def test_rows_are_opened_on_the_course(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    play = prepared(READ)
    for status_ in "ITE":
        batch = (bind(b"1", statement="SE"), describe(), execute(), SYNC)
        play >> frontend(*batch) << to_backend(*batch)
        play >> backend(BOUND, COLUMNS, ROW, ROW, done("SELECT 2"), ready(status_))
        play << to_frontend(BOUND, SHOWN_COLUMNS, SHOWN_ROW, SHOWN_ROW, done("SELECT 2"), ready(status_))
        assert play.session._link.transaction_status == ord(status_)
    assert watch.taken == 6
    # Without Describe, by what is known of the statement and the formats of the Bind
    batch = (bind(b"1", statement="SE", results=(0, 1)), execute(), SYNC)
    play >> frontend(*batch) << to_backend(*batch)
    play >> backend(BOUND, row(b"1", b"<1||ann>"), done("SELECT 1"), ready())
    play << to_frontend(BOUND, SHOWN_ROW, done("SELECT 1"), ready())
    assert watch.taken == 8


def test_values_are_sealed_on_the_course(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    play = prepared(STORE)
    play >> frontend(bind(b"ann", statement="IN"), describe(), execute(), SYNC)
    sealed = bind(b"<1|1[email=tann]|ann>", statement="IN", codes=(1,))
    play << to_backend(sealed, describe(), execute(), SYNC)
    said = (BOUND, NO_DATA, done("INSERT 0 1"), ready())
    play >> backend(*said) << to_frontend(*said)
    assert watch.taken == 2


def test_a_bad_value_is_refused_and_the_rest_skipped():
    play = prepared(STORE)
    play >> frontend(bind(b"\xff", statement="IN"), describe(), execute(), SYNC)
    sent = play.sent(Side.BACKEND)
    assert b"\xff\xff" not in b"".join(sent)
    assert [message[:1] for message in sent] == [b"B", b"S"]
    play >> backend(error("26000", "does not exist"), ready())
    shown = play.sent(Side.FRONTEND)
    assert fields_of(shown[0])["C"] == "22021"
    assert shown[1] == ready()


def test_parameters_that_the_text_does_not_use_are_left_out():
    play = talk(PLANS)
    play >> frontend(parse(READ, "SE", oids=(23, 25)), SYNC)
    play.said.clear()
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())
    play >> frontend(bind(b"1", b"x", statement="SE"), describe(), execute(), SYNC)
    play << to_backend(bind(b"1", statement="SE", codes=(0,)), describe(), execute(), SYNC)


def test_an_error_leaves_the_course():
    play = prepared(READ)
    batch = (bind(b"1", statement="SE"), describe(), execute(), SYNC)
    play >> frontend(*batch) << to_backend(*batch)
    play >> backend(BOUND, COLUMNS, ROW, error("57014"), ready())
    play << to_frontend(BOUND, SHOWN_COLUMNS, SHOWN_ROW, error("57014"), ready())
    play >> frontend(*batch) << to_backend(*batch)
    play >> backend(error("22P02"), ready()) << to_frontend(error("22P02"), ready())
    assert len(play.session._link.queue) == 0


def test_a_row_that_does_not_open_ends_the_connection():
    play = prepared(READ)
    play >> frontend(bind(b"1", statement="SE"), describe(), execute(), SYNC)
    play.said.clear()
    play >> backend(BOUND, COLUMNS, ROW, row(b"1", bytea(b"<7||x>")), done("SELECT 2"), ready())
    sent = play.sent(Side.FRONTEND)
    assert sent[:3] == [BOUND, SHOWN_COLUMNS, SHOWN_ROW]
    assert fields_of(sent[3])["S"] == "FATAL"
    play << CloseConnection(Side.FRONTEND) << CloseConnection(Side.BACKEND)


def test_an_unplanned_protected_column_does_not_pass():
    play = prepared(PLAIN)
    play.planner.plans[PLAIN] = reading(PLAIN, None)
    play = prepared(PLAIN)
    play.planner.plans.clear()
    play >> frontend(bind(b"1", statement="SE"), describe(), execute(), SYNC)
    play.said.clear()
    play >> backend(BOUND, described(SEALED_EMAIL), row(bytea(b"<1||ann>")), done("SELECT 1"), ready())
    play << to_frontend(BOUND, described(SHOWN_EMAIL), row(b"ann"), done("SELECT 1"), ready())


def test_another_catalog_is_looked_at_before_the_course(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    play = prepared(READ)
    newer = ScriptedPlanner({READ: reading(READ, EMAIL)}, version=2)
    play >> WorldChanged(newer.as_planner, play.keyring.as_keyring)
    play >> frontend(bind(b"1", statement="SE"), describe(), execute(), SYNC)
    assert watch.taken == 0
    assert b"prepared anew" not in play.sent(Side.BACKEND)[0]


@pytest.mark.parametrize(
    "batch",
    [
        (bind(statement="SE", portal="p"), describe(name="p"), execute("p"), SYNC),
        (bind(statement="XX"), describe(), execute(), SYNC),
        (bind(statement="SE"), describe(), execute(max_rows=5), SYNC),
        (bind(statement="SE"), execute(), execute(), SYNC),
        (bind(bytes(9000), statement="SE"), describe(), execute(), SYNC),
        (bind(statement="CO"), describe(), execute(), SYNC),
        (bind(statement="SE"), bind(statement="SE"), describe(), execute(), SYNC),
    ],
)
def test_anything_else_does_not_take_it(monkeypatch: pytest.MonkeyPatch, batch: tuple[bytes, ...]):
    watch = Watch(monkeypatch)
    play = prepared(PLAIN, "COPY t FROM STDIN")
    play >> frontend(*batch)
    play.said.clear()
    assert watch.taken == 0


def test_what_looks_like_the_course_inside_of_a_message_does_not_take_it(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    play = prepared(READ)
    batch = b"".join((bind(b"1", statement="SE"), describe(), execute(), SYNC))
    play >> DataReceived(Side.FRONTEND, b"d" + (len(batch) + 4).to_bytes(4))
    play >> DataReceived(Side.FRONTEND, batch)
    assert watch.taken == 0
    answer = b"".join((BOUND, COLUMNS, ROW, done("SELECT 1"), ready()))
    play >> DataReceived(Side.BACKEND, b"A" + (len(answer) + 4).to_bytes(4))
    play >> DataReceived(Side.FRONTEND, batch)
    play << SendData(Side.BACKEND, batch)
    assert watch.taken == 1
    play >> DataReceived(Side.BACKEND, answer)
    play << SendData(Side.FRONTEND, b"A" + (len(answer) + 4).to_bytes(4) + answer)
    assert watch.taken == 1


def test_what_changes_settings_does_not_take_it(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    play = prepared(SET)
    batch = (bind(statement="SE"), describe(), execute(), SYNC)
    play >> frontend(*batch) << to_backend(*batch)
    assert watch.taken == 0


TAGS = {READ: "SELECT 1", STORE: "INSERT 0 1", PLAIN: "SELECT 1"}
answers = st.lists(
    st.sampled_from(
        ["rows", "no rows", "notice", "status", "bind fails", "run fails", "suspended", "bad row", "drift"]
    ),
    min_size=1,
    max_size=4,
)


def replies(text: str, answer: str, is_described: bool) -> list[bytes]:
    """What a server could say to a batch."""
    if answer == "bind fails":
        return [error("22P02"), ready()]
    columns = {READ: COLUMNS, PLAIN: described(ID), STORE: NO_DATA}[text]
    if answer == "drift":
        columns = described(ID, ID, ID) if text == READ else columns
    made = {READ: ROW, PLAIN: row(b"1"), STORE: b""}[text]
    if answer == "bad row" and text == READ:
        made += row(b"1", b"")
    head = [BOUND, columns] if is_described else [BOUND]
    if answer == "run fails":
        return [*head, made, error("57014"), ready("E")]
    if answer == "suspended":
        return [*head, made, SUSPENDED, ready()]
    body = [] if answer == "no rows" else [made]
    if answer == "notice":
        body.append(error("01000").replace(b"E", b"N", 1))
    if answer == "status":
        body.append(status("application_name", "x"))
    return [*head, *body, done(TAGS[text]), ready("T")]


@given(
    st.data(),
    answers,
    st.lists(st.tuples(st.sampled_from([READ, STORE, PLAIN]), st.booleans()), min_size=4, max_size=4),
    st.booleans(),
)
def test_any_split_has_the_same_effects(data: Any, said: list[str], asked: list[tuple[str, bool]], is_pipelined: bool):
    plays = [prepared(READ, STORE), prepared(READ, STORE)]
    for play in plays:
        play >> frontend(parse(PLAIN, "PL"), SYNC)
        play.said.clear()
        play >> backend(PARSED, ready())
        play.said.clear()
    sent: list[list[bytes]] = [[b"", b""], [b"", b""]]
    batches, answered = [], []
    for answer, (text, is_described) in zip(said, asked, strict=False):
        name = {READ: "SE", STORE: "IN", PLAIN: "PL"}[text]
        middle = (describe(), execute()) if is_described else (execute(),)
        batches.append(b"".join((bind(b"1", statement=name), *middle, SYNC)))
        answered.append(b"".join(replies(text, answer, is_described)))
    turns = [(Side.FRONTEND, b) for b in batches] + [(Side.BACKEND, a) for a in answered]
    if not is_pipelined:
        turns = [t for b, a in zip(batches, answered, strict=True) for t in ((Side.FRONTEND, b), (Side.BACKEND, a))]
    for side, stream in turns:
        cut = data.draw(st.integers(0, len(stream)))
        for number, parts in enumerate(([stream], [stream[:cut], stream[cut:]])):
            for part in parts:
                for command in plays[number].session.handle(DataReceived(side, part)):
                    if isinstance(command, SendData):
                        sent[number][command.side is Side.BACKEND] += command.data
    assert sent[0] == sent[1]
    links = [play.session._link for play in plays]
    states = [
        (
            link.is_closed,
            link.transaction_status,
            len(link.queue),
            link.queue.batch,
            link.executions,
            link.queue.is_skipping,
            sorted(link.portals.settled),
            sorted(link.portals.latest),
            [p.result for p in link.portals.settled.values()],
            [s.result for s in link.statements.settled.values()],
        )
        for link in links
    ]
    assert states[0] == states[1] or (links[0].is_closed and links[1].is_closed)
