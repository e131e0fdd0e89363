"""Arrays whose elements become terms or envelopes: an array parameter, an array literal, or ARRAY[...]."""

from __future__ import annotations

from pgcrypt_proxy.sql import operands
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.edits import Piece
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import ELEMENT_USES, Use

#: What an array as a whole becomes, by what its elements become.
WHOLE = {element: whole for whole, element in ELEMENT_USES.items()}


def replace(context: Context, node: Node, column: ProtectedColumn, element_use: Use) -> None:
    """Make `node` a bytea[] of terms or envelopes of `column`. Raises NotAnOperand for other expressions."""
    inner = node["TypeCast"]["arg"] if "TypeCast" in node else node
    if "A_ArrayExpr" in inner:
        _constructor(context, node, inner["A_ArrayExpr"], column, element_use)
        return
    operand = operands.read(node, context.text)
    if operand.cast is not None and not operand.is_array:
        raise NotAnOperand
    context.replace(operand, WHOLE[element_use], column)


def _constructor(context: Context, node: Node, array: Node, column: ProtectedColumn, element_use: Use) -> None:
    text = context.text
    elements = [operands.read(element, text) for element in array.get("elements", [])]
    if any(element.is_array for element in elements):
        raise NotAnOperand
    first = text.token_index.get(text.to_char(array.get("location", -1)))
    if first is None or text.tokens[first].name != "ARRAY":
        raise NotAnOperand
    span = (text.tokens[first].start, operands.closing(text, first + 1))
    cast = None
    if "TypeCast" in node:
        cast, is_array = operands.logical_type(node["TypeCast"]["typeName"], text.types)
        if not is_array:
            raise NotAnOperand
        span = operands.cast_span(node["TypeCast"], text, *span)
    default = cast or operands.type_beside(elements, column.type)
    made: list[Piece] = ["ARRAY["]
    for number, operand in enumerate(elements):
        effective = operand.with_cast(cast) if operand.cast is None and cast is not None else operand.or_of(default)
        made += [", "] * bool(number) + [context.piece(effective, element_use, column)]
    context.edit(*span, *made, "]::pg_catalog.bytea[]")
