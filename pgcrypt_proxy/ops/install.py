"""Installs and upgrades schema `pgcrypt`: idempotent, one transaction, every step listed before it runs.

Knows the SQL files beside it and nothing of keys: keys come with the first
column that needs one (`keyring_store`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import readable_errors

#: (version, file): the steps from nothing to the newest version. Files are never changed, only added.
MIGRATIONS: tuple[tuple[int, str], ...] = (
    (1, "schema.sql"),
    (2, "schema_2.sql"),
    (3, "schema_3.sql"),
    (4, "schema_4.sql"),
    (5, "schema_5.sql"),
    (6, "schema_6.sql"),
)
SCHEMA_VERSION = MIGRATIONS[-1][0]

EVENT_TRIGGER_FILE = "event_trigger.sql"

#: One init at a time for a database; the number is arbitrary and the product's own.
INSTALL_LOCK = 0x70676372


@dataclass(frozen=True, slots=True)
class Installation:
    """What `install` did. `has_event_trigger`: running proxies are told of schema changes at once."""

    version_before: int
    version: int
    has_event_trigger: bool
    notes: tuple[str, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        return self.version_before == self.version


def sql_text(name: str) -> str:
    """The text of one of the SQL files of this package."""
    return resources.files("pgcrypt_proxy.ops").joinpath(name).read_text(encoding="utf-8")


def installed_version(connection: psycopg.Connection) -> int:
    """The schema version of this database, 0 when schema pgcrypt is not there."""
    with readable_errors("looking for schema pgcrypt"):
        found = connection.execute("SELECT pg_catalog.to_regclass('pgcrypt.meta') IS NOT NULL").fetchone()
        if not found or not found[0]:
            return 0
        row = connection.execute("SELECT schema_version FROM pgcrypt.meta").fetchone()
    return int(row[0]) if row else 0


def pending_sql(connection: psycopg.Connection) -> list[str]:
    """The SQL that `install` would run now, in order."""
    installed = installed_version(connection)
    texts = [sql_text(name) for version, name in MIGRATIONS if version > installed]
    if not _has_event_trigger(connection):
        texts.append(sql_text(EVENT_TRIGGER_FILE))
    return texts


def install(connection: psycopg.Connection) -> Installation:
    """Bring schema pgcrypt to SCHEMA_VERSION. A second run changes nothing.

    Raises ConfigError when the role lacks a privilege or the database is newer than this program.
    """
    with readable_errors("installing schema pgcrypt"), connection.transaction():
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
        before = installed_version(connection)
        if before > SCHEMA_VERSION:
            raise ConfigError(
                f"schema pgcrypt has version {before}, this program knows {SCHEMA_VERSION}",
                hint="Use a newer pgcrypt-proxy.",
            )
        if before < SCHEMA_VERSION:
            _migrate(connection, before)
        note = _create_event_trigger(connection)
        return Installation(before, SCHEMA_VERSION, note is None, (note,) if note else ())


def _migrate(connection: psycopg.Connection, before: int) -> None:
    try:
        for version, name in MIGRATIONS:
            if version > before:
                connection.execute(sql_text(name).encode())
        connection.execute("UPDATE pgcrypt.meta SET schema_version = %s", [SCHEMA_VERSION])
    except pg_errors.InsufficientPrivilege:
        role, database = connection.info.user, connection.info.dbname
        raise ConfigError(
            f"role {role} may not create schema pgcrypt in database {database}",
            hint=f'Run as its owner, or first: GRANT CREATE ON DATABASE "{database}" TO "{role}".',
            sqlstate="42501",
        ) from None
    except pg_errors.DuplicateSchema:
        raise ConfigError(
            "schema pgcrypt is already there, and was not made by pgcrypt-proxy",
            hint="Rename or drop that schema, then run init again.",
            sqlstate="42P06",
        ) from None


def _has_event_trigger(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_catalog.pg_event_trigger WHERE evtname IN ('pgcrypt_ddl', 'pgcrypt_drop')"
    ).fetchone()
    return row is not None and row[0] == 2


def _create_event_trigger(connection: psycopg.Connection) -> str | None:
    """None when it is there, else why not."""
    if _has_event_trigger(connection):
        return None
    try:
        with connection.transaction():
            connection.execute(sql_text(EVENT_TRIGGER_FILE).encode())
    except pg_errors.InsufficientPrivilege:
        return (
            "no event trigger (this role may not create one): running proxies see schema changes made "
            "outside them only at their next reload. Run init once as a superuser to add it."
        )
    return None
