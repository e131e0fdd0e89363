"""Columns with tenants, for tools that seal and open whole columns: each value goes with the tenant of its row."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.ops import tenant_keys
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.policy.model import Rule, TenantRule
from pgcrypt_proxy.session.tenant_values import checked
from pgcrypt_proxy.session.transform import Opener, Values
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import ParameterUse, Use
from pgcrypt_proxy.sql.tenant_values import TenantFrom, is_tenant_type
from pgcrypt_proxy.values.types import LogicalType, type_by_oid

_LENGTH = struct.Struct("!i")


def beside(tenant: TenantRule | None, value: str, alias: str | None = None) -> str:
    """SQL for a value (bytea) behind the tenant of its row and that one's length, which is 0 where the row has none.

    `alias` is the table's, where the statement has other columns as well.
    """
    if tenant is None or not tenant.column:
        return value
    column = quoted(tenant.column) if alias is None else quoted(alias, tenant.column)
    name = f"pg_catalog.convert_to(COALESCE({column}::pg_catalog.text, ''), 'UTF8')"
    return f"(pg_catalog.int4send(pg_catalog.octet_length({name})) || {name} || {value})"


def split(both: bytes) -> tuple[str, bytes]:
    """The tenant and the value that `beside` gave."""
    end = _LENGTH.size + _LENGTH.unpack_from(both)[0]
    return both[_LENGTH.size : end].decode(), both[end:]


def obstacles(
    connection: psycopg.Connection, facts: ColumnFacts, rule: Rule, tenant: str | None, *, is_short: bool = False
) -> Iterator[str]:
    """Why it is not known, or not of every row, whose the values are. `is_short`: rows are not looked at."""
    if rule.tenant is None:
        if tenant is not None:
            yield "its rule names no tenant: leave --tenant out"
    elif not rule.tenant.column:
        if tenant is not None:
            try:
                checked(tenant)
            except InvalidValue as error:
                yield f"--tenant: {error.message}: {error.hint}"
        elif not is_short and count_values(connection, facts):
            yield (
                "whose the values are is not known, as its rule names a setting: give --tenant, for which all rows are"
                " sealed; a table of several tenants needs a column of them"
            )
    elif tenant is not None:
        yield f"its tenants are in column {rule.tenant.column}: leave --tenant out"
    elif not is_tenant_type(_type(connection, facts, rule.tenant.column)):
        yield f"there is no column {rule.tenant.column} of type text, varchar, int2, int4, int8 or uuid"
    elif not is_short:
        count = count_values(connection, facts, f"AND t.{quoted(rule.tenant.column)} IS NULL")
        if count:
            yield f"{count:,} rows have a value and no {rule.tenant.column}: give each its tenant first"


def _type(connection: psycopg.Connection, facts: ColumnFacts, name: str) -> LogicalType | None:
    row = connection.execute(
        "SELECT atttypid::bigint FROM pg_catalog.pg_attribute"
        " WHERE attrelid = %s AND attname = %s AND attnum > 0 AND NOT attisdropped",
        [facts.relation_oid, name],
    ).fetchone()
    return type_by_oid(row[0]) if row is not None else None


def count_values(connection: psycopg.Connection, facts: ColumnFacts, condition: str = "") -> int:
    """How many rows `t` with a value there are, if it is an ordinary table, among those of `condition` ("AND ...")."""
    if facts.kind != "r":
        return 0
    row = connection.execute(
        f"SELECT pg_catalog.count(*) FROM ONLY {quoted(facts.schema, facts.table)} AS t"  # noqa: S608 (quoted names)
        f" WHERE t.{quoted(facts.name)} IS NOT NULL {condition}".encode()
    ).fetchone()
    return int(row[0]) if row is not None else 0


def sealer(
    store: KeyringStore,
    values: Values,
    column: ProtectedColumn,
    tenant: str | None,
    plain: Callable[[bytes], bytes] = bytes,
) -> Callable[[bytes], tuple[bytes, bytes]]:
    """(plaintext, envelope) of what `beside` reads of a column; `plain` makes plaintext of the value in it."""
    seal_for = sealer_for(store, values, column)
    has_column = column.has_tenant_column

    def seal(read: bytes) -> tuple[bytes, bytes]:
        plaintext, owner = read, tenant
        if has_column:
            name, plaintext = split(read)
            owner = checked(name)
        plaintext = plain(plaintext)
        return plaintext, seal_for(owner, plaintext)

    return seal


def sealer_for(store: KeyringStore, values: Values, column: ProtectedColumn) -> Callable[[str | None, bytes], bytes]:
    """Seals a value for the tenant that is given, None for a column without tenants; what it needs is loaded."""
    if column.tenant is not None:
        column = replace(column, tenant_value=TenantFrom.SESSION)
    use = ParameterUse(0, Use.SEAL, column)

    def seal(tenant: str | None, plaintext: bytes) -> bytes:
        values.tenants.session = tenant
        sealed = tenant_keys.with_keys(store, values.keyring.tenants, lambda: values.parameter(use, 0, plaintext, 1))
        assert sealed is not None
        return sealed

    return seal


def opener(store: KeyringStore, values: Values, column: ProtectedColumn, format_code: int) -> Opener:
    """Opens values of all tenants, whose keys are loaded as they are needed."""
    if column.tenant is None:
        return values.opener(column, format_code)
    # the key says whose a value is; tools have no tenant of their own
    open_value = values.opener(replace(column, tenant=TenantRule("*")), format_code)
    return lambda value: tenant_keys.with_keys(store, values.keyring.tenants, lambda: open_value(value))
