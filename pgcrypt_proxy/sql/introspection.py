"""Statements that ask the system catalogs what a protected column is are answered with what it stands for.

Only statements that touch nothing protected come here. What cannot be rewritten
with certainty stays as it is: then the catalogs show how the column is stored,
which is no secret. So nothing here refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.edits import Edit
from pgcrypt_proxy.sql.mention import Mentions, find
from pgcrypt_proxy.sql.operands import NotAnOperand, closing
from pgcrypt_proxy.sql.parse import Node, ParsedText, Statement
from pgcrypt_proxy.sql.plan import ParameterUse, Use
from pgcrypt_proxy.sql.scope import SYSTEM_COLUMNS
from pgcrypt_proxy.sql.shown_catalog import FUNCTIONS, RELATIONS, ShownCatalog

_KINDS = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "DeclareCursorStmt", "CopyStmt"})
_NAMES = frozenset(name for _, name in RELATIONS)
#: By these GROUP BY knows a table's other columns, but not a subquery's.
_PRIMARY_KEYS = {
    "pg_class": {"oid"},
    "pg_attribute": {"attrelid", "attnum"},
    "pg_attrdef": {"oid"},
    "pg_index": {"indexrelid"},
    "pg_constraint": {"oid"},
}
_OPENING, _CLOSING, _STAR, _DOT = "ASCII_40", "ASCII_41", "ASCII_42", "ASCII_46"
_MOST_ARGUMENTS = 3

Rewriting = tuple[list[Edit], list[ParameterUse]]
_AS_IT_IS: Rewriting = ([], [])


class _Unclear(Exception):
    """The statement is left as it is."""


@dataclass(slots=True)
class _Found:
    """What a statement says of catalogs. `items` are what stands in FROM, `calls` function calls elsewhere.

    `grouped` are the items of queries with GROUP BY, and its column references.
    """

    items: list[Node] = field(default_factory=list)
    calls: list[Node] = field(default_factory=list)
    references: list[Node] = field(default_factory=list)
    grouped: list[tuple[list[Node], list[Node]]] = field(default_factory=list)
    parameters: set[int] = field(default_factory=set)


def rewrite(statement: Statement, mentions: Mentions, text: ParsedText, catalog: Catalog) -> Rewriting:
    """The edits of a statement that asks catalogs of protected columns, and its parameters; none for all others."""
    is_asking = any(name in _NAMES for _, name, _ in mentions.relations)
    if not is_asking and not any(name in FUNCTIONS for name, _ in mentions.functions):
        return _AS_IT_IS
    if statement.kind not in _KINDS or "intoClause" in statement.tree:
        return _AS_IT_IS
    shown = ShownCatalog.of(catalog)
    if shown is None:
        return _AS_IT_IS
    try:
        found = _find(statement)
        edits = _edits(found, mentions, text, catalog, shown)
    except (_Unclear, NotAnOperand):
        return _AS_IT_IS
    return edits, [ParameterUse(number - 1, Use.PASS) for number in sorted(found.parameters) if edits]


def _edits(found: _Found, mentions: Mentions, text: ParsedText, catalog: Catalog, shown: ShownCatalog) -> list[Edit]:
    placed = [(item, _place(item.get("schemaname"), item["relname"], catalog, mentions)) for item in found.items]
    named = sum(_place(schema, name, catalog, mentions) is not None for schema, name, _ in mentions.relations)
    if sum(place is not None for _, place in placed) != named:
        raise _Unclear  # one stands elsewhere: as a target, in TABLESAMPLE
    edits: list[Edit] = []
    replaced: dict[str, str | None] = {}  # visible name: schema, None where there is an alias
    for item, place in placed:
        query = shown.relation(*place) if place is not None and _is_shown(item, place, found) else None
        if query is None:
            continue
        if any(_is_known_by_key(item, references) for items, references in found.grouped if item in items):
            raise _Unclear
        start, end = _name_span(item, text)
        edits.append(Edit(start, end, (f"({query})" + ("" if "alias" in item else f" AS {item['relname']}"),)))
        replaced[_visible(item)] = None if "alias" in item else item.get("schemaname", "pg_catalog")
    for reference in found.references:
        words = _words(reference)
        qualifier = words[-2] if len(words) > 1 else None
        if words[-1] in SYSTEM_COLUMNS and replaced and (qualifier is None or qualifier in replaced):
            raise _Unclear
        if len(words) == 3 and qualifier and replaced.get(qualifier) == words[0]:
            if sum(_visible(item) == qualifier for item in found.items if item.get("schemaname") != words[0]):
                raise _Unclear
            edits.append(_unqualified(reference, text))
    for call in found.calls:
        edits += _call(call, text, shown)
    return edits


def _visible(item: Node) -> str:
    """The name that columns are qualified with."""
    return str(item.get("alias", {}).get("aliasname", item["relname"]))


def _is_shown(item: Node, place: tuple[str, str], found: _Found) -> bool:
    """Whether the statement may use one of the columns that are shown otherwise."""
    columns = RELATIONS[place]
    used = {_words(reference)[-1] for reference in found.references}
    is_whole = None in used or _visible(item) in used or "colnames" in item.get("alias", {})
    return columns is None or is_whole or not columns.isdisjoint(used)


def _is_known_by_key(item: Node, references: list[Node]) -> bool:
    """Whether GROUP BY has the primary key of the relation."""
    words = [_words(reference) for reference in references]
    grouped = {w[-1] for w in words if len(w) == 1 or w[-2] == _visible(item)}
    key = _PRIMARY_KEYS.get(item["relname"])
    return key is not None and key <= grouped


def _place(schema: str | None, name: str, catalog: Catalog, mentions: Mentions) -> tuple[str, str] | None:
    """Which system relation a name means, if it is one that may be shown otherwise."""
    if name not in _NAMES:
        return None
    if schema is None:
        is_other = name in catalog.by_name or name in mentions.cte_names or ("pg_catalog", name) not in RELATIONS
        return None if is_other else ("pg_catalog", name)
    return (schema, name) if (schema, name) in RELATIONS else None


def _find(statement: Statement) -> _Found:
    found = _Found()
    stack: list[tuple[Any, bool, bool]] = [(statement.tree, False, False)]  # node, stands in FROM, function in FROM
    while stack:
        node, is_item, is_function = stack.pop()
        if isinstance(node, list):
            stack.extend((item, is_item, is_function) for item in node)
            continue
        if not isinstance(node, dict):
            continue
        if "groupClause" in node and "fromClause" in node:
            found.grouped.append((_own_items(node["fromClause"]), _references(node["groupClause"])))
        for key, value in node.items():
            if key == "RangeVar" and is_item:
                found.items.append(value)
            elif key == "ColumnRef":
                found.references.append(value)
            elif key == "ParamRef":
                found.parameters.add(value.get("number", 0))
            elif key == "lockingClause":
                raise _Unclear
            elif key == "FuncCall" and _function(value) in FUNCTIONS:
                if is_function:
                    raise _Unclear
                found.calls.append(value)
            if isinstance(value, dict | list):
                in_from = key in ("fromClause", "usingClause", "larg", "rarg") or (is_item and key == "JoinExpr")
                in_function = key == "functions" or (is_function and key in ("List", "items"))
                stack.append((value, in_from, in_function))
    return found


def _own_items(clause: Any) -> list[Node]:
    """The relations of a FROM clause, those of subqueries left aside."""
    stack, items = list(clause), []
    while stack:
        node = stack.pop()
        if "RangeVar" in node:
            items.append(node["RangeVar"])
        elif "JoinExpr" in node:
            stack += [node["JoinExpr"]["larg"], node["JoinExpr"]["rarg"]]
    return items


def _references(clause: list[Node]) -> list[Node]:
    """The column references that stand in GROUP BY by themselves."""
    return [item["ColumnRef"] for item in clause if "ColumnRef" in item]


def _function(call: Node) -> str | None:
    names = [name["String"].get("sval", "") for name in call["funcname"]]
    return names[-1] if names[:-1] in ([], ["pg_catalog"]) else None


def _words(reference: Node) -> list[str | None]:
    """The words of a column reference, None for `*`."""
    return [f["String"].get("sval", "") if "String" in f else None for f in reference["fields"]]


def _at(text: ParsedText, location: int) -> int:
    index = text.token_index.get(text.to_char(location))
    if index is None:
        raise _Unclear
    return index


def _name_span(item: Node, text: ParsedText) -> tuple[int, int]:
    """The characters of a relation's name in FROM."""
    first = _at(text, item.get("location", 0))
    last = first + 2 * sum(key in item for key in ("catalogname", "schemaname"))
    tokens = text.tokens
    follows = tokens[last + 1].name if last + 1 < len(tokens) else ""
    is_table_command = first > 0 and tokens[first - 1].name == "TABLE"
    if not item.get("inh") or follows == _STAR or is_table_command or "catalogname" in item:
        raise _Unclear
    return tokens[first].start, tokens[last].end


def _unqualified(reference: Node, text: ParsedText) -> Edit:
    """Takes the schema out of `schema.relation.column`."""
    at = _at(text, reference.get("location", 0))
    tokens = text.tokens
    if tokens[at + 1].name != _DOT:
        raise _Unclear
    return Edit(tokens[at].start, tokens[at + 2].start, ("",))


def _call(call: Node, text: ParsedText, shown: ShownCatalog) -> Iterator[Edit]:
    """A subquery around the call, which has its name for that of an output."""
    name = _function(call) or ""
    arguments = call.get("args", [])
    plain = {"funcname", "args", "funcformat", "location"}
    if not 1 <= len(arguments) <= _MOST_ARGUMENTS or call.keys() - plain or any("NamedArgExpr" in a for a in arguments):
        raise _Unclear
    if any(name not in FUNCTIONS for name, _ in find({"args": arguments}).functions):
        raise _Unclear  # it may give several rows
    tokens = text.tokens
    first = _at(text, call.get("location", 0))
    opening = first + 2 * (len(call["funcname"]) - 1) + 1
    if opening >= len(tokens) or tokens[opening].name != _OPENING:
        raise _Unclear
    end = closing(text, opening)
    names = [f"argument{number}" for number in range(1, len(arguments) + 1)]
    passed = ", ".join(["x.argument1::pg_catalog.oid", *(f"x.{n}" for n in names[1:])])
    inner = f"pg_catalog.{name}({passed})"
    if name == "pg_get_indexdef":
        made = shown.rows.definition(inner)
    else:
        made = f"COALESCE({inner}, {shown.rows.constraint_definition('x.argument1::pg_catalog.oid')})"
    before = f"(SELECT {made} AS {name} FROM (SELECT "  # noqa: S608 (names of this module only)
    yield Edit(tokens[first].start, tokens[opening].end, (before,))
    yield Edit(end - 1, end, (f") AS x({', '.join(names)}))",))
