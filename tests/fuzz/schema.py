"""What the generator knows of the twin schema: tables, columns, and values that mostly hit start rows.

`sealed` columns are those of `twin_schema.COLUMNS`; a hole's name (see
`tests.conformance.shapes`) gives a parameter's type.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column's values are: its SQL type, the name of holes for it, and literals to draw from."""

    type: str
    hole: str
    literals: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        return self.type in ("text", "varchar")


#: Values as they are only stored: too long, rounded, without a number, or at the ends of what a type holds.
STORED = {
    "ssn": ("'planted-123456789'", "'planted-1      '", "'planted-12 '", "'planted-ü'"),
    "born": ("'infinity'", "'0044-03-15 BC'", "'2024-02-30'", "'19900203'", "'5874897-12-31'"),
    "total": ("10.505", "-0.001", "'NaN'", "99999999.995", "1e3", "'1e-3'", "123456789.5", "' 7.5 '", "007"),
    "email": ("'planted- trailing '", r"'planted-\t\\'", "'planted-''quoted'", "'planted-ſß'"),
}
#: Types that a value is cast to beside a column, with what comparison does there: cut off, rounded, padded.
CASTS = {
    "text": ("varchar", "varchar(8)", "char(20)", "text::varchar", "name", "bpchar", "varchar(100)"),
    "varchar": ("text", "varchar(4)", "char(11)"),
    "date": ("timestamp", "timestamptz", "date", "text"),
    "numeric": ("numeric(10,1)", "float8", "int", "int2", "bigint", "numeric", "numeric(20,10)"),
}


@dataclass(frozen=True, slots=True)
class Seal:
    """A protected column. Columns with the same `domain` can be compared; None: no search."""

    column: str
    domain: str | None = None
    is_casefold: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column in sight."""

    name: str
    kind: Kind
    seal: Seal | None = None
    is_not_null: bool = False


_EMAILS = (
    "'planted-ann@x'", "'planted-ann@x'", "'planted-Ann@x'", "'planted-bob@x'", "'planted-cy@x'", "'planted-ünï@x'",
    "'planted-o''neil@x'", r"'planted-back\slash@x'", "'planted-😀@x'", "'planted-%_@x'", "'planted-fay@x'",
    "'planted- space @x'", "'planted-dee@x'", "'planted-nobody@x'", "''",
)  # fmt: skip
_NICKS = ("'planted-ann'", "'planted-bob'", "'planted-bob'", "'planted-dee@x'", "'planted-ann@x'", "''", "'planted-no'")

EMAIL = Kind("text", "email", _EMAILS)
NICK = Kind("text", "nick", _NICKS)
CONTACT = Kind("text", "contact", _EMAILS)
SSN = Kind("varchar", "ssn", ("'planted-111'", "'planted-112'", "'planted-ü'", "''", "'planted-999'"))
BORN = Kind("date", "born", ("'1990-02-03'", "'1985-12-31'", "'1999-12-31'", "'2024-05-17'", "'0099-01-01'"))
TOTAL = Kind("numeric", "total", ("10.5", "10.50", "10.00", "10", "0", "-1.25", "7.77", "99999999.99", "3.1"))

NAME = Kind("text", "name", ("'Ann'", "'Bob'", "'Ünï'", "''", "'bolt'", "'nut'", "'first'", "'a'", "'warn'", "'x'"))
PRICE = Kind("numeric", "price", ("0.10", "1.00", "1.5", "10.50", "10"))
INT = Kind("int", "n", ("0", "1", "2", "3", "5", "6", "7", "8", "13", "100"))
ID = Kind("bigint", "id", INT.literals)
COUNT = Kind("bigint", "id", INT.literals)
BOOL = Kind("bool", "flag", ("true", "false"))

_EMAIL = Seal("users.email", "email", is_casefold=True)
_SSN = Seal("users.ssn")
_BORN = Seal("users.born", "born")
_NICK = Seal("users.nick", "email")
_CONTACT = Seal("orders.contact", "email")
_TOTAL = Seal("orders.total", "total")

USERS = (
    Column("id", ID, is_not_null=True),
    Column("email", EMAIL, _EMAIL, is_not_null=True),
    Column("name", NAME),
    Column("ssn", SSN, _SSN),
    Column("born", BORN, _BORN),
    Column("plain", INT, is_not_null=True),
    Column("nick", NICK, _NICK),
)
ORDERS = (
    Column("id", INT, is_not_null=True),
    Column("user_id", ID),
    Column("contact", CONTACT, _CONTACT),
    Column("note", NAME),
    Column("total", TOTAL, _TOTAL),
)
ITEMS = (Column("id", INT, is_not_null=True), Column("name", NAME), Column("price", PRICE))
CONTACTS = (Column("id", INT, is_not_null=True), Column("email", NAME), Column("label", NAME))
LOGS = (Column("id", INT, is_not_null=True), Column("level", INT, is_not_null=True), Column("message", NAME))
OTHER_USERS = (Column("id", INT, is_not_null=True), Column("email", NAME))
V_USERS = (USERS[0], Column("email", EMAIL, _EMAIL), Column("name", NAME))
V_ITEMS = ITEMS[:2]

#: Spellings of relations and their columns. The protected ones come often.
PROTECTED = (("users", USERS), ("orders", ORDERS), ("public.users", USERS), ("v_users", V_USERS), ("orders", ORDERS))
PLAIN = (
    ("items", ITEMS), ("contacts", CONTACTS), ("logs", LOGS), ("other.users", OTHER_USERS), ("v_items", V_ITEMS),
)  # fmt: skip
