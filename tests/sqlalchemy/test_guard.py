"""Statements that ciphertext would answer wrongly are refused, and nothing of them reaches the server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import (
    ARRAY,
    ClauseElement,
    Numeric,
    String,
    any_,
    bindparam,
    case,
    cast,
    desc,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.base import Executable

from pgcrypt_proxy.sqlalchemy import SealedColumnError
from pgcrypt_proxy.sqlalchemy.guard import check
from tests.sqlalchemy.conftest import Service
from tests.sqlalchemy.models import Order, User

pytestmark = pytest.mark.one_server

REFUSED: dict[str, Callable[[], Executable]] = {
    "order by": lambda: select(User.id).order_by(User.email),
    "order by a name": lambda: select(User.email).order_by("email"),
    "order by a label": lambda: select(User.email.label("mail")).order_by("mail"),
    "order by desc": lambda: select(User.id).order_by(desc(User.email)),
    "order by desc method": lambda: select(User.id).order_by(User.email.desc()),
    "group by": lambda: select(func.count()).group_by(User.email),
    "distinct": lambda: select(User.email).distinct(),
    "distinct on": lambda: select(User.id).ext(distinct_on(User.email)),
    "distinct entity": lambda: select(User).distinct(),
    "count distinct": lambda: select(func.count(User.email.distinct())),
    "max": lambda: select(func.max(User.email)),
    "lower": lambda: select(User.id).where(func.lower(User.email) == "planted"),
    "length": lambda: select(func.length(User.email)),
    "coalesce": lambda: select(func.coalesce(User.email, "planted")),
    "less": lambda: select(User.id).where(User.email < "planted"),
    "between": lambda: select(User.id).where(User.email.between("planted-a", "planted-b")),
    "like": lambda: select(User.id).where(User.email.like("planted%")),
    "contains": lambda: select(User.id).where(User.email.contains("planted")),
    "startswith": lambda: select(User.id).where(User.email.startswith("planted")),
    "concat": lambda: select(User.email + "planted"),
    "concat from the left": lambda: select("planted" + User.email),
    "plus": lambda: select(User.balance + 1),
    "literal on the left": lambda: select(User.id).where(literal("planted") == User.email),
    "another column": lambda: select(User.id).where(User.email == User.name),
    "another column on the left": lambda: select(User.id).where(User.name == User.email),
    "another domain": lambda: select(User.id).where(User.email == User.nick),
    "a function": lambda: select(User.id).where(User.email == func.concat("planted")),
    "a literal of its own": lambda: select(User.id).where(User.email == literal("planted", String()).op("||")("x")),
    "in literals": lambda: select(User.id).where(User.email.in_([literal("planted")])),
    "any": lambda: select(User.id).where(User.email == any_(literal(["planted"], ARRAY(String)))),
    "its term by hand": lambda: select(User.id).where(func.pgcrypt.eq(User.email) == "planted"),
    "in a query": lambda: select(User.id).where(User.email.in_(select(User.email))),
    "scalar query": lambda: select(User.id).where(select(User.email).scalar_subquery() == "planted"),
    "cast": lambda: select(cast(User.balance, Numeric)),
    "case": lambda: select(case((User.id == 1, User.email), else_=None)),
    "tuple": lambda: select(User.id).where(tuple_(User.id, User.email).in_([(1, "planted")])),
    "union": lambda: select(User.email).union(select(User.email)),
    "union all of two columns": lambda: select(User.email).union_all(select(User.nick)),
    "window": lambda: select(func.row_number().over(order_by=User.email)),
    "partition": lambda: select(func.count().over(partition_by=User.email)),
    "in exists": lambda: select(User.id).where(exists().where(func.lower(User.email) == "planted")),
    "in a cte": lambda: select(select(func.max(User.email).label("m")).cte().c.m),
    "copy": lambda: update(User).values(nick=User.email),
    "copy to plain": lambda: update(User).values(name=User.email),
    "function as a value": lambda: update(User).values(email=func.lower(User.name)),
    "literal as a value": lambda: update(User).values(email=literal("planted")),
    "typed parameter as a value": lambda: insert(User).values(email=bindparam("b", "planted", type_=String())),
    "literal in many rows": lambda: insert(User).values([{"email": "x"}, {"email": literal("planted")}]),
    "literal of a select": lambda: insert(User).from_select(["email"], select(literal("planted"))),
    "literal of an upsert": lambda: (
        upsert(User).values(id=1).on_conflict_do_update(index_elements=["id"], set_={"email": literal("planted")})
    ),
    "insert select": lambda: insert(Order).from_select(["contact"], select(User.email)),
    "upsert": lambda: upsert(User).values(id=1).on_conflict_do_update(index_elements=["id"], set_={"nick": User.email}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(service: Service, what: str) -> None:
    with service.session() as session, pytest.raises(SealedColumnError) as caught:
        session.execute(REFUSED[what]())
    assert caught.value.code == ("42804" if what == "in literals" else "0A000")
    assert "planted" not in str(caught.value)
    assert "planted" not in service.db.logged()


ALLOWED: list[ClauseElement] = [
    select(User),
    select(User.email.label("mail"), User.id).order_by(User.id).group_by(User.id),
    select(User.name).distinct().order_by("name"),
    select(User.id, User.email).ext(distinct_on(User.id)),
    select(func.count(User.email), func.max(User.id)),
    insert(User).values(email=bindparam("given"), nick=None),
    insert(User).values([{"email": "x", "name": func.lower("x")}, {"email": None, "name": literal("x")}]),
    insert(Order).from_select(["contact", "total"], select(Order.contact, Order.total)),
    update(User).values(email=User.email, name=literal("x")).where(User.id == 1),
    select(User.name).where(User.name.in_(select(Order.total).where(Order.contact == "x"))),
]


@pytest.mark.parametrize("statement", ALLOWED, ids=str)
def test_what_is_right_passes(statement: ClauseElement) -> None:
    check(statement)


def test_own_text_is_not_looked_into(service: Service) -> None:
    with service.session() as session:
        assert session.execute(text("SELECT count(email) FROM users")).scalar() == 0


def test_values_are_not_written_into_statements(service: Service) -> None:
    for statement in (select(User.id).where(User.email == "x"), insert(User).values(email="x")):
        with pytest.raises(CompileError):
            statement.compile(service.engine, compile_kwargs={"literal_binds": True})
