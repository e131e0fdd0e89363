"""Arrays of values to compare with or to store one by one, as `= ANY` and unnest take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgcrypt_proxy.values import array_form, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType

_BYTEA_OID = 17


def from_text(element: LogicalType, text: bytes, settings: TextSettings) -> list[bytes | None]:
    """The elements of an array literal, in binary form; several dimensions are flattened.

    Raises InvalidValue (22P02) as array_in does.
    """
    items = array_form.from_text(text).items
    return [None if item is None else codec.from_text(element, item, settings) for item in items]


def from_binary(
    element: LogicalType, data: bytes, recoded: Callable[[bytes], bytes] | None = None
) -> list[bytes | None]:
    """The elements of a binary array, each made UTF-8 by `recoded` if it has to be.

    Raises InvalidValue (22P03, 42804) as array_recv does.
    """
    items = array_form.from_binary(data, element.parameter_oid).items
    change = recoded or (lambda item: item)
    return [None if item is None else codec.from_binary(element, change(item)) for item in items]


def bytea_array(items: Sequence[bytes | None]) -> bytes:
    """The binary form of a one-dimensional bytea[] with lower bound 1; no dimension when empty."""
    return array_form.to_binary(array_form.one_dimension(items), _BYTEA_OID)
