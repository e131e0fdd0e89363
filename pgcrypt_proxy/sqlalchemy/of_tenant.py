"""Whose a value is, as an application says it, and as keys are known by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pgcrypt_proxy.errors import InvalidValue, Refusal
from pgcrypt_proxy.session.tenant_values import checked
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.tenants import no_tenant
from pgcrypt_proxy.sqlalchemy import natives
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.values.settings import TextSettings

HINT = (
    "Give the tenant in the same row of values; of an UPDATE in WHERE as tenant == value, alone or under AND, or make"
    " it part of the mapper's primary key."
)


@dataclass(frozen=True, slots=True)
class OfTenant:
    """A value, and what stands in its row's tenant's column."""

    tenant: Any
    value: Any = field(repr=False)


def check_stated(column: ProtectedColumn, tenant: str) -> None:
    """Raises Refusal where the type of a column does not say what its rule says of tenants."""
    if column.is_of_session:
        raise Refusal(
            f'the application cannot seal "{column.qualified_name}" by itself: the tenant is a setting of the session',
            hint="Connect through the proxy, and map the column as a plain one.",
        )
    ruled = column.tenant.column if column.tenant is not None else ""
    if ruled != tenant:
        raise Refusal(
            f'the tenants of "{column.qualified_name}" are named by {ruled or "no column"}, and its type says'
            f" {tenant or 'none'}",
            hint=f'Write Sealed(..., tenant="{ruled}").' if ruled else "Leave tenant out.",
        )


def refuse_unknown(column: ProtectedColumn) -> Refusal:
    """What is said of a value whose tenant was not found."""
    return Refusal(
        f'whose value is to be stored in "{column.qualified_name}" is not known before the statement is sent',
        hint=HINT,
    )


def named(column: ProtectedColumn, value: Any) -> str:
    """The tenant that a value of the tenant's column names. Raises Refusal and InvalidValue."""
    type_ = column.tenant_type
    if value is None:
        raise no_tenant(column)
    if type_ is None or type(value) not in (str, int, UUID) or (type(value) is UUID and type_.name != "uuid"):
        raise InvalidValue(f"a Python value of type {type(value).__name__} names no tenant", sqlstate="42804")
    settings = TextSettings()
    data = codec.from_text(type_.base, natives.written(type_.base, value), settings)
    return checked(codec.to_text(type_.base, data, settings).decode())
