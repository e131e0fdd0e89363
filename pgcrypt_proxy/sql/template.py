"""A plan for texts that differ in literals only: made from one text's plan, filled with another's literals.

A literal may vary only where that is known not to change the plan: as a value
that is sealed or made a term, or as a plain constant of an expression. Any
other (ordinals, type modifiers, what is continued on the next line) is *fixed*:
it belongs to the key. And nothing is taken on trust: a literal varies only
after the template has foretold, once, the plan of a text in which it is another.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from pgcrypt_proxy.sql.fingerprint import Literal, fingerprint
from pgcrypt_proxy.sql.mention import RelationName
from pgcrypt_proxy.sql.parse import Node, ParsedText
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan, Splice
from pgcrypt_proxy.sql.plan_cache import PlanCache
from pgcrypt_proxy.sql.tenant_values import TenantLiteral

_KINDS = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "TransactionStmt"})
#: Clauses whose expressions are compared with others, or whose constants are numbers of outputs.
_COMPARED = frozenset({"sortClause", "groupClause", "distinctClause", "windowClause", "over", "agg_order"})
#: Where a constant is no value.
_NO_VALUES = frozenset({"typmods", "arrayBounds", "indirection", "A_Indices", "options", "infer"})


class NoTemplate(Exception):
    """The text's plan says nothing about other texts."""


@dataclass(slots=True)
class Template:
    """`fixed` are the literals that belong to the key; `varied` those that have been others already."""

    plan: Plan
    literals: tuple[Literal, ...]
    fixed: frozenset[int]
    unknown: frozenset[RelationName]
    #: by the place of a literal slot: its literal's number, and whether a sign stands before it
    sources: dict[int, tuple[int, bool]]
    varied: set[int] = field(default_factory=set)
    is_wrong: bool = False
    _ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ends = [literal.end for literal in self.literals]

    def differing(self, literals: tuple[Literal, ...]) -> set[int]:
        """The literals that are others than the template's."""
        return {
            number
            for number, (own, other) in enumerate(zip(self.literals, literals, strict=True))
            if own.written != other.written
        }

    def filled(self, sql: str, literals: tuple[Literal, ...]) -> Plan:
        """The plan of `sql`, which has the template's key and fixed literals."""
        plan = self.plan
        if plan.is_untouched:
            return plan
        moves = [0, *(other.end - own.end for own, other in zip(self.literals, literals, strict=True))]

        def moved(position: int) -> int:
            return position + moves[bisect_right(self._ends, position)]

        pieces: list[str | LiteralSlot] = []
        splices: list[Splice] = []
        at = 0
        for splice in plan.splices:
            start, end = moved(splice.start), moved(splice.end)
            parts = tuple(
                part
                if isinstance(part, str)
                else self._slot(part, literals, moved(part.at), moved(part.position - 1) + 1)
                for part in splice.parts
            )
            splices.append(Splice(start, end, parts))
            for piece in (sql[at:start], *parts):
                if not piece:
                    continue
                if isinstance(piece, str) and pieces and isinstance(last := pieces[-1], str):
                    pieces[-1] = last + piece
                else:
                    pieces.append(piece)
            at = end
        tail = sql[at:]
        if tail and pieces and isinstance(last := pieces[-1], str):
            pieces[-1] = last + tail
        elif tail:
            pieces.append(tail)
        return Plan(
            False,
            plan.statements,
            tuple(pieces),
            tuple(splices),
            plan.parameters,
            plan.client_parameters,
            plan.is_optional,
        )

    def plan_of(self, sql: str) -> Plan:
        """The same, of a text that is known to have them."""
        found = fingerprint(sql)
        assert found is not None
        return self.filled(sql, found.literals)

    def _slot(self, slot: LiteralSlot, literals: tuple[Literal, ...], at: int, position: int) -> LiteralSlot:
        text = slot.text
        source = self.sources.get(slot.at)
        if source is not None:
            number, is_negative = source
            text = literals[number].value
            if is_negative and text != "0":
                text = f"-{text}"
        # written out, as dataclasses.replace takes several times as long
        return LiteralSlot(text, slot.use, slot.column, slot.cast, position, slot.default, slot.assigned, at)


def template(
    text: ParsedText, literals: tuple[Literal, ...], plan: Plan, *, unknown: frozenset[RelationName]
) -> Template:
    """The template that a text's plan gives. Raises NoTemplate."""
    if any(s.refusal is not None or s.executes or s.prepares for s in plan.statements):
        raise NoTemplate
    constants: dict[int, Node] = {}
    for statement in text.statements:
        if statement.kind not in _KINDS:
            raise NoTemplate
        _collect(statement.tree, constants, text)
    sources: dict[int, tuple[int, bool]] = {}
    slots = {part.at: part for s in plan.splices for part in s.parts if isinstance(part, LiteralSlot)}
    fixed = set()
    tenants = {value.at for slot in slots.values() if isinstance(value := slot.column.tenant_value, TenantLiteral)}
    tenants |= {v.at for u in plan.parameters if u.column and isinstance(v := u.column.tenant_value, TenantLiteral)}
    for number, literal in enumerate(literals):
        is_negative = False
        constant = constants.get(literal.start)
        place = literal.start
        if constant is None and literal.kind != "s":
            place = len(text.sql[: literal.start].rstrip(" ")) - 1
            constant, is_negative = constants.get(place), True
            if text.sql[place : place + 1] != "-":
                constant = None
        slot = slots.get(place)
        if place in tenants or constant is None or not _is_value(constant, literal, is_negative):
            fixed.add(number)
        elif slot is not None:
            sources[slot.at] = number, is_negative
        elif any(_touches(splice, literal) for splice in plan.splices):
            fixed.add(number)
    return Template(plan, literals, frozenset(fixed), unknown, sources)


def _touches(splice: Splice, literal: Literal) -> bool:
    """Whether the literal was taken away by the splice, or copied into it."""
    if splice.start < literal.end and literal.start < splice.end:
        return True
    return any(isinstance(part, str) and literal.written in part for part in splice.parts)


def _is_value(constant: Node, literal: Literal, is_negative: bool) -> bool:
    """Whether the parser read the constant as it is written there."""
    if literal.kind == "s":
        return "sval" in constant and constant["sval"].get("sval", "") == literal.value
    sign = "-" if is_negative else ""
    if literal.kind == "i":
        return "ival" in constant and constant["ival"].get("ival", 0) == int(sign + literal.value)
    return "fval" in constant and constant["fval"].get("fval", "") == sign + literal.value


def _collect(tree: Node, constants: dict[int, Node], text: ParsedText) -> None:
    """The constants of expressions, by the character where they begin. Raises NoTemplate."""
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if "A_Const" in node:
                constant = node["A_Const"]
                constants[text.to_char(constant.get("location", 0))] = constant
            for key, value in node.items():
                if key in _COMPARED:
                    _check_compared(value)
                elif key not in _NO_VALUES and isinstance(value, dict | list):
                    stack.append(value)


def _check_compared(clause: Any) -> None:
    """Raises NoTemplate for an expression with a constant, which may have to be the same as another."""
    stack: list[tuple[Any, bool]] = [(clause, True)]
    while stack:
        node, is_item = stack.pop()
        if isinstance(node, list):
            stack.extend((item, is_item) for item in node)
        elif isinstance(node, dict):
            if "A_Const" in node and not is_item:
                raise NoTemplate
            for key, value in node.items():
                if key != "A_Const":
                    stack.append((value, is_item and key in ("SortBy", "node")))


#: By a key without literals: which of them are fixed. By a key and the fixed ones' values: a template.
Templates = PlanCache[Template | frozenset[int]]


class Family:
    """The texts that differ from `sql` in literals only, as far as they are known."""

    def __init__(self, templates: Templates, sql: str, extended: bool, answers: tuple[tuple[str, int], ...]) -> None:
        self._templates = templates
        self._sql = sql
        self._found = fingerprint(sql)
        self._key = (self._found.key if self._found is not None else "", extended, answers)
        self._template: Template | None = None

    @property
    def key(self) -> str:
        """What the texts have in common; empty where that is not known."""
        return self._key[0]

    def plan(self) -> tuple[Plan, frozenset[RelationName]] | None:
        """The plan of the text, if it is certain."""
        trusted = self.trusted()
        if trusted is None or self._found is None:
            return None
        return trusted.filled(self._sql, self._found.literals), trusted.unknown

    def trusted(self) -> Template | None:
        """The template that tells the plan of the text for certain."""
        found = self._found
        if found is None:
            return None
        fixed = self._templates.get(self._key)
        if not isinstance(fixed, frozenset):
            return None
        member = self._templates.get(self._member(fixed))
        if not isinstance(member, Template):
            return None
        self._template = member
        if member.is_wrong or not member.differing(found.literals) <= member.varied:
            return None
        return member

    def _member(self, fixed: frozenset[int]) -> tuple[object, ...]:
        assert self._found is not None
        literals = self._found.literals
        return (*self._key, tuple(literals[number].written for number in sorted(fixed)))

    def learn(self, text: ParsedText, plan: Plan, unknown: frozenset[RelationName]) -> None:
        """The text was planned in full: a first template, or the test of the one that could not be used."""
        found = self._found
        if found is None:
            return
        member = self._template
        if member is not None:
            if member.is_wrong:
                return
            if (member.filled(self._sql, found.literals), member.unknown) == (plan, unknown):
                member.varied |= member.differing(found.literals)
            else:
                member.is_wrong = True
            return
        try:
            made = template(text, found.literals, plan, unknown=unknown)
        except NoTemplate:
            return
        known = self._templates.get(self._key)
        if isinstance(known, frozenset) and known != made.fixed:
            made.is_wrong = True  # which literals are fixed depends on their values: none of this can be relied on
            made.fixed = known
        self._templates.put(self._key, made.fixed, len(self._key[0]))
        self._templates.put(self._member(made.fixed), made, 2 * max(len(self._sql), plan.length))
