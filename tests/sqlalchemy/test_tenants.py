"""Columns with tenants in an application without a proxy: values go under their row's tenant's key, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    Enum,
    Integer,
    bindparam,
    create_engine,
    func,
    insert,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column

from pgcrypt_proxy.crypto.keyring import SEAL_LEASE_S
from pgcrypt_proxy.ops import erasure
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.sqlalchemy import Sealed, SealedColumnError, Sealer
from pgcrypt_proxy.sqlalchemy.of_tenant import OfTenant
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE events (tenant_id int, id int, payload text, note text, plain text, PRIMARY KEY (tenant_id, id));
CREATE TABLE jobs (id int PRIMARY KEY, secret text);
"""
RULES = """
{table: events, column: payload, type: text, search: [equality], tenant: {column: tenant_id}}
{table: events, column: note, type: text, tenant: {column: tenant_id}}
{table: jobs, column: secret, type: text, tenant: {setting: pgcrypt.tenant}}
"""

keys = Sealer()


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "events"
    owner: Mapped[int] = mapped_column("tenant_id", primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[str | None] = mapped_column(Sealed(keys, "events.payload", tenant="tenant_id"))
    note: Mapped[str | None] = mapped_column(Sealed(keys, "public.events.note", tenant="tenant_id"))
    plain: Mapped[str | None]


class Other(DeclarativeBase):
    pass


class ById(Other):
    """The same table, of which the application says that ids are enough."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]
    payload: Mapped[str | None] = mapped_column(Sealed(keys, "events.payload", tenant="tenant_id"))


@pytest.fixture(scope="module")
def db(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("rules"), SCHEMA, RULES) as made:
        yield made


@pytest.fixture
def engine(db: ProtectedDatabase) -> Iterator[Engine]:
    with db.direct() as direct:
        direct.execute("TRUNCATE events, jobs")
    keys.open([db.rules], db.server.dsn(db.name))
    engine = create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{db.server.port}/{db.name}")
    yield engine
    engine.dispose()
    keys.close()


def owners(db: ProtectedDatabase) -> dict[int, tuple[int, str | None, str | None]]:
    """By id: the row's tenant, and whose keys its payload and note are under."""
    key = "(SELECT k.tenant FROM pgcrypt.keyring k WHERE int4send(k.id) = substr({0}::bytea, 3, 4))"
    query = f"SELECT id, tenant_id, {key.format('payload')}, {key.format('note')} FROM events"
    with db.direct() as direct:
        return {number: tuple(rest) for number, *rest in direct.execute(query.encode()).fetchall()}  # type: ignore[misc]


events = Event.__table__
WRITES: list[Callable[[Session], Any]] = [
    lambda s: s.add(Event(owner=7, id=1, payload="a", note="n")),
    lambda s: s.execute(insert(Event).values(owner=7, id=1, payload="a", note="n")),
    lambda s: s.execute(insert(Event), [{"owner": 7, "id": 1, "payload": "a", "note": "n"}]),
    lambda s: s.execute(insert(events).values({events.c.tenant_id: 7, "id": 1, "payload": "a", "note": "n"})),
    lambda s: s.execute(insert(events).values([{"tenant_id": 7, "id": 1, "payload": "a", events.c.note: "n"}])),
    lambda s: s.execute(insert(events).values(payload="a"), [{"tenant_id": 7, "id": 1, "note": "n"}]),
    lambda s: s.execute(
        insert(events).values(tenant_id=bindparam("t"), payload=bindparam("p"), id=1, note="n"), [{"t": 7, "p": "a"}]
    ),
    lambda s: s.connection().execute(
        upsert(events).values(tenant_id=7, id=1, payload="a", note="n").on_conflict_do_nothing()
    ),
    lambda s: s.execute(insert(Event).values(owner=7, id=1, payload="a", note="n").returning(Event.payload)),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_row_is_sealed_for_its_tenant(db: ProtectedDatabase, engine: Engine, write: Callable[[Session], Any]) -> None:
    with Session(engine) as session:
        write(session)
        session.commit()
        assert session.execute(select(Event.payload, Event.note)).all() == [("a", "n")]
        assert session.scalars(select(Event.id).where(Event.payload == "a")).all() == [1]
    assert owners(db) == {1: (7, "7", "7")}
    with db.connect() as proxied:
        assert proxied.execute("SELECT payload, note FROM events WHERE payload = 'a'").fetchall() == [("a", "n")]


def test_many_rows_of_many_tenants(db: ProtectedDatabase, engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all(Event(owner=n % 9, id=n, payload=f"a{n}", note=None) for n in range(60))
        session.flush()
        rows = [{"owner": n % 9, "id": n, "payload": f"a{n}"} for n in range(60, 120)]
        session.execute(insert(Event).returning(Event.id), rows)
        session.commit()
        assert dict(session.execute(select(Event.id, Event.payload)).all()) == {n: f"a{n}" for n in range(120)}
    assert owners(db) == {n: (n % 9, str(n % 9), None) for n in range(120)}


UPDATES: list[Callable[[Session], Any]] = [
    lambda s: s.execute(update(Event).where(Event.owner == 7, Event.id == 1).values(payload="b", note=None)),
    lambda s: s.execute(
        update(events).where((events.c.id == 1) & (literal(7) == events.c.tenant_id)).values(payload="b")
    ),
    lambda s: s.connection().execute(
        update(events).where(events.c.tenant_id == bindparam("t")).values(payload=bindparam("p")),
        [{"t": 7, "p": "b"}, {"t": 8, "p": "c"}],
    ),
    lambda s: setattr(s.get_one(Event, (7, 1)), "payload", "b"),
    lambda s: s.execute(
        upsert(Event)
        .values(owner=7, id=1, payload="b")
        .on_conflict_do_update(index_elements=["tenant_id", "id"], set_={"payload": upsert(Event).excluded.payload})
    ),
]


@pytest.mark.parametrize("change", UPDATES)
def test_an_update_says_whose_rows_it_changes(
    db: ProtectedDatabase, engine: Engine, change: Callable[[Session], Any]
) -> None:
    with Session(engine) as session:
        session.add(Event(owner=7, id=1, payload="a", note="n"))
        session.commit()
        change(session)
        session.commit()
        assert session.scalars(select(Event.payload)).all() == ["b"]
    assert owners(db)[1][:2] == (7, "7")


def test_a_row_changes_hands_with_all_of_its_values(db: ProtectedDatabase, engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Event(owner=7, id=1, payload="a", note="n"))
        session.commit()
        for values in ({"owner": 8}, {"owner": 8, "payload": "b"}):
            with pytest.raises(SealedColumnError, match="would leave values sealed for another tenant"):
                session.execute(update(Event).where(Event.owner == 7).values(values))
        by_id = ById.__table__  # which does not know all columns
        with pytest.raises(SealedColumnError, match=r"Set public\.events\.note in the same UPDATE"):
            session.execute(update(by_id).values(tenant_id=8, payload="b"))
        session.execute(update(Event).where(Event.owner == 7).values(owner=8, payload="b", note=null()))
        session.execute(update(Event).where(Event.id == 1).values(plain="p"))
        session.commit()
        assert session.execute(select(Event.payload, Event.note)).all() == [("b", None)]
    assert owners(db) == {1: (8, "8", None)}


other = aliased(Event)
REFUSED: list[tuple[Callable[[Session], Any], str]] = [
    (lambda s: s.execute(update(Event).where(Event.id == 1).values(payload="b")), "is not known before"),
    (lambda s: s.execute(update(Event).where(Event.owner != 7).values(payload="b")), "is not known before"),
    (
        lambda s: s.execute(update(Event).where((Event.owner == 7) | (Event.id == 1)).values(payload="b")),
        "is not known",
    ),
    (
        lambda s: s.execute(update(Event).where(other.owner == 7, other.id == Event.id).values(payload="b")),
        "is not known before",
    ),
    (
        lambda s: s.execute(update(Event).where(Event.owner == literal(7) + 1).values(payload="b")),
        "is not known before",
    ),
    (lambda s: s.execute(update(Event).where(Event.owner == 7).values(payload=other.payload)), "copying a value"),
    (lambda s: s.execute(insert(Event).values(owner=func.abs(7), id=2, payload="b")), "is not known before"),
    (lambda s: s.execute(insert(Event).values(owner=literal(3) + 4, id=2, payload="b")), "is not known before"),
    (lambda s: s.execute(insert(Event).values(owner=None, id=2, payload="b")), "needs a tenant"),
    (lambda s: s.execute(insert(Event).values(owner=7.5, id=2, payload="b")), "names no tenant"),
    (lambda s: s.execute(insert(events).values([(7, 2, "b", "n", "p")])), "is not known before"),
    (
        lambda s: s.execute(insert(events).values(payload="b"), [{"tenant_id": n, "id": n} for n in (8, 9)]),
        "is of several tenants",
    ),
    (
        lambda s: s.connection().execute(insert(events).values(tenant_id=7, id=2, payload="b"), {"tenant_id": 8}),
        "is not known before",
    ),
    (
        lambda s: s.connection().execute(
            insert(events).values([{"tenant_id": bindparam("t", 7), "id": 2, "payload": "b"}]), {"t": 8}
        ),
        "is not known before",
    ),
    (
        lambda s: s.connection().execute(
            update(events).where(events.c.tenant_id == 7).values(payload="b"), {"tenant_id_1": 8}
        ),
        'no parameter "tenant_id_1"',
    ),
    (
        lambda s: s.execute(
            insert(Event).from_select(["owner", "id", "payload"], select(literal(8), Event.id, Event.payload))
        ),
        "copying a value of another row",
    ),
    (
        lambda s: s.execute(select(update(Event).values(owner=8).returning(Event.id).cte())),
        "writing within WITH is not possible",
    ),
    (
        lambda s: s.execute(
            upsert(Event)
            .values(owner=7, id=2, payload="b")
            .on_conflict_do_update(constraint="events_pkey", set_={"payload": upsert(Event).excluded.payload})
        ),
        "does not say that the row that is there is of the same tenant",
    ),
    (
        lambda s: s.execute(
            upsert(Event)
            .values(owner=7, id=2, payload="b")
            .on_conflict_do_update(index_elements=["tenant_id", "id"], set_={"payload": "c"})
        ),
        "Use `excluded` of the same column",
    ),
    (
        lambda s: s.execute(
            upsert(Event).values(owner=7, id=2).on_conflict_do_update(index_elements=["id"], set_={"tenant_id": 8})
        ),
        "setting the tenant in ON CONFLICT",
    ),
    (
        lambda s: s.execute(update(events).where(events.c.tenant_id == 7).ordered_values((events.c.payload, "b"))),
        "tenants|not known",
    ),
]


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_what_does_not_say_whose_a_value_is_is_refused(
    db: ProtectedDatabase, engine: Engine, change: Callable[[Session], Any], says: str
) -> None:
    with Session(engine) as session:
        session.add(Event(owner=7, id=1, payload="a", note="n"))
        session.commit()
        with pytest.raises(SealedColumnError, match=says):
            change(session)
        session.rollback()
    assert owners(db) == {1: (7, "7", "7")}


def test_ids_alone_do_not_say_it(db: ProtectedDatabase, engine: Engine) -> None:
    with Session(engine) as session:
        row = ById(id=1, tenant_id=7, payload="a")
        session.add(row)
        session.commit()
        row.payload = "b"
        with pytest.raises(SealedColumnError, match="part of the mapper's primary key"):
            session.commit()
    assert owners(db) == {1: (7, "7", None)}


class Kind(Enum):
    pass


@pytest.mark.parametrize(
    ("type_", "tenant", "says"),
    [
        (Integer(), "", "are named by tenant_id, and its type says none"),
        (Integer(), "id", "are named by tenant_id, and its type says id"),
        (Integer(), "nobody", "do not say whose its values are"),
        (Kind("a", "b"), "tenant_id", "do not say whose its values are"),
    ],
)
def test_the_model_says_what_the_rule_says(engine: Engine, type_: Any, tenant: str, says: str) -> None:
    class Own(DeclarativeBase):
        pass

    class Model(Own):
        __tablename__ = "events"
        tenant_id: Mapped[Any] = mapped_column(type_, primary_key=True)
        id: Mapped[int] = mapped_column(primary_key=True)
        payload: Mapped[str] = mapped_column(Sealed(keys, "events.payload", tenant=tenant))

    with Session(engine) as session, pytest.raises(SealedColumnError, match=says):
        session.execute(insert(Model).values(tenant_id=7, id=1, payload="a"))


def test_a_setting_is_the_proxys(engine: Engine) -> None:
    with pytest.raises(SealedColumnError, match="the tenant is a setting of the session"):
        keys.seal("jobs.secret", "a")


def test_keys_are_rotated_and_erased(db: ProtectedDatabase, engine: Engine) -> None:
    now = [1000.0]
    sealer = Sealer(clock=lambda: now[0])
    sealer.open([db.rules], db.server.dsn(db.name))
    policy = load([db.rules])

    def sealed(tenant: int) -> bytes:
        return sealer.seal("events.payload", "a", "tenant_id", OfTenant(tenant, "a"))

    try:
        before, others = sealed(41), sealed(42)
        with connect(db.server.dsn(db.name)) as connection:
            store = KeyringStore(connection, make_providers(policy.keyring).current)
            (done,) = rotate_deks(store, tenant="41", sleep=lambda _: None)
            now[0] += SEAL_LEASE_S
            after = sealed(41)
            assert [int.from_bytes(one[2:6]) for one in (before, after)] == [done.old_id, done.new_id]
            assert sealer.unseal("events.payload", before, "tenant_id") == "a"
            erasure.erase(connection, "41", sleep=lambda _: None)
        now[0] += SEAL_LEASE_S
        for one in (before, after):
            with pytest.raises(SealedColumnError, match="was destroyed"):
                sealer.unseal("events.payload", one, "tenant_id")
        with pytest.raises(SealedColumnError, match='keys of tenant "41" were destroyed'):
            sealed(41)
        assert sealer.unseal("events.payload", others, "tenant_id") == "a"
    finally:
        sealer.close()


def test_an_index_term_is_no_tenants(db: ProtectedDatabase, engine: Engine) -> None:
    with Session(engine) as session:
        session.add_all([Event(owner=1, id=1, payload="same"), Event(owner=2, id=2, payload="same")])
        session.commit()
        found = select(func.count(Event.payload)).where(Event.payload.in_(["same"]))
        assert session.scalar(found) == 2
        assert session.scalar(text("SELECT count(DISTINCT pgcrypt.eq(payload)) FROM events")) == 1
