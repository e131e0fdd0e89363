"""The tables of conftest.py as an application without a proxy has them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgcrypt_proxy.sqlalchemy import Sealed, Sealer

keys = Sealer()


class Base(DeclarativeBase):
    """The models' registry."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(Sealed(keys, "users.email"))
    nick: Mapped[str | None] = mapped_column(Sealed(keys, "users.nick"))
    balance: Mapped[Decimal | None] = mapped_column(Sealed(keys, "public.users.balance"))
    born: Mapped[dt.date | None] = mapped_column(Sealed(keys, "users.born"))
    name: Mapped[str | None]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    contact: Mapped[str | None] = mapped_column(Sealed(keys, "orders.contact"))
    total: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
