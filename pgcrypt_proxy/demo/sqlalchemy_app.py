"""A SQLAlchemy application as it comes: customers and their addresses. Knows nothing of encryption.

Run as a program: `python -m pgcrypt_proxy.demo.sqlalchemy_app create|use`, the
database URL (without driver) in DEMO_URL. `use` works through psycopg, then
through asyncpg.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Numeric, String, create_engine, delete, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload


class Base(DeclarativeBase):
    """The models' registry."""


class Customer(Base):
    """A person who buys."""

    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str | None]
    born: Mapped[dt.date | None]
    balance: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    preferences: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    orders: Mapped[int] = mapped_column(default=0)
    addresses: Mapped[list[Address]] = relationship(back_populates="customer", cascade="all, delete-orphan")


class Address(Base):
    """Where a customer lives."""

    __tablename__ = "addresses"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    street: Mapped[str]
    customer: Mapped[Customer] = relationship(back_populates="addresses")


def _customer(mark: str, number: int) -> Customer:
    return Customer(
        email=f"{mark}{number}@planted.example",
        name=f"planted-{mark}-{number}",
        born=dt.date(1980, 1, number + 1),
        balance=Decimal("10.50") * number,
        preferences={"mark": "planted", "list": [1, 2.5, None]},
        addresses=[Address(street=f"planted-street-{number}")],
    )


def use_psycopg(url: str) -> None:
    """The synchronous ORM."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session:
        session.add_all([_customer("p", n) for n in range(4)])
        session.commit()
        one = session.scalars(select(Customer).where(Customer.email == "p2@planted.example")).one()
        _equal((one.name, one.born, one.balance), ("planted-p-2", dt.date(1980, 1, 3), Decimal("21.00")))
        _equal(one.preferences, {"mark": "planted", "list": [1, 2.5, None]})
        _equal([a.street for a in one.addresses], ["planted-street-2"])
        one.name = "planted-renamed"
        session.commit()
        some = select(Customer.name).where(Customer.email.in_(["p2@planted.example", "p3@planted.example"]))
        _equal(list(session.scalars(some.order_by(Customer.id))), ["planted-renamed", "planted-p-3"])
        session.execute(update(Customer).where(Customer.email == "p1@planted.example").values(balance=Decimal("1.25")))
        session.execute(delete(Address).where(Address.customer_id == one.id))
        upsert = insert(Customer).values(email="p0@planted.example", name="planted-new", orders=1)
        session.execute(
            upsert.on_conflict_do_update(index_elements=[Customer.email], set_={"name": upsert.excluded.name})
        )
        session.commit()
        _equal(
            session.scalar(select(func.count()).select_from(Customer).where(Customer.email != "p0@planted.example")), 3
        )
        joined = select(Customer.email, Address.street).join(Address).where(Customer.name.is_not(None))
        _equal(len(session.execute(joined).all()), 3)
        first = session.scalars(select(Customer).where(Customer.email == "p0@planted.example")).one()
        session.refresh(first)
        _equal(first.name, "planted-new")
    engine.dispose()


async def use_asyncpg(url: str) -> None:
    """The asynchronous ORM, whose driver prepares everything and speaks binary."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://").replace("?sslmode=disable", ""))
    make_session = async_sessionmaker(engine, expire_on_commit=False)
    async with make_session() as session:
        session.add_all([_customer("a", n) for n in range(4)])
        await session.commit()
        query = select(Customer).options(selectinload(Customer.addresses)).where(Customer.email == "a3@planted.example")
        one = (await session.scalars(query)).one()
        _equal((one.name, one.born, one.balance), ("planted-a-3", dt.date(1980, 1, 4), Decimal("31.50")))
        _equal([a.street for a in one.addresses], ["planted-street-3"])
        one.born = dt.date(1999, 12, 31)
        await session.commit()
        await session.refresh(one)
        _equal(one.born, dt.date(1999, 12, 31))
        rows = await session.execute(
            select(Customer.id).where(Customer.email.in_(["a1@planted.example", "p1@planted.example"]))
        )
        _equal(len(rows.all()), 2)
        await session.delete(one)
        await session.commit()
    await engine.dispose()


def _equal(got: object, expected: object) -> None:
    if got != expected:
        raise AssertionError("the application got another answer than it must")


if __name__ == "__main__":
    database_url = os.environ["DEMO_URL"]
    if sys.argv[1] == "create":
        Base.metadata.create_all(create_engine(database_url.replace("postgresql://", "postgresql+psycopg://")))
    else:
        use_psycopg(database_url)
        asyncio.run(use_asyncpg(database_url))
