"""SQL's PREPARE, EXECUTE and DEALLOCATE: what their texts say, before anything is known of what a name means.

The statement inside PREPARE is planned by itself, as a Parse of it would be,
and its rewriting is put into the text; parameters that become envelopes or
terms are declared as such. EXECUTE is only read here: see `executing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import operands, refuse
from pgcrypt_proxy.sql.edits import Edit
from pgcrypt_proxy.sql.operands import NotAnOperand, Operand
from pgcrypt_proxy.sql.parse import Node, ParsedText, Statement
from pgcrypt_proxy.sql.plan import (
    ALL_PREPARED,
    Argument,
    Execution,
    LiteralSlot,
    ParameterUse,
    Plan,
    Prepared,
    StatementPlan,
    Use,
    sealed_beside,
)
from pgcrypt_proxy.values.casts import is_assignable, is_comparable, is_foldable, no_operator
from pgcrypt_proxy.values.database_types import DatabaseTypes
from pgcrypt_proxy.values.types import UNKNOWN_OID, LogicalType, array_of, type_by_name, without_modifier

_BYTEA = "pg_catalog.bytea"
#: A parameter declared so has the type that the server infers, as one that is not declared.
_UNKNOWN = "pg_catalog.unknown"
_TEXT = type_by_name("text")
_STORES = frozenset({Use.SEAL, Use.SEAL_ARRAY, Use.ALIKE})
_EQUALITY = frozenset({Use.TERM, Use.TERM_ARRAY})


@dataclass(frozen=True, slots=True)
class Declared:
    """A type of PREPARE's list: its characters, and what it is: None for one that is no logical type."""

    written: str
    type: LogicalType | None
    is_array: bool = False
    is_unknown: bool = False

    @property
    def oid(self) -> int:
        """0 when it is not known here."""
        if self.is_unknown:
            return UNKNOWN_OID
        if self.type is None:
            return 0
        return self.type.array_oid if self.is_array else self.type.parameter_oid


_BY_PROTOCOL = "Run it by the extended query protocol, with a driver's parameters."


def deallocated(kind: str, tree: Node) -> str | None:
    """What DEALLOCATE or DISCARD ALL takes away: a name, ALL_PREPARED, or None for other statements."""
    if kind == "DeallocateStmt":
        return str(tree.get("name", ALL_PREPARED))
    if kind == "DiscardStmt" and tree.get("target", "DISCARD_ALL") == "DISCARD_ALL":
        return ALL_PREPARED
    return None


# -- PREPARE


def prepare(statement: Statement, text: ParsedText, plan_of: Callable[[str], Plan]) -> tuple[StatementPlan, list[Edit]]:
    """The plan of a PREPARE, and the edits that make it. `plan_of` plans one statement's text. Raises Refusal."""
    try:
        return _prepared(statement, text, plan_of)
    except (NotAnOperand, ValueError, IndexError):  # the tokens are not those that the tree was made of
        raise refuse.form("this spelling of PREPARE") from None


def _prepared(
    statement: Statement, text: ParsedText, plan_of: Callable[[str], Plan]
) -> tuple[StatementPlan, list[Edit]]:
    tokens = text.tokens
    first = _first_token(statement, text)
    opening, at = None, first + 2
    while tokens[at].name != "AS":
        if tokens[at].name == "ASCII_40":
            opening = at
            at = text.token_index[operands.closing(text, at) - 1]
        at += 1
    start = tokens[at + 1].start
    sql = text.sql[start : statement.end]
    spans = items(text, opening) if opening is not None else []
    types = [
        _declared(node["TypeName"], text.sql[slice(*span)], text.types)
        for node, span in zip(statement.tree.get("argtypes", ()), spans, strict=True)
    ]
    plan = plan_of(sql)
    if plan.refusal is not None:
        return StatementPlan(is_untouched=False, refusal=_moved_refusal(plan.refusal, start)), []
    if plan.seals_of_tenants:
        raise refuse.form("PREPARE of a statement that stores values of tenants", hint=_BY_PROTOCOL)
    made = Prepared(statement.tree["name"], sql, plan, tuple(declared.oid for declared in types))
    tables = tuple(sorted({table for inner in plan.statements for table in inner.tables}))
    if plan.is_untouched:
        return StatementPlan(is_untouched=True, tables=tables, prepares=made), []
    for use in plan.parameters:
        if use.client_index < len(types):
            _check(use, types[use.client_index])
    edits = [Edit(start + s.start, start + s.end, tuple(moved(part, start) for part in s.parts)) for s in plan.splices]
    if any(use.use is not Use.PASS for use in plan.parameters):
        if opening is None:
            place = tokens[at - 1].end
            edits.append(Edit(place, place, (f" ({_types(plan.parameters, types)})",)))
        else:
            end = operands.closing(text, opening)
            edits.append(Edit(tokens[opening].start, end, (f"({_types(plan.parameters, types)})",)))
    return StatementPlan(is_untouched=not edits, tables=tables, prepares=made), edits


def moved(part: str | LiteralSlot, by: int) -> str | LiteralSlot:
    """The part of a statement that begins `by` characters later in another text."""
    return part if isinstance(part, str) else replace(part, position=part.position + by, at=part.at + by)


def _moved_refusal(refusal: Refusal, by: int) -> Refusal:
    position = None if refusal.position is None else refusal.position + by
    return Refusal(refusal.message, detail=refusal.detail, hint=refusal.hint, position=position, sqlstate=refusal.code)


def _first_token(statement: Statement, text: ParsedText) -> int:
    return next((n for n, token in enumerate(text.tokens) if token.start >= statement.start), len(text.tokens))


def items(text: ParsedText, opening: int) -> list[tuple[int, int]]:
    """The characters of each item of the list whose parenthesis is token `opening`."""
    tokens = text.tokens
    end = operands.closing(text, opening)
    found: list[tuple[int, int]] = []
    depth, begun = 0, opening + 1
    for index in range(opening, len(tokens)):
        name = tokens[index].name
        depth += {"ASCII_40": 1, "ASCII_91": 1, "ASCII_41": -1, "ASCII_93": -1}.get(name, 0)
        if (depth == 1 and name == "ASCII_44") or tokens[index].end == end:
            found.append((tokens[begun].start, tokens[index - 1].end))
            begun = index + 1
        if tokens[index].end == end:
            break
    return found


def _declared(type_name: Node, written: str, types: DatabaseTypes) -> Declared:
    names = [part["String"].get("sval", "") for part in type_name.get("names", ())]
    if names in (["unknown"], ["pg_catalog", "unknown"]) and not type_name.get("arrayBounds"):
        return Declared(written, None, is_unknown=True)
    try:
        found, is_array = operands.logical_type(type_name, types)
    except NotAnOperand:
        return Declared(written, None)
    return Declared(written, without_modifier(found), is_array)


def _types(parameters: Sequence[ParameterUse], types: Sequence[Declared]) -> str:
    """The type list upstream: bytea for what is sealed, what the client said or nothing for what passes."""
    written = []
    for use in parameters:
        if use.use is not Use.PASS:
            written.append(_BYTEA + "[]" * use.use.is_array)
        elif use.client_index < len(types):
            written.append(types[use.client_index].written)
        elif (beside := sealed_beside(use, parameters)) is not None and beside.type is not None:
            written.append(beside.type.base.sql + "[]" * beside.use.is_array)
        else:
            written.append(_UNKNOWN)
    return ", ".join(written)


def _check(use: ParameterUse, declared: Declared) -> None:
    """Raises Refusal unless a value of the declared type can become what `use` says."""
    column = use.column
    if use.use is Use.PASS or column is None or declared.is_unknown:
        return
    given, is_array = declared.type, declared.is_array
    if given is not None and is_array and column.type.element is not None:
        given, is_array = array_of(given), False
    if given is None or is_array != use.use.is_array:
        raise Refusal(
            f'parameter ${use.client_index + 1} is for protected column "{column.qualified_name}"'
            " and is declared with a type that is not supported",
            hint="Declare it with the column's type, or leave its type out.",
        )
    if use.cast is not None:
        return  # the statement's own cast stands between
    if use.use in _STORES:
        if not is_assignable(given, column.type):
            raise Refusal(
                f'column "{column.name}" is of type {column.type} but expression is of type {given}',
                hint="You will need to rewrite or cast the expression.",
                sqlstate="42804",
            )
    elif not (is_comparable(column.type, given) if use.use in _EQUALITY else is_foldable(given)):
        error = no_operator(column.type, given)
        raise Refusal(error.message, hint="Declare the parameter with the column's type.", sqlstate=error.code)


# -- EXECUTE


def execution(statement: Statement, text: ParsedText) -> Execution | None:
    """The EXECUTE that a statement is, or explains, or makes a table of. Raises Refusal for some spellings."""
    kind, tree = statement.kind, statement.tree
    is_explained = makes_table = False
    while kind in ("ExplainStmt", "CreateTableAsStmt") and "query" in tree:
        is_explained |= kind == "ExplainStmt"
        makes_table |= kind == "CreateTableAsStmt"
        ((kind, tree),) = tree["query"].items()
    if kind != "ExecuteStmt":
        return None
    try:
        return _execution(statement, tree, text, is_explained, makes_table)
    except (NotAnOperand, ValueError, IndexError):
        raise refuse.form("this spelling of EXECUTE") from None


def _execution(statement: Statement, tree: Node, text: ParsedText, is_explained: bool, makes_table: bool) -> Execution:
    tokens = text.tokens
    at = _first_token(statement, text)
    while tokens[at].name != "EXECUTE":
        at += 1
    at += 2  # behind the name
    if at + 1 < len(tokens) and tokens[at].name == "UESCAPE":
        at += 2
    params = tree.get("params", [])
    if not params:
        place = tokens[at - 1].end
        return Execution(tree["name"], (), place, place, is_explained, makes_table)
    if tokens[at].name != "ASCII_40":
        raise NotAnOperand
    spans = items(text, at)
    arguments = tuple(_argument(node, text, *span) for node, span in zip(params, spans, strict=True))
    return Execution(tree["name"], arguments, tokens[at].start, operands.closing(text, at), is_explained, makes_table)


def _argument(node: Node, text: ParsedText, start: int, end: int) -> Argument:
    inner = node["TypeCast"]["arg"] if "TypeCast" in node else node
    try:
        if "A_ArrayExpr" in inner:
            return Argument(start, end, _elements(node, inner["A_ArrayExpr"], text), is_constructor=True)
        operand = operands.read(node, text)
    except NotAnOperand:
        return Argument(start, end, None)
    if operand.parameter is not None:
        return Argument(start, end, None)
    return Argument(start, end, (operand,))


def _elements(node: Node, array: Node, text: ParsedText) -> tuple[Operand, ...]:
    """The literals of `ARRAY[...]`, each with the type that it has there. Raises NotAnOperand."""
    elements = [operands.read(element, text) for element in array.get("elements", [])]
    cast = None
    if "TypeCast" in node:
        cast, is_array = operands.logical_type(node["TypeCast"]["typeName"], text.types)
        if not is_array:
            raise NotAnOperand
    types = {element.cast for element in elements if element.cast is not None}
    if any(element.is_array or element.parameter is not None for element in elements) or len(types) > (cast is None):
        raise NotAnOperand
    return tuple(element.with_cast(next(iter(types), cast or _TEXT)) for element in elements)
