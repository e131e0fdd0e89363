"""Where the tenant of a value that is to be sealed is found: in the statement, its parameters or data, the session."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pgcrypt_proxy.values.types import LogicalType

#: Types of a tenant's column, in families of which each other's values are taken.
FAMILIES = (frozenset({"text", "varchar"}), frozenset({"int2", "int4", "int8"}), frozenset({"uuid"}))


def is_tenant_type(type_: LogicalType | None) -> bool:
    """Whether a tenant's column may have that type: its text form is one for each value."""
    return type_ is not None and any(type_.name in family for family in FAMILIES)


def are_relatives(one: LogicalType, other: LogicalType) -> bool:
    """Whether a value of the one type names a tenant in a column of the other."""
    return any({one.name, other.name} <= family for family in FAMILIES)


@dataclass(frozen=True, slots=True)
class TenantParameter:
    """The client's parameter `client_index` (0-based), which is stored in or compared with a column of `type`."""

    client_index: int
    type: LogicalType
    cast: LogicalType | None = None


@dataclass(frozen=True, slots=True)
class TenantLiteral:
    """A literal of the statement; `at` is where it stands (0-based)."""

    text: str = field(repr=False)
    type: LogicalType
    at: int = field(default=-1, compare=False)


@dataclass(frozen=True, slots=True)
class TenantRows:
    """The tenants of the rows of VALUES in FROM, one after the other; None where it is not known."""

    values: tuple[TenantParameter | TenantLiteral | None, ...]


@dataclass(frozen=True, slots=True)
class TenantElements:
    """The client's parameter `client_index`, an array beside another: each element names the tenant of one of that."""

    client_index: int
    type: LogicalType
    cast: LogicalType | None = None


class TenantFrom(Enum):
    """A tenant that does not stand in the statement."""

    SESSION = "session"  # pgcrypt.tenant
    ROW = "row"  # of COPY data


TenantValue = TenantParameter | TenantLiteral | TenantRows | TenantElements | TenantFrom
