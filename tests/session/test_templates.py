"""Queries with other literals each time, in compiled code and in Python, with real plans and keys: the same goes on."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import event, given, settings

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.envelope import parse as parse_envelope
from pgcrypt_proxy.crypto.keyring import SealContext
from pgcrypt_proxy.errors import OpenError
from pgcrypt_proxy.session import courses, templates
from pgcrypt_proxy.session.events import Side, WorldChanged
from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation
from pgcrypt_proxy.sql.planner import REFUSED_STATEMENT, Planner
from pgcrypt_proxy.wire.frontend import Query
from tests.session.compiled import KEYS, Run, keyring, mutated
from tests.session.conversations import column as described_column
from tests.session.conversations import described, done, error, query, ready, row, status
from tests.sql.sample import protected, relations

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

SELECT, FIND = "SELECT id, name FROM items WHERE id = 7 AND name = 'x'", "SELECT id FROM users WHERE email = 'x'"
INSERT = "INSERT INTO users (id, email, ssn, name) VALUES (7, 'x', 'x', 'x')"
SHAPES = [
    SELECT,
    FIND,
    INSERT,
    "INSERT INTO users (id, email, ssn, name) VALUES (7, NULL, 'x', 'x'), (-7, 'x', NULL, E'x')",
    "UPDATE users SET email = 'x', name = 'x' WHERE email = 'x' AND id = - 7",
    "INSERT INTO people (id, born) VALUES (7, '2020-01-02')",
    "SELECT id FROM people WHERE born = date '2020-01-02' AND id = 7 LIMIT 3",
    "INSERT INTO accounts (id, handle, alias) VALUES (7, 'x', 'x')",
    "SELECT id AS \"\N{EURO SIGN}\" FROM users /* \N{EURO SIGN} */ WHERE email IN ('x', 'x') ORDER BY 1",
    "SELECT id FROM members WHERE mail = 'x'::varchar(9) -- \N{EURO SIGN}",
    "SELECT id FROM accounts WHERE lower(handle) = 'x'",
    "INSERT INTO aged (id, age) VALUES (7, 7), (7, -7), (7, - 7), (7, '7')",
    "SELECT id FROM aged WHERE age = -7 OR age = 7 OR age = 'x'",
    "INSERT INTO computed (id, code) VALUES (7, 7)",
    "DELETE FROM orders WHERE contact = 'x'; SELECT 7",
]  # fmt: skip
NUMBERS, ODD_NUMBERS = ["7", "8", "0", "007", "123456789"], ["1234567890", "1.5", "-7", "0x7", "1..2"]
STRINGS = [
    b"'x'", b"''", b"'it''s'", b"''''", "'\N{EURO SIGN}'".encode(), b"'a\\'", b"'2021-02-03'", b"'" + b"y" * 50 + b"'",
]  # fmt: skip
ODD_STRINGS = [b"E'x'", b"$$x$$", b"'\xff'", b"'\xc3'", b"U&'x'", b"'x", b"'x'\n'y'", b"x", b"'..'"]
_BYTEA = re.compile(rb"E'\\\\x([0-9a-f]*)'::pg_catalog\.bytea")


def sealing_catalog(version: int = 1) -> Catalog:
    """The sample catalog with an index key that the keyring has."""
    found = []
    for relation in relations():
        columns = tuple(
            replace(c, protected=c.protected and replace(c.protected, index_generation=1)) for c in relation.columns
        )
        found.append(replace(relation, columns=columns))
    age = protected(30, "aged", "age", oid=120, attribute=2, type_name="int4")
    columns = Column("id", 1, 23), Column("age", 2, age.domain_oid, replace(age, index_generation=1))
    found.append(Relation(120, "public", "aged", "r", columns))
    return Catalog.build(version, found)


COLUMNS = [c for c in sealing_catalog().protected_columns if c.is_armed]


def opened(column: ProtectedColumn, envelope: bytes) -> Any:
    try:
        return column.id, parse_envelope(envelope).header, KEYS.open(SealContext(column.id, "pii"), envelope)
    except OpenError:
        return None


def meaning(raw: bytes) -> Any:
    """A message to the server, with what is in its envelopes in place of them: two seals of a value differ."""
    values = []
    for found in _BYTEA.findall(raw):
        made = bytes.fromhex(found.decode())
        values.append(made if len(made) == 16 else next(filter(None, (opened(c, made) for c in COLUMNS))))
    return _BYTEA.sub(b"?", raw), values


def told(run: Run, side: Side, data: bytes) -> tuple[Any, Any]:
    made = run.feed(side, data)
    return made.get(Side.FRONTEND), meaning(made.get(Side.BACKEND, b""))


def varied(rng: Random, sql: str) -> bytes:
    """The text with other literals."""
    is_odd = rng.random() < 0.06

    def number(_: Any) -> bytes:
        return rng.choice(NUMBERS + ODD_NUMBERS * is_odd).encode()

    def string(_: Any) -> bytes:
        return rng.choice(STRINGS + ODD_STRINGS * is_odd)

    made = re.sub(rb"'x'", string, re.sub(rb"\b7\b", number, sql.encode()))
    return made.replace(b"'2020", rng.choice([b"'2020", b"'2024", b"'0001", b"'x"])) if rng.random() < 0.5 else made


def answer(rng: Random, sent: bytes) -> bytes:
    text = Query.decode(sent).text.decode("utf-8", "replace")
    if REFUSED_STATEMENT in text:
        return error("42883") + ready()
    if rng.random() < 0.1:
        return error("22000", P=str(rng.randint(1, len(text)))) + ready()
    made = b""
    for statement in text.split(";"):
        if statement.lstrip().startswith("SELECT"):
            names = ("id", "name") if " name " in statement else ("id",)
            made += described(*(described_column(n, at, 23, table=102) for at, n in enumerate(names, 1)))
            made += row(*[b"1"] * len(names)) * rng.randint(0, 2)
        made += done(statement.split()[0])
    return made + ready()


@settings(max_examples=2 * settings.default.max_examples)
@given(st.randoms(use_true_random=True), st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
def test_compiled_code_sends_what_python_does(rng: Random, shapes: list[str]) -> None:
    planners = [Planner(sealing_catalog()) for _ in range(2)]
    compiled, reference = (Run(own, is_compiled=is_it) for is_it, own in zip((True, False), planners, strict=True))
    for _ in range(25):
        text = varied(rng, rng.choice(shapes))
        data = Query(text).encode()
        is_damaged = rng.random() < 0.02
        if is_damaged:
            data = mutated(rng, data)
        one = told(compiled, Side.FRONTEND, data)
        assert one == told(reference, Side.FRONTEND, data), text
        if compiled.session.is_closed or is_damaged:
            break
        said = answer(rng, Query(text).encode() if not one[1][0] else one[1][0].replace(b"?", b"E'\\\\x00'"))
        cut = rng.randint(1, len(said)) if rng.random() < 0.05 else len(said)
        for part in filter(None, (said[:cut], said[cut:])):
            assert told(compiled, Side.BACKEND, part) == told(reference, Side.BACKEND, part), text
    compiled.session.leave_course()
    assert compiled.session.is_closed is reference.session.is_closed
    assert compiled.counts() == reference.counts()
    assert compiled.observer.told.count(("statement", "rewritten")) == reference.observer.told.count(
        ("statement", "rewritten")
    )
    event("taken" if compiled.taken > 10 else "hardly any taken")
    event("sealed" if reference.counts()["seal", "pii"] else "not sealed")


def taken(run: Run, text: str, said: bytes = done("SELECT 0")) -> bool:
    """Whether compiled code takes a Query; then it is answered."""
    before = run.taken
    run.feed(Side.FRONTEND, query(text))
    is_taken = run.taken > before
    run.feed(Side.BACKEND, said + ready())
    return is_taken


def knowing(*texts: str) -> Run:
    """A session that knows the templates of texts, in which `{}` is another value each time."""
    run = Run(Planner(sealing_catalog()), is_compiled=True)
    for text in texts:
        for value in "abc":
            taken(run, text.format(value))
        assert taken(run, text.format("it''s"))
    return run


PLAIN, STORED = "SELECT name FROM items WHERE name = '{}'", "UPDATE users SET email = '{}'"


@pytest.mark.parametrize("text", [PLAIN, STORED])
@pytest.mark.parametrize(
    "change",
    ["catalog", "keyring", "standard_conforming_strings", "client_encoding", "TimeZone", "wrong", "transaction"],
)
def test_what_plans_rest_on_makes_templates_void(text: str, change: str) -> None:
    run = knowing(text)
    link = run.session._link
    if change == "catalog":
        run.session.handle(WorldChanged(Planner(sealing_catalog(2)), run.keyring))
    elif change == "keyring":
        run.session.handle(WorldChanged(link.planner, keyring()))
    elif change == "wrong":
        found = link.planner.template(text.format("x"))
        assert found is not None
        found[1].is_wrong = True
    elif change == "transaction":
        run.feed(Side.FRONTEND, query("BEGIN; SET LOCAL DateStyle TO 'SQL'"))
        run.feed(Side.BACKEND, done("BEGIN") + done("SET") + ready("T"))
    else:
        value = {"standard_conforming_strings": "off", "client_encoding": "LATIN1"}.get(change, "UTC")
        run.feed(Side.FRONTEND, query("SELECT pg_catalog.pg_sleep(0)"))
        run.feed(Side.BACKEND, done("SELECT 1") + status(change, value) + ready())
    run.session.arm()
    assert not taken(run, text.format("d"))
    again = [taken(run, text.format(value)) for value in "ef"]
    # a new catalog's templates must be learned first; keys and settings are new for the session only
    assert again == {"catalog": [False, True], "keyring": [True] * 2, "TimeZone": [True] * 2}.get(change, [False] * 2)


def test_values_that_are_not_plain_are_left_to_python() -> None:
    run = knowing(STORED, "INSERT INTO accounts (id, alias) VALUES (1, '{}')")
    assert taken(run, STORED.format("x" * 300))
    assert not taken(run, "INSERT INTO accounts (id, alias) VALUES (1, '%s')" % ("x" * 21))
    assert not taken(run, STORED.format("x' '"))


def test_keys_past_their_time_seal_nothing() -> None:
    run = knowing(STORED)
    run.keyring.expires_at = 0.0
    run.session.arm()
    assert not taken(run, STORED.format("d"), error("42883"))


def test_longer_texts_than_may_be_planned_are_not_taken() -> None:
    planner = Planner(sealing_catalog(), max_statement_bytes=60)
    run = Run(planner, is_compiled=True)
    for value in ("a", "b", "c"):
        taken(run, STORED.format(value))
    room = 60 - len(STORED.format(""))
    assert taken(run, STORED.format("x" * room))
    assert not taken(run, STORED.format("x" * (room + 1)), error("42883"))


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "MAX_TEXTS", 3)
    run = Run(Planner(sealing_catalog()), is_compiled=True)
    for number in range(20):
        for value in "abc":
            taken(run, f"SELECT {'+'.join('1' * (number + 1))} FROM users WHERE email = '{value}' LIMIT {number}")
        assert taken(run, f"SELECT {'+'.join('1' * (number + 1))} FROM users WHERE email = 'd' LIMIT {number}")
        assert len(run.session._courses._templates) <= 3
    for number in range(20):
        for value in "abc":
            taken(run, f"SELECT id FROM users WHERE email = '{value}' ORDER BY 1, {number % 2 + 1} LIMIT {number}")
    assert all(len(alike) <= templates.MAX_ALIKE for alike in run.session._courses._templates.values())


@pytest.mark.parametrize(("count", "is_taken"), [(32, True), (33, False)])
def test_so_many_values_are_sealed_at_once(count: int, is_taken: bool) -> None:
    run = Run(Planner(sealing_catalog()), is_compiled=True)
    row_of = "('{}')".format
    made = [
        taken(run, "INSERT INTO users (email) VALUES " + ", ".join(row_of(f"{value}{n}") for n in range(count)))
        for value in "abcd"
    ]
    assert made[-1] is is_taken


def test_parts_must_be_of_the_text() -> None:
    assert fast.native is not None
    route = fast.native.Route(None, 1, True, None, None)
    binder = fast.native.Binder(((0, 0, None),), 1)
    for parts in [((0, 0, 2, 0),), ((-1, 0, 0, 0),), ((0, -1, 1, 0),), ((0, False),), ((1, False),), ((-1, True),)]:
        with pytest.raises(ValueError, match="not of the text"):
            fast.native.Template(None, route, (None,), 100, binder, parts)
    with pytest.raises(ValueError, match="too many literals"):
        fast.native.Template(None, route, (None, None), 100, binder, ())
    with pytest.raises(TypeError):
        fast.native.Template(None, route, ("text",), 100, binder, ())
