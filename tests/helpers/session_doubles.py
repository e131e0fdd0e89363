"""Doubles for session tests: a planner by script, a keyring that hides nothing, an observer that remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.errors import KeyUnavailable, OpenError, PgcryptError, Refusal
from pgcrypt_proxy.session.planning import refused
from pgcrypt_proxy.sql.catalog import Catalog, Column, ProtectedColumn, Relation
from pgcrypt_proxy.sql.fingerprint import fingerprint
from pgcrypt_proxy.sql.mention import RelationName
from pgcrypt_proxy.sql.plan import UNTOUCHED, NeedsNames, Plan
from pgcrypt_proxy.sql.planner import Planner
from pgcrypt_proxy.sql.template import Template
from pgcrypt_proxy.values.types import type_by_name

USERS_OID, DOMAIN_OID = 16384, 16400

EMAIL = ProtectedColumn(
    id=1,
    schema="public",
    table="users",
    name="email",
    relation_oid=USERS_OID,
    attribute_number=2,
    domain_oid=DOMAIN_OID,
    type=type_by_name("text"),
    data_class="pii",
    search=frozenset({"equality"}),
    index_domain="email",
)
AGE = ProtectedColumn(
    id=2,
    schema="public",
    table="users",
    name="age",
    relation_oid=USERS_OID,
    attribute_number=3,
    domain_oid=DOMAIN_OID + 1,
    type=type_by_name("int4"),
    data_class="pii",
    search=frozenset({"equality"}),
    index_domain="age",
)


def catalog(version: int = 1, *columns: ProtectedColumn) -> Catalog:
    """Table public.users: id, then the protected columns (email and age unless others are given)."""
    protected = columns or (EMAIL, AGE)
    users = Relation(
        USERS_OID,
        "public",
        "users",
        "r",
        (Column("id", 1, 23), *(Column(c.name, c.attribute_number, c.domain_oid, c) for c in protected)),
    )
    return Catalog.build(version, [users])


class ScriptedPlanner:
    """Answers `plan` from a table; every other text is untouched.

    A script entry that is a NeedsNames is followed by the plan in `after_names`. `templates` are by their key: they
    tell plans of simple queries, and texts of their keys for which they do not are refused.
    """

    def __init__(
        self,
        plans: Mapping[str, Plan | NeedsNames] | None = None,
        *,
        after_names: Mapping[str, Plan] | None = None,
        unknown: Mapping[str, Collection[RelationName]] | None = None,
        templates: Mapping[str, Template] | None = None,
        version: int = 1,
    ) -> None:
        self.catalog = catalog(version)
        self.plans = dict(plans or {})
        self.after_names = dict(after_names or {})
        self.unknown = dict(unknown or {})
        self.templates = dict(templates or {})
        self.resolved: list[Mapping[str, int] | None] = []
        self.max_statement_bytes = 1 << 20

    def too_long(self, length: int) -> Refusal | None:
        return Refusal("the statement is too long", sqlstate="54001") if length > 1 << 20 else None

    def plan(
        self,
        sql: str,
        *,
        extended: bool,
        resolved: Mapping[str, int] | None = None,
        standard_conforming_strings: bool = True,
    ) -> Plan | NeedsNames:
        self.resolved.append(resolved)
        if resolved is not None and sql in self.after_names:
            return self.after_names[sql]
        if self.templates and not extended and sql not in self.plans:
            return self._templated(sql)
        return self.plans.get(sql, UNTOUCHED)

    def _templated(self, sql: str) -> Plan:
        found = self.template(sql)
        if found is not None:
            return found[1].plan_of(sql)
        own = fingerprint(sql)
        return UNTOUCHED if own is None or own.key not in self.templates else refused(Refusal("another plan"))

    def plan_and_unknown(
        self,
        sql: str,
        *,
        extended: bool,
        resolved: Mapping[str, int] | None = None,
        standard_conforming_strings: bool = True,
    ) -> tuple[Plan | NeedsNames, frozenset[RelationName]]:
        return self.plan(sql, extended=extended, resolved=resolved), frozenset(self.unknown.get(sql, ()))

    def template(self, sql: str) -> tuple[str, Template] | None:
        found = fingerprint(sql)
        known = self.templates.get(found.key) if found is not None else None
        if found is None or known is None or known.is_wrong or not known.differing(found.literals) <= known.varied:
            return None
        return found.key, known

    def under(self, catalog: Catalog) -> ScriptedPlanner:
        made = ScriptedPlanner(self.plans, after_names=self.after_names, unknown=self.unknown, templates=self.templates)
        made.catalog = catalog
        return made

    @property
    def as_planner(self) -> Planner:
        return cast(Planner, self)


class GlassKeyring:
    """Envelopes that show what is in them: `<column id|terms|plaintext>`, so that tests can say what they expect."""

    def __init__(self) -> None:
        self.is_expired = False
        self.is_destroyed = False

    index_generations = frozenset({1})
    is_by_monotonic_clock = True

    @property
    def expires_at(self) -> float:
        return float("-inf" if self.is_expired else "inf")

    #: envelopes of these doubles name no key
    active_keys: Mapping[str, int] = MappingProxyType({})

    def seal(
        self,
        context: SealContext,
        plaintext: bytes,
        terms: Sequence[bytes] = (),
        flags: int = 0,
        index_generation: int = 0,
    ) -> bytes:
        return b"<%d|%d%s|%s>" % (context.column_id, flags, b"".join(terms), plaintext)

    def open(self, context: SealContext, envelope: bytes) -> bytes:
        if self.is_destroyed:
            raise KeyUnavailable("the key is destroyed")
        parts = envelope[1:-1].split(b"|", 2)
        if envelope[:1] != b"<" or len(parts) != 3 or parts[0] != b"%d" % context.column_id:
            raise OpenError("a protected value cannot be opened")
        return parts[2]

    def native_keys(self, context: SealContext) -> None:
        """Compiled code cannot read these envelopes."""

    def native_seals(self, context: SealContext, flags: int, index_domain: str, index_generation: int) -> None:
        """Nor make them."""

    def equality_term(self, index_domain: str, equality_key: bytes, generation: int) -> bytes:
        return b"[%s=%s]" % (index_domain.encode(), equality_key)

    def casefold_term(self, index_domain: str, casefold_key: bytes, generation: int) -> bytes:
        return b"[%s~%s]" % (index_domain.encode(), casefold_key)

    @property
    def as_keyring(self) -> Keyring:
        return cast(Keyring, self)


@dataclass
class RecordingObserver:
    """Remembers what it was told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def operations(self, operation: str, data_class: str, count: int, seconds: float) -> None:
        self.told.append(("operations", operation, data_class, count))

    def failed(self, operation: str, error: PgcryptError, column: str = "") -> None:
        self.told.append(("failed", operation, error.kind, column))

    def statement(self, disposition: str, seconds: float, count: int = 1) -> None:
        self.told += [("statement", disposition)] * count

    def refused(self, refusal: PgcryptError) -> None:
        self.told.append(("refused", refusal.message))

    def text(self, sql: str) -> None:
        self.texts.append(sql)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
