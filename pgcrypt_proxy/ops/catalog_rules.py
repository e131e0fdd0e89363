"""Joins rules with what the database says of its sealed columns, and names every contradiction.

Pure; knows rules and catalog rows. A contradiction is a sentence with file and
line and the right value, so that `check` can list all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pgcrypt_proxy.errors import InvalidValue, PolicyError
from pgcrypt_proxy.ops.catalog_queries import CatalogRows, ColumnRow, RelationRow
from pgcrypt_proxy.policy.model import Policy, Rule
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.values.types import LogicalType, type_by_name

TABLE_KINDS = frozenset("rp")
KIND_NAMES = {"v": "view", "m": "materialised view", "f": "foreign table"}


@dataclass(slots=True)
class Joined:
    """`protected` by (relation OID, attribute number). `problems` stop a start; `absent` do not."""

    protected: dict[tuple[int, int], ProtectedColumn] = field(default_factory=dict)
    unmet: set[tuple[str, str]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def join(policy: Policy, rows: CatalogRows) -> Joined:
    """The protected columns of the database, armed or not yet, and what is wrong."""
    joined = Joined()
    rules = {(rule.schema, rule.table, rule.column): rule for rule in policy.rules}
    relations = {(relation.schema, relation.name): relation for relation in rows.relations}
    parents: dict[int, list[int]] = {}
    for child, parent in rows.inheritance:
        parents.setdefault(child, []).append(parent)
    by_oid = {relation.oid: relation for relation in rows.relations}
    for relation in rows.relations:
        if relation.kind not in TABLE_KINDS:
            continue  # a view's column of a sealed type comes from a table's: the view is derived
        for name, number, type_oid in relation.attributes:
            column_id = rows.domains.get(type_oid)
            rule = rules.get((relation.schema, relation.name, name))
            if column_id is None:
                if rule is not None:
                    joined.protected[relation.oid, number] = _unarmed(rule, relation, number, joined)
                continue
            inherited = any((name, type_oid) in _typed(by_oid, p) for p in parents.get(relation.oid, ()))
            if rule is None and inherited:
                continue  # the parent has the rule; the child is derived
            armed = _armed(rule, relation, name, number, type_oid, rows.columns.get(column_id), rules, joined)
            if armed is not None:
                joined.protected[relation.oid, number] = armed
    _absent(policy.rules, relations, joined)
    return joined


def raise_first(problems: list[str]) -> None:
    """PolicyError with the first problem as message and the others as detail; nothing when there is none."""
    if problems:
        raise PolicyError(
            problems[0],
            detail="\n".join(problems[1:]) or None,
            hint="`pgcrypt-proxy check` lists everything that rules and database disagree on.",
        )


def logical_type(rule: Rule) -> LogicalType:
    """The rule's type. Raises PolicyError with file and line."""
    try:
        return type_by_name(rule.type)
    except InvalidValue as error:
        raise PolicyError(f"{rule.source}: {error.message}", hint=error.hint) from None


def _typed(by_oid: Mapping[int, RelationRow], oid: int) -> set[tuple[str, int]]:
    relation = by_oid.get(oid)
    return {(name, type_oid) for name, _, type_oid in relation.attributes} if relation else set()


def _unarmed(rule: Rule, relation: RelationRow, number: int, joined: Joined) -> ProtectedColumn:
    return ProtectedColumn(
        id=0,
        schema=rule.schema,
        table=rule.table,
        name=rule.column,
        relation_oid=relation.oid,
        attribute_number=number,
        domain_oid=0,
        type=logical_type(rule),
        data_class=rule.data_class,
        search=rule.search,
        index_domain=rule.index_domain,
        is_armed=False,
    )


def _armed(
    rule: Rule | None,
    relation: RelationRow,
    name: str,
    number: int,
    type_oid: int,
    row: ColumnRow | None,
    rules: Mapping[tuple[str, str, str], Rule],
    joined: Joined,
) -> ProtectedColumn | None:
    where = f"{relation.schema}.{relation.name}.{name}"
    if row is None:
        place = f"{rule.source}: " if rule else ""
        joined.problems.append(
            f"{place}{where} has a sealed type that pgcrypt.columns does not list: "
            "restore schema pgcrypt from the same backup as the table"
        )
        return None
    if rule is None:
        joined.problems.append(_missing_rule(where, row, rules))
        return None
    for what, ruled, stored in _differences(rule, row):
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
        type=type_by_name(row.logical_type),
        data_class=row.data_class,
        search=row.search,
        index_domain=row.index_domain,
    )


def _differences(rule: Rule, row: ColumnRow) -> Iterable[tuple[str, str, str]]:
    ruled, stored = logical_type(rule), type_by_name(row.logical_type)
    if ruled != stored:
        yield "type", ruled.sql, stored.sql
    if rule.search != row.search:
        yield "search", _listed(rule.search), _listed(row.search)
    if rule.data_class != row.data_class:
        yield "data_class", rule.data_class, row.data_class
    if row.search and rule.index_domain != row.index_domain:
        yield "index_domain", rule.index_domain, row.index_domain


def _listed(search: frozenset[str]) -> str:
    return f"[{', '.join(sorted(search))}]"


def _missing_rule(where: str, row: ColumnRow, rules: Mapping[tuple[str, str, str], Rule]) -> str:
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


def _nearest(word: str, choices: list[str]) -> str:
    found = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean {found[0]}?" if found else ""
