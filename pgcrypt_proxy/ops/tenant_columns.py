"""Columns with tenants, for tools that seal and open whole columns: each value goes with the tenant of its row."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import psycopg

from pgcrypt_proxy.errors import ConfigError, InvalidValue
from pgcrypt_proxy.ops import tenant_keys
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.policy.model import Rule, TenantRule
from pgcrypt_proxy.session.tenant_values import checked
from pgcrypt_proxy.session.transform import Opener, Values
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import ParameterUse, Use
from pgcrypt_proxy.sql.tenant_values import TenantFrom

_LENGTH = struct.Struct("!i")


def beside(tenant: TenantRule | None, value: str) -> str:
    """SQL for a value (bytea) behind the tenant of its row and that one's length, which is 0 where the row has none."""
    if tenant is None or not tenant.column:
        return value
    name = f"pg_catalog.convert_to(COALESCE({quoted(tenant.column)}::pg_catalog.text, ''), 'UTF8')"
    return f"(pg_catalog.int4send(pg_catalog.octet_length({name})) || {name} || {value})"


def split(both: bytes) -> tuple[str, bytes]:
    """The tenant and the value that `beside` gave."""
    end = _LENGTH.size + _LENGTH.unpack_from(both)[0]
    return both[_LENGTH.size : end].decode(), both[end:]


def check_rows(connection: psycopg.Connection, facts: ColumnFacts, rule: Rule, tenant: str | None) -> None:
    """Raises ConfigError where it is not said, or not in every row, whose the values are."""
    if rule.tenant is None:
        if tenant is not None:
            raise ConfigError(f"{facts.qualified_name} has no tenants: leave --tenant out")
        return
    if not rule.tenant.column:
        if tenant is None and _count(connection, facts, ""):
            raise ConfigError(
                f"whose are the values of {facts.qualified_name}? Its rule names a setting",
                hint="Give --tenant: all rows are sealed for that one. A table of several needs a column of them.",
            )
        if tenant is not None:
            _name(tenant)
        return
    if tenant is not None:
        raise ConfigError(
            f"the tenants of {facts.qualified_name} are in column {rule.tenant.column}: leave --tenant out"
        )
    count = _count(connection, facts, f" AND {quoted(rule.tenant.column)} IS NULL")
    if count:
        raise ConfigError(
            f"{count:,} rows of {facts.schema}.{facts.table} have a value and no {rule.tenant.column}",
            hint="Give each row its tenant first.",
            sqlstate="23502",
        )


def _count(connection: psycopg.Connection, facts: ColumnFacts, condition: str) -> int:
    """How many rows with a value there are."""
    row = connection.execute(
        f"SELECT pg_catalog.count(*) FROM ONLY {quoted(facts.schema, facts.table)}"  # noqa: S608 (quoted names)
        f" WHERE {quoted(facts.name)} IS NOT NULL{condition}".encode()
    ).fetchone()
    return int(row[0]) if row is not None else 0


def _name(tenant: str) -> str:
    try:
        return checked(tenant)
    except InvalidValue as error:
        raise ConfigError(f"{error.message}: {tenant!r}", hint=error.hint) from None


def sealer(
    store: KeyringStore, values: Values, column: ProtectedColumn, tenant: str | None
) -> Callable[[bytes], tuple[bytes, bytes]]:
    """(plaintext, envelope) of what `beside` reads of a plain column."""
    if column.tenant is not None:
        column = replace(column, tenant_value=TenantFrom.SESSION)
    use = ParameterUse(0, Use.SEAL, column)
    has_column = column.has_tenant_column

    def seal(read: bytes) -> tuple[bytes, bytes]:
        plaintext = read
        if has_column:
            name, plaintext = split(read)
            values.tenants.session = _name(name)
        elif column.tenant is not None:
            values.tenants.session = tenant
        sealed = tenant_keys.with_keys(store, values.keyring.tenants, lambda: values.parameter(use, 0, plaintext, 1))
        assert sealed is not None
        return plaintext, sealed

    return seal


def opener(store: KeyringStore, values: Values, column: ProtectedColumn, format_code: int) -> Opener:
    """Opens values of all tenants, whose keys are loaded as they are needed."""
    if column.tenant is None:
        return values.opener(column, format_code)
    # the key says whose a value is; tools have no tenant of their own
    open_value = values.opener(replace(column, tenant=TenantRule("*")), format_code)
    return lambda value: tenant_keys.with_keys(store, values.keyring.tenants, lambda: open_value(value))
