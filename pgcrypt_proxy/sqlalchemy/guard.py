"""Refuses statements that use a sealed column where ciphertext gives a wrong answer, before they are sent.

Looks at SQLAlchemy's tree, at every place where a sealed column stands: it may
be selected, tested for NULL, counted, compared by its term, and written. All
else is refused. Text that an application writes itself (`text()`) is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Exists, event
from sqlalchemy.dialects.postgresql.dml import OnConflictClause
from sqlalchemy.engine import Engine
from sqlalchemy.sql import dml, elements, functions, operators, selectable
from sqlalchemy.sql.elements import ClauseElement

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sqlalchemy import tenants
from pgcrypt_proxy.sqlalchemy.unwrapped import as_it_is


def watch() -> None:
    """Look at every statement of every engine from now on."""
    if not event.contains(Engine, "before_execute", _before_execute):
        event.listen(Engine, "before_execute", _before_execute, retval=True)


def _before_execute(
    _connection: Any, clause: Any, multiparams: Any, params: Any, _options: Any
) -> tuple[Any, Any, Any]:
    if isinstance(clause, ClauseElement):
        check(clause)
    if isinstance(clause, dml.ValuesBase):
        clause, rows = tenants.with_tenants(clause, [*multiparams] or ([params] if params else []))
        multiparams, params = (rows, {}) if len(rows) > 1 else ([], rows[0] if rows else {})
    return clause, multiparams, params


def sealed_name(node: Any) -> str | None:
    """The sealed column that an expression is of, None for others."""
    from pgcrypt_proxy.sqlalchemy.types import Sealed

    type_ = getattr(node, "type", None)
    return type_.column if isinstance(type_, Sealed) else None


def is_column(node: Any) -> bool:
    """Whether an expression is a column itself."""
    return isinstance(node, elements.ColumnClause)


def check(statement: ClauseElement) -> None:
    """Raises SealedColumnError for a place that is not known to be right."""
    seen: set[int] = set()
    stack: list[Any] = [statement]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        _check_node(node)
        if isinstance(node, dml.ValuesBase) and node is not statement:
            tenants.refuse_nested(node)
        if not isinstance(node, selectable.TableClause):
            stack += _parts(node)


def _parts(node: Any) -> Iterator[Any]:
    yield from node.get_children()
    if isinstance(node, dml.ValuesBase):
        for value in _values(node):
            if isinstance(value[1], ClauseElement):
                yield value[1]
        if isinstance(node, dml.Insert) and node.select is not None:
            yield node.select


def _check_node(node: Any) -> None:
    match node:
        case selectable.Select():
            if node._distinct and not _has_distinct_on(node):
                _none_of("DISTINCT", node.selected_columns)
            _none_of("DISTINCT ON", node._distinct_on)
            _no_order(node)
        case selectable.CompoundSelect():
            _no_order(node)
            if node.keyword is not selectable._CompoundSelectKeyword.UNION_ALL:
                _none_of(str(node.keyword.value), (c for select in node.selects for c in select.selected_columns))
            _same_columns(node)
        case functions.FunctionElement():
            _check_function(node)
        case elements.BinaryExpression():
            _check_terms(node.left, node.right)
            if node.operator not in (operators.is_, operators.is_not):
                _none_of("an operator", (node.left, node.right))
        case dml.ValuesBase():
            _check_values(node)
        case elements.Over():
            _none_of("a window", (clause for clause in (node.partition_by, node.order_by) if clause is not None))
        case elements.Label() | elements.Grouping() | elements.ClauseList() | elements.BindParameter():
            pass  # who has them in it is asked
        case elements.ColumnClause() | elements.TextClause() | Exists() | OnConflictClause() | dml.UpdateBase():
            pass
        case selectable.FromClause() | selectable.SelectStatementGrouping() | selectable.TextualSelect():
            pass
        case _:
            _none_of("an expression", node.get_children())


def _has_distinct_on(node: selectable.Select[Any]) -> bool:
    """Whether DISTINCT is one ON something, which is looked at where it stands."""
    extension = getattr(node, "_pre_columns_clause", None)
    parts = () if extension is None else (extension, *getattr(extension, "clauses", ()))
    return bool(node._distinct_on) or any(hasattr(part, "_distinct_on") for part in parts)


def _no_order(node: selectable.GenerativeSelect) -> None:
    for what, clauses in (("GROUP BY", node._group_by_clauses), ("ORDER BY", node._order_by_clauses)):
        _none_of(what, clauses)
        for clause in clauses:
            for part in _expression(clause):
                if isinstance(part, elements._textual_label_reference):
                    _none_of(what, _named(part.element, node))


def _named(name: str, node: selectable.GenerativeSelect) -> Iterator[Any]:
    """The columns that a name in ORDER BY or GROUP BY may mean."""
    froms = node.get_final_froms() if isinstance(node, selectable.Select) else ()
    for columns in (node.selected_columns, *(from_.c for from_ in froms)):
        yield from (column for column in columns if name in (column.key, getattr(column, "name", None)))


def _none_of(what: str, nodes: Any) -> None:
    for node in nodes:
        for part in _expression(node):
            _refuse_if_sealed(what, part)


def _expression(node: Any) -> Iterator[Any]:
    """The node, and what is inside labels, parentheses and lists."""
    yield node
    if isinstance(node, elements.Label | elements.Grouping | elements.UnaryExpression | elements._label_reference):
        yield from _expression(node.element)
    elif isinstance(node, elements.ClauseList):
        for clause in node.clauses:
            yield from _expression(clause)


def _refuse_if_sealed(what: str, node: Any) -> None:
    name = sealed_name(node)
    if name is not None and not isinstance(node, elements.BindParameter):
        _refuse(what, name)


_HINT = "Select the column and do this in the application, or compare it with = or IN."


def _refuse(what: str, name: str, hint: str = _HINT) -> None:
    raise as_it_is(Refusal(f'{what} is not possible on sealed column "{name}"', hint=hint))


def is_term(node: functions.FunctionElement[Any]) -> bool:
    """Whether it is one of the functions of schema pgcrypt that give a column's term, as the type makes them."""
    from pgcrypt_proxy.sqlalchemy.types import Term

    return getattr(node, "packagenames", ()) == ("pgcrypt",) and isinstance(node.type, Term)


def _check_function(node: functions.FunctionElement[Any]) -> None:
    name = getattr(node, "name", "")
    if not is_term(node) and (name != "count" or getattr(node, "packagenames", ())):
        _none_of(f"{name}()", node.clauses)


def _check_terms(left: Any, right: Any) -> None:
    """A term is compared with a value that becomes a term, or with one of a column of the same index domain."""
    from pgcrypt_proxy.sqlalchemy.types import Term

    sides = [part for part in (left, right) if isinstance(part, functions.FunctionElement) and is_term(part)]
    for term in sides:
        other = right if term is left else left
        if isinstance(term.type, Term) and not isinstance(getattr(other, "type", None), Term):
            _refuse("a comparison with something else than a value", term.type.column)
    compared = [part.type for part in sides if isinstance(part.type, Term)]
    if len(compared) < 2:
        return
    columns = [term.sealer.column(term.column, term.tenant) for term in compared]
    for own, column in zip(compared, columns, strict=True):
        if "equality" not in column.search:
            _refuse("a comparison", own.column, "Its rule has no search: [equality].")
    if columns[0].index_domain != columns[1].index_domain or compared[0].sealer is not compared[1].sealer:
        _refuse("a comparison", compared[0].column, "The other column is of another index domain.")


def _same_columns(node: selectable.CompoundSelect[Any]) -> None:
    """Columns that are put below each other are the same sealed column, or none of them is sealed."""
    for row in zip(*(select.selected_columns for select in node.selects), strict=False):
        found = {sealed_name(column) for column in row}
        if len(found) > 1:
            _refuse("a set operation with another column", next(name for name in found if name is not None))


def _values(node: dml.ValuesBase) -> Iterator[tuple[Any, Any]]:
    """What is assigned: (column, value)."""
    columns = getattr(node.table, "c", {})
    for key, value in _assignments(node):
        clause = value.__clause_element__() if hasattr(value, "__clause_element__") else value
        yield columns.get(key, key) if isinstance(key, str) else key, clause


def _assignments(node: dml.ValuesBase) -> Iterator[tuple[Any, Any]]:
    yield from (node._values or {}).items()
    for many in node._multi_values or ():
        for row in many:
            yield from (row.items() if isinstance(row, dict) else ())
    yield from getattr(node, "_ordered_values", None) or ()
    upsert = getattr(node, "_post_values_clause", None)
    pairs = getattr(upsert, "update_values_to_set", None) or ()
    yield from pairs.items() if isinstance(pairs, Mapping) else pairs
    if isinstance(node, dml.Insert) and node.select is not None:
        yield from zip(node._select_names or (), getattr(node.select, "selected_columns", ()), strict=False)


def _check_values(node: dml.ValuesBase) -> None:
    """A column may be set to a value, or to itself in another row. A value of a type of its own would go as it is."""
    for key, value in _values(node):
        if not isinstance(value, ClauseElement) or isinstance(value, elements.Null):
            continue
        if isinstance(value, elements.BindParameter) and value.type._isnull:
            continue  # it gets the column's type
        target, source = sealed_name(key), sealed_name(value)
        if target != source:
            _refuse("a copy of another column or a value of another type", str(target or source))
