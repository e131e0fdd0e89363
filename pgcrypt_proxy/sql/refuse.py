"""Refusals: what cannot be done with a protected column, each with its reason and way out."""

from __future__ import annotations

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.values.codec import has_equality

#: Ways out, by what was asked for; the first part of a construct's words.
NO_ORDER = "Values are not ordered on the server: order by other columns, or in the application."
_NO_PATTERN = (
    "Search for whole values, or by other columns, and filter in the application;"
    ' without regard to case with "search: [equality_casefold]", lower() = and ILIKE without wildcards.'
)
_NO_AGGREGATE = "Select the values row by row and put them together in the application."
_NO_COLLATION = "Leave COLLATE out: values are compared as they are, in no collation."
_HINTS = {
    **dict.fromkeys(("ORDER BY", "BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"), NO_ORDER),
    **dict.fromkeys((f"operator {sign}" for sign in ("<", ">", "<=", ">=")), NO_ORDER),
    **dict.fromkeys((f"function {name}()" for name in ("min", "max")), NO_ORDER),
    "GREATEST/LEAST": NO_ORDER,
    **dict.fromkeys(("LIKE", "ILIKE", "SIMILAR TO"), _NO_PATTERN),
    **dict.fromkeys((f"operator {sign}" for sign in ("~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*")), _NO_PATTERN),
    **dict.fromkeys(
        (f"function {name}()" for name in ("array_agg", "string_agg", "json_agg", "jsonb_agg")), _NO_AGGREGATE
    ),
    "COLLATE": _NO_COLLATION,
}


def construct(column: ProtectedColumn, what: str, position: int | None = None, *, hint: str | None = None) -> Refusal:
    """`what` (an SQL construct in words) needs the plaintext of `column` on the server."""
    return Refusal(
        f'{what} is not possible on protected column "{column.qualified_name}"',
        hint=hint or _HINTS.get(what) or "Select the column itself and do this in the application.",
        position=position,
    )


def needs_search(column: ProtectedColumn, position: int | None) -> Refusal:
    """An equality predicate on a column without index terms."""
    hint = 'Add "search: [equality]" to its rule, then protect the column anew.'
    if not has_equality(column.type):
        hint = f"Values of type {column.type.base} have no equality that the proxy can search for."
        if column.type.name == "citext":
            hint = 'Compare lower(column) = lower(value), with "search: [equality_casefold]" in its rule.'
    return Refusal(
        f'protected column "{column.qualified_name}" is not searchable',
        hint=hint,
        position=position,
    )


def needs_folded(column: ProtectedColumn, what: str, mode: str, position: int | None) -> Refusal:
    """A comparison without regard to case on a column without the terms of that search mode."""
    serves = (
        "upper() =, as Django's iexact asks," if mode == "equality_upper" else "lower() = and ILIKE without wildcards"
    )
    return Refusal(
        f'{what} is not possible on protected column "{column.qualified_name}"',
        hint=f'For {serves} add "search: [{mode}]" to its rule, then protect the column anew.',
        position=position,
    )


def pattern(column: ProtectedColumn) -> Refusal:
    """An ILIKE whose value turned out to be a pattern."""
    return Refusal(
        f'ILIKE with a wildcard or backslash is not possible on protected column "{column.qualified_name}"',
        hint="Patterns cannot be searched for: select by other columns and filter in the application.",
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


def withheld(column: ProtectedColumn, position: int | None) -> Refusal:
    """The column was imported, and its rule says still that the application encrypts it itself."""
    return Refusal(
        f'column "{column.qualified_name}" was imported, and its rule says phase: importing',
        hint="When no application encrypts it itself any more, take phase out of the rule, and reload the proxies.",
        position=position,
        sqlstate="55000",
    )


def unmet(schema: str, table: str, position: int | None) -> Refusal:
    """The rules name a table that the database lacks."""
    return Refusal(
        f'table "{schema}.{table}" is named in the rules but its protected columns are not in the database',
        hint="Create the table first, through the proxy; or on a direct connection, and run: pgcrypt-proxy protect",
        position=position,
        sqlstate="55000",
    )


def moving(relation: Relation, position: int | None) -> Refusal:
    """DDL on a table whose column changes its form beside applications."""
    return Refusal(
        f'a column of "{relation.qualified_name}" is being sealed or made plain',
        hint="Wait for it: the table can be changed when that is done.",
        position=position,
        sqlstate="55000",
    )


def absent(column: ProtectedColumn) -> Refusal:
    """The table lacks a column that rules name, or somebody is just adding it."""
    return Refusal(
        f'column "{column.qualified_name}" does not exist',
        hint="It is named in the rules: a migration through the proxy must add it.",
        sqlstate="42703",
    )


def not_ready(column: ProtectedColumn, position: int | None) -> Refusal:
    """DDL would make a column that rules name, and there is no sealed type for it."""
    return Refusal(
        f'column "{column.qualified_name}" is named in the rules and its sealed type is not made yet',
        hint="With absent_columns: wait the proxy makes it, outside open transactions. Or create the table on a direct"
        " connection, then run: pgcrypt-proxy protect",
        position=position,
        sqlstate="55000",
    )


def other_type(column: ProtectedColumn, position: int | None) -> Refusal:
    """DDL gives a protected column another type than its rule says."""
    return Refusal(
        f'the rules say that protected column "{column.qualified_name}" is {column.type}, the statement says otherwise',
        hint="Declare that type, or correct the rule; a column that holds values must be unprotected,"
        " altered, and protected again.",
        position=position,
    )


def behind_reshaping() -> Refusal:
    """A later statement of the same text would have to be planned for what an earlier one makes of the tables."""
    return Refusal(
        "a statement on protected tables cannot stand behind one that changes them in the same text",
        hint="Send the statements one by one; they can be in one transaction.",
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
        hint="List the columns that are needed, and make rows or JSON of them in the application.",
        position=position,
    )


def shown_row(relation: Relation, position: int | None) -> Refusal:
    """A whole-row value of a table of which clients see other columns than the server has."""
    return Refusal(
        f'a whole-row value of "{relation.qualified_name}" has its columns in another order, or more of them,'
        " than clients see",
        hint="List the columns that are needed.",
        position=position,
    )


def rearranged(what: str, relation: Relation, position: int | None, *, hint: str | None = None) -> Refusal:
    """DDL in which the columns of a table count that clients see differently."""
    return Refusal(
        f'{what} is not supported on "{relation.qualified_name}", whose columns clients see in another order',
        hint=hint or "Run it on a direct connection if it must be done.",
        position=position,
        sqlstate="55000",
    )


def order_unknown(relation: Relation, position: int | None) -> Refusal:
    """The columns of a table are not named where their order counts, and nobody knows it any more."""
    return Refusal(
        f'the order of the columns of "{relation.qualified_name}" is not known: columns were renamed or dropped'
        " since one was sealed or made plain",
        hint="Name the columns; or correct what pgcrypt.shown_order says of the table.",
        position=position,
        sqlstate="55000",
    )


def statement(what: str, tables: str, position: int | None = None, *, hint: str | None = None) -> Refusal:
    """A kind of statement that the proxy does not pass on for protected tables."""
    return Refusal(
        f'{what} is not supported on protected table "{tables}"',
        hint=hint or "Run it on a direct connection if it must be done.",
        position=position,
    )


def form(what: str, position: int | None = None, *, hint: str | None = None) -> Refusal:
    """SQL near a protected column that the proxy does not understand."""
    return Refusal(
        f"{what} is not supported in a statement that touches a protected table",
        hint=hint or "Write the statement without it, or take the protected table out of it.",
        position=position,
    )


def unsafe(position: int | None = None) -> Refusal:
    """The rewritten text would not be what was meant."""
    return Refusal(
        "the statement cannot be rewritten safely",
        hint="Write it more simply: columns without parentheses around them, subqueries of their own.",
        position=position,
    )


def function(name: str, position: int | None) -> Refusal:
    """A function whose body, or whose argument, is SQL that may touch protected tables."""
    return Refusal(
        f'function "{name}" may touch protected tables where it cannot be seen',
        hint="Write its statements in the application, or keep protected tables out of its body.",
        position=position,
    )


def hazard(event: str, what: str, relation: Relation, position: int | None) -> Refusal:
    """A write that sets off code in the database which may move protected values."""
    return Refusal(
        f'{event} on "{relation.schema}.{relation.name}" sets off {what}, which may move protected values',
        hint="Disable it, let its body keep away from protected columns and whole rows,"
        " or name its function in safe_functions.",
        position=position,
    )


def dynamic_code() -> Refusal:
    """DO with code that makes SQL at run time, or is in a language that is not looked into."""
    return Refusal(
        "DO with code that builds SQL at run time may touch protected tables where it cannot be seen",
        hint="Write its statements out, or run it on a direct connection.",
    )


def untyped_null_test(number: int, position: int) -> Refusal:
    """IS NULL on a parameter whose type shows only behind it."""
    return Refusal(
        f"IS NULL on parameter ${number}, which is also a protected column's value, is not supported without a cast",
        hint=f"Write ${number}::text IS NULL, with the column's type.",
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


def behind_moved_names() -> Refusal:
    """A name that several relations bear, behind what may have changed the search_path."""
    return Refusal(
        "a table's name that others bear too cannot be used behind a statement that may change what it means",
        hint="Qualify the name with its schema, or send the statements one by one.",
    )


def unsettled_settings(position: int | None = None) -> Refusal:
    """Values cannot be read while a change of time zone, DateStyle or encoding is not answered yet."""
    return Refusal(
        "protected columns cannot be used behind a change of time zone, DateStyle or encoding that is not done yet",
        hint="Send the SET statement by itself and wait for its answer.",
        position=position,
    )


def unknown_tenant(column: ProtectedColumn, position: int | None = None) -> Refusal:
    """A value of a column with tenants, in a row of which the statement does not say whose it is."""
    name = column.tenant.column if column.tenant is not None else ""
    return Refusal(
        f'the tenant of a value for protected column "{column.qualified_name}" is not known',
        hint=f'Give "{name}" as a parameter or literal: in the row of an INSERT, in the WHERE of an UPDATE'
        f" (AND {name} = ...), among the columns of ON CONFLICT or COPY.",
        position=position,
    )


def unsettled_tenant() -> Refusal:
    """A statement of the session's tenant, behind one of the same text that may set another."""
    return Refusal(
        "the session's tenant may be another one behind an earlier statement of the same text",
        hint="Send the statements one by one.",
    )


def literal_of_tenant(column: ProtectedColumn, position: int | None = None) -> Refusal:
    """A literal in a row whose tenant is a parameter."""
    return Refusal(
        f'a literal for protected column "{column.qualified_name}" beside a parameter that names the tenant is not'
        " possible",
        hint="Give both as parameters, or both as literals.",
        position=position,
    )
