"""Refusals: what cannot be done with a protected column, each with its reason and way out."""

from __future__ import annotations

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation


def construct(column: ProtectedColumn, what: str, position: int | None = None, *, hint: str | None = None) -> Refusal:
    """`what` (an SQL construct in words) needs the plaintext of `column` on the server."""
    return Refusal(
        f'{what} is not possible on protected column "{column.qualified_name}"',
        hint=hint or "Select the column itself and do this in the application.",
        position=position,
    )


def needs_search(column: ProtectedColumn, position: int | None) -> Refusal:
    """An equality predicate on a column without index terms."""
    return Refusal(
        f'protected column "{column.qualified_name}" is not searchable',
        hint='Add "search: [equality]" to its rule, then protect the column anew.',
        position=position,
    )


def value_form(column: ProtectedColumn, position: int | None = None) -> Refusal:
    """A value for the column that is no parameter, literal, NULL or DEFAULT."""
    return Refusal(
        f'only a parameter, a literal, NULL or DEFAULT can be stored in protected column "{column.qualified_name}"',
        hint="Compute the value in the application and pass it as a parameter.",
        position=position,
    )


def operand_form(column: ProtectedColumn, position: int | None) -> Refusal:
    """A comparison with something else than a parameter, literal or column of the same index domain."""
    return Refusal(
        f'protected column "{column.qualified_name}" can only be compared with a parameter, a literal'
        " or a searchable column of the same index domain",
        hint="Compute the value in the application and pass it as a parameter.",
        position=position,
    )


def unarmed(column: ProtectedColumn, position: int | None) -> Refusal:
    """The rules name the column but the database still holds plaintext there."""
    return Refusal(
        f'column "{column.qualified_name}" is named in the rules but is not sealed yet',
        hint=f"Run: pgcrypt-proxy protect --table {column.schema}.{column.table}",
        position=position,
        sqlstate="55000",
    )


def unmet(schema: str, table: str, position: int | None) -> Refusal:
    """The rules name a table that the database lacks."""
    return Refusal(
        f'table "{schema}.{table}" is named in the rules but its protected columns are not in the database',
        hint="Create the table on a direct connection, then run: pgcrypt-proxy protect",
        position=position,
        sqlstate="55000",
    )


def derived(relation: Relation, position: int | None) -> Refusal:
    """A view, or an inheritance relative, of a protected table."""
    return Refusal(
        f'relation "{relation.schema}.{relation.name}" is made from protected columns, which is not supported',
        hint="Query the protected table itself.",
        position=position,
    )


def whole_row(table: str, position: int | None) -> Refusal:
    """A whole-row value would carry envelopes inside a composite."""
    return Refusal(
        f'a whole-row value of "{table}" would contain protected columns',
        hint="List the columns that are needed.",
        position=position,
    )


def statement(what: str, tables: str, position: int | None = None, *, hint: str | None = None) -> Refusal:
    """A kind of statement that the proxy does not pass on for protected tables."""
    return Refusal(
        f'{what} is not supported on protected table "{tables}"',
        hint=hint or "Run it on a direct connection if it must be done.",
        position=position,
    )


def form(what: str, position: int | None = None) -> Refusal:
    """SQL near a protected column that the proxy does not understand."""
    return Refusal(
        f"{what} is not supported in a statement that touches a protected table",
        hint="Write the statement without it, or take the protected table out of it.",
        position=position,
    )


def function(name: str, position: int | None) -> Refusal:
    """A function whose body, or whose argument, is SQL that may touch protected tables."""
    return Refusal(
        f'function "{name}" may touch protected tables where it cannot be seen',
        hint="Write its statements in the application, or keep protected tables out of its body.",
        position=position,
    )


def unparsable(reason: str, position: int | None) -> Refusal:
    """The text could not be parsed and mentions a protected table, so nothing of it may pass."""
    return Refusal(
        f"{reason}, and the text mentions a protected table",
        hint="Nothing was sent to the server. Correct the statement.",
        position=position,
        sqlstate="42601",
    )


def unsettled_settings(position: int | None = None) -> Refusal:
    """Values cannot be read while a change of time zone, DateStyle or encoding is not answered yet."""
    return Refusal(
        "protected columns cannot be used behind a change of time zone, DateStyle or encoding that is not done yet",
        hint="Send the SET statement by itself and wait for its answer.",
        position=position,
    )
