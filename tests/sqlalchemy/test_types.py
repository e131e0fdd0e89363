"""What the type writes the proxy reads, and the other way round; the server sees terms and envelopes only."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal

import pytest
from sqlalchemy import ColumnElement, String, bindparam, create_engine, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from pgcrypt_proxy.sqlalchemy import SealedColumnError
from tests.sqlalchemy.conftest import Service, url
from tests.sqlalchemy.models import Order, User

pytestmark = pytest.mark.one_server

BORN = dt.date(1815, 12, 10)


def ada() -> User:
    return User(email="planted-Ada@x", nick="planted-é'\\", balance=Decimal("10.50"), born=BORN, name="plain")


def test_what_the_type_writes_the_proxy_reads(service: Service) -> None:
    with service.session() as session:
        session.add_all([ada(), User(email=None, nick="")])
        session.commit()
    with service.db.connect() as through:
        rows = through.execute("SELECT email, nick, balance, born, name FROM users ORDER BY id").fetchall()
        assert rows == [
            ("planted-Ada@x", "planted-é'\\", Decimal("10.50"), BORN, "plain"),
            (None, "", None, None, None),
        ]
        for condition in ("email = 'planted-Ada@x'", "lower(email) = 'planted-ada@x'", "balance = 10.5"):
            assert through.execute(f"SELECT id FROM users WHERE {condition}".encode()).fetchall() == [(1,)]
    with service.db.direct() as direct:
        held = direct.execute("SELECT email, nick, balance, born FROM users WHERE id = 1").fetchone()
        assert held is not None
        assert all(pieces[0] == 1 for pieces in held)
        assert b"planted" not in b"".join(held)
    assert "planted" not in service.db.logged()


def test_what_the_proxy_writes_the_type_reads_and_finds(service: Service) -> None:
    with service.db.connect() as through:
        insert_one = "INSERT INTO users (email, nick, balance, born) VALUES (%s, %s, %s, %s)"
        through.execute(insert_one, ["planted-Ada@x", "planted-n", Decimal("1.5"), BORN])
        through.execute(insert_one, [None, "", None, None])
    with service.session() as session:
        one, other = session.scalars(select(User).order_by(User.id))
        assert (one.email, one.nick, one.balance, one.born) == ("planted-Ada@x", "planted-n", Decimal("1.50"), BORN)
        assert (other.email, other.nick, other.balance, other.born) == (None, "", None, None)


CONDITIONS: list[tuple[ColumnElement[bool], list[int]]] = [
    (User.email == "planted-1@x", [1]),
    (User.email != "planted-1@x", [2, 3]),
    (User.email == bindparam("given", "planted-2@X"), [2]),
    ("planted-2@X" == User.email, [2]),  # noqa: SIM300 - the reversed operator
    (User.email.in_(["planted-1@x", "planted-2@X", "absent"]), [1, 2]),
    (User.email.in_([]), []),
    (User.email.not_in(["planted-1@x"]), [2, 3]),
    (User.email.ilike("PLANTED-2@x"), [2]),
    (User.email.not_ilike("PLANTED-2@x"), [1, 3]),
    (User.email.is_(None), [4]),
    (User.email == None, [4]),  # noqa: E711 - SQLAlchemy's IS NULL
    (User.email.is_not(None), [1, 2, 3]),
    (User.balance == Decimal("1"), [1]),
    (User.balance == 1, [1]),
    (User.nick == User.nick, [1, 2, 3]),
    (User.email == bindparam("untyped", value="planted-2@X"), [2]),
    (User.email == bindparam("other", "planted-2@X", type_=String()), [2]),
    (User.email.in_(bindparam("many", ["planted-1@x"], expanding=True)), [1]),
    (or_(User.email == "planted-1@x", User.nick == "planted-n3"), [1, 3]),
]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_searches(service: Service, driver: str) -> None:
    rows = [
        ("planted-1@x", "planted-n1", "1.00"),
        ("planted-2@X", "planted-n2", "2"),
        ("planted-3@x", "planted-n3", "3"),
    ]
    engine = create_engine(url(service.db, driver))
    with Session(engine) as session:
        session.add_all(
            [User(id=n, email=e, nick=k, balance=Decimal(b)) for n, (e, k, b) in enumerate(rows, 1)] + [User(id=4)]
        )
        session.commit()
        for condition, expected in CONDITIONS:
            found = list(session.scalars(select(User.id).where(condition).order_by(User.id)))
            assert found == expected, str(condition)
    engine.dispose()
    assert "planted" not in service.db.logged()


def test_joins_and_counts(service: Service) -> None:
    with service.session() as session:
        session.add_all([ada(), Order(contact="planted-Ada@x", total=Decimal(5)), Order(contact="planted-other")])
        session.commit()
        joined = select(User.email, Order.total).join(Order, Order.contact == User.email)
        assert session.execute(joined).all() == [("planted-Ada@x", Decimal(5))]
        assert session.scalar(select(func.count(User.email))) == 1
        inner = select(User.email, User.id).subquery()
        assert session.scalars(select(inner.c.email).where(inner.c.email == "planted-Ada@x")).all() == ["planted-Ada@x"]
        exists = select(select(User.email).where(User.email == "planted-Ada@x").exists())
        assert session.scalar(exists) is True
        both = select(User.email).union_all(select(User.email))
        assert session.execute(both).scalars().all() == ["planted-Ada@x"] * 2


def test_updates_upserts_and_deletes(service: Service) -> None:
    with service.session() as session:
        session.execute(insert(User), [{"email": f"planted-{n}", "nick": "planted-k"} for n in range(3)])
        session.execute(update(User).where(User.email == "planted-1").values(nick="planted-new", name="plain"))
        session.execute(delete(User).where(User.email == "planted-2"))
        given = upsert(User).values(id=1, email="planted-up")
        session.execute(given.on_conflict_do_update(index_elements=[User.id], set_={"email": given.excluded.email}))
        session.commit()
    with service.db.connect() as through:
        rows = through.execute("SELECT id, email, nick FROM users ORDER BY id").fetchall()
    assert rows == [(1, "planted-up", "planted-k"), (2, "planted-1", "planted-new")]


def test_asyncpg(service: Service) -> None:
    async def work() -> list[tuple[str | None, Decimal | None]]:
        engine = create_async_engine(url(service.db, "asyncpg"))
        async with engine.begin() as connection:
            await connection.execute(
                insert(User), [{"email": "planted-1", "balance": Decimal("2.50")}, {"email": None, "balance": None}]
            )
            query = select(User.email, User.balance).where(
                or_(User.email == "planted-1", User.email.in_(["planted-2"]))
            )
            rows = [tuple(row) for row in await connection.execute(query)]
        await engine.dispose()
        return rows

    assert asyncio.run(work()) == [("planted-1", Decimal("2.50"))]


@pytest.mark.parametrize(
    ("column", "value"),
    [("born", "planted-day"), ("balance", Decimal("99999999999")), ("balance", "planted"), ("email", object())],
)
def test_bad_values_are_refused_without_showing_them(service: Service, column: str, value: object) -> None:
    with service.session() as session:
        session.add(User(nick="planted-shown", **{column: value}))
        with pytest.raises(SealedColumnError) as caught:
            session.commit()
    assert "planted" not in f"{caught.value!r} {caught.value}"
    with service.db.direct() as direct:
        assert direct.execute("SELECT FROM users").fetchall() == []


def test_searches_that_have_no_term_are_refused(service: Service) -> None:
    with service.session() as session:
        for condition in (User.born == BORN, User.nick.ilike("planted"), User.email.ilike("planted%")):
            with pytest.raises(SealedColumnError):
                session.scalars(select(User.id).where(condition)).all()
    assert "planted" not in service.db.logged()


def test_an_envelope_of_another_column_does_not_open(service: Service) -> None:
    with service.session() as session:
        session.add_all([ada(), Order(contact="planted-other")])
        session.commit()
    with service.db.direct() as direct:
        direct.execute("UPDATE users SET nick = (SELECT contact FROM orders)::bytea")
    with service.session() as session, pytest.raises(SealedColumnError):
        session.scalars(select(User.nick)).all()
