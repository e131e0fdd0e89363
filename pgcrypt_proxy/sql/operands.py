"""Parameters and literals with their casts: what they are, and which characters they take up.

Only these can become envelopes or terms; whatever else stands where a
protected value belongs is no operand, and the caller refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.sql import array_literals
from pgcrypt_proxy.sql.parse import Node, ParsedText
from pgcrypt_proxy.values.casts import is_alike, is_spelled_alike
from pgcrypt_proxy.values.database_types import DatabaseTypes
from pgcrypt_proxy.values.types import LogicalType, array_of, type_by_name, type_of

_TEXT = type_by_name("text")


class NotAnOperand(Exception):
    """The node is no parameter or literal that can be replaced safely."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A parameter (`parameter` is its 1-based number) or a literal (`text`, None for NULL).

    `cast` is the type that a cast or the literal's own form gives it;
    `is_array` says that the cast is to an array of it. `default` is the type
    that it has without a cast where it stands; None stands for the column's.
    `start..end` are its characters, cast included; `at` is where it stands itself.
    """

    start: int
    end: int
    parameter: int | None = None
    text: str | None = None
    cast: LogicalType | None = None
    is_array: bool = False
    default: LogicalType | None = None
    at: int = -1

    @property
    def is_null(self) -> bool:
        return self.parameter is None and self.text is None

    def with_cast(self, cast: LogicalType) -> Operand:
        """The same operand, read as `cast`."""
        return replace(self, cast=cast)

    def or_of(self, default: LogicalType) -> Operand:
        """The same operand, of type `default` unless something gives it another."""
        return replace(self, default=default)

    def as_value(self) -> Operand:
        """An array operand as one value, which it is where an array is stored or compared."""
        return replace(self, cast=array_of(self.cast or _TEXT), is_array=False) if self.is_array else self

    def __repr__(self) -> str:
        return f"Operand({self.start}..{self.end})"


def read(node: Node, text: ParsedText) -> Operand:
    """The operand that `node` is. Raises NotAnOperand."""
    ((kind, tree),) = node.items()
    if kind == "ParamRef":
        return _parameter(tree, text)
    if kind == "A_Const":
        return _constant(tree, text)
    if kind == "TypeCast":
        return _cast(tree, text)
    if kind == "A_ArrayExpr" and tree.get("elements"):
        return _array(tree, text)
    raise NotAnOperand


def _token(text: ParsedText, location: int) -> int:
    """The number of the token at byte `location`."""
    index = text.token_index.get(text.to_char(location))
    if index is None:
        raise NotAnOperand
    return index


def _parameter(tree: Node, text: ParsedText) -> Operand:
    token = text.tokens[_token(text, tree.get("location", 0))]
    number = tree.get("number", 0)
    if token.name != "PARAM" or text.sql[token.start : token.end] != f"${number}":
        raise NotAnOperand
    if text.sql[token.end : token.end + 1].isidentifier():
        raise NotAnOperand  # `$1and`: an error of the server's, which a rewritten text would not have
    return Operand(token.start, token.end, parameter=number)


_TEXTS = frozenset({"text", "varchar"})
#: What the grammar calls a float though it is an integer: one beyond int4.
_DIGITS = re.compile(r"-?[0-9]+")
_INT8_DIGITS = len("-9223372036854775808")
_FORMS: dict[str, tuple[str, Callable[[Node], str], str | None]] = {
    "sval": ("SCONST", lambda v: str(v.get("sval", "")), None),
    "ival": ("ICONST", lambda v: str(v.get("ival", 0)), "int4"),
    "fval": ("FCONST", lambda v: str(v.get("fval", "")), "numeric"),
    "boolval": ("", lambda v: "true" if v.get("boolval") else "false", "bool"),
    "bsval": ("BCONST", lambda v: str(v.get("bsval", "")), "bit"),
}


def _constant(tree: Node, text: ParsedText) -> Operand:
    first = last = _token(text, tree.get("location", 0))
    tokens = text.tokens
    if tree.get("isnull"):
        if tokens[first].name != "NULL_P":
            raise NotAnOperand
        return Operand(tokens[first].start, tokens[first].end, at=tokens[first].start)
    form = next((name for name in _FORMS if name in tree), None)
    if form is None:
        raise NotAnOperand
    expected, value, type_name = _FORMS[form]
    if form == "boolval":
        if tokens[first].name not in ("TRUE_P", "FALSE_P"):
            raise NotAnOperand
    elif form == "sval":
        if tokens[first].name == "USCONST":
            if first + 2 < len(tokens) and tokens[first + 1].name == "UESCAPE":
                last = first + 2
        elif tokens[first].name != expected:
            raise NotAnOperand
    elif form == "bsval":
        if tokens[first].name not in (expected, "XCONST"):
            raise NotAnOperand
    else:
        if tokens[first].name == "ASCII_45":  # the parser folds a sign into the constant
            last = first + 1
        if last >= len(tokens) or tokens[last].name not in ("ICONST", "FCONST"):
            raise NotAnOperand
    if form == "ival" or (form == "fval" and _DIGITS.fullmatch(value(tree[form]))):
        type_name = _integer_type(value(tree[form]))
    cast = type_of(type_name, []) if type_name else None
    start = tokens[first].start
    return Operand(start, tokens[last].end, text=value(tree[form]), cast=cast, at=start)


def _array(tree: Node, text: ParsedText, cast_to: LogicalType | None = None) -> Operand:
    """ARRAY[...] of constants; under a cast, which is one of each element. Raises NotAnOperand for other elements."""
    first = _token(text, tree.get("location", -1))
    if text.tokens[first].name != "ARRAY":
        raise NotAnOperand

    def constant(node: Node) -> tuple[str | None, LogicalType | None]:
        element = read(node, text)
        if (
            element.parameter is not None
            or element.is_array
            or (element.cast is not None and element.cast.typmod != -1)
        ):
            raise NotAnOperand
        if cast_to is not None and "A_Const" in node and element.cast is not None:
            if not is_spelled_alike(element.cast, cast_to):
                raise NotAnOperand
            return element.text, cast_to
        return element.text, element.cast

    try:
        literal, cast = array_literals.folded(tree, constant)
    except array_literals.NoCommonType:
        raise NotAnOperand from None
    start = text.tokens[first].start
    return Operand(start, closing(text, first + 1), text=literal, cast=cast, is_array=True, at=start)


def _integer_type(digits: str) -> str:
    """The type of a constant without point and exponent: the first that holds it."""
    number = int(digits) if len(digits) <= _INT8_DIGITS else 2**63
    if -(2**31) <= number < 2**31:
        return "int4"
    return "int8" if -(2**63) <= number < 2**63 else "numeric"


def _cast(tree: Node, text: ParsedText) -> Operand:
    cast, is_array = logical_type(tree["typeName"], text.types)
    array = tree["arg"].get("A_ArrayExpr")
    inner = read(tree["arg"], text) if array is None else _array(array, text, cast)
    if array is not None:
        # the cast is one of each element, which are read as its type where that makes no difference
        if not is_array or (inner.cast is not None and not is_alike(inner.cast, cast)):
            raise NotAnOperand
    elif inner.cast is not None and "TypeCast" in tree["arg"]:
        # a cast of a cast, as drivers and ORMs add them to each other's: only one that changes nothing
        is_same = (inner.cast.name, inner.is_array) == (cast.name, is_array)
        if not is_same or inner.cast.typmod != -1:
            raise NotAnOperand
    elif inner.cast is not None and (is_array or not is_spelled_alike(inner.cast, cast)):
        raise NotAnOperand
    start, end = cast_span(tree, text, inner.start, inner.end)
    return Operand(start, end, inner.parameter, inner.text, cast, is_array, at=inner.at)


def logical_type(type_name: Node, types: DatabaseTypes) -> tuple[LogicalType, bool]:
    """The type that a TypeName node names, and whether it is an array of it. Raises NotAnOperand for others.

    `types` are the database's own; what comes with PostgreSQL is found before them.
    """
    names = [part["String"].get("sval", "") for part in type_name.get("names", ())]
    if type_name.get("setof") or type_name.get("pct_type") or not names:
        raise NotAnOperand
    if len(names) > 2:
        raise NotAnOperand
    schema = names[0] if len(names) == 2 else None
    modifiers = []
    for modifier in type_name.get("typmods", ()):
        value = modifier.get("A_Const", {}).get("ival")
        if value is None:
            raise NotAnOperand
        modifiers.append(int(value.get("ival", 0)))
    cast = _named(schema, names[-1], modifiers, types)
    return cast, bool(type_name.get("arrayBounds"))


def _named(schema: str | None, name: str, values: list[int], types: DatabaseTypes) -> LogicalType:
    if schema in (None, "pg_catalog"):
        try:
            return type_of(name, values)
        except InvalidValue as error:
            if error.code != "42704" or schema is not None:
                raise NotAnOperand from None
    try:
        found = types.look_up(schema, name, values)
    except InvalidValue:
        raise NotAnOperand from None
    if found is None or types.obstacles(found, is_not_null=False):
        raise NotAnOperand
    return found


def cast_span(tree: Node, text: ParsedText, start: int, end: int) -> tuple[int, int]:
    """The characters of a TypeCast whose operand takes `start..end`. Raises NotAnOperand when that is not certain."""
    tokens, index = text.tokens, text.token_index
    type_start = text.to_char(tree["typeName"].get("location", -1))
    location = tree.get("location", -1)
    if location is not None and location >= 0:
        at = _token(text, location)
        if tokens[at].name == "CAST":
            return tokens[at].start, closing(text, at + 1)
        if tokens[at].name == "TYPECAST":
            return _unwrapped(text, start, end, at), type_end(text, at + 1)
        raise NotAnOperand
    if type_start not in index or type_start >= start:
        raise NotAnOperand
    if tokens[index[type_start]].name == "INTERVAL":  # its fields stand behind the literal: INTERVAL '1' DAY
        last = next(at for at in range(index[type_start], len(tokens)) if tokens[at].end == end)
        return type_start, _fields_end(text, last + 1, end)
    return type_start, end


_FIELDS = frozenset({"YEAR_P", "MONTH_P", "DAY_P", "HOUR_P", "MINUTE_P", "SECOND_P", "TO"})


def _fields_end(text: ParsedText, at: int, end: int) -> int:
    """The end of an interval's fields from token `at` on; `end` when there are none."""
    tokens = text.tokens
    while at < len(tokens) and tokens[at].name in _FIELDS:
        end = tokens[at].end
        at += 1
    if at < len(tokens) and tokens[at].name == "ASCII_40" and tokens[at - 1].name == "SECOND_P":
        return closing(text, at)
    return end


def _unwrapped(text: ParsedText, start: int, end: int, at: int) -> int:
    """Where the operand `start..end` of the `::` at token `at` begins with the parentheses around it."""
    tokens, index = text.tokens, text.token_index
    first = index[start]
    last = at - 1
    while tokens[last].end != end:
        first -= 1
        if first < 0 or tokens[first].name != "ASCII_40" or tokens[last].name != "ASCII_41":
            raise NotAnOperand
        last -= 1
    return tokens[first].start


def type_beside(given: Sequence[Operand], column: LogicalType) -> LogicalType:
    """The type that operands without one have in an array or a column of VALUES: that of the others, else text.

    Raises NotAnOperand where the others do not go together, and where only the declared type of a parameter beside a
    literal, or NULL, would tell, and `column`, which they are for, is no text.
    """
    found: LogicalType | None = None
    for cast in (operand.cast.base for operand in given if operand.cast is not None):
        if found is None or (is_alike(found, cast) and not is_alike(cast, found)):
            found = cast
        elif not is_alike(cast, found):
            raise NotAnOperand
    if found is not None:
        return found
    has_parameter = any(operand.parameter is not None for operand in given)
    if has_parameter and any(operand.parameter is None for operand in given) and column.base.name not in _TEXTS:
        raise NotAnOperand
    return _TEXT


def closing(text: ParsedText, at: int) -> int:
    """The end of the bracket that closes the one at token `at`."""
    depth = 0
    for token in text.tokens[at:]:
        if token.name in ("ASCII_40", "ASCII_91"):
            depth += 1
        elif token.name in ("ASCII_41", "ASCII_93"):
            depth -= 1
            if depth == 0:
                return token.end
        if depth == 0:
            break
    raise NotAnOperand


def type_end(text: ParsedText, at: int) -> int:
    """The end of the type name that starts at token `at` (after `::`), with modifiers and array bounds."""
    tokens = text.tokens
    first = tokens[at].name
    at += 1

    def name(offset: int = 0) -> str:
        return tokens[at + offset].name if at + offset < len(tokens) else ""

    while first == "INTERVAL" and name() in _FIELDS:
        at += 1
    if first == "DOUBLE_P" or first == "NATIONAL":
        at += 1
    while name() == "ASCII_46":
        at += 2
    if name() == "VARYING":
        at += 1
    if name() == "ASCII_40":
        at = text.token_index[closing(text, at) - 1] + 1
    if name() in ("WITH", "WITH_LA", "WITHOUT", "WITHOUT_LA") and name(1) == "TIME" and name(2) == "ZONE":
        at += 3
    while name() == "ASCII_91":
        at = text.token_index[closing(text, at) - 1] + 1
    if name() == "ARRAY":
        raise NotAnOperand
    return tokens[at - 1].end
