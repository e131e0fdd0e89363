"""What RowDescription and ParameterDescription say to the client: logical types in place of envelopes.

Knows provenance (table OID, attribute number) and a statement's planned
outputs, and that they must agree; opens nothing. A result of which plan and
server tell different stories is drift and must not pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pgcrypt_proxy.errors import CatalogDrift
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.sql.plan import Plan, Use
from pgcrypt_proxy.values.types import UNKNOWN_OID
from pgcrypt_proxy.wire.backend import FieldDescription, ParameterDescription, RowDescription

BYTEA_OID = 17
TEXT_OID = 25
MAX_REMEMBERED = 256
MAX_REMEMBERED_BYTES = 4096

Outputs = tuple[ProtectedColumn | None, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The columns of one result. `outputs` is None when none of them is protected: rows pass as they are."""

    outputs: Outputs | None
    format_codes: tuple[int, ...] = ()


NO_PROTECTED_COLUMNS = Result(None)


class Descriptions:
    """Reads RowDescriptions under one catalog, and remembers what it found."""

    def __init__(self, catalog: Catalog) -> None:
        self._provenance = {key: c for key, c in catalog.provenance.items() if c.is_armed}
        #: Tables that lack columns which rules name, or in which one may take another's place, with the columns that
        #: they have: any other may be such a one.
        self._lacking = {
            oid: frozenset(c.attribute_number for c in relation.columns)
            for oid, relation in catalog.relations.items()
            if relation.absent or relation.moving
        }
        self._unconcerned: dict[bytes, None] = {}
        self._concerned: dict[tuple[bytes, int], tuple[Outputs | None, bytes, Result]] = {}

    def describe(self, raw: bytes, outputs: Outputs | None) -> tuple[bytes, Result]:
        """The RowDescription for the client, and what its rows hold. Raises CatalogDrift."""
        if outputs is None and (not (self._provenance or self._lacking) or raw in self._unconcerned):
            return raw, NO_PROTECTED_COLUMNS
        # By identity: a plan's outputs are one object, kept alive here, and comparing them would cost more.
        known = self._concerned.get((raw, id(outputs)))
        if known is not None:
            return known[1], known[2]
        planned = outputs
        fields = RowDescription.decode(raw).fields
        found = tuple(self._provenance.get((f.table_oid, f.attribute_number)) for f in fields)
        if outputs is None:
            outputs = found
        elif len(outputs) != len(fields):
            raise drift("the statement returns other columns than it was planned for")
        for field, column, provenance in zip(fields, outputs, found, strict=True):
            _check(field, column, provenance)
            if column is not None and column.is_withheld:  # FETCH and the like, of which no plan knows
                raise drift(f'no value of "{column.qualified_name}" passes yet, which was imported')
            if column is None and field.type_oid == BYTEA_OID:
                self._check_known(field)
        if not any(outputs):
            if len(raw) <= MAX_REMEMBERED_BYTES:
                if len(self._unconcerned) >= MAX_REMEMBERED:
                    self._unconcerned.clear()
                if not any(found):
                    self._unconcerned[raw] = None
            return raw, NO_PROTECTED_COLUMNS
        shown = tuple(f if c is None else _logical(f, c) for f, c in zip(fields, outputs, strict=True))
        made = RowDescription(shown).encode(), Result(outputs, tuple(f.format_code for f in fields))
        if len(raw) <= MAX_REMEMBERED_BYTES:
            if len(self._concerned) >= MAX_REMEMBERED:
                self._concerned.clear()
            self._concerned[raw, id(planned)] = planned, *made
        return made

    def _check_known(self, field: FieldDescription) -> None:
        present = self._lacking.get(field.table_oid)
        if present is not None and field.attribute_number > 0 and field.attribute_number not in present:
            raise drift("a result column is new, and may be one that rules name")


def _check(field: FieldDescription, column: ProtectedColumn | None, provenance: ProtectedColumn | None) -> None:
    if provenance is not None and (column is None or column.id != provenance.id):
        raise drift(f'a result column comes from "{provenance.qualified_name}", which was not planned')
    if column is not None and field.type_oid not in (BYTEA_OID, column.domain_oid):
        raise drift(f'column "{column.qualified_name}" does not hold envelopes')


def _logical(field: FieldDescription, column: ProtectedColumn) -> FieldDescription:
    return replace(
        field,
        type_oid=column.type.oid,
        type_length=column.type.length,
        type_modifier=column.type.typmod,
    )


def drift(what: str) -> CatalogDrift:
    return CatalogDrift(
        f"the database changed under the statement: {what}",
        hint="Run the statement again; the proxy is loading the new definitions.",
    )


def parameter_description(raw: bytes, plan: Plan, declared: tuple[int, ...]) -> bytes:
    """The client's own parameters in the client's order, with the types that the client works with."""
    if not plan.parameters:
        return raw
    upstream = ParameterDescription.decode(raw).type_oids
    if len(upstream) != len(plan.parameters):
        raise drift("it has other parameters than it was planned for")
    shown = [0] * max(plan.client_parameters, len(declared))
    passed: dict[int, int] = {}
    for use, oid in zip(plan.parameters, upstream, strict=True):
        if use.use is Use.PASS:
            passed[use.client_index] = oid
        elif not shown[use.client_index]:
            shown[use.client_index] = use.type_oid
    for index, oid in enumerate(shown):
        if index < len(declared) and declared[index] not in (0, UNKNOWN_OID):
            shown[index] = declared[index]
        elif not oid:
            shown[index] = passed.get(index, TEXT_OID)
    return ParameterDescription(tuple(shown)).encode()
