"""Values of one statement that compiled code rewrites: its parameters, or literals, sealed, made terms, or passed.

Only where a value that is plainly right becomes the same as in
`parameters.rewritten_bind` and `transform.Values.literal`, the references, which take all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from pgcrypt_proxy import fast
from pgcrypt_proxy.session.compiled_seals import CONVERT, read_of, sealing
from pgcrypt_proxy.session.link import Link
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.statements import Statement
from pgcrypt_proxy.sql.plan import LiteralSlot, ParameterUse, Use, declared_type, own_type
from pgcrypt_proxy.values import casts
from pgcrypt_proxy.values.types import UNKNOWN_OID

#: What becomes of a parameter; the numbers are binder.h's.
_PASS, _SEAL, _TERM = 0, 1, 2
_TEXTS = frozenset({"text", "varchar"})


@dataclass(frozen=True, slots=True)
class Binder:
    """`native` is fast.native.Binder; `made` says for each of its parameters what is counted, if anything is."""

    native: Any
    made: tuple[tuple[str, str] | None, ...]

    def settle(self, meter: Meter) -> None:
        """Tell the meter what was sealed, and what terms were made."""
        counts, seconds = self.native.counts()
        total = sum(count for count, made in zip(counts, self.made, strict=True) if made is not None)
        for count, made in zip(counts, self.made, strict=True):
            if made is not None and count:
                meter.add(*made, seconds * count / total, count)


def binder(link: Link, statement: Statement) -> Binder | None:
    """What rewrites its Binds under the present keyring and settings; None where all are Python's."""
    plan = statement.plan
    if fast.native is None or not link.encoding.is_utf8 or plan.is_about_prepared:
        return None
    declared = statement.parameter_type_oids
    uses = ((use, declared[use.client_index] if use.client_index < len(declared) else 0) for use in plan.parameters)
    return _binder(link, uses, max(plan.client_parameters, len(declared)))


def literal_binder(link: Link, slots: Iterable[tuple[int, LiteralSlot]], count: int) -> Binder | None:
    """The same for literals, by their numbers among `count`. One is read as a parameter of no declared type is."""
    uses = []
    for number, slot in slots:
        if slot.assigned is not None:
            return None
        uses.append((ParameterUse(number, slot.use, slot.column, slot.cast, slot.default), 0))
    return _binder(link, uses, count)


def _binder(link: Link, uses: Iterable[tuple[ParameterUse, int]], count: int) -> Binder | None:
    assert fast.native is not None
    natives, made = [], []
    for use, oid in uses:
        found = (_PASS, None) if use.use is Use.PASS else _made(link, use, oid)
        if found is None:
            return None
        natives.append((use.client_index, *found))
        counted = None if use.column is None else ("seal" if found[0] == _SEAL else "term", use.column.data_class)
        made.append(None if found[0] == _PASS else counted)
    return Binder(fast.native.Binder(tuple(natives), count), tuple(made))


def _made(link: Link, use: ParameterUse, oid: int) -> tuple[int, Any] | None:
    column, keyring = use.column, link.values.keyring
    if column is None or column.tenant is not None or use.use not in (Use.SEAL, Use.TERM):
        return None
    if oid in (0, UNKNOWN_OID):
        source = use.cast or own_type(use.use, column, use.default)
    elif (declared := declared_type(column, oid, is_array=False)) is not None:
        source = declared
    else:
        return None
    if (
        (use.cast is not None and use.cast != source.base)
        or read_of(source) == CONVERT
        or column.type.domain is not None
    ):
        return None
    if use.use is Use.TERM:
        mac = keyring.native_mac(column.index_domain, column.index_generation)
        if mac is None or not casts.share_terms(column.type, source):
            return None
        return _TERM, (read_of(source), mac)
    if read_of(column.type) == CONVERT or not (
        source.name == column.type.name or {source.name, column.type.name} <= _TEXTS
    ):
        return None
    seals = sealing(column, keyring, _left_to_python)
    return None if seals is None else (_SEAL, seals[1])


def _left_to_python(_value: bytes) -> NoReturn:
    raise AssertionError("a Binder leaves what it cannot read")
