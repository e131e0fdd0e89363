"""Whose values an INSERT or UPDATE writes, where a column of the row names the tenant: said with each value.

As for the proxy the statement itself must say it: in the same row of values, or of an UPDATE in its WHERE. A value
goes on to its column's type as OfTenant then. What is not found here goes on as it is, and the type refuses it, so
nothing that is overlooked is sealed for the wrong tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Enum, Integer, String, Uuid
from sqlalchemy.sql import dml, elements, operators, visitors
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import TypeDecorator

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sqlalchemy.of_tenant import HINT, OfTenant
from pgcrypt_proxy.sqlalchemy.unwrapped import as_it_is

Row = dict[str, Any]
#: A tenant's value as SQLAlchemy gives it to the driver, and how it is stored, are known of these.
_TYPES = (String, Integer, Uuid)
_ABSENT = object()


def with_tenants(statement: Any, rows: list[Row]) -> tuple[Any, list[Row]]:
    """The same with OfTenant for each value of tenants whose tenant is known.

    Raises SealedColumnError for what would leave values sealed for another tenant than their row's.
    """
    table = _Table.of(statement)
    if table is None:
        return statement, rows
    _check_copies(statement, table)
    _check_names(statement, table, rows)
    if isinstance(statement, dml.Insert):
        _check_upsert(statement, table)
        if statement._multi_values:
            return statement if any(rows) else _many(statement, table), rows
        return _written(statement, rows, table, _no_where)
    table.check_move({*_keys(statement), *(key for row in rows for key in row)})
    return _written(statement, rows, table, lambda row: _pinned(statement, table, row))


def refuse_nested(statement: Any) -> None:
    """Raises SealedColumnError for an INSERT or UPDATE in a WITH that writes values of tenants, or their tenant."""
    table = _Table.of(statement)
    if table is not None and (isinstance(statement, dml.Insert) or table.keys & set(_keys(statement))):
        raise _refused(table, "writing within WITH is not possible", "Let it be a statement of its own.")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table whose sealed columns have tenants. `tenant` names them; `sealed` by key."""

    tenant: Any
    sealed: Mapping[str, Any]

    @classmethod
    def of(cls, statement: Any) -> _Table | None:
        from pgcrypt_proxy.sqlalchemy.types import Sealed

        columns = getattr(getattr(statement, "table", None), "c", ())
        sealed = {c.key: c for c in columns if isinstance(c.type, Sealed) and c.type.tenant}
        if not sealed:
            return None
        names = {column.type.tenant for column in sealed.values()}
        found = [column for column in columns if column.name in names]
        if len(names) != 1 or len(found) != 1 or not _is_taken(found[0].type) or found[0].onupdate is not None:
            raise as_it_is(
                Refusal(
                    f"the columns of table {statement.table.name} do not say whose its values are",
                    hint="The model has one column of the name that the types say as `tenant`, of type String, Integer"
                    " or Uuid, and without onupdate.",
                )
            )
        return cls(found[0], sealed)

    @property
    def keys(self) -> set[str]:
        return {*self.sealed, self.tenant.key}

    @property
    def name(self) -> str:
        return str(next(iter(self.sealed.values())).type.column)

    def check_move(self, keys: set[str]) -> None:
        """Where an UPDATE sets the tenant, it sets all of its values. Raises SealedColumnError."""
        if self.tenant.key not in keys:
            return
        left = self.sealed.keys() - keys
        first = next(iter(self.sealed.values())).type
        beside = {_spelled(column.type.column) for column in self.sealed.values()}
        left |= first.sealer.beside(first.column, self.tenant.name) - beside
        if left:
            raise _refused(
                self,
                f'setting "{self.tenant.name}" would leave values sealed for another tenant',
                f"Set {', '.join(sorted(left))} in the same UPDATE, or delete the row and insert it anew.",
            )


def _spelled(name: str) -> str:
    return name if name.count(".") == 2 else f"public.{name}"


def _is_taken(type_: Any) -> bool:
    """Whether its values are stored as they are given."""
    return (
        isinstance(type_, _TYPES)
        and not isinstance(type_, Enum | TypeDecorator)
        and type(type_).__module__.startswith("sqlalchemy.")
        and not getattr(type_, "_variant_mapping", None)
    )


def _refused(table: _Table, what: str, hint: str = HINT) -> Exception:
    return as_it_is(Refusal(f'{what}: sealed column "{table.name}" has tenants', hint=hint))


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key.key)


def _assigned(statement: Any) -> Iterator[tuple[Any, Any]]:
    """What the statement itself assigns: (column or its key, value)."""
    yield from (statement._values or {}).items()
    for many in getattr(statement, "_multi_values", ()):
        for row in many:
            yield from row.items() if isinstance(row, dict) else ()
    yield from getattr(statement, "_ordered_values", None) or ()


def _keys(statement: Any) -> Iterator[str]:
    return (_key(key) for key, _ in _assigned(statement))


def _check_copies(statement: Any, table: _Table) -> None:
    """What is copied on the server keeps the tenant that it has there. Raises SealedColumnError."""
    copied = {_key(key) for key in getattr(statement, "_select_names", None) or ()} & table.sealed.keys()
    for key, value in _assigned(statement):
        clause = _value(value)
        is_expression = isinstance(clause, elements.ClauseElement)
        if is_expression and not isinstance(clause, BindParameter | elements.Null) and _key(key) in table.sealed:
            copied.add(_key(key))
    if copied:
        raise _refused(table, "copying a value of another row is not possible", "Select it, and give it as a value.")


def _check_names(statement: Any, table: _Table, rows: list[Row]) -> None:
    """SQLAlchemy gives a parameter to whatever it has called so itself, too. Raises SealedColumnError."""
    known = {column.key for column in statement.table.c}
    values = (_value(value) for _, value in _assigned(statement))
    for node in (*visitors.iterate(statement), *values):
        if isinstance(node, BindParameter) and not node.unique:
            known.add(node.key)
    unknown = sorted({key for row in rows for key in row} - known)
    if unknown:
        raise _refused(table, f'the statement has no parameter "{unknown[0]}"', "Leave it out.")


# -- one row of values, in the statement or in each set of parameters


def _written(statement: Any, rows: list[Row], table: _Table, where: Callable[[Row], Any]) -> tuple[Any, list[Row]]:
    """`where` finds the tenant of an UPDATE's rows, for those that do not set it."""
    own = {_key(key): (key, _value(value)) for key, value in (statement._values or {}).items()}
    inline: dict[Any, OfTenant] = {}
    made = [dict(row) for row in rows]
    for row in made or [{}]:
        tenant = _of_row(own, row, table.tenant.key)
        if tenant is _ABSENT and table.tenant.key not in own:
            tenant = where(row)
        if tenant is _ABSENT:
            continue
        for key in table.sealed:
            name, value = _slot(own, row, key)
            if value is None or isinstance(value, elements.ClauseElement | OfTenant) or value is _ABSENT:
                continue
            if name is not None:
                row[name] = OfTenant(tenant, value)
            elif inline.setdefault(own[key][0], OfTenant(tenant, value)).tenant != tenant:
                raise _refused(table, "a value within the statement is of several tenants")
    if inline:
        if getattr(statement, "_maintain_values_ordering", False):
            raise _refused(table, "ordered_values() is not possible", "Use values().")
        statement = statement.values(inline)
    return statement, made


def _value(value: Any) -> Any:
    """A parameter, or an expression, or a value."""
    return value.__clause_element__() if hasattr(value, "__clause_element__") else value


def _slot(own: Mapping[str, tuple[Any, Any]], row: Row, key: str) -> tuple[str | None, Any]:
    """A column's value, and in which parameter it is, None for one in the statement; _ABSENT without any."""
    if key not in own:
        return key, row.get(key, _ABSENT)
    if key in row:
        return None, _ABSENT  # a parameter of that name may take the value's place, or not
    value = own[key][1]
    if not isinstance(value, BindParameter):
        return None, value
    if value.key in row:
        return value.key, row[value.key]
    return None, _ABSENT if value.required else value.effective_value


def _of_row(own: Mapping[str, tuple[Any, Any]], row: Row, key: str) -> Any:
    """What stands in the tenant's column of the row; _ABSENT where it is not known."""
    value = _slot(own, row, key)[1]
    is_typed = key in own and isinstance(own[key][1], BindParameter) and not _is_plain(own[key][1])
    return _ABSENT if is_typed or isinstance(value, elements.ClauseElement) else value


def _is_plain(parameter: BindParameter[Any]) -> bool:
    """Whether its value is stored or compared as it is given."""
    return parameter.type._isnull or _is_taken(parameter.type)


def _many(statement: Any, table: _Table) -> Any:
    """The rows of values([...])."""
    made = []
    for many in statement._multi_values:
        if not all(isinstance(row, dict) for row in many):
            return statement
        made.append([_one_of_many(row, table) for row in many])
    statement = statement._generate()
    statement._multi_values = tuple(made)
    return statement


def _one_of_many(row: Mapping[Any, Any], table: _Table) -> dict[Any, Any]:
    own = {_key(key): (key, _value(value)) for key, value in row.items()}
    tenant = _of_row(own, {}, table.tenant.key)
    made = dict(row)
    if tenant is _ABSENT or table.tenant.key not in own:
        return made
    for key in table.sealed.keys() & own.keys():
        value = _slot(own, {}, key)[1]
        if value is not None and value is not _ABSENT and not isinstance(value, elements.ClauseElement):
            made[own[key][0]] = OfTenant(tenant, value)
    return made


# -- WHERE


def _no_where(_row: Row) -> Any:
    return _ABSENT


def _pinned(statement: Any, table: _Table, row: Row) -> Any:
    """The value that WHERE compares the tenant's column with, if no row of another tenant can pass."""
    stack = [*statement._where_criteria]
    while stack:
        node = stack.pop()
        if isinstance(node, elements.BooleanClauseList) and node.operator is operators.and_:
            stack += node.clauses
        elif isinstance(node, elements.Grouping):
            stack.append(node.element)
        elif isinstance(node, elements.BinaryExpression) and node.operator is operators.eq:
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if _is_same(one, table.tenant) and isinstance(other, BindParameter) and _is_plain(other):
                    value = row.get(other.key, _ABSENT if other.required else other.effective_value)
                    if value is not None and value is not _ABSENT:
                        return value
    return _ABSENT


def _is_same(one: Any, other: Any) -> bool:
    """Whether it is that very column, not one of an alias; as SQLAlchemy tells it."""
    return isinstance(one, elements.ColumnClause) and hash(one) == hash(other)


# -- ON CONFLICT


def _check_upsert(statement: Any, table: _Table) -> None:
    """The row that is there is of the same tenant where that is among what must be equal. Raises SealedColumnError."""
    upsert = getattr(statement, "_post_values_clause", None)
    pairs = getattr(upsert, "update_values_to_set", None) or ()
    assigned = {_key(key): _value(value) for key, value in (pairs.items() if isinstance(pairs, Mapping) else pairs)}
    if table.tenant.key in assigned:
        raise _refused(table, "setting the tenant in ON CONFLICT is not possible", "Let it as it is.")
    targets = {_key(target) for target in getattr(upsert, "inferred_target_elements", None) or ()}
    for key in table.sealed.keys() & assigned.keys():
        value = assigned[key]
        if value is None or isinstance(value, elements.Null):
            continue
        if getattr(getattr(value, "table", None), "name", "") != "excluded" or _key(value) != key:
            raise _refused(table, "setting it in ON CONFLICT is not possible", "Use `excluded` of the same column.")
        if table.tenant.key not in targets and table.tenant.name not in targets:
            raise _refused(
                table,
                "ON CONFLICT does not say that the row that is there is of the same tenant",
                f"Make {table.tenant.name} part of a unique index, and name it among index_elements.",
            )
