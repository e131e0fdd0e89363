"""`ARRAY[...]` of constants as one array literal, so that a proxy can seal it as one value."""

from __future__ import annotations

from collections.abc import Callable

from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.values.casts import is_alike
from pgcrypt_proxy.values.types import LogicalType

#: Reads a constant: (its text, None for NULL; its type, None when it is unknown). Raises for anything else.
ReadConstant = Callable[[Node], tuple[str | None, LogicalType | None]]


class NoCommonType(Exception):
    """The elements are of types that are not certain to go together."""


def folded(tree: Node, read: ReadConstant) -> tuple[str, LogicalType | None]:
    """The literal that an A_ArrayExpr means, and its elements' type, None when nothing gives it one.

    Raises NoCommonType, and whatever `read` raises.
    """
    found: LogicalType | None = None
    parts = []
    for element in tree.get("elements", ()):
        if "A_ArrayExpr" in element:
            text, given = folded(element["A_ArrayExpr"], read)
            parts.append(text)
        else:
            value, given = read(element)
            parts.append("NULL" if value is None else _quoted(value))
        found = _common(found, given)
    return "{" + ",".join(parts) + "}", found


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _common(one: LogicalType | None, other: LogicalType | None) -> LogicalType | None:
    if one is None or other is None:
        return one or other
    if is_alike(one, other):
        return other
    if is_alike(other, one):
        return one
    raise NoCommonType
