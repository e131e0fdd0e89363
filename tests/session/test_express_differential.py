"""A session with the express course, one without it, and one whose known courses compiled code takes do the same.

Event by event, whatever client and server say.
"""

from __future__ import annotations

from random import Random
from typing import Any

import hypothesis.strategies as st
from hypothesis import event, given, settings

from pgcrypt_proxy.session.commands import Command, SendData
from pgcrypt_proxy.session.events import DataReceived, Event, Side, WorldChanged
from pgcrypt_proxy.session.statements import NEVER_PREPARED
from pgcrypt_proxy.sql.fingerprint import fingerprint
from pgcrypt_proxy.sql.plan import ALL_PREPARED, ParameterUse, Plan, Prepared, StatementPlan, Use
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT
from pgcrypt_proxy.sql.template import Template
from pgcrypt_proxy.wire.backend import ParameterDescription
from pgcrypt_proxy.wire.framing import FrameBuffer
from pgcrypt_proxy.wire.frontend import COPY_DONE, FLUSH, SYNC, Bind, Close, Describe, Parse, Query
from tests.helpers.session_doubles import EMAIL, ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    CLOSED,
    ID,
    NO_DATA,
    PARSED,
    SEALED_EMAIL,
    SUSPENDED,
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
    status,
    storing,
    storing_literal,
    talk,
)

READ, STORE, PLAIN = "SELECT id, email FROM users WHERE id = $1", "INSERT", "SELECT 1"
STORED = "INSERT INTO users(email) VALUES ($1)"
SET, BEGIN, COMMIT, COPY, TABLE = "SET x = 1", "BEGIN", "COMMIT", "COPY t FROM STDIN", "CREATE TABLE t()"
SELECT_SET, SELECT_INTO = "SELECT set_config('x', '1', false)", "SELECT 1 INTO t"
PREPARE, FORGET, FORGET_ALL = "PREPARE s AS " + PLAIN, "DEALLOCATE s", "DEALLOCATE ALL"
PLANS = {
    READ: Plan(False, (StatementPlan(False, outputs=(None, EMAIL)),), (READ,), (), (ParameterUse(0, Use.PASS),), 1),
    STORE: storing(),
    PLAIN: Plan(True, (StatementPlan(),)),
    BEGIN: Plan(True, (StatementPlan(),)),
    SET: Plan(True, (StatementPlan(changes_settings=True),)),
    COMMIT: Plan(True, (StatementPlan(ends_transaction=True),)),
    TABLE: Plan(True, (StatementPlan(is_ddl=True),)),
    SELECT_SET: Plan(True, (StatementPlan(changes_settings=True),)),
    SELECT_INTO: Plan(True, (StatementPlan(is_ddl=True),)),
    PREPARE: Plan(True, (StatementPlan(prepares=Prepared("s", PLAIN, Plan(True), ())),)),
    FORGET: Plan(True, (StatementPlan(deallocates="s"),)),
    FORGET_ALL: Plan(True, (StatementPlan(deallocates=ALL_PREPARED),)),
}
#: The unnamed statement, one that PREPARE makes too, one that nobody makes, and one too long to be told from it.
NAMES = ["", "", *["s"] * 6, *["t"] * 4, "none", "n" * 64]
TEXTS = [READ, READ, STORE, PLAIN, SET, COMMIT, TABLE, COPY, SELECT_SET, SELECT_INTO]
QUERIES = [PLAIN, SET, BEGIN, COMMIT, COPY, TABLE, PREPARE, FORGET, FORGET_ALL]

#: Texts of templates: the first literals may be others, all but the last of FIND, whose plan is another then.
FIND = "SELECT id, email FROM users WHERE id = 7 AND name = 'x' LIMIT 1"
SEEK = "SELECT 7 WHERE 'x' = 'y'"
KEEP = "INSERT INTO users(id, email) VALUES (7, 'x')"
NUMBERS = ["7", "8", "0", "007", "123456789", "1234567890", "1.5", "-7"]
STRINGS = ["'x'", "'y'", "''", "'it''s'", "'\N{LATIN SMALL LETTER E WITH ACUTE}'", "'a\\'", "E'x'", "$$x$$", "'\udcff'"]


def templates(*, has_sealed: bool) -> dict[str, Template]:
    """By their keys."""
    made = {}
    plans = {SEEK: Plan(True, (StatementPlan(),))}
    if has_sealed:
        plans |= {FIND: reading(FIND, None, EMAIL), KEEP: storing_literal(KEEP, "x", "x")}
    for sql, plan in plans.items():
        found = fingerprint(sql)
        assert found is not None
        fixed = frozenset({2} if sql == FIND else ())
        sources = {sql.index("'x'"): (1, False)} if sql == KEEP else {}
        varied = set(range(len(found.literals))) - fixed
        made[found.key] = Template(plan, found.literals, fixed, frozenset(), sources, varied)
    return made


def templated(rng: Random, sql: str) -> bytes:
    """A Query of a template, most of them plain."""
    odd = rng.random() < 0.08
    number, string = (rng.choice(values if odd else values[:5]) for values in (NUMBERS, STRINGS))
    sql = sql.replace("7", number).replace("'x'", string)
    if rng.random() < 0.03:
        sql = sql.replace("LIMIT 1", "LIMIT 2")
    made = sql.encode("utf-8", "surrogateescape")
    return Query(made).encode() + query(PLAIN) * (rng.random() < 0.03)


class Server:
    """Answers like PostgreSQL what a session sends, now and then with an error, a notice or rows that do not open."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._frames = FrameBuffer("frontend")
        self.texts: dict[bytes, str] = {}
        self._portal: tuple[str, tuple[int, ...]] | None = None
        self._is_skipping = self._is_copying = False
        self._status = "I"
        self.said: list[bytes] = []

    def take(self, data: bytes) -> None:
        self._frames.feed(data)
        while (raw := self._frames.take()) is not None:
            self._take(raw)

    def _fails(self, sqlstate: str = "") -> bool:
        if not sqlstate and self._rng.random() > 0.02:
            return False
        self.said.append(error(sqlstate or "22000"))
        self._status = "E" if self._status != "I" else "I"
        return True

    def _take(self, raw: bytes) -> None:
        kind = chr(raw[0])
        if self._is_copying and kind in "dcf":
            if kind != "d":
                self._is_copying = False
                self.said += [done("COPY 0")] if kind == "c" else []
                self.said.append(ready(self._status))
            return
        if self._is_skipping and kind != "S":
            return
        if kind == "S":
            if not self._is_copying:
                self._is_skipping = False
                self.said.append(ready(self._status))
        elif kind == "Q":
            text = _shape(Query.decode(raw).text.decode("utf-8", "replace"))
            if not self._fails("42883" if text == REFUSED_STATEMENT else ""):
                self._run(text, (), is_described=True)
            if not self._is_copying:
                self.said.append(ready(self._status))
        elif kind in "PBDEC":
            self._is_skipping = self._extended(kind, raw)

    def _extended(self, kind: str, raw: bytes) -> bool:
        """Whether it failed."""
        if kind == "P":
            made = Parse.decode(raw)
            if self._fails("42883" if made.query.decode() == REFUSED_STATEMENT else ""):
                return True
            self.texts[made.statement_name[:63]] = made.query.decode()
            self.said.append(PARSED)
        elif kind == "B":
            bound = Bind.decode(raw)
            text = self.texts.get(bound.statement_name[:63])
            if self._fails("26000" if text is None or bound.statement_name == NEVER_PREPARED else ""):
                return True
            assert text is not None
            self._portal = text, bound.result_format_codes
            self.said.append(BOUND)
        elif kind == "D":
            wanted = Describe.decode(raw)
            is_portal = wanted.kind == ord("P")
            found = self._portal if is_portal else (self.texts.get(wanted.name[:63]), ())
            if self._fails("34000" if found is None or found[0] is None else ""):
                return True
            assert found is not None
            assert found[0] is not None
            if not is_portal:
                self.said.append(ParameterDescription(()).encode() if found[0] != READ else _ONE)
            self.said.append(_columns(found[0]) or NO_DATA)
        elif kind == "E":
            if self._fails("34000" if self._portal is None else ""):
                return True
            assert self._portal is not None
            self._run(*self._portal, is_described=False)
        else:
            closed = Close.decode(raw)
            if closed.kind == ord("S"):
                self.texts.pop(closed.name[:63], None)
            self.said.append(CLOSED)
        return False

    def _run(self, text: str, codes: tuple[int, ...], *, is_described: bool) -> None:
        columns = _columns(text)
        if columns is not None:
            self.said += [columns] if is_described else []
            for _ in range(self._rng.randint(0, 2)):
                if self._rng.random() < 0.05:
                    self.said.append(error("00000").replace(b"E", b"N", 1))
                self.said.append(self._row(text, codes))
        if text == COPY:
            self._is_copying = True
            self.said.append(b"G\0\0\0\7\0\0\0")
            return
        if text in (SET, SELECT_SET):
            self.said.append(status("client_encoding", self._rng.choice(["UTF8", "UTF8", "LATIN1", "SJIS"])))
        elif text in (BEGIN, COMMIT):
            self._status = "T" if text == BEGIN else "I"
        elif text == PREPARE:
            self.texts[b"s"] = PLAIN
        elif text in (FORGET, FORGET_ALL):
            self.texts.pop(b"s", None)
        is_whole = is_described or self._rng.random() < 0.97
        self.said.append(done(text.split()[0]) if is_whole else SUSPENDED)

    def _row(self, text: str, codes: tuple[int, ...]) -> bytes:
        if text == PLAIN:
            return row(b"1")
        if self._rng.random() < 0.02:
            return self._rng.choice([row(b"1"), row(b"1", b"junk"), row(b"1", bytea(b"<2||ann>"))])
        envelope = self._rng.choice([None, "<1||ann>", "<1||\N{LATIN SMALL LETTER E WITH ACUTE}>"])
        code = (codes[0] if len(codes) == 1 else codes[1]) if codes else 0
        return row(b"1", envelope and (envelope.encode() if code else bytea(envelope.encode())))


_ONE = ParameterDescription((23,)).encode()


def _shape(text: str) -> str:
    """The text as this server knows it."""
    return READ if text.startswith(FIND[:34]) else PLAIN if text.startswith(SEEK[:7]) else text


def _columns(text: str) -> bytes | None:
    return {READ: described(ID, SEALED_EMAIL), PLAIN: described(ID)}.get(text)


def course(rng: Random) -> bytes:
    """Bind to Sync, most of them straight."""
    value = rng.choice([b"1"] * 12 + [b"ann", b"\xff", None, bytes(9000)])
    parameters = rng.choice([(value,)] * 20 + [(), (value, value)])
    codes: tuple[int, ...] = rng.choice([*[()] * 4, (0,), (1,), (1,), (0, 1), (0, 0)])
    made = [bind(*parameters, statement=rng.choice(NAMES), results=codes)]
    made += [describe()] if rng.random() < 0.6 else []
    made.append(execute(max_rows=int(rng.random() < 0.05)))
    if rng.random() < 0.08:
        made.insert(rng.randint(0, len(made)), rng.choice([FLUSH, describe("S"), made[0], COPY_DONE]))
    return b"".join([*made, SYNC])


def other(rng: Random) -> bytes:
    """Anything but a course."""
    text, name = rng.choice(TEXTS), rng.choice(NAMES)
    return rng.choice(
        [
            parse(text, name) + SYNC,
            parse(text, name) + course(rng),
            parse(text, name),
            describe("S", name) + SYNC,
            Close(ord("S"), name.encode()).encode() + SYNC,
            query(rng.choice(QUERIES)),
            query(rng.choice(QUERIES)) + course(rng),
            templated(rng, rng.choice([FIND, SEEK, KEEP])),
            rng.choice([SYNC, FLUSH, COPY_DONE, b"d\0\0\0\6xx", describe(), execute()]),
        ]
    )


class Never:
    """No express course: the handlers do all."""

    def take_requests(self, data: bytes) -> bool:
        return False

    def take_replies(self, data: bytes) -> bool:
        return False

    def leave(self) -> None:
        pass


class Compiled:
    """A session as a connection has it: what its course takes does not come to `handle`."""

    def __init__(self, play: Talk) -> None:
        self._session = play.session
        self._course = play.session.course
        self.taken = self.taken_templates = 0

    def handle(self, event: Event) -> list[Command]:
        if self._course is not None and isinstance(event, DataReceived):
            is_request = event.side is Side.FRONTEND
            made = self._course.requests(event.data) if is_request else self._course.replies(event.data)
            if made is not None:
                self.taken += 1
                self.taken_templates += event.data.startswith(b"Q") and event.data[5:-1].decode() not in QUERIES
                return [SendData(Side.BACKEND if is_request else Side.FRONTEND, made)]
        commands = self._session.handle(event)
        self._session.arm()
        return commands


def effects(commands: list[Command]) -> list[Any]:
    return [(c.side, c.data) if isinstance(c, SendData) else c for c in commands]


def state(play: Talk) -> tuple[Any, ...]:
    play.session.leave_course()
    link = play.session._link
    return (
        link.is_closed,
        link.transaction_status,
        link.is_in_doubt,
        link.executions,
        link.encoding,
        link.is_ddl_pending,
        link.queue.batch,
        link.queue.is_synced,
        link.queue.is_skipping,
        link.queue.is_copying_in,
        link.frontend.pending,
        play.session.is_holding_frontend,
        play.session.is_idle,
        sorted(link.statements.latest),
        {name: (s.sql, s.version, s.result) for name, s in link.statements.settled.items()},
        {name: (p.result, p.result_format_codes) for name, p in link.portals.settled.items()},
        play.session._from_frontend.copies.may_copy,
        play.session._from_frontend.is_batch_doomed,
        play.observer.told,
    )


CHANGES = ["catalog", "other plans", "expired", "destroyed", "wrong"]


@settings(max_examples=400)
@given(st.randoms(use_true_random=True))
def test_the_course_has_the_effects_of_the_handlers(rng: Random) -> None:
    # Compiled code cannot seal for the doubles: half of the time most statements concern nothing sealed.
    has_sealed = rng.random() < 0.5
    known = PLANS if has_sealed else {text: plan for text, plan in PLANS.items() if text not in (READ, STORE)}
    by_key = templates(has_sealed=has_sealed)
    plays = [talk(known, templates=by_key) for _ in range(3)]
    plays[1].session._express = Never()  # type: ignore[assignment]
    plays[1].session._courses.native = None
    compiled = Compiled(plays[2])
    server = Server(rng)
    version = 1
    # Else no two courses are the same, and none is taken as a known one.
    routine = [course(rng) for _ in range(3)] if rng.random() < 0.6 else None
    shapes = rng.choices([FIND, FIND, SEEK, KEEP] if has_sealed else [SEEK], k=2) if rng.random() < 0.5 else []

    def both(*events: Event) -> None:
        handlers = [plays[0].session.handle, plays[1].session.handle, compiled.handle]
        one, other, third = (effects(handle(given_)) for handle, given_ in zip(handlers, events, strict=True))
        assert one == other
        assert one == third, (one, third)
        for effect in one:
            if isinstance(effect, tuple) and effect[0] is Side.BACKEND:
                server.take(effect[1])

    def told(side: Side, stream: bytes) -> None:
        cut = rng.randint(0, len(stream)) if rng.random() < (0.03 if routine or shapes else 0.2) else 0
        for part in (stream[:cut], stream[cut:]):
            if part:
                both(*[DataReceived(side, part)] * 3)

    def change(what: str) -> None:
        nonlocal version
        if what in ("catalog", "other plans"):
            version += 1
            plans = known if what == "catalog" else {**known, READ: reading(READ, None, EMAIL)}
            both(
                *(
                    WorldChanged(
                        ScriptedPlanner(plans, version=version, templates=by_key).as_planner, p.keyring.as_keyring
                    )
                    for p in plays
                )
            )
        elif what == "wrong":
            rng.choice([*by_key.values()]).is_wrong = True
        else:
            for play in plays:
                setattr(play.keyring, f"is_{what}", not getattr(play.keyring, f"is_{what}"))
                play.session.leave_course()  # a keyring's time is known when it is armed

    def answered() -> None:
        said = server.said
        count = len(said) if rng.random() < 0.9 else rng.randint(0, len(said))
        server.said = said[count:]
        told(Side.BACKEND, b"".join(said[:count]))

    opening = b"".join(parse(text, name) for text, name in ((READ, "s"), (STORE, "t"), (PLAIN, "")))
    told(Side.FRONTEND, opening + SYNC)
    for _ in range(30):
        if routine or shapes or rng.random() < 0.85:
            answered()
        kind = rng.random()
        if shapes and rng.random() < 0.7:
            told(Side.FRONTEND, templated(rng, rng.choice(shapes)))
        elif kind < 0.7 or (routine and kind < 0.95):
            told(Side.FRONTEND, rng.choice(routine) if routine else course(rng))
        elif kind < 0.75:
            told(Side.FRONTEND, course(rng) + course(rng))
        elif kind < 0.95:
            told(Side.FRONTEND, other(rng))
        else:
            change(rng.choice(CHANGES))
        if plays[0].session.is_closed:
            break
        assert state(plays[0]) == state(plays[1])
        plays[2].session._link.is_in_doubt  # to ask is to settle it # noqa: B018
        if rng.random() < 0.3:
            assert state(plays[0]) == state(plays[2])
            plays[2].session.arm()
    assert plays[0].session.is_closed is plays[2].session.is_closed
    event("templates taken" if compiled.taken_templates > 3 else "hardly any template taken")
    event("taken by compiled code" if compiled.taken > 5 else "hardly anything taken by compiled code")
    assert plays[0].session.is_closed is plays[1].session.is_closed
