"""Indexes of a plain column become indexes on its terms, and back. Pure; knows index facts and SQL text.

`(email)` becomes `(pgcrypt.eq(email))`, `(lower(email))` becomes
`(pgcrypt.eqci(email))`, whatever stands beside them in the index stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg import sql

from pgcrypt_proxy.ops.column_facts import ColumnFacts, IndexFacts, IndexKey
from pgcrypt_proxy.sql.shown_rows import UNIQUE_MARK

#: The index has this column's value as its key: what shall stand there, or why it cannot.
KeyOf = Callable[[IndexKey], "str | Obstacle | None"]
Convert = Callable[[IndexFacts], "Conversion | Obstacle"]

_METHODS = ("btree", "hash")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something cannot be done, and the way out."""

    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.way_out}"


@dataclass(frozen=True, slots=True)
class Conversion:
    """`drop` before the column's type changes, `create` after it (None: the index is not made again)."""

    index: str
    drop: str
    create: str | None


def quoted(*names: str) -> str:
    """Names joined by dots as SQL identifiers."""
    return ".".join(sql.Identifier(name).as_string(None) for name in names)


def waits_for_values(facts: ColumnFacts, index: IndexFacts) -> str | None:
    """Why an index over a column that is being filled would find rows equal that are not, or None."""
    if index.is_unique and index.nulls_not_distinct:
        return f"index {index.name} is UNIQUE NULLS NOT DISTINCT"
    if index.is_unique and (index.predicate or "").strip("()") == f"{facts.identifier} IS NULL":
        return f"index {index.name} is UNIQUE WHERE {facts.name} IS NULL"
    return None


def to_terms(
    facts: ColumnFacts, index: IndexFacts, search: frozenset[str], *, drop_pattern: bool
) -> Conversion | Obstacle:
    """What becomes of `index` when the column is protected with these terms."""
    what = f"index {index.name}"
    column = quoted(facts.name)
    if index.is_primary:
        return Obstacle(f"{facts.name} is part of the primary key {index.name}", "protect columns that are no key")
    if index.is_exclusion:
        return Obstacle(f"exclusion constraint {index.name} uses {facts.name}", "drop it first")
    if _is_pattern_only(facts, index):
        if drop_pattern:
            return Conversion(index.name, _drop(facts, index), None)
        return Obstacle(f"{what} serves LIKE, which sealed values cannot", "give --drop-pattern-indexes to drop it")
    folded = re.compile(rf"(lower|upper)\(\(?{re.escape(facts.identifier)}\)?(::text)?\)")

    def term(found: IndexKey) -> str | Obstacle | None:
        if found.number == facts.number:
            if found.operator_class is None:
                return Obstacle(f"{what} INCLUDEs {facts.name}", "drop it or make it without the column")
            if "equality" not in search:
                return Obstacle(
                    f"{what} serves comparisons of {facts.name}, which the rule does not allow",
                    "write search: [equality] in the rule, or drop the index",
                )
            return f"pgcrypt.eq({column})"
        fold = folded.fullmatch(found.text) if found.number == 0 else None
        if fold is not None:
            mode = "equality_upper" if fold[1] == "upper" else "equality_casefold"
            if mode not in search:
                return Obstacle(
                    f"{what} serves {fold[1]}({facts.name}), which the rule does not allow",
                    f"write search: [{mode}] in the rule, or drop the index",
                )
            return f"pgcrypt.eqci({column})"
        if found.number == 0 and _mentions(found.text, facts.identifier):
            return Obstacle(f"{what} has an expression over {facts.name}", "drop it first")
        return None

    return _converted(facts, index, term)


def to_values(facts: ColumnFacts, index: IndexFacts, search: frozenset[str]) -> Conversion | Obstacle:
    """What becomes of `index` when the column, which has these terms, is plain again."""
    column = quoted(facts.name)
    fold = "upper" if "equality_upper" in search else "lower"
    return _of_terms(facts, index, {"eq": column, "eqci": f"pg_catalog.{fold}({column})"})


def to_other_terms(facts: ColumnFacts, index: IndexFacts) -> Conversion | Obstacle:
    """What becomes of `index` when the column's values have other terms: the same, over the column of that name."""
    column = quoted(facts.name)
    return _of_terms(facts, index, {function: f"pgcrypt.{function}({column})" for function in ("eq", "eqci")})


def _of_terms(facts: ColumnFacts, index: IndexFacts, instead: Mapping[str, str]) -> Conversion | Obstacle:
    """`index`, with something else in place of each of the column's terms."""
    call = re.compile(rf"pgcrypt\.(eq|eqci)\(\(?{re.escape(facts.identifier)}\)?(::bytea)?\)")

    def value(found: IndexKey) -> str | Obstacle | None:
        term = call.fullmatch(found.text)
        if term is not None:
            return instead[term[1]]
        if found.number == facts.number or (found.number == 0 and _mentions(found.text, facts.identifier)):
            return Obstacle(f"index {index.name} uses {facts.name} as ciphertext", "drop it first")
        return None

    return _converted(facts, index, value)


def term_index(facts: ColumnFacts, function: str, taken: frozenset[str] = frozenset()) -> Conversion:
    """A new index on a term that no existing index serves."""
    stem = f"{facts.table}_{facts.name}_{function}"[:58]
    name = next(n for n in (f"{stem}_idx", *(f"{stem}_idx{i}" for i in range(1, 99))) if n not in taken)
    return Conversion(
        name,
        "",
        f"CREATE INDEX {quoted(name)} ON {quoted(facts.schema, facts.table)}"
        f" (pgcrypt.{function}({quoted(facts.name)}))",
    )


def concurrently(index: Conversion, name: str) -> str:
    """The statement that makes it under another name, while others write."""
    assert index.create is not None
    return index.create.replace(f"INDEX {quoted(index.index)} ON", f"INDEX CONCURRENTLY {quoted(name)} ON", 1)


def serves(index: Conversion, facts: ColumnFacts, function: str) -> bool:
    """Whether the converted index has that term as its first key."""
    return index.create is not None and f" (pgcrypt.{function}({quoted(facts.name)})" in index.create


def _converted(facts: ColumnFacts, index: IndexFacts, key_of: KeyOf) -> Conversion | Obstacle:
    what = f"index {index.name}"
    if index.method not in _METHODS:
        return Obstacle(f"{what} is a {index.method} index over {facts.name}", "drop it first")
    if not index.is_valid:
        return Obstacle(f"{what} is invalid", "drop it or REINDEX it first")
    if index.is_replica_identity:
        return Obstacle(f"{what} is the table's replica identity", "ALTER TABLE ... REPLICA IDENTITY first")
    if index.is_deferrable:
        return Obstacle(f"constraint {index.name} is DEFERRABLE, an index is not", "drop it first")
    key = facts.identifier
    predicate = index.predicate or ""
    if _mentions(predicate, key):
        test = predicate.strip("()").removeprefix(f"{key} ")
        if test not in ("IS NOT NULL", "IS NULL"):
            return Obstacle(f"{what} has a WHERE over {facts.name}", "drop it first")
        predicate = f"{quoted(facts.name)} {test}"
    parts: list[str] = []
    for found in index.keys:
        made = key_of(found)
        if isinstance(made, Obstacle):
            return made
        if made is not None:
            parts.append(made)
        else:
            parts.append(_key_text(found, index.method))
    keys, included = parts[: index.key_count], parts[index.key_count :]
    pieces = [
        f"CREATE {'UNIQUE ' if index.is_unique else ''}INDEX {quoted(index.name)}"
        f" ON {quoted(facts.schema, facts.table)} USING {index.method} ({', '.join(keys)})",
        f"INCLUDE ({', '.join(included)})" if included else "",
        "NULLS NOT DISTINCT" if index.nulls_not_distinct else "",
        f"WITH ({', '.join(index.storage)})" if index.storage else _mark(index),
        f"TABLESPACE {quoted(index.tablespace)}" if index.tablespace else "",
        f"WHERE {predicate}" if predicate else "",
    ]
    return Conversion(index.name, _drop(facts, index), " ".join(piece for piece in pieces if piece))


def _mark(index: IndexFacts) -> str:
    """A unique constraint is still shown as one."""
    return f"WITH ({UNIQUE_MARK})" if index.constraint is not None and index.is_unique else ""


def _drop(facts: ColumnFacts, index: IndexFacts) -> str:
    if index.constraint is not None:
        return f"ALTER TABLE {quoted(facts.schema, facts.table)} DROP CONSTRAINT {quoted(index.constraint)}"
    return f"DROP INDEX {quoted(facts.schema, index.name)}"


def _key_text(key: IndexKey, method: str) -> str:
    """A key that stays, with everything that may not be the default written out."""
    text = key.text if key.number else f"({key.text})"
    if key.operator_class is None:
        return text
    if key.collation is not None and key.collation_schema is not None:
        text += f" COLLATE {quoted(key.collation_schema, key.collation)}"
    text += f" {quoted(key.operator_class_schema or 'pg_catalog', key.operator_class)}"
    if method == "btree":
        is_descending, nulls_first = key.options & 1, key.options & 2
        text += f" {'DESC' if is_descending else 'ASC'} NULLS {'FIRST' if nulls_first else 'LAST'}"
    return text


def _is_pattern_only(facts: ColumnFacts, index: IndexFacts) -> bool:
    """An index for LIKE prefixes beside the ordinary one, as Django makes for each indexed text column."""
    first = index.keys[0]
    is_ours = first.number == facts.number or (first.number == 0 and _mentions(first.text, facts.identifier))
    return index.key_count == 1 and not index.is_unique and first.is_pattern and is_ours


def _mentions(text: str, identifier: str) -> bool:
    return re.search(rf"(?<![\w$\"]){re.escape(identifier)}(?![\w$\"])", text) is not None
