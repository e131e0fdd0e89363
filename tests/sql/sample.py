"""A small catalog for plan tests, and plans as text that a reviewer can read."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation
from pgcrypt_proxy.sql.plan import CopyPlan, LiteralSlot, NeedsNames, ParameterUse, Plan, StatementPlan
from pgcrypt_proxy.values.types import type_by_name
from pgcrypt_proxy.wire.copy_format import CopyFormat

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
    both = ("equality", "equality_casefold")
    email = protected(1, "users", "email", oid=100, attribute=2, domain="email")
    handle = protected(6, "accounts", "handle", oid=107, attribute=2, search=both, domain="email")
    alias = protected(
        7, "accounts", "alias", oid=107, attribute=3, search=both, domain="email", type_name="varchar(20)"
    )
    ssn = protected(2, "users", "ssn", oid=100, attribute=4, search=())
    code = protected(9, "computed", "code", oid=109, attribute=2, search=())
    contact = protected(3, "orders", "contact", oid=101, attribute=3, domain="email")
    upper = ("equality", "equality_upper")
    mail = protected(8, "members", "mail", oid=108, attribute=2, search=upper, type_name="varchar(254)")
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
        Relation(
            107,
            "public",
            "accounts",
            "r",
            (Column("id", 1, INT4), Column("handle", 2, 9006, handle), Column("alias", 3, 9007, alias)),
        ),
        Relation(108, "public", "members", "r", (Column("id", 1, INT4), Column("mail", 2, 9008, mail))),
        Relation(
            109,
            "public",
            "computed",
            "r",
            (Column("id", 1, INT4), Column("code", 2, 9009, code), Column("twice", 3, INT4, is_generated=True)),
        ),
        Relation(110, "public", "parties", "r", (Column("id", 1, INT4), Column("name", 2, TEXT))),
        Relation(106, "public", "twin", "r", (Column("id", 1, INT4), Column("email", 2, TEXT))),
    ]


def ruled() -> dict[tuple[str, str, str], ProtectedColumn]:
    """All protected columns; besides them future(email, nick, code), users.phone and clients.email wait for DDL."""
    both = ("equality", "equality_casefold")
    waiting = [
        protected(20, "future", "email", oid=0, attribute=0, search=both, type_name="varchar(254)"),
        protected(21, "future", "nick", oid=0, attribute=0, search=(), type_name="varchar(20)"),
        protected(22, "users", "phone", oid=0, attribute=0),
        protected(23, "clients", "email", oid=0, attribute=0, domain="email"),
        protected(24, "clients", "ssn", oid=0, attribute=0, search=()),
        protected(25, "unready", "email", oid=0, attribute=0, is_armed=False),
        protected(27, "parties", "phone", oid=0, attribute=0),
        protected(26, "users", "mail", oid=0, attribute=0, domain="email"),
    ]
    columns = [c.protected for r in relations() for c in r.columns if c.protected is not None]
    return {(c.schema, c.table, c.name): c for c in [*columns, *waiting]}


def sample_catalog() -> Catalog:
    unmet = {("public", table) for table in ("future", "clients", "unready", "users", "parties")}
    return Catalog.build(1, relations(), tainted_functions={"rename_user"}, unmet_rules=unmet, ruled=ruled())


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
        lines.append("parameters: " + _uses(plan.parameters))
    for statement in plan.statements:
        if statement.prepares is not None and not statement.prepares.plan.is_untouched:
            made = statement.prepares
            outputs = [o.qualified_name if o else "-" for s in made.plan.statements for o in s.outputs or ()]
            lines.append(f"prepares {made.name}: " + (_uses(made.plan.parameters) or "no parameters"))
            lines += ["its outputs: " + ", ".join(outputs)] if outputs else []
        if statement.command_tag is not None:
            lines.append(f"tag: {statement.command_tag}")
        if statement.outputs is not None and any(statement.outputs):
            lines.append("outputs: " + ", ".join(o.qualified_name if o else "-" for o in statement.outputs))
        if statement.copy is not None:
            lines.append(_copy(statement.copy))
    return lines


def _uses(parameters: tuple[ParameterUse, ...]) -> str:
    return "; ".join(
        f"${number}=client {use.client_index + 1} {use.use.value}"
        + (f" {use.column.name}" if use.column else "")
        + (f" as {use.cast}" if use.cast else "")
        + (f" by default {use.default}" if use.default else "")
        for number, use in enumerate(parameters, 1)
    )


def _copy(copy: CopyPlan) -> str:
    """Direction, columns, and of the format what differs from text format's defaults."""
    columns = (f"{n}*" if c else n for n, c in zip(copy.names, copy.columns, strict=True))
    made, plain = copy.format, CopyFormat()
    options = {f.name: getattr(made, f.name) for f in fields(made) if getattr(made, f.name) != getattr(plain, f.name)}
    shown = [
        f"{k}={v.value if isinstance(v, Enum) else sorted(v) if isinstance(v, frozenset) else v!r}"
        for k, v in options.items()
    ]
    if copy.skips_bad_rows:
        shown.append("skips bad rows")
    return f"copy {'from' if copy.is_from else 'to'} client: {', '.join(columns)}" + (
        f" ({', '.join(shown)})" if shown else ""
    )


def _refusal(statement: StatementPlan) -> str:
    refusal = statement.refusal
    assert refusal is not None
    return f"refused {refusal.code} at {refusal.position}: {refusal.message}"


def _piece(piece: str | LiteralSlot) -> str:
    if isinstance(piece, str):
        return piece
    cast = f" as {piece.cast}" if piece.cast else ""
    default = f" by default {piece.default}" if piece.default else ""
    return f"<{piece.use.value} {piece.column.name} {piece.text!r}{cast}{default}>"
