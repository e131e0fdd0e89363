"""What is in the way of sealing or opening a column of a live table: all that is in the way anyhow, and some more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_queries, column_checks, column_facts, install, protect
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_checks import Assessment, is_null_default
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.index_conversion import Conversion, waits_for_values
from pgcrypt_proxy.ops.online import moves, of_tenants, shown_order
from pgcrypt_proxy.ops.online.fill import LOUD, is_silent
from pgcrypt_proxy.policy.model import IMPORTING, OPENING, REINDEXING, SEALING, Rule
from pgcrypt_proxy.sql.catalog import HIDDEN_PREFIX, ProtectedColumn

_PHASES = {moves.SEAL: SEALING, moves.OPEN: OPENING, moves.REINDEX: REINDEXING, moves.IMPORT: IMPORTING}
_WORDS = {moves.SEAL: "sealed", moves.OPEN: "made plain", moves.REINDEX: "reindexed", moves.IMPORT: "imported"}
#: The version of schema pgcrypt that knows of imports.
_IMPORT_VERSION = 6
_PUBLICATIONS = """
SELECT DISTINCT pubname FROM pg_catalog.pg_publication_tables WHERE schemaname = %s AND tablename = %s ORDER BY 1
"""
_DOMAIN_IS_CHECKED = """
WITH RECURSIVE d AS (
    SELECT oid, typbasetype, typnotnull FROM pg_catalog.pg_type WHERE oid = pg_catalog.to_regtype(%s) AND typtype = 'd'
    UNION ALL
    SELECT t.oid, t.typbasetype, t.typnotnull FROM d JOIN pg_catalog.pg_type t ON t.oid = d.typbasetype
    WHERE t.typtype = 'd'
)
SELECT EXISTS (SELECT FROM d WHERE d.typnotnull)
    OR EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN d ON k.contypid = d.oid)
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Which column goes which way. `rule` is the column's; `type` is that of the plain column.

    `generation` is that of the index key under which a sealed column is sealed anew, None for a plain one.
    `is_import`: the application encrypts the column itself, and `foreign` opens that; abandoning needs none.
    """

    rule: Rule
    is_sealing: bool
    options: protect.Options = field(default_factory=protect.Options)
    generation: int | None = None
    is_import: bool = False
    foreign: Foreign | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        return self.rule.schema, self.rule.table, self.rule.column

    @property
    def direction(self) -> str:
        if self.generation is not None:
            return moves.REINDEX
        if self.is_import:
            return moves.IMPORT
        return moves.SEAL if self.is_sealing else moves.OPEN

    def require_phase(self) -> None:
        """Raises ConfigError when the rule does not say that its column is on its way."""
        self.require_no_import_of_tenants()
        tenant, wanted = self.rule.tenant, _PHASES[self.direction]
        if wanted == SEALING and tenant is not None and not tenant.column:  # no phase would help
            raise ConfigError(f"{self.rule.qualified_name}: {of_tenants.UNKNOWN}", sqlstate="55000")
        if self.rule.phase != wanted:
            raise ConfigError(
                f"{self.rule.source}: the rule of {self.rule.qualified_name} does not say phase: {wanted}",
                hint=f"Write phase: {wanted} into the rule and reload every proxy (SIGHUP), then run this again.",
            )

    def require_no_import_of_tenants(self) -> None:
        """Raises ConfigError for an import of a column with tenants."""
        if self.is_import and self.rule.tenant is not None:
            raise ConfigError(
                f"{self.rule.qualified_name}: values of tenants are not imported while applications use them",
                hint="Run import without --online.",
            )

    def seen(self, connection: psycopg.Connection, found: ColumnFacts) -> ColumnFacts:
        """The facts that the rule is compared with: what others encrypted counts as what it opens to."""
        return found if self.foreign is None else self.foreign.seen(connection, found, self.rule)


def facts(connection: psycopg.Connection, target: Target) -> ColumnFacts:
    """The column's facts without what fills columns of this table."""
    found = column_facts.read(connection, *target.place)
    return replace(
        found,
        indexes=tuple(index for index in found.indexes if not index.name.startswith(HIDDEN_PREFIX)),
        triggers=tuple(trigger for trigger in found.triggers if not _is_own(trigger.name)),
        dependents=tuple(d for d in found.dependents if not _is_own(d[2].removeprefix("trigger "))),
    )


def assess(connection: psycopg.Connection, target: Target, found: ColumnFacts, *, is_short: bool = False) -> Assessment:
    """Everything that is in the way, and what becomes of the indexes."""
    target.require_no_import_of_tenants()
    if target.direction in (moves.SEAL, moves.IMPORT):
        seen = target.seen(connection, found)
        made = protect.assess(connection, seen, target.rule, target.options, is_short=is_short)
        if target.is_import and not is_short and install.installed_version(connection) < _IMPORT_VERSION:
            made.obstacles.append("schema pgcrypt is of an older version: run `pgcrypt-proxy init`")
    else:
        is_reindex = target.direction == moves.REINDEX
        made = (
            column_checks.assess_reindex(found)
            if is_reindex
            else column_checks.assess_unprotect(found, target.rule.search)
        )
        if found.default is not None and not is_null_default(found.default):
            made.obstacles.append("it has a DEFAULT, an envelope: ALTER TABLE ... ALTER COLUMN ... DROP DEFAULT")
        row = connection.execute(_DOMAIN_IS_CHECKED, [target.rule.type]).fetchone()
        if not is_reindex and row is not None and row[0]:
            made.obstacles.append(
                f"{target.rule.type} is a domain with constraints, a column of which is not added without a pause: "
                "unprotect it without --online"
            )
    if target.rule.tenant is not None:
        made.obstacles[:0] = of_tenants.obstacles(
            connection, found, target.rule.tenant, target.direction, is_short=is_short
        )
    for index in found.indexes:
        reason = waits_for_values(found, index)
        if reason is not None:
            made.obstacles.append(f"{reason}, which holds for no column that is being filled: drop it first")
    if not is_short and found.triggers:
        with connection.transaction():
            if not is_silent(connection, found.relation_oid):
                made.obstacles.append(f"the table {LOUD}")
    if shown_order.shown(connection, found.relation_oid) is None:
        made.obstacles.append("pgcrypt.shown_order names columns that the table has no more: put it right first")
    _warn(connection, found, made)
    return made


def raise_obstacles(target: Target, made: Assessment) -> None:
    """ConfigError with all of them."""
    if made.obstacles:
        what = _WORDS[target.direction]
        raise ConfigError(
            f"{target.rule.qualified_name} cannot be {what} while the table is used: {made.obstacles[0]}",
            detail="\n".join(made.obstacles[1:]) or None,
            hint="Nothing was changed.",
            sqlstate="55000",
        )


def require_same(connection: psycopg.Connection, target: Target, column: ProtectedColumn) -> None:
    """Raises ConfigError when the rule is not the one by which values were sealed so far."""
    rule = target.rule
    if target.is_import and logical_type(rule, catalog_queries.fetch_types(connection)) != column.type:
        raise ConfigError(
            f"{rule.source}: the type was changed while {rule.qualified_name} is on its way",
            detail=f"It began with type {column.type.sql}.",
            hint="Write that again, or run it with --abandon and begin anew.",
            sqlstate="55000",
        )
    now = (rule.data_class, rule.search, rule.index_domain if rule.search else "", rule.tenant)
    if now != (column.data_class, column.search, column.index_domain if column.search else "", column.tenant):
        raise ConfigError(
            f"{rule.source}: the rule was changed while {rule.qualified_name} is on its way",
            detail=f"It began with data_class {column.data_class}, search [{', '.join(sorted(column.search))}],"
            f" index_domain {column.index_domain} and tenant {column.tenant or 'none'}.",
            hint="Write that again, or run it with --abandon and begin anew.",
            sqlstate="55000",
        )


def conversions(
    connection: psycopg.Connection, target: Target, found: ColumnFacts, hidden: str
) -> list[tuple[str, Conversion, Conversion]]:
    """(temporary name, as it will be, over the hidden column) of every index to be made."""
    wanted = assess(connection, target, found, is_short=True)
    raise_obstacles(target, wanted)
    beside = assess(connection, target, replace(found, name=hidden), is_short=True).conversions
    oids = {index.name: index.oid for index in found.indexes}
    made: list[tuple[str, Conversion, Conversion]] = []
    for final, over_hidden in zip(wanted.conversions, beside, strict=True):
        if final.create is not None:
            # new ones are named by their place: there is one for each term
            made.append((f"{hidden}_{oids.get(final.index, f'new{len(made)}')}", final, over_hidden))
    return made


def _is_own(name: str) -> bool:
    return name.startswith(f"~{HIDDEN_PREFIX}")


def _warn(connection: psycopg.Connection, found: ColumnFacts, made: Assessment) -> None:
    for (name,) in connection.execute(_PUBLICATIONS, [found.schema, found.table]).fetchall():
        made.warnings.append(
            f"publication {name} has the table: its subscribers need the column {HIDDEN_PREFIX}<id>, too, and get"
            " every row twice"
        )
    for trigger in found.triggers:
        if trigger.enabled == "A":
            made.warnings.append(f"trigger {trigger.name} is ENABLE ALWAYS: it fires for every row that is filled")
