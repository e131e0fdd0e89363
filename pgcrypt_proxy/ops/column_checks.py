"""Whether a column can be protected or made plain again, and every reason why not. Pure; knows facts and rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pgcrypt_proxy.crypto.envelope import FLAG_EQ, FLAG_EQCI
from pgcrypt_proxy.ops import index_conversion
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.index_conversion import Conversion, Obstacle
from pgcrypt_proxy.policy.model import Rule
from pgcrypt_proxy.values.database_types import NO_TYPES, DatabaseTypes

#: Search modes, the functions that give their terms, and the flags of envelopes that have them.
TERMS = (
    ("equality", "eq", FLAG_EQ),
    ("equality_casefold", "eqci", FLAG_EQCI),
    ("equality_upper", "eqci", FLAG_EQCI),
)

_KIND_NAMES = {
    "p": "a partitioned table",
    "v": "a view",
    "m": "a materialised view",
    "f": "a foreign table",
}

#: What may hang on the column without being in the way: its indexes and UNIQUE constraints are converted.
_HANDLED = {("pg_constraint", "u"), ("pg_constraint", "p"), ("pg_constraint", "x"), ("pg_constraint", "n")}

_WAYS_OUT = {
    ("pg_constraint", "f"): "ciphertext has no foreign keys; drop the constraint first",
    ("pg_constraint", "c"): "the CHECK would see ciphertext; drop it first",
    ("pg_rewrite", ""): "drop the view first; the application can query the table",
    ("pg_trigger", ""): "make it a trigger that does not name the column",
    ("pg_statistic_ext", ""): "drop the statistics object first",
    ("pg_policy", ""): "the policy would see ciphertext; drop it first",
    ("pg_attrdef", ""): "a generated column would see ciphertext; drop it first",
    ("pg_publication_rel", ""): "take the column out of the publication's list or filter",
    ("pg_class", "S"): "ALTER SEQUENCE ... OWNED BY NONE first",
}


@dataclass(slots=True)
class Assessment:
    """`obstacles` empty: it can be done. `warnings` are worth reading before it is."""

    obstacles: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    conversions: list[Conversion] = field(default_factory=list)


def assess_protect(
    facts: ColumnFacts,
    rule: Rule,
    *,
    drop_pattern_indexes: bool = False,
    make_indexes: bool = True,
    taken_names: frozenset[str] = frozenset(),
    types: DatabaseTypes = NO_TYPES,
) -> Assessment:
    """What stands in the way of sealing this column under `rule`, and what becomes of its indexes."""
    found = Assessment()
    _check_table(facts, found)
    wanted = logical_type(rule, types)
    if (facts.type_oid, facts.type_modifier) != (wanted.parameter_oid, wanted.column_typmod):
        found.obstacles.append(
            f"its type is {facts.type}, the rule ({rule.source}) says {wanted}: write type: {facts.type}"
        )
    found.obstacles += types.obstacles(wanted, is_not_null=facts.is_not_null)
    if facts.is_identity:
        found.obstacles.append("it is an identity column: the server makes its values in plaintext")
    if facts.is_generated:
        found.obstacles.append("it is a generated column: the server makes its values in plaintext")
    elif facts.default is not None and not is_null_default(facts.default):
        found.obstacles.append(
            "it has a DEFAULT, which the server would store in plaintext: "
            "ALTER TABLE ... ALTER COLUMN ... DROP DEFAULT, and let the application give the value"
        )
    if not facts.has_deterministic_collation and rule.search:
        found.obstacles.append(
            "its collation is nondeterministic, terms compare bytes: leave out search: or change the collation"
        )
    _check_dependents(facts, found)
    _convert(
        facts,
        found,
        lambda index: index_conversion.to_terms(facts, index, rule.search, drop_pattern=drop_pattern_indexes),
    )
    if make_indexes:
        for mode, function, _ in TERMS:
            if mode in rule.search and not any(index_conversion.serves(c, facts, function) for c in found.conversions):
                found.conversions.append(index_conversion.term_index(facts, function, taken_names))
    _warn(facts, found)
    return found


def assess_unprotect(facts: ColumnFacts, search: frozenset[str]) -> Assessment:
    """What stands in the way of making this column plain again, and what becomes of its indexes."""
    found = Assessment()
    _check_table(facts, found)
    _check_dependents(facts, found)
    _convert(facts, found, lambda index: index_conversion.to_values(facts, index, search))
    return found


def assess_reindex(facts: ColumnFacts) -> Assessment:
    """What stands in the way of giving this sealed column's values other terms, and what becomes of its indexes."""
    found = Assessment()
    _check_table(facts, found)
    _check_dependents(facts, found)
    _convert(facts, found, lambda index: index_conversion.to_other_terms(facts, index))
    return found


def term_flags(search: frozenset[str]) -> int:
    """The flags of every envelope in a column with these search modes."""
    return sum(flag for mode, _, flag in TERMS if mode in search)


def is_null_default(expression: str) -> bool:
    """Whether the default is NULL, perhaps with a cast, as pg_dump and ORMs write it."""
    return re.fullmatch(r"\(?NULL(::[\w ()\",.\[\]]+)?\)?", expression) is not None


def _check_table(facts: ColumnFacts, found: Assessment) -> None:
    if facts.kind != "r":
        what = _KIND_NAMES.get(facts.kind, "no ordinary table")
        found.obstacles.append(f"{facts.schema}.{facts.table} is {what}: only ordinary tables can be protected")
    if facts.is_partition or facts.is_inherited:
        found.obstacles.append(
            f"{facts.schema}.{facts.table} is a partition or takes part in inheritance: not supported yet"
        )
    if facts.is_typed_table:
        found.obstacles.append(f"{facts.schema}.{facts.table} is a typed table (OF): ALTER TABLE ... NOT OF first")
    if facts.has_rules:
        found.obstacles.append(f"{facts.schema}.{facts.table} has rewrite rules: drop them first")
    if not facts.is_owner:
        found.obstacles.append(f"the database role does not own the table: run as {facts.owner} or a member of it")


def _check_dependents(facts: ColumnFacts, found: Assessment) -> None:
    for catalog, kind, description in facts.dependents:
        if (catalog, kind) in _HANDLED or (catalog == "pg_class" and kind in ("i", "I")):
            continue
        way_out = _WAYS_OUT.get((catalog, kind)) or _WAYS_OUT.get((catalog, ""), "drop it first")
        found.obstacles.append(f"{description} depends on it: {way_out}")


def _convert(facts: ColumnFacts, found: Assessment, convert: index_conversion.Convert) -> None:
    for index in facts.indexes:
        made = convert(index)
        if isinstance(made, Obstacle):
            found.obstacles.append(str(made))
        else:
            found.conversions.append(made)


def _warn(facts: ColumnFacts, found: Assessment) -> None:
    for trigger in facts.triggers:
        if re.search(rf"\b{re.escape(facts.name)}\b", trigger.source, re.IGNORECASE):
            found.warnings.append(
                f"trigger {trigger.name} runs function {trigger.function}, which names the column: "
                "it will see the envelope"
            )
    for view in facts.views:
        found.warnings.append(f"view {view} reads the table: statements through it will be refused")
    if facts.persistence == "u":
        found.warnings.append("the table is UNLOGGED: a crash of the server empties it")
