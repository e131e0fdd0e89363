"""Parameters and literals with their casts: what they are, and which characters they take up.

Only these can become envelopes or terms; whatever else stands where a
protected value belongs is no operand, and the caller refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.sql.parse import Node, ParsedText
from pgcrypt_proxy.values.types import LogicalType, type_by_name


class NotAnOperand(Exception):
    """The node is no parameter or literal that can be replaced safely."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A parameter (`parameter` is its 1-based number) or a literal (`text`, None for NULL).

    `cast` is the type that a cast or the literal's own form gives it;
    `is_array` says that the cast is to an array of it. `start..end` are its
    characters, cast included.
    """

    start: int
    end: int
    parameter: int | None = None
    text: str | None = None
    cast: LogicalType | None = None
    is_array: bool = False

    @property
    def is_null(self) -> bool:
        return self.parameter is None and self.text is None

    def with_cast(self, cast: LogicalType) -> Operand:
        """The same operand, read as `cast`."""
        return replace(self, cast=cast)

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
    return Operand(token.start, token.end, parameter=number)


_FORMS: dict[str, tuple[str, Callable[[Node], str], str | None]] = {
    "sval": ("SCONST", lambda v: str(v.get("sval", "")), None),
    "ival": ("ICONST", lambda v: str(v.get("ival", 0)), "int4"),
    "fval": ("FCONST", lambda v: str(v.get("fval", "")), "numeric"),
    "boolval": ("", lambda v: "true" if v.get("boolval") else "false", "bool"),
}


def _constant(tree: Node, text: ParsedText) -> Operand:
    first = last = _token(text, tree.get("location", 0))
    tokens = text.tokens
    if tree.get("isnull"):
        if tokens[first].name != "NULL_P":
            raise NotAnOperand
        return Operand(tokens[first].start, tokens[first].end)
    form = next((name for name in _FORMS if name in tree), None)
    if form is None:  # bit strings
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
    else:
        if tokens[first].name == "ASCII_45":  # the parser folds a sign into the constant
            last = first + 1
        if last >= len(tokens) or tokens[last].name not in ("ICONST", "FCONST"):
            raise NotAnOperand
    cast = type_by_name(_integer_type(value(tree[form])) if type_name == "int4" else type_name) if type_name else None
    return Operand(tokens[first].start, tokens[last].end, text=value(tree[form]), cast=cast)


def _integer_type(digits: str) -> str:
    return "int4" if -(2**31) <= int(digits) < 2**31 else "int8"


def _cast(tree: Node, text: ParsedText) -> Operand:
    inner = read(tree["arg"], text)
    cast, is_array = logical_type(tree["typeName"])
    if inner.cast is not None and "TypeCast" in tree["arg"]:
        # a cast of a cast, as drivers and ORMs add them to each other's: only one that changes nothing
        is_same = (inner.cast.name, inner.is_array) == (cast.name, is_array)
        if not is_same or inner.cast.typmod != -1:
            raise NotAnOperand
    start, end = cast_span(tree, text, inner.start, inner.end)
    return Operand(start, end, inner.parameter, inner.text, cast, is_array)


def logical_type(type_name: Node) -> tuple[LogicalType, bool]:
    """The type that a TypeName node names, and whether it is an array of it. Raises NotAnOperand for others."""
    names = [part["String"].get("sval", "") for part in type_name.get("names", ())]
    if type_name.get("setof") or type_name.get("pct_type") or not names:
        raise NotAnOperand
    if len(names) > 2 or (len(names) == 2 and names[0] != "pg_catalog"):
        raise NotAnOperand
    modifiers = []
    for modifier in type_name.get("typmods", ()):
        value = modifier.get("A_Const", {}).get("ival")
        if value is None:
            raise NotAnOperand
        modifiers.append(str(value.get("ival", 0)))
    try:
        cast = type_by_name(names[-1] + (f"({','.join(modifiers)})" if modifiers else ""))
    except InvalidValue:
        raise NotAnOperand from None
    return cast, bool(type_name.get("arrayBounds"))


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
    return type_start, end


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

    if first == "INTERVAL":
        raise NotAnOperand
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
