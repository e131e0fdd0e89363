"""The database's relations and protected columns as plain data, and the lookup of names in it.

Knows no connection: `ops.catalog_loader` reads the rows and builds a `Catalog`.
A catalog is immutable; a new one replaces it whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pgcrypt_proxy.values.types import LogicalType


@dataclass(frozen=True, slots=True)
class ProtectedColumn:
    """A column whose values are envelopes in the database.

    `id` is the immutable column id of `pgcrypt.columns`; 0 while the column is
    named in the rules but not yet sealed (`is_armed` is false), in which case
    every statement that touches its table is refused.
    """

    id: int
    schema: str
    table: str
    name: str
    relation_oid: int
    attribute_number: int
    domain_oid: int
    type: LogicalType
    data_class: str
    search: frozenset[str] = frozenset()  # of "equality", "equality_casefold"
    index_domain: str = ""
    is_armed: bool = True

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.table}.{self.name}"


@dataclass(frozen=True, slots=True)
class Column:
    """One live attribute of a relation, in attribute-number order."""

    name: str
    attribute_number: int
    type_oid: int
    protected: ProtectedColumn | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialised view, foreign table or partitioned table.

    `is_derived` says that it is no protected table itself but is made from
    protected columns (a view over one, an inheritance parent or child): every
    reference is refused until its lineage is known.
    """

    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind: r p v m f
    columns: tuple[Column, ...]
    is_derived: bool = False

    @property
    def is_protected(self) -> bool:
        return any(c.protected is not None for c in self.columns)

    @property
    def is_sensitive(self) -> bool:
        return self.is_derived or self.is_protected


@dataclass(frozen=True, slots=True)
class Catalog:
    """All relations outside system schemas, and the functions whose bodies name a protected table.

    `version` grows with every load. `tainted_functions` holds unqualified
    names: a statement that calls one of them is refused, because its body may
    read or write protected columns where no plan can see it.
    `unmet_rules` are qualified table names that rules name and the database lacks.
    """

    version: int
    relations: Mapping[int, Relation]
    tainted_functions: frozenset[str] = frozenset()
    unmet_rules: frozenset[tuple[str, str]] = frozenset()
    by_name: Mapping[str, tuple[Relation, ...]] = field(default_factory=dict)
    provenance: Mapping[tuple[int, int], ProtectedColumn] = field(default_factory=dict)
    sensitive_names: frozenset[str] = frozenset()

    @classmethod
    def build(
        cls,
        version: int,
        relations: Iterable[Relation],
        *,
        tainted_functions: Iterable[str] = (),
        unmet_rules: Iterable[tuple[str, str]] = (),
    ) -> Catalog:
        """Index `relations` by OID and by name, and the protected columns by (table OID, attribute number)."""
        by_oid: dict[int, Relation] = {}
        by_name: dict[str, list[Relation]] = {}
        provenance: dict[tuple[int, int], ProtectedColumn] = {}
        sensitive: set[str] = {table for _, table in unmet_rules}
        for relation in relations:
            by_oid[relation.oid] = relation
            by_name.setdefault(relation.name, []).append(relation)
            if relation.is_sensitive:
                sensitive.add(relation.name)
            for column in relation.columns:
                if column.protected is not None:
                    provenance[relation.oid, column.attribute_number] = column.protected
        return cls(
            version=version,
            relations=by_oid,
            tainted_functions=frozenset(tainted_functions),
            unmet_rules=frozenset(unmet_rules),
            by_name={name: tuple(found) for name, found in by_name.items()},
            provenance=provenance,
            sensitive_names=frozenset(sensitive),
        )

    @property
    def protected_columns(self) -> tuple[ProtectedColumn, ...]:
        return tuple(self.provenance.values())
