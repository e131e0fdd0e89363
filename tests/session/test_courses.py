"""Known courses in compiled code and in Python, with real keys: the same values and bytes go on."""

from __future__ import annotations

import struct
from dataclasses import replace
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import event, given

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.envelope import FLAG_EQ
from pgcrypt_proxy.crypto.envelope import parse as parse_envelope
from pgcrypt_proxy.crypto.keyring import SealContext
from pgcrypt_proxy.session import courses
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import ParameterUse, Plan, StatementPlan, Use
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.wire.framing import FrameBuffer
from pgcrypt_proxy.wire.frontend import SYNC, Bind
from pgcrypt_proxy.wire.reader import MalformedMessage
from tests.helpers import session_doubles
from tests.helpers.session_doubles import ScriptedPlanner
from tests.session.compiled import KEYS, Run, mutated
from tests.session.conversations import (
    BOUND,
    NO_DATA,
    PARSED,
    bind,
    bytea,
    column,
    describe,
    described,
    done,
    error,
    execute,
    parse,
    ready,
    row,
)

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

#: Their index key is one of the keyring's: without it nothing could be sealed, and nothing compared.
EMAIL, AGE = (replace(column, index_generation=1) for column in (session_doubles.EMAIL, session_doubles.AGE))
READ = "SELECT id, email, age FROM users WHERE id = $1"
FIND = "SELECT id, email, age FROM users WHERE email = $1 AND age = $2"
STORE = "INSERT INTO users VALUES ($1, $2, $3)"
MOVE = "UPDATE users SET email = $1 WHERE email = $2"
PASS = ParameterUse(0, Use.PASS)
OUTPUTS = (None, EMAIL, AGE)


def plan(text: str, outputs: Any, *uses: ParameterUse) -> Plan:
    return Plan(False, (StatementPlan(False, outputs=outputs),), (text,), (), uses, len(uses))


PLANS = {
    READ: plan(READ, OUTPUTS, PASS),
    FIND: plan(FIND, OUTPUTS, ParameterUse(0, Use.TERM, EMAIL), ParameterUse(1, Use.TERM, AGE)),
    STORE: plan(STORE, None, PASS, ParameterUse(1, Use.SEAL, EMAIL), ParameterUse(2, Use.SEAL, AGE)),
    MOVE: plan(MOVE, None, ParameterUse(0, Use.SEAL, EMAIL), ParameterUse(1, Use.TERM, EMAIL)),
}
NAMES = {"r": READ, "f": FIND, "s": STORE, "m": MOVE}
COLUMNS = described(column("id", 1, 23), column("email", 2, 17), column("age", 3, 17))
TEXTS = [b"ann@example.com", b"", "Jos\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), b"x" * 300]
BAD_TEXTS = [b"\xff", b"a\0b", b"\xed\xa0\x80"]
NUMBERS, BAD_NUMBERS = [b"7", b"-12", b" 42 ", b"2147483647"], [b"2147483648", b"x", b"", b"1e3"]


def scripted(*, is_compiled: bool) -> Run:
    return Run(ScriptedPlanner(PLANS).as_planner, is_compiled=is_compiled)


def messages(data: bytes) -> list[bytes]:
    frames = FrameBuffer("frontend")
    frames.feed(data)
    return list(iter(frames.take, None))


def meaning(raw: bytes) -> Any:
    """A message to the server, with what is in its envelopes in place of them: two seals of a value differ."""
    if raw[:1] != b"B":
        return raw
    try:
        made = Bind.decode(raw)
    except MalformedMessage:
        return raw
    plan = PLANS.get(NAMES.get(made.statement_name.decode(), ""))
    values: list[Any] = list(made.parameters)
    for at, use in enumerate(plan.parameters if plan is not None else ()):
        envelope = values[at]
        if use.use is Use.SEAL and envelope is not None:
            assert use.column is not None
            parsed = parse_envelope(envelope)
            values[at] = parsed.header, KEYS.open(SealContext(use.column.id, use.column.data_class), envelope)
    return made.destination_portal, made.statement_name, made.parameter_format_codes, values, made.result_format_codes


def sealed(column: ProtectedColumn, value: bytes | None, code: int) -> bytes | None:
    """A value as the server stores and sends it."""
    if value is None:
        return None
    key = codec.equality_key(column.type, value)
    term = KEYS.equality_term(column.index_domain, key, 1)
    envelope = KEYS.seal(SealContext(column.id, column.data_class), value, [term], FLAG_EQ, 1)
    return envelope if code else bytea(envelope)


def answer(rng: Random, name: str, codes: tuple[int, ...], *, is_described: bool) -> bytes:
    if rng.random() < 0.04:
        return BOUND + error("22000") + ready()
    made = [BOUND]
    reads = name in "rf"
    codes = codes * 3 if len(codes) == 1 else codes or (0, 0, 0)
    if is_described:
        made.append(with_formats(codes) if reads else NO_DATA)
    for _ in range(rng.randint(0, 3) if reads else 0):
        number = struct.pack("!i", rng.choice([0, -5, 2**31 - 1]))
        email = sealed(EMAIL, rng.choice([None, *TEXTS]), codes[1])
        if rng.random() < 0.02 and email:
            email = email[:-1] + b"0"
        made.append(row(b"1", email, sealed(AGE, rng.choice([None, number]), codes[2])))
    made += [done("SELECT 1" if reads else "INSERT 0 1"), ready(rng.choice("IIIT"))]
    return b"".join(made)


def with_formats(codes: tuple[int, ...]) -> bytes:
    return described(
        column("id", 1, 23, code=codes[0]), *(column(c.name, 2 + at, 17, code=codes[1 + at]) for at, c in _SEALED)
    )


_SEALED = ((0, EMAIL), (1, AGE))


@st.composite
def requests(draw: Any) -> tuple[str, bytes, tuple[int, ...], bool]:
    """A Bind to Sync, most of them plain."""
    name = draw(st.sampled_from("rfsm"))
    rarely = draw(st.integers(0, 12)) == 0
    text = st.sampled_from(TEXTS + (BAD_TEXTS if rarely else []))
    code = draw(st.sampled_from([(), (), (1,), "each"]))
    values: list[bytes | None] = []
    codes: list[int] = []
    for use in PLANS[NAMES[name]].parameters:
        is_binary = draw(st.booleans()) if code == "each" else bool(code)
        codes.append(int(is_binary))
        if use.column is EMAIL:
            values.append(draw(text | st.none() if rarely else text))
        elif is_binary:
            values.append(struct.pack("!i", draw(st.integers(-(2**31), 2**31 - 1)))[: 3 if rarely else 4])
        else:
            values.append(draw(st.sampled_from(NUMBERS + (BAD_NUMBERS if rarely else []))))
    if rarely and draw(st.booleans()):
        values.append(b"more")
        codes.append(0)
    results = draw(st.sampled_from([(), (1,), (0, 1, 0)])) if name in "rf" else ()
    is_described = draw(st.booleans())
    made = bind(*values, statement=name, codes=tuple(codes) if code == "each" else code, results=results)
    return name, made + (describe() if is_described else b"") + execute() + SYNC, results, is_described


@given(
    st.lists(requests(), min_size=4, max_size=4), st.lists(st.integers(0, 3), min_size=20, max_size=20), st.integers()
)
def test_compiled_code_seals_and_opens_what_python_does(kinds: Any, order: list[int], seed: int) -> None:
    rng = Random(seed)
    compiled, reference = scripted(is_compiled=True), scripted(is_compiled=False)

    def both(side: Side, data: bytes) -> None:
        one, other = compiled.feed(side, data), reference.feed(side, data)
        assert one.get(Side.FRONTEND) == other.get(Side.FRONTEND)
        sent = [[meaning(raw) for raw in messages(run.get(Side.BACKEND, b""))] for run in (one, other)]
        assert sent[0] == sent[1]

    for name, text in NAMES.items():
        both(Side.FRONTEND, parse(text, name) + describe("S", name) + SYNC)
        reads = name in "rf"
        types = b"t" + struct.pack("!iH", 6 + 4 * len(PLANS[text].parameters), len(PLANS[text].parameters))
        types += b"".join(struct.pack("!I", 23 if use.use is Use.PASS else 17) for use in PLANS[text].parameters)
        both(Side.BACKEND, PARSED + types + (COLUMNS if reads else NO_DATA) + ready())
    for pick in order:
        name, data, codes, is_described = kinds[pick % len(kinds)]
        if rng.random() < 0.02:
            both(Side.FRONTEND, mutated(rng, data))
            return
        both(Side.FRONTEND, data)
        if compiled.session._link.queue.head is not None and compiled.session._link.queue.head.error is not None:
            both(Side.BACKEND, error("26000") + ready())  # it was refused
        else:
            said = answer(rng, name, codes, is_described=is_described)
            both(Side.BACKEND, mutated(rng, said) if rng.random() < 0.02 else said)
        if compiled.session.is_closed:
            break
    assert compiled.session.is_closed is reference.session.is_closed
    assert compiled.counts() == reference.counts()
    event(f"taken: {compiled.taken // 10 * 10}")
    event(f"sealed: {reference.counts()['seal', 'pii'] > 0}")


def unnamed(run: Run, text: str, *values: bytes) -> None:
    """Parse to Sync of the unnamed statement, and its answer."""
    run.feed(Side.FRONTEND, parse(text) + bind(*values) + describe() + execute() + SYNC)
    run.feed(Side.BACKEND, PARSED + BOUND + NO_DATA + done("INSERT 0 1") + ready())


def test_texts_are_counted_as_what_they_are() -> None:
    run = scripted(is_compiled=True)
    for _ in range(6):
        unnamed(run, STORE, b"1", b"ann@example.com", b"7")
    run.session.leave_course()
    assert run.taken > 4
    assert run.observer.told.count(("statement", "rewritten")) == 6
    assert run.counts()["seal", "pii"] == 12


def test_what_is_known_of_statements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "MAX_PARTS", 10)
    run = scripted(is_compiled=True)
    planner = run.session._link.planner
    assert isinstance(planner, ScriptedPlanner)
    for number in range(50):
        text = f"{STORE} -- {number}"
        planner.plans[text] = replace(PLANS[STORE], pieces=(text,))
        for _ in range(3):
            unnamed(run, text, b"1", b"ann@example.com", b"7")
            assert len(run.session._courses._binders) <= 10
    assert run.counts()["seal", "pii"] == 300
