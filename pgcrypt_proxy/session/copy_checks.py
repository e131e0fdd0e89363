"""What the server would say of a row of COPY data that fails in the proxy, and that it therefore does not get to see.

The server reads a row's text, and then its values in their order: a protected
value is not the first that is wrong when a plain one before it is none either.
"""

from __future__ import annotations

from collections.abc import Callable

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.session.transform import Values, is_certainly_bad
from pgcrypt_proxy.sql.plan import CopyPlan
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.values.types import LogicalType, type_by_oid
from pgcrypt_proxy.wire.copy_format import Checks, CopyKind


def of(plan: CopyPlan, values: Values) -> Checks:
    """The checks of the rows of one COPY FROM."""
    is_binary = plan.format.kind is CopyKind.BINARY
    oids = plan.type_oids or (0,) * len(plan.columns)
    known = (type_by_oid(oid) if column is None else None for column, oid in zip(plan.columns, oids, strict=True))
    return Checks(
        lambda text: _check_text(values, text),
        tuple(None if type_ is None else _checker(type_, values, is_binary=is_binary) for type_ in known),
    )


def _check_text(values: Values, text: bytes) -> None:
    """Raises InvalidValue for what is no text in the client's encoding."""
    if not values.encoding.is_utf8:
        values.encoding.to_utf8(text)
        return
    try:
        text.decode()
    except UnicodeDecodeError:
        raise InvalidValue('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from None


def _checker(type_: LogicalType, values: Values, *, is_binary: bool) -> Callable[[bytes], None]:
    """Raises InvalidValue for what is no value of a plain column's type."""

    def check(value: bytes) -> None:
        try:
            if is_binary:
                codec.from_binary(type_, value)
            else:
                codec.from_text(codec.literal_type(type_), value, values.settings)
        except InvalidValue as error:
            if is_certainly_bad(error, value):
                raise

    return check
