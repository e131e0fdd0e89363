"""A small catalog for plan tests, and plans as text that a reviewer can read."""

from __future__ import annotations

from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation
from pgcrypt_proxy.sql.plan import LiteralSlot, NeedsNames, Plan, StatementPlan
from pgcrypt_proxy.values.types import type_by_name

INT4, TEXT = 23, 25


def protected(
    number: int,
    table: str,
    name: str,
    *,
    oid: int,
    attribute: int,
    search: tuple[str, ...] = ("equality",),
    domain: str = "",
    type_name: str = "text",
    schema: str = "public",
    is_armed: bool = True,
) -> ProtectedColumn:
    return ProtectedColumn(
        id=number if is_armed else 0,
        schema=schema,
        table=table,
        name=name,
        relation_oid=oid,
        attribute_number=attribute,
        domain_oid=9000 + number if is_armed else 0,
        type=type_by_name(type_name),
        data_class="pii",
        search=frozenset(search),
        index_domain=domain or f"{schema}.{table}.{name}",
        is_armed=is_armed,
    )


def relations() -> list[Relation]:
    """users(id, email*, name, ssn*), orders(id, user_id, contact*, note), items, and relatives; * is protected."""
    email = protected(1, "users", "email", oid=100, attribute=2, domain="email")
    ssn = protected(2, "users", "ssn", oid=100, attribute=4, search=())
    contact = protected(3, "orders", "contact", oid=101, attribute=3, domain="email")
    late = protected(4, "late", "email", oid=104, attribute=2, is_armed=False)
    born = protected(5, "people", "born", oid=105, attribute=2, type_name="date")
    return [
        Relation(
            100,
            "public",
            "users",
            "r",
            (
                Column("id", 1, INT4),
                Column("email", 2, 9001, email),
                Column("name", 3, TEXT),
                Column("ssn", 4, 9002, ssn),
            ),
        ),
        Relation(
            101,
            "public",
            "orders",
            "r",
            (
                Column("id", 1, INT4),
                Column("user_id", 2, INT4),
                Column("contact", 3, 9003, contact),
                Column("note", 4, TEXT),
            ),
        ),
        Relation(102, "public", "items", "r", (Column("id", 1, INT4), Column("name", 2, TEXT))),
        Relation(103, "public", "v_users", "v", (Column("email", 1, 9001),), is_derived=True),
        Relation(104, "public", "late", "r", (Column("id", 1, INT4), Column("email", 2, TEXT, late))),
        Relation(105, "public", "people", "r", (Column("id", 1, INT4), Column("born", 2, 9005, born))),
        Relation(106, "public", "twin", "r", (Column("id", 1, INT4), Column("email", 2, TEXT))),
    ]


def sample_catalog() -> Catalog:
    return Catalog.build(1, relations(), tainted_functions={"rename_user"}, unmet_rules={("public", "future")})


def described(plan: Plan | NeedsNames) -> list[str]:
    """The plan as lines: what it is, its text with slots, parameters and outputs."""
    if isinstance(plan, NeedsNames):
        return ["needs names " + ", ".join(plan.names)]
    if plan.is_untouched:
        return ["untouched"]
    lines = [_refusal(s) for s in plan.statements if s.refusal is not None]
    if len(plan.statements) > 1 or not lines:
        lines += ["text: " + "".join(_piece(p) for p in plan.pieces).replace("\n", "\\n")]
    if plan.parameters:
        uses = (
            f"${number}=client {use.client_index + 1} {use.use.value}"
            + (f" {use.column.name}" if use.column else "")
            + (f" as {use.cast}" if use.cast else "")
            for number, use in enumerate(plan.parameters, 1)
        )
        lines.append("parameters: " + "; ".join(uses))
    for statement in plan.statements:
        if statement.outputs is not None and any(statement.outputs):
            lines.append("outputs: " + ", ".join(o.qualified_name if o else "-" for o in statement.outputs))
    return lines


def _refusal(statement: StatementPlan) -> str:
    refusal = statement.refusal
    assert refusal is not None
    return f"refused {refusal.code} at {refusal.position}: {refusal.message}"


def _piece(piece: str | LiteralSlot) -> str:
    if isinstance(piece, str):
        return piece
    cast = f" as {piece.cast}" if piece.cast else ""
    return f"<{piece.use.value} {piece.column.name} {piece.text!r}{cast}>"
