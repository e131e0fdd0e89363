"""What the analysis of one statement gathers: edits, parameter uses, tables touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn, Relation
from pgcrypt_proxy.sql.edits import Edit, ParameterPiece, Piece
from pgcrypt_proxy.sql.operands import Operand
from pgcrypt_proxy.sql.parse import Node, ParsedText
from pgcrypt_proxy.sql.plan import LiteralSlot, ParameterUse, Use
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn

Outputs = list[ScopeColumn] | None


class AskServer(Exception):
    """A relation's name has several meanings: only the client's session knows which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def quote(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(slots=True)
class Context:
    """State of one statement's analysis. `resolved` maps asked names to relation OIDs (0: there is none)."""

    catalog: Catalog
    text: ParsedText
    resolved: Mapping[str, int]
    edits: list[Edit] = field(default_factory=list)
    uses: list[ParameterUse] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    #: set by `analyze`, because expressions hold SELECT, and WITH holds data-modifying statements
    select: Callable[[Context, Node, Scope], Outputs] = lambda *_: None
    write: Callable[[Context, str, Node, Scope], Outputs] = lambda *_: None

    def position(self, location: int | None) -> int | None:
        """The 1-based character position of byte `location`, for an error's field P."""
        return None if location is None or location < 0 else self.text.to_char(location) + 1

    def lookup(self, schema: str | None, name: str, location: int | None) -> Relation | None:
        """The relation that a name in FROM or a target means; None when the catalog has none of that name.

        Raises AskServer when it may mean a sensitive relation and another one,
        Refusal when it means one whose values cannot be understood.
        """
        relation = find_relation(self.catalog, self.resolved, schema, name)
        position = self.position(location)
        if relation is None:
            unmet = [s for s, t in self.catalog.unmet_rules if t == name and schema in (None, s)]
            if unmet:
                raise refuse.unmet(unmet[0], name, position)
            return None
        if relation.is_derived:
            raise refuse.derived(relation, position)
        if relation.is_protected:
            self.tables.add(f"{relation.schema}.{relation.name}")
            for column in relation.columns:
                if column.protected is not None and not column.protected.is_armed:
                    raise refuse.unarmed(column.protected, position)
        return relation

    def edit(self, start: int, end: int, *pieces: Piece) -> None:
        self.edits.append(Edit(start, end, pieces))

    def pass_parameter(self, number: int) -> None:
        """Parameter `number` stands where no protected value is: it keeps its number and value."""
        use = ParameterUse(number - 1, Use.PASS)
        if use not in self.uses:
            self.uses.append(use)

    def piece(self, operand: Operand, use: Use, column: ProtectedColumn) -> Piece:
        """What replaces `operand` where it is stored in, or compared with, `column`."""
        if operand.parameter is None:
            return LiteralSlot(operand.text, use, column, operand.cast, operand.start + 1)
        made = ParameterUse(operand.parameter - 1, use, column, operand.cast)
        if made not in self.uses:
            self.uses.append(made)
        return ParameterPiece(made)

    def replace(self, operand: Operand, use: Use, column: ProtectedColumn) -> None:
        self.edit(operand.start, operand.end, self.piece(operand, use, column))


def find_relation(catalog: Catalog, resolved: Mapping[str, int], schema: str | None, name: str) -> Relation | None:
    """The catalog's relation of that name, or None.

    A name without schema that is borne by one relation only means that one: were
    it not in the search_path, the server would find none. Raises AskServer when
    several bear it and one of them is sensitive.
    """
    candidates = catalog.by_name.get(name, ())
    if schema is not None:
        return next((r for r in candidates if r.schema == schema), None)
    if not candidates:
        return None
    is_unmet = any(table == name for _, table in catalog.unmet_rules)
    if len(candidates) == 1 and not is_unmet:
        return candidates[0]
    if not is_unmet and not any(r.is_sensitive for r in candidates):
        return None  # all are plain; which columns it has is not known for certain
    asked = quote(name)
    if asked not in resolved:
        raise AskServer(asked)
    oid = resolved[asked]
    if oid and oid not in catalog.relations:
        # made in this very transaction, or a temporary table: not known, not protected
        return None
    if not oid:
        raise Refusal(f'relation "{name}" does not exist', sqlstate="42P01")
    return catalog.relations[oid]
