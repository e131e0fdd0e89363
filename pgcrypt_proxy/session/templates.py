"""Templates of simple queries, told to compiled code: texts that differ in literals only then pass without Python.

Which literals may be others `sql.template` knows; what becomes of those that are
sealed, `binders`, as of parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pgcrypt_proxy import fast
from pgcrypt_proxy.session.binders import Binder, literal_binder
from pgcrypt_proxy.session.link import Link
from pgcrypt_proxy.sql.filling import Copied, Made, filling
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan
from pgcrypt_proxy.sql.template import Template

#: The numbers are template.h's.
MAX_LITERALS, MAX_MADE = 64, 32
#: Of one key, for the literals in which they differ are fixed.
MAX_ALIKE = 8
_MESSAGE_BYTES = 6  # of a Query beside its text


class Told(NamedTuple):
    """A template as it was when it was told; `native` is None where it is Python's."""

    template: Template
    varied: int
    native: Any
    binder: Binder | None

    @property
    def is_current(self) -> bool:
        """Whether the template has learned nothing since."""
        return self.varied == len(self.template.varied)


def told(link: Link, template: Template, sql: str, route: Any) -> Told:
    """A template that tells the plan of `sql`, under the present keyring and settings."""
    varied = len(template.varied)
    nothing = Told(template, varied, None, None)
    found = filling(template, sql)
    if found is None or len(found.same) > MAX_LITERALS:
        return nothing
    parts: list[Any] = []
    slots: list[tuple[int, LiteralSlot]] = []
    for part in found.parts:
        if isinstance(part, Copied):
            parts.append((*part.start, *part.end))
        elif isinstance(part, str):
            parts.append(part.encode())
        elif isinstance(part, Made):
            parts.append((len(slots), part.is_negative))
            slots.append((part.literal, part.slot))
        else:
            parts.append(link.values.literal(part).encode())
    if len(slots) > MAX_MADE:
        return nothing
    is_rewritten = len(parts) > 1
    binder = literal_binder(link, slots, len(found.same)) if is_rewritten else None
    if is_rewritten and binder is None:
        return nothing
    max_bytes = min(link.planner.max_statement_bytes, link.frontend.max_bytes - _MESSAGE_BYTES)
    native_binder = None if binder is None else binder.native
    assert fast.native is not None
    native = fast.native.Template(template, route, found.same, max_bytes, native_binder, tuple(parts))
    return Told(template, varied, native, binder)


def sent(link: Link, template: Template, query: bytes, made: tuple[int, ...]) -> tuple[Plan, dict[LiteralSlot, int]]:
    """The plan of a client's Query that compiled code has sent, and how long its literals became.

    `made` are the lengths of those that are sealed.
    """
    plan = template.plan_of(query[5:-1].decode())
    left = iter(made)
    slots = (piece for piece in plan.pieces if isinstance(piece, LiteralSlot))
    return plan, {slot: len(link.values.literal(slot)) if slot.text is None else next(left) for slot in slots}
