"""The domain of a protected column and its row in `pgcrypt.columns`: made when it is sealed, or before it is there.

A type made beforehand waits: DDL through the proxy gives it to the column of
that name, since a client's role may make nothing in schema pgcrypt.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from pgcrypt_proxy.crypto.envelope import term_byte
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_queries, catalog_rules, folding
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_checks import term_flags
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.install import INSTALL_LOCK
from pgcrypt_proxy.policy.model import Policy, Rule, stored_tenant
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.values.types import LogicalType

#: Who makes a type of some index domain holds it shared; the number is arbitrary and the product's own.
INDEX_DOMAIN_LOCK = 0x7067636E

_FREE = """
SELECT c.id
FROM pgcrypt.columns c
JOIN pg_catalog.pg_type t ON t.typname = 'sealed_' || c.id
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND n.nspname = 'pgcrypt'
WHERE (c.schema_name, c.table_name, c.column_name) = (%s, %s, %s)
  AND (c.logical_type, c.data_class, c.index_domain) = (%s, %s, %s) AND c.search = %s::text[]
  AND c.index_generation = %s AND c.tenant = %s
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
_ID_OF = """
SELECT pg_catalog.substr(t.typname, 8)::int
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname ~ '^sealed_[0-9]{1,9}$'
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND n.nspname = 'pgcrypt'
WHERE a.attrelid = %s::bigint::oid AND a.attname = %s AND NOT a.attisdropped
"""
_TURN_WAITING = """
UPDATE pgcrypt.columns c SET index_generation = %(generation)s
WHERE c.search <> '{}' AND c.index_domain = %(domain)s AND c.index_generation <> %(generation)s
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE NOT a.attisdropped
                  AND a.atttypid = pg_catalog.to_regtype('pgcrypt.sealed_' || c.id))
RETURNING c.id, pg_catalog.to_regtype('pgcrypt.sealed_' || c.id) IS NOT NULL
"""
_LEFT_BEHIND = """
SELECT id FROM pgcrypt.columns
WHERE search <> '{}' AND index_domain = %(domain)s AND index_generation <> %(generation)s
"""
#: Terms of one index domain are compared with each other: all of its columns have the same generation.
_GENERATION = """
SELECT COALESCE(
    (SELECT pg_catalog.max(c.index_generation) FROM pgcrypt.columns c WHERE c.search <> '{}' AND c.index_domain = %s),
    pg_catalog.max(k.generation) FILTER (WHERE k.state = 'active'), pg_catalog.max(k.generation) + 1, 1)
FROM pgcrypt.keyring k WHERE k.kind = 'index'
"""
_IS_REINDEXED = """
SELECT FROM pgcrypt.moves m JOIN pgcrypt.columns c ON c.id = m.column_id
WHERE m.direction = 'reindex' AND m.state <> 'scrubbing' AND c.index_domain = %s
"""


def name(column_id: int) -> str:
    """The domain of that id, as SQL."""
    return f"pgcrypt.sealed_{column_id}"


def claim(connection: psycopg.Connection, rule: Rule, logical: LogicalType) -> int:
    """The id of a sealed type for the rule's column of type `logical`: one that waits for it, or a new one.

    Needs a transaction.
    """
    row = _row(connection, rule, logical)
    free = connection.execute(_FREE, row).fetchone()
    if free is not None:
        return int(free[0])
    column_id = _insert(connection, row)
    domain = name(column_id)
    connection.execute(
        f"CREATE DOMAIN {domain} AS pgcrypt.sealed CONSTRAINT has_terms {_has_terms(connection, column_id)}".encode()
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
    return _bare(connection, _insert(connection, _row(connection, rule, logical)))


def claim_anew(connection: psycopg.Connection, old_id: int, index_generation: int) -> int:
    """As `claim_bare`, for the values of a sealed column with terms under another index key. Needs a transaction.

    Until it ends nobody makes a type of an index domain, and behind it nobody one of this domain.
    """
    connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INDEX_DOMAIN_LOCK])
    made = connection.execute(
        "INSERT INTO pgcrypt.columns (schema_name, table_name, column_name, logical_type, data_class, index_domain,"
        " search, index_generation, tenant) SELECT schema_name, table_name, column_name, logical_type, data_class,"
        " index_domain, search, %s, tenant FROM pgcrypt.columns WHERE id = %s RETURNING id",
        [index_generation, old_id],
    ).fetchone()
    if made is None:
        raise ConfigError(f"pgcrypt.columns does not list column id {old_id}", sqlstate="55000")
    return _bare(connection, int(made[0]))


def _bare(connection: psycopg.Connection, column_id: int) -> int:
    connection.execute(f"CREATE DOMAIN {name(column_id)} AS pg_catalog.bytea".encode())
    connection.execute(f"GRANT USAGE ON DOMAIN {name(column_id)} TO PUBLIC".encode())
    return column_id


def constrain(connection: psycopg.Connection, column_id: int) -> None:
    """Give a bare type what `pgcrypt.sealed` checks, and that its envelopes have their terms. Needs a transaction."""
    connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])  # `destroy` adds constraints
    rows = connection.execute(_BASE_CONSTRAINTS).fetchall()
    for constraint, check in [*rows, ("has_terms", _has_terms(connection, column_id))]:
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


def settle_domain(connection: psycopg.Connection, index_domain: str, index_generation: int) -> None:
    """From now on all terms of the domain are under that index key. Needs a transaction.

    Types that wait for their columns are made so; a column that was just given one, and holds a value, fails that.
    Raises ConfigError when another column has other terms.
    """
    domain = {"domain": index_domain, "generation": index_generation}
    connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INDEX_DOMAIN_LOCK])
    connection.execute("SELECT pg_catalog.pg_notify('pgcrypt_catalog', '')")
    for column_id, has_type in connection.execute(_TURN_WAITING, domain).fetchall():
        if has_type:
            alter = f"ALTER DOMAIN {name(column_id)}"
            connection.execute(f"{alter} DROP CONSTRAINT IF EXISTS has_terms".encode())
            connection.execute(f"{alter} ADD CONSTRAINT has_terms {_has_terms(connection, column_id)}".encode())
    left = connection.execute(_LEFT_BEHIND, domain).fetchone()
    if left is not None:
        raise ConfigError(
            f"a column of type {name(left[0])} has terms under another index key in index domain {index_domain}",
            sqlstate="55000",
        )


def _row(connection: psycopg.Connection, rule: Rule, logical: LogicalType) -> list[object]:
    """What `pgcrypt.columns` says of a new column. Until the transaction ends its index domain is not reindexed."""
    generation = 0
    if rule.search:
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock_shared(%s)", [INDEX_DOMAIN_LOCK])
        if connection.execute(_IS_REINDEXED, [rule.index_domain]).fetchone() is not None:
            raise ConfigError(
                f"{rule.qualified_name}: index domain {rule.index_domain} is being reindexed",
                hint="Let `pgcrypt-proxy rotate index` come to its end first.",
                sqlstate="55006",
            )
        row = connection.execute(_GENERATION, [rule.index_domain]).fetchone()
        assert row is not None
        generation = int(row[0])
    named = [rule.schema, rule.table, rule.column]
    tenant = rule.tenant.stored if rule.tenant is not None else ""
    return [*named, logical.sql, rule.data_class, rule.index_domain, sorted(rule.search), generation, tenant]


def _insert(connection: psycopg.Connection, row: list[object]) -> int:
    made = connection.execute(
        "INSERT INTO pgcrypt.columns"
        " (schema_name, table_name, column_name, logical_type, data_class, index_domain, search, index_generation,"
        " tenant) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        row,
    ).fetchone()
    assert made is not None
    return int(made[0])


def _has_terms(connection: psycopg.Connection, column_id: int) -> str:
    """Just the column's terms, and under no other index key: what is sealed by a stale program is refused."""
    row = connection.execute(
        "SELECT search, index_generation FROM pgcrypt.columns WHERE id = %s", [column_id]
    ).fetchone()
    assert row is not None
    flags = term_byte(term_flags(frozenset(row[0])), row[1])
    return f"CHECK (pg_catalog.get_byte(VALUE, 1) OPERATOR(pg_catalog.=) {flags})"


def column(
    connection: psycopg.Connection, column_id: int, place: tuple[str, str, str], relation_oid: int
) -> ProtectedColumn:
    """The column at `place` as `pgcrypt.columns` says that it is sealed: good for values, not for plans."""
    row = connection.execute(
        "SELECT logical_type, data_class, search, index_domain, index_generation, tenant FROM pgcrypt.columns"
        " WHERE id = %s",
        [column_id],
    ).fetchone()
    if row is None:
        raise ConfigError(f"{'.'.join(place)}: pgcrypt.columns does not list column id {column_id}", sqlstate="55000")
    return ProtectedColumn(
        column_id,
        *place,
        relation_oid,
        attribute_number=0,
        domain_oid=0,
        type=catalog_queries.fetch_types(connection).named(row[0]),
        data_class=row[1],
        search=frozenset(row[2]),
        index_domain=row[3],
        index_generation=row[4],
        tenant=stored_tenant(row[5]),
    )


def id_of(connection: psycopg.Connection, relation_oid: int, column: str) -> int | None:
    """The id of the sealed type of a table's column; None when that has another type."""
    row = connection.execute(_ID_OF, [relation_oid, column]).fetchone()
    return None if row is None else int(row[0])


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
