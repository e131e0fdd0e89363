"""The database's relations and protected columns as plain data, and the lookup of names in it.

Knows no connection: `ops.catalog_loader` reads the rows and builds a `Catalog`.
A catalog is immutable; a new one replaces it whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pgcrypt_proxy.policy.model import TenantRule
from pgcrypt_proxy.sql.tenant_values import TenantValue, is_tenant_type
from pgcrypt_proxy.values.database_types import NO_TYPES, DatabaseTypes
from pgcrypt_proxy.values.types import LogicalType, type_by_oid

#: A column that is being filled beside another, whose place it will take, is named so, and by that column's id.
HIDDEN_PREFIX = "pgcrypt_next_"


def is_hidden(name: str) -> bool:
    """Whether a column of that name is one that clients do not see."""
    number = name.removeprefix(HIDDEN_PREFIX)
    return number != name and number.isascii() and number.isdigit()


@dataclass(frozen=True, slots=True)
class ProtectedColumn:
    """A column whose values are envelopes in the database.

    `id` is the immutable column id of `pgcrypt.columns`; 0 while the column is
    named in the rules but not yet sealed (`is_armed` is false), in which case
    every statement that touches its table is refused. All its terms are made with
    the index key of `index_generation`, which is 0 where nothing has terms.
    `tenant` says whose key seals a value, `tenant_type` is the type of the column that it names in this relation;
    `tenant_value` is where a statement has the tenant of a row, once it is bound to one (`sql.tenants`).
    `is_withheld`: no value of it passes, in either direction (`sql.withheld`).
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
    search: frozenset[str] = frozenset()  # of "equality", "equality_casefold", "equality_upper"
    index_domain: str = ""
    is_armed: bool = True
    index_generation: int = 0
    tenant: TenantRule | None = None
    tenant_type: LogicalType | None = None
    tenant_value: TenantValue | None = None
    is_withheld: bool = False

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.table}.{self.name}"

    @property
    def has_tenant_column(self) -> bool:
        """Whether a column of the same row says whose key seals a value."""
        return self.tenant is not None and bool(self.tenant.column)

    @property
    def is_of_session(self) -> bool:
        """Whether the session's tenant is the only one whose values are sealed and opened."""
        return self.tenant is not None and not self.tenant.column

    @property
    def is_folded_upper(self) -> bool:
        """Whether its second term is over the upper-case form, not the lower-case one."""
        return "equality_upper" in self.search

    @property
    def is_folded(self) -> bool:
        """Whether it has that second term."""
        return self.is_folded_upper or "equality_casefold" in self.search


@dataclass(frozen=True, slots=True)
class Column:
    """One live attribute of a relation."""

    name: str
    attribute_number: int
    type_oid: int
    protected: ProtectedColumn | None = None
    is_generated: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """A column that is being sealed, made plain or reindexed beside applications; `state` is filling or switching."""

    column_id: int
    state: str
    column_name: str


#: (column, the column that it is shown behind, or "" for first) of those that stand elsewhere.
ShownAfter = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialised view, foreign table or partitioned table.

    `is_derived` says that it is made from protected columns in a way that is not
    understood (a view that computes with one, an inheritance parent): every
    reference is refused. A view's column that shows a protected column has it as
    its own `protected`. `write_hazards` are (INSERT, UPDATE or DELETE; what would
    then move protected values where no plan can see it): such writes are refused.
    `unique_terms` are unique indexes over terms, with their keys as ON CONFLICT infers them.
    `absent` are columns that rules name and the table lacks; somebody's DDL may just be adding them.
    `moving` are qualified names: of the table itself if the phase of a rule lets a column of it change its form while
    applications use it, of such tables below a view. `columns` are in the order in which clients see them, without
    those that are `hidden`; `shown_after` is what the database says of that order. If `is_order_unknown`, they are in
    attribute order.
    """

    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind: r p v m f
    columns: tuple[Column, ...]
    is_derived: bool = False
    write_hazards: tuple[tuple[str, str], ...] = ()
    unique_terms: tuple[tuple[str, str], ...] = ()
    absent: tuple[ProtectedColumn, ...] = ()
    moving: tuple[str, ...] = ()
    hidden: tuple[Column, ...] = ()
    shown_after: ShownAfter = ()
    is_order_unknown: bool = False

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def is_protected(self) -> bool:
        return any(c.protected is not None for c in self.columns)

    @property
    def may_hold_envelopes(self) -> bool:
        """Whether a value of it may be an envelope, or may have to be one."""
        return self.is_derived or self.is_protected or bool(self.absent)

    @property
    def is_changing(self) -> bool:
        """Whether it has a hidden column, or may get one any time."""
        return bool(self.hidden) or self.qualified_name in self.moving

    @property
    def is_rearranged(self) -> bool:
        """Whether clients see other columns, or in another order, than the server has."""
        numbers = [column.attribute_number for column in self.columns]
        return self.is_changing or self.is_order_unknown or numbers != sorted(numbers)

    @property
    def is_sensitive(self) -> bool:
        """Whether a statement on it must be looked into."""
        return self.may_hold_envelopes or bool(self.moving) or self.is_rearranged

    @property
    def touched(self) -> set[str]:
        """The tables that a statement on it touches, as `StatementPlan.tables` names them."""
        return {*self.moving, *([self.qualified_name] if self.may_hold_envelopes or self.is_rearranged else [])}


@dataclass(frozen=True, slots=True)
class Catalog:
    """All relations outside system schemas, and the functions whose bodies name a protected table.

    `version` grows with every load. `tainted_functions` holds unqualified
    names: a statement that calls one of them is refused, because its body may
    read or write protected columns where no plan can see it.
    `unmet_rules` are qualified table names that rules name and the database lacks.
    `types` are the database's own, which casts may name.
    `ruled` has a column for every rule, by (schema, table, name): the one in the
    database; where there is none the one that DDL can make, if its sealed type is
    ready, else one that is not armed. Its `id` is not 0 where that type is ready.
    `system_columns` are the columns of those system relations that show something of protected columns.
    `watched_tables` (schema.table) are those of rules with a phase; `held_tables`, of these, are those that no new
    statement may use, since a column is about to change places with the one beside it; `held_together`, of these, are
    those in which that happens in one transaction.
    `plain` are qualified names of columns that rules name and that are plain for now, as the rules' phase allows;
    they are in none of the others; `foreign` are those of them that applications encrypt themselves. `moving` has the
    columns on their way by their relation's OID, `moving_names` the names of all relations through which such are
    reached, `rearranged_names` those of relations of which clients see other columns than the server has.
    """

    version: int
    relations: Mapping[int, Relation]
    tainted_functions: frozenset[str] = frozenset()
    unmet_rules: frozenset[tuple[str, str]] = frozenset()
    by_name: Mapping[str, tuple[Relation, ...]] = field(default_factory=dict)
    provenance: Mapping[tuple[int, int], ProtectedColumn] = field(default_factory=dict)
    sensitive_names: frozenset[str] = frozenset()
    hazard_names: frozenset[str] = frozenset()
    types: DatabaseTypes = NO_TYPES
    ruled: Mapping[tuple[str, str, str], ProtectedColumn] = field(default_factory=dict)
    system_columns: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    watched_tables: frozenset[str] = frozenset()
    held_tables: frozenset[str] = frozenset()
    held_together: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    moving: Mapping[int, tuple[Move, ...]] = field(default_factory=dict)
    moving_names: frozenset[str] = frozenset()
    rearranged_names: frozenset[str] = frozenset()

    @classmethod
    def build(
        cls,
        version: int,
        relations: Iterable[Relation],
        *,
        tainted_functions: Iterable[str] = (),
        unmet_rules: Iterable[tuple[str, str]] = (),
        types: DatabaseTypes = NO_TYPES,
        ruled: Mapping[tuple[str, str, str], ProtectedColumn] | None = None,
        system_columns: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
        plain: Iterable[str] = (),
        foreign: Iterable[str] = (),
        moving: Mapping[int, tuple[Move, ...]] | None = None,
    ) -> Catalog:
        """Index `relations` by OID and by name, and the protected columns by (table OID, attribute number)."""
        by_oid: dict[int, Relation] = {}
        by_name: dict[str, list[Relation]] = {}
        provenance: dict[tuple[int, int], ProtectedColumn] = {}
        sensitive: set[str] = {table for _, table in unmet_rules}
        by_table: dict[tuple[str, str], list[ProtectedColumn]] = {}
        for (schema, table, _), waiting in (ruled or {}).items():
            if not waiting.relation_oid:
                by_table.setdefault((schema, table), []).append(waiting)
        for found in relations:
            relation = _with_tenants(_with_absent(found, by_table.get((found.schema, found.name), ())))
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
            hazard_names=frozenset(relation.name for relation in by_oid.values() if relation.write_hazards),
            types=types,
            ruled=dict(ruled or {}),
            system_columns=dict(system_columns or {}),
            plain=frozenset(plain),
            foreign=frozenset(foreign),
            moving=dict(moving or {}),
            moving_names=frozenset(relation.name for relation in by_oid.values() if relation.moving),
            rearranged_names=frozenset(relation.name for relation in by_oid.values() if relation.is_rearranged),
        )

    def with_relations(
        self,
        relations: Iterable[Relation],
        *,
        version: int | None = None,
        unmet_rules: Iterable[tuple[str, str]] | None = None,
        ruled: Mapping[tuple[str, str, str], ProtectedColumn] | None = None,
    ) -> Catalog:
        """The same of other relations. `version`, `unmet_rules` and `ruled` stay when they are not given."""
        return Catalog.build(
            self.version if version is None else version,
            relations,
            tainted_functions=self.tainted_functions,
            unmet_rules=self.unmet_rules if unmet_rules is None else unmet_rules,
            types=self.types,
            ruled=self.ruled if ruled is None else ruled,
            system_columns=self.system_columns,
            plain=self.plain,
            moving=self.moving,
        )

    def holding(self, held: Mapping[str, bool]) -> Catalog:
        """The same with these tables held; those that are `held_together` with True."""
        together = frozenset(table for table, is_together in held.items() if is_together)
        return replace(self, held_tables=frozenset(held), held_together=together)

    def is_holding(self, held: Mapping[str, bool]) -> bool:
        """Whether it is so already."""
        return {table: table in self.held_together for table in self.held_tables} == held

    @property
    def protected_columns(self) -> tuple[ProtectedColumn, ...]:
        """Each column of a table once, however many views show it."""
        return tuple(dict.fromkeys(self.provenance.values()))


def _with_absent(relation: Relation, waiting: Iterable[ProtectedColumn]) -> Relation:
    names = {column.name for column in relation.columns}
    absent = tuple(column for column in waiting if column.name not in names)
    return relation if absent == relation.absent else replace(relation, absent=absent)


def _with_tenants(relation: Relation) -> Relation:
    """Of a table the columns that name tenants have the types that are in the table, however that came to be known."""
    if relation.kind not in "rp" or not any(c.protected and c.protected.has_tenant_column for c in relation.columns):
        return relation
    types = {column.name: type_by_oid(column.type_oid) for column in relation.columns}
    columns = []
    for column in relation.columns:
        found = column.protected
        if found is not None and found.tenant is not None and found.tenant.column:
            type_ = types.get(found.tenant.column)
            found = replace(found, tenant_type=type_ if is_tenant_type(type_) else None)
            column = replace(column, protected=found)
        columns.append(column)
    return replace(relation, columns=tuple(columns))
