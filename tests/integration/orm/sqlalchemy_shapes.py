"""SQLAlchemy's query shapes over the demo's models. Knows nothing of encryption.

Run as a program, the database URL (without driver) in DEMO_URL.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    bindparam,
    case,
    create_engine,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    union,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, aliased, joinedload, load_only, selectinload, subqueryload

from pgcrypt_proxy.demo.sqlalchemy_app import Address, Customer
from tests.integration.orm.record import Shape, record

C, A = Customer, Address
EMAIL = "s1@planted.example"


def rows(number: int) -> list[Customer]:
    """Customers with everything set."""
    return [
        Customer(
            email=f"s{n}@planted.example",
            name=f"planted-{n}",
            born=dt.date(1990, 1, n + 1),
            balance=Decimal(n),
            preferences={"n": n},
            addresses=[Address(street=f"planted-street-{n}")],
        )
        for n in range(number)
    ]


def shapes(session: Session) -> dict[str, Shape]:
    """Everything once, on rows that are there."""
    got = session.execute

    def all_of(statement: Any) -> Shape:
        return lambda: got(statement).all()

    def done(statement: Any, *parameters: Any) -> Shape:
        return lambda: got(statement, *parameters)

    def streamed() -> None:
        options = {"yield_per": 2, "stream_results": True}
        assert len(list(session.scalars(select(C).execution_options(**options)))) == 5

    def changed() -> None:
        one = session.scalars(select(C).where(C.email == EMAIL)).one()
        one.name, one.balance, one.preferences = "planted-x", Decimal("3.50"), {"y": None}
        session.flush()
        session.refresh(one)
        assert (one.name, one.balance, one.preferences) == ("planted-x", Decimal("3.50"), {"y": None})

    def removed() -> None:
        session.delete(session.scalars(select(C).where(C.email == EMAIL)).one())
        session.flush()

    def nested() -> None:
        with session.begin_nested():
            session.add(Customer(email="nested@planted.example"))

    upsert = postgresql.insert(C).values(email=EMAIL, name="planted-up", orders=0)
    merged = upsert.on_conflict_do_update(index_elements=[C.email], set_={"name": upsert.excluded.name})
    ordinary: dict[str, Callable[[], object]] = {
        "select entity": all_of(select(C)),
        "where ==": all_of(select(C).where(C.email == EMAIL)),
        "where !=": all_of(select(C).where(C.email != EMAIL)),
        "where in_": all_of(select(C).where(C.email.in_([EMAIL, "none@planted.example"]))),
        "where not_in": all_of(select(C).where(C.email.not_in([EMAIL]))),
        "where in_ of nothing": all_of(select(C).where(C.email.in_([]))),
        "where is_(None)": all_of(select(C).where(C.born.is_(None))),
        "where is_distinct_from": all_of(select(C.id).where(C.email.is_distinct_from(EMAIL))),
        "where tuple_ in_": all_of(select(C.id).where(tuple_(C.email, C.orders).in_([(EMAIL, 0)]))),
        "where == any_": all_of(
            select(C.id).where(C.email == func.any(bindparam("e", [EMAIL], postgresql.ARRAY(C.email.type))))
        ),
        "where in_ subquery": all_of(select(C.id).where(C.email.in_(select(C.email).where(C.id > 1)))),
        "where exists": all_of(select(C.email).where(exists().where(A.customer_id == C.id))),
        "where relationship any": all_of(select(C.email).where(C.addresses.any(A.id > 0))),
        "where relationship has": all_of(select(A.street).where(A.customer.has(C.email == EMAIL))),
        "join": all_of(select(C.email, A.street).join(A)),
        "outer join": all_of(select(C.email, A.street).outerjoin(A)),
        "self join by alias": all_of(select(C.id).join(aliased(C, name="other"), text("other.id = customers.id"))),
        "joinedload": lambda: session.scalars(select(C).options(joinedload(C.addresses))).unique().all(),
        "selectinload": all_of(select(C).options(selectinload(C.addresses))),
        "subqueryload": all_of(select(C).options(subqueryload(C.addresses))),
        "load_only": all_of(select(C).options(load_only(C.email))),
        "order_by id, limit, offset": all_of(select(C).order_by(C.id).limit(2).offset(1)),
        "count": all_of(select(func.count()).select_from(C)),
        "count of a column": all_of(select(func.count(C.email), func.count(C.email.distinct()))),
        "group_by": all_of(select(C.email, func.count()).group_by(C.email)),
        "distinct": all_of(select(C.email).distinct()),
        "having": all_of(select(C.email, func.count()).group_by(C.email).having(func.count() > 0)),
        "coalesce": all_of(select(func.coalesce(C.name, "planted-none"))),
        "case": all_of(select(case((C.orders > 0, C.name), else_=None))),
        "scalar subquery": all_of(select(A.id, select(C.email).where(C.id == A.customer_id).scalar_subquery())),
        "cte": all_of(select(select(C.id, C.email).cte("c"))),
        "subquery": all_of(select(select(C.id, C.email).subquery())),
        "lateral": all_of(select(C.email, select(A.street).where(A.customer_id == C.id).limit(1).lateral("x"))),
        "union_all": all_of(union_all(select(C.email).where(C.id == 1), select(C.email).where(C.id == 2))),
        "union": all_of(union(select(C.email).where(C.id == 1), select(C.email).where(C.id == 2))),
        "literal beside": all_of(select(C.email, literal("x"))),
        "with_for_update": all_of(select(C).where(C.email == EMAIL).with_for_update(skip_locked=True)),
        "stream_results": streamed,
        "textual": all_of(text("SELECT id, email FROM customers WHERE email = :e").bindparams(e=EMAIL)),
        "get": lambda: session.get(C, 1),
        "change and refresh": changed,
        "delete through the session": removed,
        "begin_nested": nested,
        "insert many": done(insert(C), [{"email": f"m{n}@planted.example", "name": None} for n in range(3)]),
        "insert returning": lambda: got(insert(C).returning(C.id, C.email), [{"email": "r@planted.example"}]).all(),
        "insert from select of constants": done(
            insert(C).from_select(["email", "orders"], select(literal("f@planted.example"), literal(1)))
        ),
        "upsert": done(merged),
        "update where": done(update(C).where(C.email == EMAIL).values(name="planted-u", balance=Decimal("1.25"))),
        "update returning": lambda: got(update(C).where(C.id == 1).values(orders=1).returning(C.email)).all(),
        "update by primary keys": done(update(C), [{"id": 1, "name": "planted-1"}, {"id": 2, "name": None}]),
        "update from": done(update(C).where(A.customer_id == C.id, A.id == 1).values(orders=5)),
        "delete where": done(delete(A).where(A.customer_id.in_(select(C.id).where(C.email == EMAIL)))),
        "delete using": done(delete(A).where(A.customer_id == C.id, C.email == EMAIL)),
    }
    needing_plaintext = {
        "like": all_of(select(C.id).where(C.email.like("s%"))),
        "ilike": all_of(select(C.id).where(C.email.ilike("s%"))),
        "startswith": all_of(select(C.id).where(C.email.startswith("s"))),
        "func.lower ==": all_of(select(C.id).where(func.lower(C.email) == EMAIL)),
        "<": all_of(select(C.id).where(C.born < dt.date(2000, 1, 1))),
        "between": all_of(select(C.id).where(C.balance.between(1, 2))),
        "order_by a protected column": all_of(select(C.id).order_by(C.email)),
        "max": all_of(select(func.max(C.born))),
        "sum": all_of(select(func.sum(C.balance))),
        "arithmetic": done(update(C).values(balance=C.balance + 1)),
        "concatenation": all_of(select(C.email + "x")),
        "JSON subscript": all_of(select(C.preferences["n"])),
        "array_agg": all_of(select(func.array_agg(C.email))),
        "== of a column that is not searchable": all_of(select(C.id).where(C.name == "planted-1")),
    }
    return {**ordinary, **needing_plaintext}


def main() -> None:
    engine = create_engine(os.environ["DEMO_URL"].replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session:
        session.add_all(rows(5))
        session.commit()

        def run(shape: Shape) -> None:
            try:
                shape()
            finally:
                session.rollback()

        record(shapes(session), run)
    engine.dispose()


if __name__ == "__main__":
    main()
