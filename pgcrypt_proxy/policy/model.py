"""What the rule files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EQUALITY, EQUALITY_CASEFOLD = "equality", "equality_casefold"


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

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class KeyringSettings:
    """Which provider holds the key encryption key, and that provider's options."""

    provider: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules of all files."""

    version: int
    keyring: KeyringSettings
    rules: tuple[Rule, ...]
