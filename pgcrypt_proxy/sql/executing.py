"""SQL's EXECUTE beside the plan of the prepared statement that it names: its arguments become what that plan demands.

The plan of an EXECUTE's text says only what is written; what the name means is
known in the client's session, which asks for this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.edits import Edit, Piece, render
from pgcrypt_proxy.sql.operands import Operand
from pgcrypt_proxy.sql.plan import (
    ELEMENT_USES,
    Argument,
    Assigned,
    Execution,
    LiteralSlot,
    ParameterUse,
    Plan,
    Prepared,
    StatementPlan,
    Use,
    declared_type,
    own_type,
)
from pgcrypt_proxy.values.types import UNKNOWN_OID, LogicalType, without_modifier


def executing(sql: str, plan: Plan, prepared: Sequence[Prepared | None], *, hides_unknown: bool) -> Plan:
    """The plan of `sql`, once it is known what it executes: `prepared` in the order of the statements that do.

    None stands for a name that means nothing, as far as is known. `hides_unknown`: there are protected columns,
    so its arguments stay here, since they may be for one. Raises Refusal.
    """
    edits = [Edit(s.start, s.end, s.parts) for s in plan.splices]
    found = iter(prepared)
    statements: list[StatementPlan] = []
    is_doubtful = False
    for planned in plan.statements:
        if planned.executes is not None and planned.refusal is None:
            made = next(found)
            planned = _executed(sql, planned, planned.executes, made, edits, hides_unknown)
        if is_doubtful and not planned.is_untouched:
            raise refuse.unsettled_settings()
        is_doubtful = is_doubtful or planned.changes_settings
        statements.append(planned)
    is_untouched = all(s.is_untouched for s in statements)
    if is_untouched:
        return Plan(is_untouched=True, statements=tuple(statements))
    pieces, splices = render(sql, edits, {})
    return Plan(False, tuple(statements), pieces, splices, plan.parameters, plan.client_parameters)


def _executed(
    sql: str,
    planned: StatementPlan,
    execution: Execution,
    prepared: Prepared | None,
    edits: list[Edit],
    hides_unknown: bool,
) -> StatementPlan:
    if prepared is None:
        start, end = execution.arguments_start, execution.arguments_end
        if start == end or not hides_unknown:
            return planned
        edits.append(Edit(start, end, (" ",)))
        return replace(planned, is_untouched=False)
    inner = prepared.plan
    if inner.is_about_prepared and hides_unknown:  # one that was prepared by the protocol can be any statement
        raise Refusal(
            f'EXECUTE is not possible on prepared statement "{execution.name}", which speaks of another one',
            hint="Run it by the extended query protocol, as it was prepared.",
        )
    planned = replace(
        planned,
        is_ddl=planned.is_ddl or inner.is_ddl,
        changes_settings=planned.changes_settings or inner.changes_settings,
        ends_transaction=planned.ends_transaction or inner.ends_transaction,
        tables=tuple(sorted({table for statement in inner.statements for table in statement.tables})),
    )
    if inner.is_untouched:
        return planned
    (statement,) = inner.statements
    outputs = statement.outputs
    if inner.seals_of_tenants:
        raise refuse.form(
            "EXECUTE of a statement that stores values of tenants",
            hint="Run it by the extended query protocol, as it was prepared.",
        )
    if execution.makes_table:
        column = next((column for column in outputs or () if column is not None), None)
        if column is not None:
            hint = "Create the table, protect its column, then copy in the application."
            raise refuse.construct(column, "CREATE TABLE AS", hint=hint)
    if execution.makes_table or execution.is_explained:
        outputs = None
    edits += _arguments(sql, execution, prepared)
    return replace(
        planned,
        is_untouched=False,
        outputs=outputs,
        of_tenants=statement.of_tenants,
        needs_tenant=statement.needs_tenant,
    )


def _arguments(sql: str, execution: Execution, prepared: Prepared) -> list[Edit]:
    """What becomes of the arguments: those for sealed parameters change, and further parameters get their own."""
    plan, given = prepared.plan, execution.arguments
    required = max(plan.client_parameters, len(prepared.parameter_type_oids))
    if len(given) != required:
        raise Refusal(
            f'wrong number of parameters for prepared statement "{execution.name}"',
            detail=f"Expected {required} parameters but got {len(given)}.",
            sqlstate="42601",
        )
    if not plan.parameters:
        return []
    edits = []
    direct, further = plan.parameters[: plan.client_parameters], plan.parameters[plan.client_parameters :]
    for use, argument in zip(direct, given, strict=False):
        if use.use is not Use.PASS:
            edits.append(Edit(argument.start, argument.end, _made(execution, prepared, use, argument)))
    unused = given[plan.client_parameters :]
    if unused or further:
        if any(argument.literals is None for argument in unused):
            raise _form(execution, len(given), unused[0].start)
        tail: list[Piece] = []
        for use in further:
            argument = given[use.client_index]
            if use.use is not Use.PASS:
                tail += [", ", *_made(execution, prepared, use, argument)]
            elif argument.literals is not None:
                tail.append(f", {sql[argument.start : argument.end]}")
            else:
                raise _form(execution, use.client_index + 1, argument.start)
        start = given[plan.client_parameters - 1].end
        edits.append(Edit(start, execution.arguments_end - 1, tuple(tail)))
    return edits


def _made(execution: Execution, prepared: Prepared, use: ParameterUse, argument: Argument) -> tuple[Piece, ...]:
    """What an argument becomes upstream."""
    column, literals = use.column, argument.literals
    assert column is not None
    if literals is None or argument.is_constructor > use.use.is_array:
        raise _form(execution, use.client_index + 1, argument.start)
    declared = without_modifier(_declared(prepared, use, column) or use.cast or own_type(use.use, column, use.default))
    if argument.is_constructor:
        made: list[Piece] = ["ARRAY["]
        element_use = replace(use, use=ELEMENT_USES[use.use])
        for number, element in enumerate(literals):
            made += [", "] * bool(number) + [_slot(element, element_use, declared)]
        return (*made, "]::pg_catalog.bytea[]")
    (literal,) = literals
    if column.type.element is not None:
        literal = literal.as_value()
    if literal.cast is not None and literal.is_array != use.use.is_array:
        raise _form(execution, use.client_index + 1, argument.start)
    return (_slot(literal, use, declared),)


def _declared(prepared: Prepared, use: ParameterUse, column: ProtectedColumn) -> LogicalType | None:
    """The type that the parameter was declared with, None for none. Raises Refusal for what is not known here."""
    oids = prepared.parameter_type_oids
    oid = oids[use.client_index] if use.client_index < len(oids) else 0
    if oid in (0, UNKNOWN_OID):
        return None
    found = declared_type(column, oid, is_array=use.use.is_array)
    if found is None:
        raise Refusal(
            f'parameter ${use.client_index + 1} is for protected column "{column.qualified_name}"'
            " and was declared with a type that is not supported",
            hint="Declare it with the column's type, or leave its type out.",
        )
    return found


def _slot(literal: Operand, use: ParameterUse, declared: LogicalType) -> LiteralSlot:
    assert use.column is not None
    assigned = Assigned(literal.cast, declared)
    return LiteralSlot(literal.text, use.use, use.column, use.cast, literal.start + 1, use.default, assigned)


def _form(execution: Execution, number: int, start: int) -> Refusal:
    return Refusal(
        f'only a literal or NULL can be given for parameter ${number} of prepared statement "{execution.name}",'
        " which is for a protected column",
        hint="Compute the value in the application and write it as a literal, or run the statement by a driver's"
        " parameters.",
        position=start + 1,
    )
