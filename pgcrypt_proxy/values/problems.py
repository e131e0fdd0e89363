"""PostgreSQL's errors for bad values, with its SQLSTATEs and wording, but never the value."""

from __future__ import annotations

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.types import LogicalType


def bad_syntax(type_name: str) -> InvalidValue:
    return InvalidValue(f"invalid input syntax for type {type_name}")


def bad_datetime(type_name: str) -> InvalidValue:
    return InvalidValue(
        f"invalid input syntax for type {type_name}",
        hint="Write dates and times in ISO form, as in 2024-12-31 23:59:59+00.",
        sqlstate="22007",
    )


def datetime_out_of_range(type_name: str) -> InvalidValue:
    return InvalidValue(f"{type_name} out of range", sqlstate="22008")


def field_out_of_range(type_name: str) -> InvalidValue:
    return InvalidValue(
        "date/time field value out of range", sqlstate="22008", hint=f"The value is of type {type_name}."
    )


def out_of_range(type_name: str) -> InvalidValue:
    return InvalidValue(f"value out of range for type {type_name}", sqlstate="22003")


def bad_binary(type_name: str) -> InvalidValue:
    return InvalidValue(f"incorrect binary data format for type {type_name}", sqlstate="22P03")


def no_cast(source: LogicalType, target: LogicalType) -> InvalidValue:
    return InvalidValue(
        f"column is of type {target.base} but expression is of type {source.base}",
        hint="You will need to rewrite or cast the expression.",
        sqlstate="42804",
    )
