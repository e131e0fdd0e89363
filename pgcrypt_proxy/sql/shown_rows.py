# ruff: noqa: S608 - OIDs, quoted names and words of these modules only
"""Expressions over rows of system catalogs: which are of sealed columns, and of indexes on their terms.

Knows how such indexes are marked that stand for constraints, and no statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pgcrypt_proxy.sql.catalog import HIDDEN_PREFIX, ProtectedColumn
from pgcrypt_proxy.sql.scope import quote
from pgcrypt_proxy.values.types import LogicalType

#: Storage parameters of an index that stands for a constraint. They say what the defaults say already, stay with
#: the index through renames and dumps, and belong to the very statement that makes it.
UNIQUE_MARK = "deduplicate_items = on"
PRIMARY_MARK = f"{UNIQUE_MARK}, fillfactor = 90"

EQ = "OPERATOR(pg_catalog.=)"
#: The kind of constraint that index `c` (a row of pg_class) stands for, or NULL.
KIND = (
    f"CASE WHEN c.relkind {EQ} ANY ('{{i,I}}'::pg_catalog.\"char\"[]) THEN"
    f" CASE WHEN c.reloptions::pg_catalog.text {EQ} '{{deduplicate_items=on}}' THEN 'u'"
    f" WHEN c.reloptions::pg_catalog.text {EQ} '{{deduplicate_items=on,fillfactor=90}}' THEN 'p' END END"
)
#: Indexes `i` with their rows `c` of pg_class.
KEYS = f"pg_catalog.pg_class AS c JOIN pg_catalog.pg_index AS i ON i.indexrelid {EQ} c.oid"


@dataclass(frozen=True, slots=True)
class SealedRows:
    """The texts for one catalog's protected columns. `domains` are the sealed types by what they stand for."""

    domains: Mapping[LogicalType, tuple[tuple[int, int], ...]]  # (OID, column id)
    folded: tuple[tuple[str, bool, tuple[str, ...]], ...]  # function, whether it casts to text, columns

    @classmethod
    def of(cls, columns: Iterable[ProtectedColumn]) -> SealedRows:
        sealed = {column.domain_oid: column for column in columns if column.domain_oid and column.id > 0}
        domains: dict[LogicalType, list[tuple[int, int]]] = {}
        for oid, column in sorted(sealed.items()):
            domains.setdefault(column.type, []).append((oid, column.id))
        return cls({logical: tuple(found) for logical, found in domains.items()}, _folded(sealed.values()))

    def definition(self, sql: str) -> str:
        """The expression `sql`, an index's or key's definition, with columns where it has their terms."""
        made = replaced(sql, r"pgcrypt\.eq\(\(?([^():]+)\)?::bytea\)", r"\1")
        for function, is_cast, names in self.folded:
            pattern = rf"pgcrypt\.eqci\((\(?)({'|'.join(names)})(\)?)::bytea\)"
            made = replaced(made, pattern, rf"{function}(\1\2\3::text)" if is_cast else rf"{function}(\2)")
        return replaced(made, r" WITH \(deduplicate_items='?on'?(, fillfactor='?90'?)?\)", "")

    def constraint_definition(self, oid: str) -> str:
        """The definition of the constraint that index `oid` stands for; NULL if it stands for none."""
        kept = replaced(
            self.definition("pg_catalog.pg_get_indexdef(c.oid)"), r"^CREATE UNIQUE INDEX .* USING btree ", ""
        )
        kind = f"CASE WHEN {KIND} {EQ} 'p' THEN 'PRIMARY KEY ' ELSE 'UNIQUE ' END"
        nulls = replaced(kept, r"^(.*) NULLS NOT DISTINCT$", r"NULLS NOT DISTINCT \1")
        return (
            f"(SELECT {kind} OPERATOR(pg_catalog.||) {nulls} FROM pg_catalog.pg_class AS c"
            f" WHERE c.oid {EQ} {oid} AND {self.stands_for_key()})"
        )

    def key_columns(self) -> str:
        """The columns of index `i` as `conkey` has them."""
        return f"(pg_catalog.string_to_array({self.keys()}, ' ')::pg_catalog.int2[])[1:i.indnkeyatts]"

    def unnested_keys(self) -> str:
        return (
            f" CROSS JOIN LATERAL pg_catalog.unnest({self.key_columns()}) WITH ORDINALITY AS k(number, place)"
            f" JOIN pg_catalog.pg_attribute AS a ON a.attrelid {EQ} r.oid AND a.attnum {EQ} k.number"
        )

    def is_sealed(self) -> str:
        oids = ",".join(str(oid) for found in self.domains.values() for oid, _ in found)
        return f"(a.atttypid {EQ} ANY ('{{{oids}}}'::pg_catalog.oid[]))"

    def by_type(self, plain: str, value: Callable[[LogicalType], str]) -> str:
        """`plain`, but for attributes `a` of sealed types what `value` says."""
        branches = "".join(
            f" WHEN a.atttypid {EQ} ANY ('{{{','.join(str(oid) for oid, _ in found)}}}'::pg_catalog.oid[])"
            f" THEN {value(logical)}"
            for logical, found in self.domains.items()
        )
        return f"CASE{branches} ELSE {plain} END" if branches else plain

    def keys(self) -> str:
        """`indkey` of index `i` as text, a column's number where the key is its term."""
        term = "'pgcrypt.eq((' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(a.attname::pg_catalog.text)"
        column = (
            "SELECT a.attnum FROM pg_catalog.pg_attribute AS a"
            f" WHERE k.number {EQ} 0 AND a.attrelid {EQ} i.indrelid AND {self.is_sealed()}"
            f" AND pg_catalog.pg_get_indexdef(i.indexrelid, k.place::pg_catalog.int4, false) {EQ}"
            f" ({term} OPERATOR(pg_catalog.||) ')::bytea)')"
        )
        return (
            f"(SELECT pg_catalog.string_agg(COALESCE(({column}), k.number)::pg_catalog.text, ' ' ORDER BY k.place)"
            " FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(number, place))"
        )

    @staticmethod
    def stands_for_key(index: str | None = None) -> str:
        """Whether `c` is an index that stands for a constraint."""
        conditions = "{i}.indisunique AND {i}.indisvalid AND {i}.indexprs IS NOT NULL AND {i}.indpred IS NULL"
        known = (
            conditions.format(i=index)
            if index is not None
            else "EXISTS (SELECT FROM pg_catalog.pg_index AS j"
            f" WHERE j.indexrelid {EQ} c.oid AND {conditions.format(i='j')})"
        )
        return f"{KIND} IS NOT NULL AND {known}"


def _folded(columns: Iterable[ProtectedColumn]) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """What `eqci` of a column of that name stands for: of two that disagree, one is shown wrong."""
    found: dict[tuple[str, bool], set[str]] = {}
    for column in columns:
        if column.is_folded:
            function = "upper" if column.is_folded_upper else "lower"
            found.setdefault((function, column.type.name == "varchar"), set()).add(_spelled(column.name))
    return tuple((function, is_cast, tuple(sorted(names))) for (function, is_cast), names in sorted(found.items()))


def _spelled(name: str) -> str:
    """A pattern for the identifier, whether it had to be quoted or not."""
    return f'"?{re.escape(name.replace(chr(34), chr(34) * 2))}"?'


def select(columns: tuple[str, ...], alias: str, changed: Mapping[str, str], source: str) -> str:
    listed = (f"{changed[n]} AS {quote(n)}" if n in changed else f"{alias}.{quote(n)}" for n in columns)
    return f"SELECT {', '.join(listed)} FROM {source}"


def literal(text: str) -> str:
    """E'': the same whatever standard_conforming_strings is."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


_HIDDEN_COLUMN = literal(f"^{HIDDEN_PREFIX}[0-9]+$")
_OF_HIDDEN_COLUMN = literal(rf"\m{HIDDEN_PREFIX}[0-9]+\M")


def is_visible(name: str) -> str:
    """Whether a column's name is none of a hidden column."""
    return f"({name}::pg_catalog.text OPERATOR(pg_catalog.!~) {_HIDDEN_COLUMN})"


def is_of_visible(definition: str) -> str:
    """Whether an index's definition names no hidden column."""
    return f"({definition} OPERATOR(pg_catalog.!~) {_OF_HIDDEN_COLUMN})"


def replaced(sql: str, pattern: str, by: str) -> str:
    return f"pg_catalog.regexp_replace({sql}, {literal(pattern)}, {literal(by)}, 'g')"
