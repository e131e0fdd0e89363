# ruff: noqa: S608 - OIDs, quoted names and words of these modules only
"""Views of the information schema as they would be if protected columns were plain (manual: "Information Schema")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgcrypt_proxy.sql.shown_rows import EQ, KEYS, KIND, SealedRows, is_of_visible, is_visible, literal, select
from pgcrypt_proxy.values.types import ARRAY, LogicalType

#: The types of the views' columns, where they are no names.
_STANDARD_TYPES = {
    "constraint_type": "character_data",
    "is_deferrable": "yes_or_no",
    "initially_deferred": "yes_or_no",
    "enforced": "yes_or_no",
    "nulls_distinct": "yes_or_no",
    "ordinal_position": "cardinal_number",
    "position_in_unique_constraint": "cardinal_number",
}


@dataclass(frozen=True, slots=True)
class StandardViews:
    """The queries, each under its view's name; they are given the view's columns on this server.

    `hides`: there are hidden columns.
    """

    rows: SealedRows
    hides: bool = False

    def columns(self, columns: tuple[str, ...]) -> str:
        def word(value: Callable[[LogicalType], str], kind: str) -> Callable[[LogicalType], str]:
            return lambda logical: f"{value(logical)}::information_schema.{kind}"

        def measure(function: str) -> Callable[[LogicalType], str]:
            return lambda t: f"information_schema.{function}('{t.oid}'::pg_catalog.oid, '{t.typmod}'::pg_catalog.int4)"

        def domain(name: str) -> Callable[[LogicalType], str]:
            return lambda t: literal(getattr(t.domain, name)) if t.domain is not None else "NULL"

        numbers = {
            "character_maximum_length": "_pg_char_max_length",
            "character_octet_length": "_pg_char_octet_length",
            "numeric_precision": "_pg_numeric_precision",
            "numeric_precision_radix": "_pg_numeric_precision_radix",
            "numeric_scale": "_pg_numeric_scale",
            "datetime_precision": "_pg_datetime_precision",
        }
        made = {name: word(measure(function), "cardinal_number") for name, function in numbers.items()}
        made |= {
            "column_default": word(lambda _: "NULL", "character_data"),
            "data_type": word(_data_type, "character_data"),
            "interval_type": word(measure("_pg_interval_type"), "character_data"),
            "domain_catalog": word(
                lambda t: "NULL" if t.domain is None else "pg_catalog.current_database()", "sql_identifier"
            ),
            "domain_schema": word(domain("schema"), "sql_identifier"),
            "domain_name": word(domain("name"), "sql_identifier"),
            "udt_schema": word(lambda t: _type_name(t, "typnamespace::pg_catalog.regnamespace"), "sql_identifier"),
            "udt_name": word(lambda t: _type_name(t, "typname"), "sql_identifier"),
        }
        changed = {}
        for name, value in made.items() if self.rows.domains else ():
            branches = "".join(
                f" WHEN c.domain_name::pg_catalog.text {EQ} ANY"
                f" ('{{{','.join(f'sealed_{number}' for _, number in found)}}}'::pg_catalog.text[])"
                f" THEN {value(logical)}"
                for logical, found in self.rows.domains.items()
            )
            inner = f"CASE{branches} ELSE c.{name} END"
            changed[name] = f"CASE WHEN c.domain_schema::pg_catalog.text {EQ} 'pgcrypt' THEN {inner} ELSE c.{name} END"
        visible = f" WHERE {is_visible('c.column_name')}" if self.hides else ""
        return select(columns, "c", changed, f"information_schema.columns AS c{visible}")

    def table_constraints(self, columns: tuple[str, ...]) -> str:
        made = {
            "constraint_type": f"CASE WHEN {KIND} {EQ} 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END",
            "is_deferrable": "'NO'",
            "initially_deferred": "'NO'",
            "enforced": "'YES'",
            "nulls_distinct": f"CASE WHEN {KIND} {EQ} 'p' THEN NULL"
            " WHEN i.indnullsnotdistinct THEN 'NO' ELSE 'YES' END",
        }
        may_see = (
            "pg_catalog.pg_has_role(r.relowner, 'USAGE') OR pg_catalog.has_table_privilege(r.oid,"
            " 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')"
            " OR pg_catalog.has_any_column_privilege(r.oid, 'INSERT, UPDATE, REFERENCES')"
        )
        return self._with_keys("table_constraints", columns, made, "", may_see)

    def key_column_usage(self, columns: tuple[str, ...]) -> str:
        made = {"column_name": "a.attname", "ordinal_position": "k.place", "position_in_unique_constraint": "NULL"}
        may_see = (
            "pg_catalog.pg_has_role(r.relowner, 'USAGE')"
            " OR pg_catalog.has_column_privilege(r.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES')"
        )
        return self._with_keys("key_column_usage", columns, made, self.rows.unnested_keys(), may_see)

    def constraint_column_usage(self, columns: tuple[str, ...]) -> str:
        made = {"column_name": "a.attname"}
        may_see = "pg_catalog.pg_has_role(r.relowner, 'USAGE')"
        return self._with_keys("constraint_column_usage", columns, made, self.rows.unnested_keys(), may_see)

    def _with_keys(
        self, name: str, columns: tuple[str, ...], changed: Mapping[str, str], joined: str, may_see: str
    ) -> str:
        """The rows of a view of constraints, and those for indexes that stand for some, as its owner would see them."""
        made = {
            "constraint_catalog": "pg_catalog.current_database()",
            "constraint_schema": "n.nspname",
            "constraint_name": "c.relname",
            "table_catalog": "pg_catalog.current_database()",
            "table_schema": "n.nspname",
            "table_name": "r.relname",
            **changed,
        }
        listed = ", ".join(
            f"({made.get(column, 'NULL')})::information_schema.{_STANDARD_TYPES.get(column, 'sql_identifier')}"
            for column in columns
        )
        visible = f" AND {is_of_visible('pg_catalog.pg_get_indexdef(c.oid)')}" if self.hides else ""
        own = select(columns, "v", {}, f"information_schema.{name} AS v")
        tables = (
            f"{KEYS} JOIN pg_catalog.pg_class AS r ON r.oid {EQ} i.indrelid"
            f" JOIN pg_catalog.pg_namespace AS n ON n.oid {EQ} r.relnamespace{joined}"
        )
        return (
            f"{own} UNION ALL SELECT {listed} FROM {tables} WHERE {self.rows.stands_for_key('i')}"
            f" AND NOT pg_catalog.pg_is_other_temp_schema(n.oid) AND ({may_see}){visible}"
        )


def _type_name(logical: LogicalType, column: str) -> str:
    return (
        f"(SELECT t.{column}::pg_catalog.text FROM pg_catalog.pg_type AS t"
        f" WHERE t.oid {EQ} '{logical.oid}'::pg_catalog.oid)"
    )


def _data_type(logical: LogicalType) -> str:
    if logical.name == ARRAY:
        return "'ARRAY'"
    if logical.user is not None:
        return "'USER-DEFINED'"
    return f"pg_catalog.format_type('{logical.oid}'::pg_catalog.oid, NULL)"
