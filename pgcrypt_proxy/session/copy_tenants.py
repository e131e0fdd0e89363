"""COPY data of tenants: whose each row is, and which keys a stretch of it needs that are not loaded yet."""

from __future__ import annotations

import copy
from typing import TypeVar

from pgcrypt_proxy.errors import KeyNotLoaded
from pgcrypt_proxy.session import opening
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.plan import CopyPlan
from pgcrypt_proxy.sql.tenants import copied_type
from pgcrypt_proxy.wire.copy_binary import BinaryReplacer
from pgcrypt_proxy.wire.copy_format import Action, Actions, BadField, CopyKind
from pgcrypt_proxy.wire.copy_lines import LineReplacer

Replacer = TypeVar("Replacer", bound=LineReplacer | BinaryReplacer)


class Collected:
    """The keys that were missing while a stretch of data was taken, so that all of them are asked for at once.

    What stands in place of values meanwhile goes nowhere: the stretch is taken again.
    """

    def __init__(self) -> None:
        self._seals: dict[tuple[str, str], int] = {}

    def around(self, actions: Actions) -> Actions:
        return tuple(None if action is None else self._collecting(action) for action in actions)

    def _collecting(self, action: Action) -> Action:
        def collect(value: bytes) -> bytes:
            try:
                return action(value)
            except KeyNotLoaded as wanted:
                for named, count in wanted.seals.items():
                    self._seals[named] = self._seals.get(named, 0) + count
                return b""

        return collect

    def taken(self) -> dict[tuple[str, str], int]:
        """What was missing since the last time."""
        seals, self._seals = self._seals, {}
        return seals


def start_rows(plan: CopyPlan, values: Values, tenant: str | None) -> None:
    """Rows come in: their tenants stand in them, or are the session's."""
    values.tenants.session = tenant
    owner = next((c for c in plan.columns if c is not None and c.has_tenant_column), None)
    if owner is not None:
        values.tenants.start_rows(copied_type(owner).base, is_binary=plan.format.kind is CopyKind.BINARY)


def copy_of(replacer: Replacer) -> Replacer:
    """A replacer that goes on from here, whatever becomes of this one."""
    made = copy.copy(replacer)
    made._pending = copy.copy(replacer._pending)
    return made


def further_keys(replacer: Replacer, run: bytes, at: int) -> set[int]:
    """The keys that the CopyData messages from `at` on ask for, each of them a row: all at once, not one by one."""
    found: set[int] = set()
    probe = copy_of(replacer)
    while at < len(run) and len(found) < opening.MAX_KEYS_AHEAD:
        end = at + 1 + int.from_bytes(run[at + 1 : at + 5])
        before = copy_of(probe)
        try:
            probe.feed(run[at + 5 : end])
        except BadField as error:
            if not isinstance(error.cause, KeyNotLoaded):
                break  # which is said when it is that row's turn
            found |= error.cause.key_ids
            probe = before
        at = end
    return found
