"""Joins rules with what the database says of its sealed columns, and names every contradiction.

Pure; knows rules and catalog rows. A contradiction is a sentence with file and
line and the right value, so that `check` can list all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pgcrypt_proxy.errors import InvalidValue, PolicyError
from pgcrypt_proxy.ops import catalog_phases
from pgcrypt_proxy.ops.catalog_queries import CatalogRows, ColumnRow, RelationRow
from pgcrypt_proxy.policy.model import EQUALITY, IMPORTING, Policy, Rule, TenantRule, stored_tenant
from pgcrypt_proxy.sql.catalog import Move, ProtectedColumn, is_hidden
from pgcrypt_proxy.sql.tenant_values import is_tenant_type
from pgcrypt_proxy.values.codec import has_equality
from pgcrypt_proxy.values.database_types import DatabaseTypes
from pgcrypt_proxy.values.types import LogicalType, type_by_oid

TABLE_KINDS = frozenset("rp")
#: Ids of types that are supposed to wait begin here.
SUPPOSED_IDS = 100_000_000
KIND_NAMES = {"v": "view", "m": "materialised view", "f": "foreign table"}


@dataclass(slots=True)
class Joined:
    """`protected` by (relation OID, attribute number). `problems` stop a start; `absent` do not.

    `safe_functions` are the OIDs of what rules name as safe; `ruled` has the column of every rule
    (`sql.catalog.Catalog`), but for those that are `plain` for now by the rule's phase. `moving` has the columns on
    their way by relation OID.
    """

    protected: dict[tuple[int, int], ProtectedColumn] = field(default_factory=dict)
    safe_functions: frozenset[int] = frozenset()
    unmet: set[tuple[str, str]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    ruled: dict[tuple[str, str, str], ProtectedColumn] = field(default_factory=dict)
    plain: dict[tuple[int, int], ProtectedColumn] = field(default_factory=dict)
    moving: dict[int, tuple[Move, ...]] = field(default_factory=dict)


def join(policy: Policy, rows: CatalogRows) -> Joined:
    """The protected columns of the database, armed or not yet, and what is wrong.

    A sealed type says which column's values a table's column holds. So a partition,
    a child, a detached partition or a copy of a table needs no rule of its own: its
    columns are protected as the rule of the column of that type says.
    """
    joined = Joined()
    rules = {(rule.schema, rule.table, rule.column): rule for rule in policy.rules}
    relations = {(relation.schema, relation.name): relation for relation in rows.relations}
    parents: dict[int, list[int]] = {}
    for child, parent in rows.inheritance:
        parents.setdefault(child, []).append(parent)
    by_oid = {relation.oid: relation for relation in rows.relations}
    tables = [relation for relation in rows.relations if relation.kind in TABLE_KINDS]
    ruled = {
        rows.domains.get(type_oid)
        for relation in tables
        for name, _, type_oid in relation.attributes
        if (relation.schema, relation.name, name) in rules
    }
    for relation in tables:
        for name, number, type_oid in relation.attributes:
            if is_hidden(name):
                continue
            column_id = rows.domains.get(type_oid)
            rule = rules.get((relation.schema, relation.name, name))
            if rule is not None:
                _check_tenant(rule, relation, joined)
            if column_id is None:
                if rule is not None:
                    columns = joined.plain if rule.phase in catalog_phases.PLAIN_PHASES else joined.protected
                    column = _column_of(rule, rows.types, relation.oid, number)
                    columns[relation.oid, number] = replace(column, tenant_type=_tenant_type(relation, rule.tenant))
                continue
            row = rows.columns.get(column_id)
            if rule is None and column_id not in ruled:
                inherited = any((name, type_oid) in _typed(by_oid, p) for p in parents.get(relation.oid, ()))
                if not inherited:  # else it is said of the parent
                    joined.problems.append(_missing_rule(relation, name, row, rules))
                continue
            armed = _armed(rule, relation, name, number, type_oid, row, joined, rows.types)
            if armed is not None:
                joined.protected[relation.oid, number] = armed
    catalog_phases.check_generations(joined.protected.values(), joined.problems)
    joined.moving = catalog_phases.moves(rules, rows, joined.problems)
    _absent(policy.rules, relations, joined)
    _find_ruled(rules, rows, joined)
    _find_safe_functions(policy, rows, joined)
    return joined


def suppose_sealed(policy: Policy, joined: Joined, rows: CatalogRows) -> None:
    """Count the columns that wait for `protect` as sealed, and those of their inheritance children with them.

    Their ids are negative, and their domain is the type that they have now: good for plans, not for values.
    """
    children: dict[int, list[int]] = {}
    for child, parent in rows.inheritance:
        children.setdefault(parent, []).append(child)
    by_oid = {relation.oid: relation for relation in rows.relations}
    sealing = {rule.qualified_name for rule in policy.rules if rule.phase in catalog_phases.TO_BE_SEALED}
    waiting = [(oid, column) for (oid, _), column in joined.protected.items() if not column.is_armed]
    for key, column in [*joined.plain.items()]:
        if column.qualified_name in sealing:
            waiting.append((key[0], joined.plain.pop(key)))
    joined.ruled |= {(c.schema, c.table, c.name): c for _, c in waiting}
    for made_up, (oid, column) in enumerate(waiting, 1):
        todo = [oid]
        while todo:
            relation = by_oid.get(todo.pop())
            if relation is None:
                continue
            todo += children.get(relation.oid, ())
            for name, number, type_oid in relation.attributes:
                if name == column.name:
                    joined.protected[relation.oid, number] = replace(
                        column,
                        id=-made_up,
                        schema=relation.schema,
                        table=relation.name,
                        relation_oid=relation.oid,
                        attribute_number=number,
                        domain_oid=type_oid,
                        is_armed=True,
                    )
    present = {(c.schema, c.table, c.name): c for c in joined.protected.values()}
    for number, (where, column) in enumerate(joined.ruled.items(), SUPPOSED_IDS):
        joined.ruled[where] = present.get(where) or replace(column, id=column.id or number, is_armed=True)


def raise_first(problems: list[str]) -> None:
    """PolicyError with the first problem as message and the others as detail; nothing when there is none."""
    if problems:
        raise PolicyError(
            problems[0],
            detail="\n".join(problems[1:]) or None,
            hint="`pgcrypt-proxy check` lists everything that rules and database disagree on.",
        )


def logical_type(rule: Rule, types: DatabaseTypes) -> LogicalType:
    """The rule's type. Raises PolicyError with file and line, also when it cannot be searched as the rule says."""
    try:
        made = types.named(rule.type)
    except InvalidValue as error:
        raise PolicyError(f"{rule.source}: {error.message}", hint=error.hint) from None
    if EQUALITY in rule.search and not has_equality(made):
        raise PolicyError(
            f"{rule.source}: values of type {made} have no equality that the proxy can search for",
            hint="Leave equality out of search; for citext, equality_casefold serves lower(column) = lower(value).",
        )
    return made


def _typed(by_oid: Mapping[int, RelationRow], oid: int) -> set[tuple[str, int]]:
    relation = by_oid.get(oid)
    return {(name, type_oid) for name, _, type_oid in relation.attributes} if relation else set()


def _column_of(rule: Rule, types: DatabaseTypes, relation_oid: int = 0, number: int = 0) -> ProtectedColumn:
    """The rule's column, not sealed yet."""
    return ProtectedColumn(
        id=0,
        schema=rule.schema,
        table=rule.table,
        name=rule.column,
        relation_oid=relation_oid,
        attribute_number=number,
        domain_oid=0,
        type=logical_type(rule, types),
        data_class=rule.data_class,
        search=rule.search,
        index_domain=rule.index_domain,
        is_armed=False,
        tenant=rule.tenant,
    )


def _armed(
    rule: Rule | None,
    relation: RelationRow,
    name: str,
    number: int,
    type_oid: int,
    row: ColumnRow | None,
    joined: Joined,
    types: DatabaseTypes,
) -> ProtectedColumn | None:
    """The column of a sealed type; `rule` is None when another column of that type has the rule."""
    where = f"{relation.schema}.{relation.name}.{name}"
    if row is None:
        joined.problems.append(_unlisted(where, rule))
        return None
    try:
        logical = types.named(row.logical_type)
    except InvalidValue as error:
        joined.problems.append(f"{where} is sealed with type {row.logical_type}: {error.message}")
        return None
    # NOT NULL was settled when the column was protected
    for obstacle in types.obstacles(logical, is_not_null=True):
        joined.problems.append(f"{where}: {obstacle}")
    if rule is not None:
        for what, ruled, stored in _differences(rule, row, logical, types):
            joined.problems.append(
                f"{rule.source}: {where} is sealed with {what} {stored}, the rule says {ruled}: "
                f"write {stored}, or unprotect the column and protect it again"
            )
    return ProtectedColumn(
        id=row.id,
        schema=relation.schema,
        table=relation.name,
        name=name,
        relation_oid=relation.oid,
        attribute_number=number,
        domain_oid=type_oid,
        type=logical,
        data_class=row.data_class,
        search=row.search,
        index_domain=row.index_domain,
        index_generation=row.index_generation,
        tenant=(tenant := stored_tenant(row.tenant)),
        tenant_type=_tenant_type(relation, tenant),
        is_withheld=rule is not None and rule.phase == IMPORTING,
    )


def _tenant_type(relation: RelationRow, tenant: TenantRule | None) -> LogicalType | None:
    """The type of the column that names the tenants; None when the relation has none that can."""
    oid = next((oid for name, _, oid in relation.attributes if tenant is not None and name == tenant.column), 0)
    found = type_by_oid(oid)
    return found if is_tenant_type(found) else None


def _check_tenant(rule: Rule, relation: RelationRow, joined: Joined) -> None:
    """A column of tenants that is not there may come with a migration; nothing is sealed before."""
    if rule.tenant is None or not rule.tenant.column:
        return
    where = f"{rule.source}: {relation.schema}.{relation.name}"
    name = rule.tenant.column
    if all(name != attribute for attribute, _, _ in relation.attributes):
        near = _nearest_attribute(name, relation)
        joined.absent.append(f"{where} has no column {name}, which is to name the tenants{near}")
    elif _tenant_type(relation, rule.tenant) is None:
        joined.problems.append(
            f"{where}.{name} cannot name tenants: its type must be text, varchar, int2, int4, int8 or uuid"
        )


def _nearest_attribute(name: str, relation: RelationRow) -> str:
    return _nearest(name, [attribute for attribute, _, _ in relation.attributes])


def _differences(
    rule: Rule, row: ColumnRow, stored: LogicalType, types: DatabaseTypes
) -> Iterable[tuple[str, str, str]]:
    ruled = logical_type(rule, types)
    if ruled != stored:
        yield "type", ruled.sql, stored.sql
    if rule.search != row.search:
        yield "search", _listed(rule.search), _listed(row.search)
    if rule.data_class != row.data_class:
        yield "data_class", rule.data_class, row.data_class
    if rule.tenant != stored_tenant(row.tenant):
        yield "tenant", str(rule.tenant or "none"), str(stored_tenant(row.tenant) or "none")
    # A rule that names no domain means its own name; a column that was renamed keeps the domain that it had.
    is_renamed = rule.index_domain == rule.qualified_name and row.index_domain == ".".join(row.named)
    if row.search and rule.index_domain != row.index_domain and not is_renamed:
        yield "index_domain", rule.index_domain, row.index_domain


def _listed(search: frozenset[str]) -> str:
    return f"[{', '.join(sorted(search))}]"


def _unlisted(where: str, rule: Rule | None) -> str:
    place = f"{rule.source}: " if rule else ""
    return (
        f"{place}{where} has a sealed type that pgcrypt.columns does not list: "
        "restore schema pgcrypt from the same backup as the table"
    )


def _missing_rule(
    relation: RelationRow, name: str, row: ColumnRow | None, rules: Mapping[tuple[str, str, str], Rule]
) -> str:
    where = f"{relation.schema}.{relation.name}.{name}"
    if row is None:
        return _unlisted(where, None)
    old = rules.get(row.named)
    if old is not None:
        return (
            f"{old.source}: {'.'.join(row.named)} is called {where} now: write the new name, the column holds envelopes"
        )
    return (
        f"{where} holds envelopes and no rule names it: a rule was removed while its column holds envelopes. "
        f"Put the rule back (type {row.logical_type}, data_class {row.data_class}, "
        f"search {_listed(row.search)}), then run `pgcrypt-proxy unprotect` if it shall be plain again"
    )


def _absent(rules: Iterable[Rule], relations: Mapping[tuple[str, str], RelationRow], joined: Joined) -> None:
    for rule in rules:
        relation = relations.get((rule.schema, rule.table))
        if relation is None:
            joined.unmet.add((rule.schema, rule.table))
            near = _nearest(f"{rule.schema}.{rule.table}", [f"{s}.{t}" for s, t in relations])
            joined.absent.append(f"{rule.source}: there is no table {rule.schema}.{rule.table}{near}")
        elif relation.kind not in TABLE_KINDS:
            joined.problems.append(
                f"{rule.source}: {rule.schema}.{rule.table} is a {KIND_NAMES.get(relation.kind, 'view')}: "
                "name the table whose column it shows"
            )
        elif all(name != rule.column for name, _, _ in relation.attributes):
            joined.unmet.add((rule.schema, rule.table))
            near = _nearest(rule.column, [name for name, _, _ in relation.attributes])
            joined.absent.append(f"{rule.source}: table {rule.schema}.{rule.table} has no column {rule.column}{near}")


def _find_ruled(rules: Mapping[tuple[str, str, str], Rule], rows: CatalogRows, joined: Joined) -> None:
    """The column of each rule: there, or waiting for its table with a sealed type that is made already."""
    present = {(c.schema, c.table, c.name): c for c in joined.protected.values()}
    domains = {column_id: oid for oid, column_id in rows.domains.items()}
    taken = {column.id for where, column in present.items() if where in rules and column.is_armed}
    plain = {(c.schema, c.table, c.name) for c in joined.plain.values()}
    for where, rule in rules.items():
        if where in plain:
            continue
        try:
            column = present.get(where) or _column_of(rule, rows.types)
        except PolicyError as error:  # its type is not there
            joined.problems.append(error.message)
            continue
        if not column.is_armed:
            for row in sorted(rows.columns.values(), key=lambda row: row.id):
                is_free = row.named == where and row.id in domains and row.id not in taken
                if is_free and _fits(rule, row, rows.types):
                    column = replace(
                        column,
                        id=row.id,
                        domain_oid=domains[row.id],
                        is_armed=where not in present,
                        index_generation=row.index_generation,
                    )
        joined.ruled[where] = column


def _fits(rule: Rule, row: ColumnRow, types: DatabaseTypes) -> bool:
    try:
        stored = types.named(row.logical_type)
    except InvalidValue:
        return False
    return not [*_differences(rule, row, stored, types)]


def _find_safe_functions(policy: Policy, rows: CatalogRows, joined: Joined) -> None:
    functions: dict[str, set[int]] = {}
    for function in rows.functions:
        functions.setdefault(f"{function.schema}.{function.name}", set()).add(function.oid)
    safe: set[int] = set()
    for named in policy.safe_functions:
        found = functions.get(named.qualified_name)
        if found is None:
            near = _nearest(named.qualified_name, list(functions))
            joined.absent.append(f"{named.source}: there is no function {named.qualified_name}{near}")
        else:
            safe |= found
    joined.safe_functions = frozenset(safe)


def _nearest(word: str, choices: list[str]) -> str:
    found = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean {found[0]}?" if found else ""
