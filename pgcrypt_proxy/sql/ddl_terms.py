"""Keys over protected columns: UNIQUE, PRIMARY KEY and indexes become indexes on terms, under the names asked for.

Knows how PostgreSQL names what has no name (`makeObjectName` in its sources:
the longer part is cut first, 63 bytes in all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.scope import quote
from pgcrypt_proxy.sql.shown_rows import PRIMARY_MARK, UNIQUE_MARK

MAX_NAME_BYTES = 63
NO_DIRECT_KEY = "Leave it out; a key over a protected column is an index on its term, which cannot have it."

Protected = Mapping[str, ProtectedColumn]


@dataclass(frozen=True, slots=True)
class Key:
    """A UNIQUE or PRIMARY KEY constraint, some of whose columns are protected."""

    name: str
    columns: tuple[str, ...]
    including: tuple[str, ...] = ()
    is_primary: bool = False
    nulls_not_distinct: bool = False

    def statements(self, table: str, protected: Protected, *, if_not_exists: bool = False) -> list[str]:
        """The SQL that makes it on `table`, which is spelled as SQL."""
        made = [f"ALTER TABLE {table} ALTER COLUMN {quote(c)} SET NOT NULL" for c in self.columns if self.is_primary]
        keys = ", ".join(term(protected[c]) if c in protected else quote(c) for c in self.columns)
        pieces = [
            f"CREATE UNIQUE INDEX {'IF NOT EXISTS ' if if_not_exists else ''}{quote(self.name)} ON {table} ({keys})",
            f"INCLUDE ({', '.join(quote(c) for c in self.including)})" if self.including else "",
            "NULLS NOT DISTINCT" if self.nulls_not_distinct else "",
            f"WITH ({PRIMARY_MARK if self.is_primary else UNIQUE_MARK})",
        ]
        return [*made, " ".join(piece for piece in pieces if piece)]


def term(column: ProtectedColumn) -> str:
    return f"pgcrypt.eq({quote(column.name)})"


def folded_term(column: ProtectedColumn) -> str:
    return f"pgcrypt.eqci({quote(column.name)})"


def key(constraint: Node, table: str, protected: Protected, position: int | None, column: str | None = None) -> Key:
    """What a UNIQUE or PRIMARY KEY constraint asks for; `column` has it if it is a column's own. Raises Refusal."""
    names = tuple(k["String"].get("sval", "") for k in constraint.get("keys", ())) or ((column,) if column else ())
    including = tuple(k["String"].get("sval", "") for k in constraint.get("including", ()))
    is_primary = constraint.get("contype") == "CONSTR_PRIMARY"
    concerned = [protected[name] for name in (*names, *including) if name in protected]
    what = "PRIMARY KEY" if is_primary else "UNIQUE"
    for option in ("deferrable", "initdeferred", "options", "indexname", "indexspace", "without_overlaps"):
        if option in constraint:
            raise refuse.construct(concerned[0], f"{what} with such options", position, hint=NO_DIRECT_KEY)
    for name in including:
        if name in protected:
            raise refuse.construct(protected[name], "INCLUDE", position, hint="Leave the column out of INCLUDE.")
    for name in names:
        if name in protected and "equality" not in protected[name].search:
            raise refuse.needs_search(protected[name], position)
    found = constraint.get("conname")
    return Key(
        found or (object_name(table, (), "pkey") if is_primary else object_name(table, (*names, *including), "key")),
        names,
        including,
        is_primary,
        bool(constraint.get("nulls_not_distinct")),
    )


def concerns(constraint: Node, protected: Protected) -> bool:
    """Whether a table's UNIQUE or PRIMARY KEY constraint has a protected column."""
    listed = [*constraint.get("keys", ()), *constraint.get("including", ())]
    return any(k["String"].get("sval", "") in protected for k in listed)


def object_name(table: str, columns: Sequence[str], label: str) -> str:
    """The name that PostgreSQL makes up for an index: `table_columns_label`."""
    first, second = table.encode(), b""
    for column in columns:
        second += (b"_" if second else b"") + column.encode()[:MAX_NAME_BYTES]
        if len(second) > MAX_NAME_BYTES:
            break
    room = MAX_NAME_BYTES - len(label) - 1 - (1 if second else 0)
    one, two = len(first), len(second)
    while one + two > room:
        if one > two:
            one -= 1
        else:
            two -= 1
    made = (_clipped(first, one), _clipped(second, two), label)
    return "_".join(part for part in made if part)


def _clipped(name: bytes, length: int) -> str:
    """At most so many bytes, whole characters only."""
    return name[:length].decode("utf-8", "ignore")
