"""The definition of a protected column in CREATE TABLE and ADD COLUMN: its sealed type stands for the declared one.

Its UNIQUE or PRIMARY KEY is taken out and made an index on its term; a constant
DEFAULT is sealed; what would have the server look at values is refused.
"""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.ddl_layout import Span, parts, token_at
from pgcrypt_proxy.sql.ddl_terms import Key, Protected, key
from pgcrypt_proxy.sql.operands import NotAnOperand, logical_type, read, type_end
from pgcrypt_proxy.sql.parse import Node, nodes
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.values.database_types import DatabaseTypes
from pgcrypt_proxy.values.types import LogicalType, array_of

#: Collations in which texts are equal when their bytes are. Case is folded as in the terms in the first one only.
_DEFAULT, _BYTEWISE = "default", frozenset({"C", "POSIX", "ucs_basic"})
_STAY = frozenset({"CONSTR_NULL", "CONSTR_NOTNULL"})
_KEYS = frozenset({"CONSTR_UNIQUE", "CONSTR_PRIMARY"})
_WORDS = {
    "CONSTR_CHECK": "CHECK",
    "CONSTR_FOREIGN": "REFERENCES",
    "CONSTR_GENERATED": "GENERATED",
    "CONSTR_IDENTITY": "GENERATED AS IDENTITY",
    "CONSTR_EXCLUSION": "EXCLUDE",
}
CHECK_HINT = "The server would check ciphertext: leave it out, and check the value in the application."


def sealed_type(column: ProtectedColumn) -> str:
    """The domain of the column, as SQL."""
    return f"pgcrypt.sealed_{column.id}"


def define(context: Context, column: ProtectedColumn, tree: Node, element: Span, table: str) -> list[Key]:
    """Rewrite the definition `tree`, the tokens `element`; the keys that must be made beside it. Raises Refusal."""
    text = context.text
    position = element.start(text) + 1
    if not column.is_armed:
        raise refuse.not_ready(column, position)
    if "typeName" not in tree:
        raise refuse.other_type(column, position)
    constraints: list[Node] = [c["Constraint"] for c in tree.get("constraints", ())]
    collation = tree.get("collClause")
    located = [*constraints, *([collation] if collation else [])]
    spans = parts(text, element, [text.to_char(node["location"]) for node in located])
    _replace_type(context, column, tree["typeName"], {*spans, text.tokens[element.last].end})
    if collation:
        check_collation(column, collation["collname"], position)
        _take_out(context, spans[text.to_char(collation["location"])])
    keys = []
    for constraint in constraints:
        span = spans[text.to_char(constraint["location"])]
        kind = constraint.get("contype", "CONSTR_NULL")
        place = span.start(text) + 1
        if kind in _KEYS:
            made = key(constraint, table, {column.name: column}, place, column.name)
            keys.append(made)
            _take_out(context, span)
        elif kind == "CONSTR_DEFAULT":
            seal_default(context, column, constraint["raw_expr"], place)
        elif kind not in _STAY:
            raise refuse.construct(column, _WORDS.get(kind, "DEFERRABLE"), place, hint=CHECK_HINT)
    return keys


def _take_out(context: Context, span: Span) -> None:
    context.edit(span.start(context.text), span.end(context.text), " ")


def _replace_type(context: Context, column: ProtectedColumn, type_name: Node, boundaries: set[int]) -> None:
    text = context.text
    at = token_at(text, type_name["location"])
    start = text.tokens[at].start
    check_type(text.types, column, type_name, start + 1)
    try:
        end = type_end(text, at)
    except NotAnOperand:
        raise refuse.other_type(column, start + 1) from None
    last = text.token_index.get(text.tokens[at].start, at)
    while text.tokens[last].end < end:
        last += 1
    follows = text.tokens[last + 1] if last + 1 < len(text.tokens) else None
    if end not in boundaries and not (
        follows and (follows.start in boundaries or follows.name in ("STORAGE", "USING"))
    ):
        raise refuse.other_type(column, start + 1)
    context.edit(start, end, sealed_type(column))


def check_type(types: DatabaseTypes, column: ProtectedColumn, type_name: Node, position: int | None) -> None:
    """The declared type must be the rule's. A shorter varchar is one: migrations widen columns step by step."""
    try:
        declared, is_array = logical_type(type_name, types)
    except NotAnOperand:
        raise refuse.other_type(column, position) from None
    if not _is_within(array_of(declared) if is_array else declared, column.type):
        raise refuse.other_type(column, position)


def _is_within(declared: LogicalType, ruled: LogicalType) -> bool:
    if declared == ruled:
        return True
    if declared.name != "varchar" or ruled.name != "varchar" or declared.typmod == -1:
        return False
    return ruled.typmod == -1 or declared.typmod <= ruled.typmod


def check_collation(column: ProtectedColumn, names: list[Node], position: int | None) -> None:
    """A protected column has no collation; one that compares bytes says the same. Raises Refusal."""
    name = names[-1]["String"].get("sval", "")
    if name != _DEFAULT and (name not in _BYTEWISE or column.is_folded):
        raise refuse.construct(column, "COLLATE", position)


def seal_default(context: Context, column: ProtectedColumn, expression: Node, position: int | None) -> None:
    """A constant DEFAULT becomes an envelope, NULL stays. Raises Refusal for what the server would compute."""
    try:
        operand = read(expression, context.text)
    except NotAnOperand:
        operand = None
    if operand is None or operand.parameter is not None or operand.is_array:
        hint = "Write a constant, or let the application give the value."
        raise refuse.construct(column, "DEFAULT with an expression", position, hint=hint)
    if column.tenant is not None and not operand.is_null:
        hint = "Let the application give the value: a default would be one tenant's in everybody's rows."
        raise refuse.construct(column, "DEFAULT", position, hint=hint)
    if not operand.is_null:
        context.replace(operand, Use.SEAL, column)


def check_plain(context: Context, tree: Node, protected: Protected, table: str) -> None:
    """Nothing in `tree`, a column or constraint without protected columns of its own, may compute with one."""
    for name in named_columns(tree):
        column = protected.get(name) or (next(iter(protected.values()), None) if name == table else None)
        if column is not None:
            raise refuse.construct(column, "an expression in DDL", hint=CHECK_HINT)
    for constraint in _constraints(tree):
        _check_foreign_key(context, constraint, protected)


def named_columns(tree: Any) -> set[str]:
    """Every word of every column reference in an expression."""
    references = [node["ColumnRef"] for node in nodes(tree) if "ColumnRef" in node]
    return {f["String"].get("sval", "") for tree in references for f in tree["fields"] if "String" in f}


def _constraints(tree: Node) -> list[Node]:
    own = [tree] if "contype" in tree else []
    return [*own, *(c["Constraint"] for c in tree.get("constraints", ()))]


def _check_foreign_key(context: Context, constraint: Node, protected: Protected) -> None:
    if constraint.get("contype") != "CONSTR_FOREIGN":
        return
    hint = "Ciphertext has no foreign keys: refer to a column that is not protected."
    for attribute in constraint.get("fk_attrs", ()):
        if (name := attribute["String"].get("sval", "")) in protected:
            raise refuse.construct(protected[name], "FOREIGN KEY", hint=hint)
    target = constraint["pktable"]
    position = context.position(target.get("location"))
    wanted = {attribute["String"].get("sval", "") for attribute in constraint.get("pk_attrs", ())}
    for column in protected_columns(context.catalog, target).values():
        if column.name in wanted:
            raise refuse.construct(column, "REFERENCES", position, hint=hint)


def protected_columns(catalog: Catalog, target: Node) -> dict[str, ProtectedColumn]:
    """The protected columns of all tables that a name may mean, by their names."""
    schema = target.get("schemaname")
    relations = [r for r in catalog.by_name.get(target["relname"], ()) if schema in (None, r.schema)]
    found = {c.name: c.protected for r in relations for c in r.columns if c.protected is not None}
    ruled = {n: c for (s, t, n), c in catalog.ruled.items() if t == target["relname"] and schema in (None, s)}
    return {**ruled, **found}
