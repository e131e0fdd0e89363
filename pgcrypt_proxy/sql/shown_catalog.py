# ruff: noqa: S608 - OIDs, quoted names and words of these modules only
"""System catalogs as they would be if protected columns were plain: SQL that stands in FROM in their place.

The catalogs are the server's own, read with the rights of whoever asks: no view
of them has to be made, upgraded with PostgreSQL, or granted. Columns keep their
names, types and order. Nothing is decrypted: what a sealed DEFAULT says is not
shown. Knows the catalogs of the manual's chapter "System Catalogs" and of
"The Information Schema", and no statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.shown_rows import EQ, KEYS, KIND, SealedRows, is_of_visible, is_visible, select
from pgcrypt_proxy.sql.shown_standard import StandardViews
from pgcrypt_proxy.values.types import ARRAY, LogicalType

_CATALOG, _STANDARD = "pg_catalog", "information_schema"

#: What may have to be shown otherwise: (schema, relation) -> the only columns that are changed, None for any use.
RELATIONS: Mapping[tuple[str, str], frozenset[str] | None] = {
    (_CATALOG, "pg_attribute"): None,
    (_CATALOG, "pg_attrdef"): None,
    (_CATALOG, "pg_index"): None,
    (_CATALOG, "pg_constraint"): None,
    (_CATALOG, "pg_indexes"): None,
    (_CATALOG, "pg_class"): frozenset({"reloptions"}),
    (_STANDARD, "columns"): None,
    (_STANDARD, "table_constraints"): None,
    (_STANDARD, "key_column_usage"): None,
    (_STANDARD, "constraint_column_usage"): None,
}
FUNCTIONS = frozenset({"pg_get_indexdef", "pg_get_constraintdef"})

#: The columns of those relations on this server, in order.
SYSTEM_COLUMNS = f"""
SELECT n.nspname, c.relname, pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE (n.nspname, c.relname) IN ({", ".join(f"('{schema}', '{name}')" for schema, name in RELATIONS)})
GROUP BY n.nspname, c.relname
"""


@dataclass(frozen=True, slots=True)
class ShownCatalog:
    """The queries for one catalog's protected columns. `columns` are those of the relations on this server.

    `hides`: there are hidden columns, which are left out, and so are their indexes.
    """

    columns: Mapping[tuple[str, str], tuple[str, ...]]
    rows: SealedRows
    hides: bool = False

    @classmethod
    def of(cls, catalog: Catalog) -> ShownCatalog | None:
        """None where nothing is sealed or hidden."""
        rows = SealedRows.of((*catalog.ruled.values(), *catalog.protected_columns))
        hides = any(relation.hidden for name in catalog.rearranged_names for relation in catalog.by_name[name])
        is_needed = (rows.domains or hides) and catalog.system_columns
        return cls(catalog.system_columns, rows, hides) if is_needed else None

    def _where(self, condition: str) -> str:
        """WHERE, if there is anything to hide."""
        return f" WHERE {condition}" if self.hides else ""

    def relation(self, schema: str, name: str) -> str | None:
        """A query that gives the relation's rows, None where this server has no such relation."""
        columns = self.columns.get((schema, name))
        if columns is None:
            return None
        standard = StandardViews(self.rows, self.hides)
        made: dict[tuple[str, str], Callable[[tuple[str, ...]], str]] = {
            (_CATALOG, "pg_attribute"): self._attributes,
            (_CATALOG, "pg_attrdef"): self._defaults,
            (_CATALOG, "pg_index"): self._indexes,
            (_CATALOG, "pg_constraint"): self._constraints,
            (_CATALOG, "pg_indexes"): self._definitions,
            (_CATALOG, "pg_class"): self._classes,
            (_STANDARD, "columns"): standard.columns,
            (_STANDARD, "table_constraints"): standard.table_constraints,
            (_STANDARD, "key_column_usage"): standard.key_column_usage,
            (_STANDARD, "constraint_column_usage"): standard.constraint_column_usage,
        }
        return made[schema, name](columns)

    # -- the relations

    def _attributes(self, columns: tuple[str, ...]) -> str:
        changed = {
            "atttypid": self.rows.by_type("a.atttypid", lambda t: f"'{t.parameter_oid}'::pg_catalog.oid"),
            "atttypmod": self.rows.by_type("a.atttypmod", lambda t: f"'{t.column_typmod}'::pg_catalog.int4"),
            "attndims": self.rows.by_type("a.attndims", lambda t: "'1'" if t.name == ARRAY else "'0'"),
            "atthasdef": f"(a.atthasdef AND NOT {self.rows.is_sealed()})",
            "attmissingval": f"CASE WHEN NOT {self.rows.is_sealed()} THEN a.attmissingval END",
        }
        for name in ("len", "byval", "align", "storage", "collation"):
            changed[f"att{name}"] = self.rows.by_type(f"a.att{name}", _of_type(f"typ{name}"))
        return select(columns, "a", changed, f"pg_catalog.pg_attribute AS a{self._where(is_visible('a.attname'))}")

    def _defaults(self, columns: tuple[str, ...]) -> str:
        source = (
            "pg_catalog.pg_attrdef AS d WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a"
            f" WHERE a.attrelid {EQ} d.adrelid AND a.attnum {EQ} d.adnum AND {self.rows.is_sealed()})"
        )
        return select(columns, "d", {}, source)

    def _indexes(self, columns: tuple[str, ...]) -> str:
        keys = self.rows.keys()
        is_primary = f"EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid {EQ} i.indexrelid AND {KIND} {EQ} 'p')"
        changed = {
            "indkey": f"CASE WHEN i.indexprs IS NULL THEN i.indkey ELSE {keys}::pg_catalog.int2vector END",
            "indexprs": "CASE WHEN i.indexprs IS NULL OR NOT"
            f" '0' {EQ} ANY (pg_catalog.string_to_array({keys}, ' ')) THEN NULL ELSE i.indexprs END",
            "indisprimary": f"(i.indisprimary OR (i.indisunique AND i.indexprs IS NOT NULL AND {is_primary}))",
        }
        visible = self._where(is_of_visible("pg_catalog.pg_get_indexdef(i.indexrelid)"))
        return select(columns, "i", changed, f"pg_catalog.pg_index AS i{visible}")

    def _constraints(self, columns: tuple[str, ...]) -> str:
        made = {
            "oid": "c.oid",
            "conname": "c.relname",
            "connamespace": "c.relnamespace",
            "contype": f'{KIND}::pg_catalog."char"',
            "conrelid": "i.indrelid",
            "conindid": "c.oid",
            "conkey": self.rows.key_columns(),
            "confupdtype": "' '",
            "confdeltype": "' '",
            "confmatchtype": "' '",
            "convalidated": "'t'",
            "conenforced": "'t'",
            "conislocal": "'t'",
            "connoinherit": "'t'",
        }
        zero = ("contypid", "conparentid", "confrelid", "coninhcount")
        made |= dict.fromkeys(zero, "'0'") | dict.fromkeys(("condeferrable", "condeferred", "conperiod"), "'f'")
        listed = ", ".join(made.get(name, "NULL") for name in columns)
        own = select(columns, "k", {}, "pg_catalog.pg_constraint AS k")
        visible = f" AND {is_of_visible('pg_catalog.pg_get_indexdef(c.oid)')}" if self.hides else ""
        return f"{own} UNION ALL SELECT {listed} FROM {KEYS} WHERE {self.rows.stands_for_key('i')}{visible}"

    def _definitions(self, columns: tuple[str, ...]) -> str:
        source = f"pg_catalog.pg_indexes AS x{self._where(is_of_visible('x.indexdef'))}"
        return select(columns, "x", {"indexdef": self.rows.definition("x.indexdef")}, source)

    def _classes(self, columns: tuple[str, ...]) -> str:
        shown = {"reloptions": f"CASE WHEN {KIND} IS NULL THEN c.reloptions END"}
        return select(columns, "c", shown, "pg_catalog.pg_class AS c")


def _of_type(name: str) -> Callable[[LogicalType], str]:
    return lambda t: (
        f"(SELECT t.{name} FROM pg_catalog.pg_type AS t WHERE t.oid {EQ} '{t.parameter_oid}'::pg_catalog.oid)"
    )
