"""PostgreSQL's errors for bad values, with its SQLSTATEs and wording, but never the value."""

from __future__ import annotations

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.types import LogicalType


def bad_syntax(type_name: str) -> InvalidValue:
    return InvalidValue(f"invalid input syntax for type {type_name}")


class BadFormat(Exception):
    """A date, time or interval is written in no form that is known."""


class FieldOverflow(Exception):
    """A number in a date, time or interval is too large."""


def ambiguous_oid() -> InvalidValue:
    return InvalidValue(
        "an oid in this form cannot be sealed: what it means depends on the server's version",
        hint="Write it in decimal digits, without a zero in front.",
        sqlstate="0A000",
    )


def bad_datetime(type_name: str, hint: str | None = None) -> InvalidValue:
    return InvalidValue(
        f"invalid input syntax for type {type_name}",
        hint=hint or "Write dates and times in ISO form, as in 2024-12-31 23:59:59+00.",
        sqlstate="22007",
    )


def clock_word() -> InvalidValue:
    return InvalidValue(
        "a date or time that the server's clock gives cannot be sealed",
        hint="Compute it in the application and pass it as a value.",
        sqlstate="0A000",
    )


def datetime_out_of_range(type_name: str) -> InvalidValue:
    return InvalidValue(f"{type_name} out of range", sqlstate="22008")


def field_out_of_range(type_name: str) -> InvalidValue:
    return InvalidValue(
        "date/time field value out of range", sqlstate="22008", hint=f"The value is of type {type_name}."
    )


def out_of_range(type_name: str) -> InvalidValue:
    return InvalidValue(f"value is out of range for type {type_name}", sqlstate="22003")


def bad_binary(type_name: str) -> InvalidValue:
    return InvalidValue(f"incorrect binary data format for type {type_name}", sqlstate="22P03")


def check_size(type_name: str, data: bytes, size: int) -> None:
    """Raises InvalidValue as a receive function does that reads `size` bytes, and its caller that finds more."""
    if len(data) < size:
        raise InvalidValue("insufficient data left in message", sqlstate="08P01")
    if len(data) > size:
        raise bad_binary(type_name)


def no_cast(source: LogicalType, target: LogicalType) -> InvalidValue:
    return InvalidValue(
        f"column is of type {target.base} but expression is of type {source.base}",
        hint="You will need to rewrite or cast the expression.",
        sqlstate="42804",
    )
