"""What waits for the session's tenant and for tenants' keys, and what becomes of it when they do not come."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pgcrypt_proxy.crypto.deks import Dek, KeyRecord
from pgcrypt_proxy.crypto.envelope import SealContext
from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.errors import KeyUnavailable
from pgcrypt_proxy.policy.model import TenantRule
from pgcrypt_proxy.session.commands import CloseConnection, FetchKeys
from pgcrypt_proxy.session.events import KeysFetched, Side
from pgcrypt_proxy.session.from_frontend import REFUSED_BIND, REFUSED_QUERY
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.session.tenants import OWN_NAME, TENANT_QUESTION
from pgcrypt_proxy.sql.plan import ParameterUse, Plan, StatementPlan, Use
from pgcrypt_proxy.sql.tenant_values import TenantFrom, TenantParameter
from pgcrypt_proxy.values.types import type_by_name
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Close
from tests.helpers.playbook import backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import EMAIL, ScriptedPlanner
from tests.session.conversations import (
    BOUND,
    CLOSED,
    PARSED,
    Talk,
    bind,
    bytea,
    column,
    described,
    done,
    error,
    execute,
    fields_of,
    parse,
    query,
    ready,
    row,
)

OWN = OWN_NAME.decode()
QUESTION = [
    parse(TENANT_QUESTION.decode(), OWN),
    bind(statement=OWN, portal=OWN),
    execute(OWN),
    Close(ord("P"), OWN_NAME).encode(),
    Close(ord("S"), OWN_NAME).encode(),
]
MINE = replace(EMAIL, search=frozenset(), tenant=TenantRule())
ITS = replace(EMAIL, search=frozenset(), tenant=TenantRule("tenant_id"), tenant_type=type_by_name("text"))
READ, READ_ITS, WRITE, WRITE_ITS = "SELECT mine", "SELECT its", "INSERT mine", "INSERT its"
FIELD = column("email", 2, 17)


def storing(text: str, bound, count: int) -> Plan:
    statement = StatementPlan(
        False, of_tenants=True, seals_of_tenants=True, needs_tenant=bound.tenant_value is TenantFrom.SESSION
    )
    uses = [ParameterUse(0, Use.SEAL, bound), *(ParameterUse(n, Use.PASS) for n in range(1, count))]
    return Plan(False, (statement,), (text,), (), tuple(uses), count)


def reading(text: str, shown) -> Plan:
    statement = StatementPlan(False, outputs=(shown,), of_tenants=True, needs_tenant=shown is MINE)
    return Plan(False, (statement,), (text,))


PLANS = {
    READ: reading(READ, MINE),
    READ_ITS: reading(READ_ITS, ITS),
    WRITE: storing(WRITE, replace(MINE, tenant_value=TenantFrom.SESSION), 1),
    WRITE_ITS: storing(WRITE_ITS, replace(ITS, tenant_value=TenantParameter(1, type_by_name("text"))), 2),
}


def answer(tenant: bytes | None) -> list[bytes]:
    return [PARSED, BOUND, row(tenant), done("SELECT 1"), CLOSED, CLOSED]


def dek(tenant: str, key_id: int = 7) -> Dek:
    made = Dek.of(KeyRecord(key_id, "dek", "pii", tenant, 1, "active", b"", ""), bytes([key_id]) * 32)
    made.granted = 100
    return made


class TenantTalk(Talk):
    def __init__(self) -> None:
        super().__init__(ScriptedPlanner(PLANS))
        self.real = Keyring(bytes(16), {}, {}, frozenset())
        self.session = Session(self.planner.as_planner, self.real, self.observer)
        self.opened()

    def load(self, tenant: str, key_id: int = 7) -> None:
        self.real.tenants.put(dek(tenant, key_id), time.monotonic())

    def fetched(self, side: Side) -> FetchKeys:
        command = self.next()
        assert isinstance(command, FetchKeys), command
        assert command.side is side
        return command


@pytest.fixture
def play() -> TenantTalk:
    return TenantTalk()


def envelope(tenant: str, plaintext: bytes, key_id: int = 7) -> bytes:
    ring = Keyring(bytes(16), {}, {}, frozenset())
    ring.tenants.put(dek(tenant, key_id), time.monotonic())
    return ring.seal(SealContext(EMAIL.id, "pii", tenant), plaintext)


def test_rows_wait_for_their_key_and_what_is_behind_waits_too(play: TenantTalk) -> None:
    play >> frontend(query(READ_ITS)) << to_backend(query(READ_ITS))
    rows = [row(bytea(envelope("acme", b"one"))), row(bytea(envelope("bolt", b"two", 8)))]
    play >> backend(described(FIELD), *rows, done("SELECT 2"), ready())
    play << to_frontend(described(column("email", 2, 25)))
    assert play.fetched(Side.BACKEND).wanted.key_ids == {7, 8}
    assert play.session.is_holding_backend
    play.load("acme")
    play >> KeysFetched(Side.BACKEND) << to_frontend(row(b"one"))
    assert play.fetched(Side.BACKEND).wanted.key_ids == {8}
    play.load("bolt", 8)
    play >> KeysFetched(Side.BACKEND) << to_frontend(row(b"two"), done("SELECT 2"), ready())
    assert not play.session.is_holding_backend


def test_rows_whose_key_does_not_come_end_the_connection(play: TenantTalk) -> None:
    play >> frontend(query(READ_ITS)) << to_backend(query(READ_ITS))
    play >> backend(described(FIELD), row(bytea(envelope("acme", b"one"))), done("SELECT 1"), ready())
    play << to_frontend(described(column("email", 2, 25)))
    play.fetched(Side.BACKEND)
    play >> KeysFetched(Side.BACKEND, KeyUnavailable("away"))
    (said,) = play.sent(Side.FRONTEND)
    assert (fields_of(said)["S"], fields_of(said)["C"]) == ("FATAL", "58030")
    play << CloseConnection(Side.FRONTEND) << CloseConnection(Side.BACKEND)


def test_rows_do_not_wait_without_end(play: TenantTalk) -> None:
    play >> frontend(query(READ_ITS)) << to_backend(query(READ_ITS))
    play >> backend(described(FIELD), row(bytea(envelope("acme", b"one"))), done("SELECT 1"), ready())
    play << to_frontend(described(column("email", 2, 25)))
    for _ in range(3):
        play.fetched(Side.BACKEND)
        play >> KeysFetched(Side.BACKEND)
    (said,) = play.sent(Side.FRONTEND)
    assert (fields_of(said)["S"], fields_of(said)["C"]) == ("FATAL", "58030")
    play << CloseConnection(Side.FRONTEND) << CloseConnection(Side.BACKEND)


def test_a_query_waits_for_the_sessions_tenant(play: TenantTalk) -> None:
    play.load("acme")
    play >> frontend(query(READ)) << to_backend(*QUESTION, SYNC)
    assert play.session.is_holding_frontend
    play >> backend(*answer(b"acme"), ready()) << to_backend(query(READ))
    play >> backend(described(FIELD), row(bytea(envelope("acme", b"one"))), done("SELECT 1"), ready())
    play << to_frontend(described(column("email", 2, 25)), row(b"one"), done("SELECT 1"), ready())


@pytest.mark.parametrize("unset", [None, b""])
def test_without_a_tenant_the_query_is_refused(play: TenantTalk, unset: bytes | None) -> None:
    play >> frontend(query(READ)) << to_backend(*QUESTION, SYNC)
    play >> backend(*answer(unset), ready()) << to_backend(REFUSED_QUERY)
    play >> backend(error("42883"), ready())
    said = play.sent(Side.FRONTEND)
    assert (fields_of(said[0])["C"], said[1]) == ("42501", ready())


def test_a_value_of_another_tenant_ends_the_connection(play: TenantTalk) -> None:
    play.load("bolt")
    play >> frontend(query(READ)) << to_backend(*QUESTION, SYNC)
    play >> backend(*answer(b"acme"), ready()) << to_backend(query(READ))
    play >> backend(described(FIELD), row(bytea(envelope("bolt", b"one"))), done("SELECT 1"), ready())
    said = play.sent(Side.FRONTEND)
    assert (fields_of(said[-1])["S"], fields_of(said[-1])["C"]) == ("FATAL", "42501")
    assert not any(b"one" in message for message in said)


def prepare(play: TenantTalk, text: str) -> None:
    play >> frontend(parse(text, "s"), SYNC) << to_backend(parse(text, "s", oids_of(text)), SYNC)
    play >> backend(PARSED, ready()) << to_frontend(PARSED, ready())


def oids_of(text: str) -> tuple[int, ...]:
    return {WRITE: (17,), WRITE_ITS: (17, 0)}[text]


def test_a_bind_waits_for_the_key_of_its_tenant(play: TenantTalk) -> None:
    prepare(play, WRITE_ITS)
    play >> frontend(bind(b"one", b"acme", statement="s"), execute(), SYNC)
    assert play.fetched(Side.FRONTEND).wanted.seals == {("pii", "acme"): 1}
    assert play.session.is_holding_frontend
    play.load("acme")
    play >> KeysFetched(Side.FRONTEND)
    sent = play.sent(Side.BACKEND)
    assert sent[0][:1] == b"B"
    assert b"one" not in sent[0]
    assert b"acme" in sent[0]
    assert sent[2:] == [SYNC]


def test_a_bind_whose_key_does_not_come_is_refused(play: TenantTalk) -> None:
    prepare(play, WRITE_ITS)
    play >> frontend(bind(b"one", b"acme", statement="s"), execute(), SYNC)
    play.fetched(Side.FRONTEND)
    play >> KeysFetched(Side.FRONTEND, KeyUnavailable("away")) << to_backend(REFUSED_BIND, SYNC)
    play >> backend(error("26000"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["C"] == "58030"


def test_keys_are_not_asked_for_without_end(play: TenantTalk) -> None:
    prepare(play, WRITE_ITS)
    play >> frontend(bind(b"one", b"acme", statement="s"), execute(), SYNC)
    for _ in range(3):
        play.fetched(Side.FRONTEND)
        play >> KeysFetched(Side.FRONTEND)
    play << to_backend(REFUSED_BIND, SYNC)


def test_a_portal_runs_for_the_tenant_that_it_was_bound_for(play: TenantTalk) -> None:
    play.load("acme")
    prepare(play, WRITE)
    play >> frontend(bind(b"one", statement="s")) << to_backend(*QUESTION, SYNC)
    play >> backend(*answer(b"acme"), ready())
    assert play.sent(Side.BACKEND)[0][:1] == b"B"
    play >> backend(BOUND) << to_frontend(BOUND)
    play >> frontend(parse("SET", "t"), bind(statement="t", portal="t"), execute("t"))
    play.sent(Side.BACKEND)
    play >> backend(PARSED, BOUND, done("SET")) << to_frontend(PARSED, BOUND, done("SET"))
    play >> frontend(execute(), SYNC) << to_backend(*QUESTION, FLUSH)
    play >> backend(*answer(b"bolt")) << to_backend(REFUSED_BIND, SYNC)
    play >> backend(error("26000"), ready())
    assert fields_of(play.sent(Side.FRONTEND)[0])["C"] == "55000"
