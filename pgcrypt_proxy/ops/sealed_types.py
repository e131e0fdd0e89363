"""The domain of a protected column and its row in `pgcrypt.columns`: made when it is sealed, or before it is there.

A type made beforehand waits: DDL through the proxy gives it to the column of
that name, since a client's role may make nothing in schema pgcrypt.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_queries, catalog_rules, folding
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_checks import term_flags
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.install import INSTALL_LOCK
from pgcrypt_proxy.policy.model import Policy, Rule
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.values.types import LogicalType

_FREE = """
SELECT c.id
FROM pgcrypt.columns c
JOIN pg_catalog.pg_type t ON t.typname = 'sealed_' || c.id
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND n.nspname = 'pgcrypt'
WHERE (c.schema_name, c.table_name, c.column_name) = (%s, %s, %s)
  AND (c.logical_type, c.data_class, c.index_domain) = (%s, %s, %s) AND c.search = %s::text[]
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.atttypid = t.oid AND NOT a.attisdropped)
ORDER BY c.id DESC LIMIT 1
"""

#: Without NOT VALID, which the definition of a constraint that is not proved yet ends with.
_BASE_CONSTRAINTS = """
SELECT conname, pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(oid), ' NOT VALID$', '')
FROM pg_catalog.pg_constraint WHERE contypid = 'pgcrypt.sealed'::regtype AND contype = 'c' ORDER BY conname
"""
_BARE = r"""
SELECT pg_catalog.substr(t.typname, 8)::int
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'pgcrypt' AND t.typtype = 'd' AND t.typname ~ '^sealed_[0-9]{1,9}$'
  AND t.typbasetype = 'pg_catalog.bytea'::regtype
ORDER BY 1
"""


def name(column_id: int) -> str:
    """The domain of that id, as SQL."""
    return f"pgcrypt.sealed_{column_id}"


def claim(connection: psycopg.Connection, rule: Rule, logical: LogicalType) -> int:
    """The id of a sealed type for the rule's column of type `logical`: one that waits for it, or a new one.

    Needs a transaction.
    """
    search = sorted(rule.search)
    named = [rule.schema, rule.table, rule.column]
    kind = [logical.sql, rule.data_class, rule.index_domain]
    free = connection.execute(_FREE, [*named, *kind, search]).fetchone()
    if free is not None:
        return int(free[0])
    column_id = _insert(connection, [*named, *kind, search])
    domain = name(column_id)
    connection.execute(
        f"CREATE DOMAIN {domain} AS pgcrypt.sealed CONSTRAINT has_terms {_has_terms(rule.search)}".encode()
    )
    connection.execute(f"GRANT USAGE ON DOMAIN {domain} TO PUBLIC".encode())
    return column_id


def claim_bare(connection: psycopg.Connection, rule: Rule, logical: LogicalType) -> int:
    """The id of a new sealed type without constraints: adding a column of it rewrites no table.

    `constrain` it before the first value is written. One that waits for such a column waits in vain from now on, and
    goes. Needs a transaction.
    """
    named = connection.execute(
        "SELECT id FROM pgcrypt.columns WHERE (schema_name, table_name, column_name) = (%s, %s, %s)",
        [rule.schema, rule.table, rule.column],
    ).fetchall()
    for (waiting,) in named:
        forget(connection, waiting)
    column_id = _insert(
        connection,
        [rule.schema, rule.table, rule.column, logical.sql, rule.data_class, rule.index_domain, sorted(rule.search)],
    )
    connection.execute(f"CREATE DOMAIN {name(column_id)} AS pg_catalog.bytea".encode())
    connection.execute(f"GRANT USAGE ON DOMAIN {name(column_id)} TO PUBLIC".encode())
    return column_id


def constrain(connection: psycopg.Connection, column_id: int, search: frozenset[str]) -> None:
    """Give a bare type what `pgcrypt.sealed` checks, and that its envelopes have their terms. Needs a transaction."""
    connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])  # `destroy` adds constraints
    rows = connection.execute(_BASE_CONSTRAINTS).fetchall()
    for constraint, check in [*rows, ("has_terms", _has_terms(search))]:
        connection.execute(
            f"ALTER DOMAIN {name(column_id)} ADD CONSTRAINT {quoted(constraint)} {check} NOT VALID".encode()
        )


def bases(connection: psycopg.Connection) -> list[str]:
    """The domains that check for themselves that values are envelopes, as SQL: pgcrypt.sealed, and bare types."""
    return ["pgcrypt.sealed", *(name(row[0]) for row in connection.execute(_BARE).fetchall())]


def forget(connection: psycopg.Connection, column_id: int) -> None:
    """Drop the domain and the id, unless another column has the same type (a copy of the table)."""
    is_used = connection.execute(
        "SELECT FROM pg_catalog.pg_attribute WHERE atttypid = pg_catalog.to_regtype(%s) AND NOT attisdropped LIMIT 1",
        [name(column_id)],
    ).fetchone()
    if is_used is None:
        connection.execute(f"DROP DOMAIN IF EXISTS {name(column_id)}".encode())
        connection.execute("DELETE FROM pgcrypt.columns WHERE id = %s", [column_id])


def _insert(connection: psycopg.Connection, row: list[object]) -> int:
    made = connection.execute(
        "INSERT INTO pgcrypt.columns"
        " (schema_name, table_name, column_name, logical_type, data_class, index_domain, search)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        row,
    ).fetchone()
    assert made is not None
    return int(made[0])


def _has_terms(search: frozenset[str]) -> str:
    return (
        f"CHECK ((pg_catalog.get_byte(VALUE, 1) OPERATOR(pg_catalog.&) 15) OPERATOR(pg_catalog.=) {term_flags(search)})"
    )


def lacking(catalog: Catalog) -> list[ProtectedColumn]:
    """The columns of rules that are not in the database and have no type waiting for them."""
    return [c for c in catalog.ruled.values() if not c.is_armed and not c.relation_oid]


def prepare(connection: psycopg.Connection, policy: Policy) -> None:
    """Make the types of all such columns. Raises ConfigError, also when the role may not."""
    with readable_errors("making the types of columns that are to come"), connection.transaction():
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
        rows = catalog_queries.fetch(connection)
        joined = catalog_rules.join(policy, rows)
        for rule in _wanted(policy.rules, joined.ruled.values()):
            _check_folding(connection, rule)
            claim(connection, rule, logical_type(rule, rows.types))


def _check_folding(connection: psycopg.Connection, rule: Rule) -> None:
    for mode in sorted(rule.search):
        function = folding.default_difference(connection, mode)
        if function is not None:
            raise ConfigError(
                f"{rule.source}: {function}() in the database's collation folds other characters than {mode} does",
                hint=f"Leave {mode} out, or use a database with a collation of libc or the builtin provider in UTF-8.",
                sqlstate="55000",
            )


def _wanted(rules: Iterable[Rule], columns: Iterable[ProtectedColumn]) -> list[Rule]:
    lacking_names = {c.qualified_name for c in columns if not c.is_armed and not c.relation_oid}
    return [rule for rule in rules if rule.qualified_name in lacking_names]
