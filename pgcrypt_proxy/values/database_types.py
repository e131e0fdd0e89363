"""The types that a database has of its own: enums, domains, and those of extensions.

Knows no connection: `ops.catalog_queries` reads the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import modifiers
from pgcrypt_proxy.values.types import (
    ENUM,
    EXTENSION_TYPES,
    LogicalType,
    UserType,
    array_of,
    type_by_name,
    type_by_oid,
    with_modifier,
)


@dataclass(frozen=True, slots=True)
class TypeRow:
    """A row of pg_type. `kind` is typtype: e, d, or b. `checks` are a domain's, as pg_get_constraintdef writes them."""

    oid: int
    array_oid: int
    schema: str
    name: str
    kind: str
    base_oid: int = 0
    base_typmod: int = -1
    is_not_null: bool = False
    labels: Sequence[str] = ()
    checks: Sequence[str] = ()


_NAME = re.compile(r'(?:("(?:[^"]|"")+"|[^".()\[\]]+)\.)?("(?:[^"]|"")+"|[^".()\[\]]+?) *(?:\( *(\d+) *\))?')
_BOUNDS = re.compile(r"(?: *\[ *\d* *\])+$")


class DatabaseTypes:
    """Looks types up by name and OID; immutable."""

    def __init__(self, rows: Iterable[TypeRow] = ()) -> None:
        self._by_oid = {row.oid: row for row in rows}
        self._by_array_oid = {row.array_oid: row for row in self._by_oid.values() if row.array_oid}
        self._by_name: dict[str, list[TypeRow]] = {}
        for row in self._by_oid.values():
            self._by_name.setdefault(row.name, []).append(row)

    def named(self, spec: str) -> LogicalType:
        """The type that a rule names: one of PostgreSQL's, or one of this database, with its schema or without.

        Raises InvalidValue (42704) for what is unknown, ambiguous or cannot be protected.
        """
        bounds = _BOUNDS.search(spec.strip())
        if bounds is not None:
            return array_of(self.named(spec.strip()[: bounds.start()]))
        found = _NAME.fullmatch(spec.strip())
        schema, name, modifier = found.groups() if found else (None, "", None)
        schema, name = schema and _unquoted(schema), _unquoted(name)
        if schema == "pg_catalog":
            return type_by_name(name + (f"({modifier})" if modifier else ""))
        made = self.look_up(schema, name, [int(modifier)] if modifier else [])
        return made if made is not None else type_by_name(spec)

    def look_up(self, schema: str | None, name: str, values: list[int]) -> LogicalType | None:
        """The type of this database with that name and modifier, None when it has none.

        Without a schema there must be only one of that name, or the search_path
        decides, which is not known here. Raises InvalidValue (42704) then, and
        for domains over types that are not supported.
        """
        rows = [row for row in self._by_name.get(name, ()) if schema in (None, row.schema)]
        if not rows:
            return None
        if len(rows) > 1:
            raise InvalidValue(f'there are several types "{name}"', hint="Write it with its schema.", sqlstate="42704")
        made = self._made(rows[0])
        if made is None:
            raise InvalidValue(
                f"type {rows[0].schema}.{name} is of a kind that is not supported for protected columns",
                sqlstate="42704",
            )
        if values and (made.domain is not None or made.name == ENUM):
            raise modifiers.bad_modifier(made.sql)
        return replace(made, typmod=modifiers.pack(made.name, values)) if values else made

    def by_oid(self, oid: int, typmod: int = -1) -> LogicalType | None:
        """The logical type of that OID, one of this database's own or one of PostgreSQL's; None for others."""
        if (row := self._by_oid.get(oid)) is not None:
            made = self._made(row)
            return with_modifier(made, typmod) if made is not None else None
        if (row := self._by_array_oid.get(oid)) is not None:
            element = self._made(row)
            return with_modifier(array_of(element), typmod) if element is not None else None
        return type_by_oid(oid, typmod)

    def _made(self, row: TypeRow) -> LogicalType | None:
        user = UserType(row.schema, row.name, row.oid, row.array_oid, tuple(row.labels))
        if row.kind == "e":
            return LogicalType(ENUM, row.oid, user=user)
        if row.kind == "b":
            return LogicalType(row.name, row.oid, user=user) if row.name in EXTENSION_TYPES else None
        base = self.by_oid(row.base_oid, row.base_typmod)
        return replace(base, domain=user) if base is not None else None

    def obstacles(self, type_: LogicalType, *, is_not_null: bool) -> list[str]:
        """What the server checks of values of the type, and can no longer check of envelopes.

        `is_not_null` says that the column is NOT NULL, which makes up for a domain that is.
        """
        found = []
        for domain, is_element in _domains(type_):
            for row in self._chain(domain.oid):
                found += [
                    f"domain {row.schema}.{row.name} has a CHECK, which the server cannot evaluate on ciphertext: "
                    f"ALTER DOMAIN ... DROP CONSTRAINT, and let the application check the value"
                    for _ in row.checks[:1]
                ]
                if row.is_not_null and (is_element or not is_not_null):
                    found.append(
                        f"domain {row.schema}.{row.name} is NOT NULL, which the server cannot see of a sealed column: "
                        "ALTER TABLE ... ALTER COLUMN ... SET NOT NULL, or ALTER DOMAIN ... DROP NOT NULL"
                    )
        return found

    def _chain(self, oid: int) -> Iterator[TypeRow]:
        """A domain and the domains below it."""
        while (row := self._by_oid.get(oid)) is not None and row.kind == "d":
            yield row
            oid = row.base_oid


def _domains(type_: LogicalType) -> Iterator[tuple[UserType, bool]]:
    """The domains in a type, and whether it is an array's elements that are of them."""
    if type_.domain is not None:
        yield type_.domain, False
    if type_.element is not None:
        yield from ((domain, True) for domain, _ in _domains(type_.element))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


NO_TYPES = DatabaseTypes()
