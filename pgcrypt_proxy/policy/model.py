"""What the rule files say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

#: A rule's phase. While it is sealing, its column may be plain still; while it is opening, plain already; while it is
#: reindexing, the column is sealed and gets terms of another index key; while it is importing, the column holds what
#: the application encrypts itself, or is sealed already and no value of it passes.
SEALED, SEALING, OPENING, REINDEXING, IMPORTING = "sealed", "sealing", "opening", "reindexing", "importing"
EQUALITY, EQUALITY_CASEFOLD, EQUALITY_UPPER = "equality", "equality_casefold", "equality_upper"


#: The run-time parameter that names a session's tenant.
TENANT_SETTING = "pgcrypt.tenant"


@dataclass(frozen=True, slots=True)
class TenantRule:
    """Whose key seals a value: that of the tenant whom `column` of the same row names, or TENANT_SETTING if empty."""

    column: str = ""

    @property
    def stored(self) -> str:
        """As `pgcrypt.columns` has it."""
        return f"column:{self.column}" if self.column else f"setting:{TENANT_SETTING}"

    def __str__(self) -> str:
        return f"{{column: {self.column}}}" if self.column else f"{{setting: {TENANT_SETTING}}}"


def stored_tenant(text: str) -> TenantRule | None:
    """What `TenantRule.stored` gave; None for a column without tenants."""
    kind, _, name = text.partition(":")
    return TenantRule(name if kind == "column" else "") if kind else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One protected column. `type` is PostgreSQL's name of it; `source` is `file:line` for messages."""

    schema: str
    table: str
    column: str
    type: str
    data_class: str
    search: frozenset[str]
    index_domain: str
    source: str
    phase: str = SEALED
    tenant: TenantRule | None = None

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class SafeFunction:
    """A function, under all its signatures, of which the owner says that it shows and stores no protected value.

    `source` is `file:line` for messages.
    """

    schema: str
    name: str
    source: str

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class KeyringSettings:
    """Which provider holds the key encryption key, and that provider's options.

    `previous` are providers whose keys may not all have been wrapped anew yet.
    """

    provider: str
    options: Mapping[str, str] = field(default_factory=dict)
    previous: tuple[KeyringSettings, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules of all files."""

    version: int
    keyring: KeyringSettings
    rules: tuple[Rule, ...]
    safe_functions: tuple[SafeFunction, ...] = ()

    @property
    def moving_tables(self) -> frozenset[tuple[str, str]]:
        """(schema, table) of each rule with another phase than sealed."""
        return frozenset((rule.schema, rule.table) for rule in self.rules if rule.phase != SEALED)

    @property
    def digest(self) -> str:
        """What all processes that have read the same rules agree upon."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, default=sorted).encode()).hexdigest()
