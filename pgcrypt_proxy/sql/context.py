"""What the analysis of one statement gathers: edits, parameter uses, tables touched."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn, Relation
from pgcrypt_proxy.sql.edits import Edit, ParameterPiece, Piece
from pgcrypt_proxy.sql.feeds import Feed
from pgcrypt_proxy.sql.operands import Operand
from pgcrypt_proxy.sql.parse import Node, ParsedText
from pgcrypt_proxy.sql.plan import ELEMENT_USES, LiteralSlot, ParameterUse, Use
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, quote
from pgcrypt_proxy.sql.tenant_values import TenantElements, TenantFrom, TenantParameter
from pgcrypt_proxy.values import casts

Outputs = list[ScopeColumn] | None

#: In place of answers, for a statement behind one of the same text that may change what names mean.
MOVED: Mapping[str, int] = MappingProxyType({})
#: Before a schema's name in NeedsNames: is it the one that tables are made in? No quoted name begins so.
CREATION_SCHEMA = "+"


class AskServer(Exception):
    """A relation's name has several meanings: only the client's session knows which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class Context:
    """State of one statement's analysis. `resolved` maps asked names to relation OIDs (0: there is none)."""

    catalog: Catalog
    text: ParsedText
    resolved: Mapping[str, int]
    edits: list[Edit] = field(default_factory=list)
    uses: list[ParameterUse] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    #: whether any of them is protected
    has_protected: bool = False
    #: how many of the edits only say which columns are meant
    listings: int = 0
    #: values that derived columns hand on, settled at the end of the statement
    feeds: list[Feed] = field(default_factory=list)
    #: parameters that IS NULL is asked of, and whether they have no type; settled behind the feeds
    null_tests: list[tuple[Operand, bool]] = field(default_factory=list)
    #: outputs of subqueries in expressions that are analysed already, by their kind and place
    subselects: dict[tuple[str, int], Outputs] = field(default_factory=dict)
    #: references to merged columns of a join: what they are written as, by their first character
    spelled: dict[int, str] = field(default_factory=dict)
    #: whether values of tenants are sealed, and whether the session's tenant must be known for that
    seals_of_tenants: bool = False
    needs_tenant: bool = False
    #: whether it writes, and the columns of the row that is written, whose envelopes are of its tenant already
    writes: bool = False
    same_row: Sequence[ScopeColumn] = ()
    #: the command tag that the client expects, where something else is sent
    command_tag: str | None = None
    #: set by `analyze`: expressions hold SELECT, WITH holds data-modifying statements, and an envelope may be
    #: chosen by a condition
    select: Callable[[Context, Node, Scope], Outputs] = lambda *_: None
    select_compared: Callable[[Context, Node, Scope, bool], Outputs] = lambda *_: None
    write: Callable[[Context, str, Node, Scope], Outputs] = lambda *_: None
    plain: Callable[[Context, Any, Scope, str], None] = lambda *_: None
    window: Callable[[Context, Node, Scope], None] = lambda *_: None
    conditions: Callable[[Context, Node, Scope], None] = lambda *_: None
    nullif: Callable[[Context, Node, Scope, ProtectedColumn], None] = lambda *_: None

    def position(self, location: int | None) -> int | None:
        """The 1-based character position of byte `location`, for an error's field P."""
        return None if location is None or location < 0 else self.text.to_char(location) + 1

    def creates_in(self, schema: str) -> bool:
        """Whether a table that is made without a schema's name comes into `schema`. Raises AskServer."""
        asked = CREATION_SCHEMA + schema
        _check_answered(asked, self.resolved)
        return bool(self.resolved[asked])

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
        self.tables.update(relation.moving)
        if relation.is_rearranged:
            self.tables.add(relation.qualified_name)
        if relation.is_protected:
            self.has_protected = True
            self.tables.add(relation.qualified_name)
            for column in relation.columns:
                if column.protected is not None and not column.protected.is_armed:
                    raise refuse.unarmed(column.protected, position)
        return relation

    def edit(self, start: int, end: int, *pieces: Piece) -> None:
        self.edits.append(Edit(start, end, pieces))

    def list_columns(self, start: int, end: int, listed: str) -> None:
        """Write the columns out that are meant at `start..end`."""
        self.edit(start, end, listed)
        self.listings += 1

    def rewritten(self, start: int, end: int) -> list[Piece]:
        """What the characters `start..end` have become so far."""
        pieces: list[Piece] = []
        at = start
        for edit in sorted(self.edits, key=lambda e: (e.start, e.end, e.rank)):
            if at <= edit.start and edit.end <= end:
                pieces += [self.text.sql[at : edit.start], *edit.pieces]
                at = edit.end
        return [*pieces, self.text.sql[at:end]]

    def name_output(self, start: int, end: int, name: str) -> None:
        """The output at `start..end` keeps its name `name`, whatever its expression becomes."""
        tokens = self.text.tokens
        before, after = self.text.token_index[start] - 1, bisect_left(tokens, end, key=lambda token: token.start)
        while after < len(tokens) and (tokens[before].name, tokens[after].name) == ("ASCII_40", "ASCII_41"):
            before, after, end = before - 1, after + 1, tokens[after].end  # parentheses around it
        self.edits.append(Edit(end, end, (f" AS {quote(name)}",), rank=1))

    def edit_around(self, start: int, end: int, before: str, after: str) -> None:
        """Put a query between `before` and `after`, around all that is inserted at its ends already."""
        self.edits.insert(0, Edit(start, start, (before,), rank=-1))
        self.edits.append(Edit(end, end, (after,), rank=2))

    def spell(self, start: int, end: int, spelling: str) -> None:
        """The reference `start..end` is written as `spelling`, however often it is looked at."""
        if start not in self.spelled:
            self.spelled[start] = spelling
            self.edit(start, end, spelling)

    def pass_parameter(self, number: int) -> None:
        """Parameter `number` stands where no protected value is: it keeps its number and value."""
        use = ParameterUse(number - 1, Use.PASS)
        if use not in self.uses:
            self.uses.append(use)

    def piece(self, operand: Operand, use: Use, column: ProtectedColumn) -> Piece:
        """What replaces `operand` where it is stored in, or compared with, `column`.

        Raises Refusal for a comparison that PostgreSQL makes in a type of which there are no terms, and for a choice
        whose result is of another type.
        """
        if use is Use.ALIKE and operand.cast and not casts.is_alike(operand.cast, column.type):
            raise refuse.value_form(column, operand.start + 1)
        compared = operand.cast if ELEMENT_USES.get(use, use) is Use.TERM else None
        if compared and casts.meet(column.type, compared) and not casts.is_comparable(column.type, compared):
            raise refuse.operand_form(column, operand.start + 1)
        if column.tenant is not None and not use.is_compared:
            column = self._of_tenant(operand, use, column)
        if operand.parameter is None:
            start = operand.start + 1
            return LiteralSlot(operand.text, use, column, operand.cast, start, operand.default, at=operand.at)
        made = ParameterUse(operand.parameter - 1, use, column, operand.cast, operand.default)
        if made not in self.uses:
            self.uses.append(made)
        return ParameterPiece(made)

    def _of_tenant(self, operand: Operand, use: Use, column: ProtectedColumn) -> ProtectedColumn:
        """The column bound to whose value `operand` is. Raises Refusal when nobody knows."""
        if operand.is_null:
            return column
        self.seals_of_tenants = True
        if column.is_of_session:
            self.needs_tenant = True
            return replace(column, tenant_value=TenantFrom.SESSION)
        is_of_elements = isinstance(column.tenant_value, TenantElements)
        if column.tenant_value is None or is_of_elements != (use is Use.SEAL_ARRAY):
            raise refuse.unknown_tenant(column, operand.start + 1)
        if operand.parameter is None and isinstance(column.tenant_value, TenantParameter | TenantElements):
            raise refuse.literal_of_tenant(column, operand.start + 1)  # it would be sealed before the tenant is known
        return column

    def replace(self, operand: Operand, use: Use, column: ProtectedColumn) -> None:
        self.edit(operand.start, operand.end, self.piece(operand, use, column))


def _check_answered(asked: str, resolved: Mapping[str, int]) -> None:
    """Raises AskServer, or Refusal where the server's answer of now is none."""
    if resolved is MOVED:
        raise refuse.behind_moved_names()
    if asked not in resolved:
        raise AskServer(asked)


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
    if len(candidates) > 1 and any(r.oid < 0 for r in candidates):
        raise refuse.behind_reshaping()  # what the name means now is no answer: one of them is made in this very text
    # a table that is there and lacks a column only is among the candidates
    is_unmet = any(t == name and all(r.schema != s for r in candidates) for s, t in catalog.unmet_rules)
    if len(candidates) == 1 and not is_unmet:
        return candidates[0]
    if not is_unmet and not any(r.is_sensitive or r.write_hazards for r in candidates):
        return None  # all are plain; which columns it has is not known for certain
    asked = quote(name)
    _check_answered(asked, resolved)
    oid = resolved[asked]
    if oid and oid not in catalog.relations:
        # made in this very transaction, or a temporary table: not known, not protected
        return None
    if not oid:
        raise Refusal(f'relation "{name}" does not exist', sqlstate="42P01")
    return catalog.relations[oid]
