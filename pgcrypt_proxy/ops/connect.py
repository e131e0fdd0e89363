"""Connections to the protected database for the product's own work, and plain words for what goes wrong.

Server messages may quote values ("invalid input syntax ... "), so only their
SQLSTATE and, for the codes listed here, their text is ever passed on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg import errors as pg_errors

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops import address

Connection = psycopg.Connection[tuple[object, ...]]

#: Everything is named by schema besides; this is the second line.
SEARCH_PATH = "pg_catalog"


def connect(url: str, *, connect_timeout_s: int = 10) -> psycopg.Connection:
    """An autocommit connection with a fixed search_path and no statement timeout. Raises ConfigError."""
    conninfo = address.secured(url)
    try:
        connection = psycopg.connect(
            conninfo, autocommit=True, connect_timeout=connect_timeout_s, application_name="pgcrypt-proxy"
        )
    except psycopg.ProgrammingError:  # conninfo that cannot be parsed; its text may repeat the URL
        raise ConfigError(
            "the database URL is not valid", hint="The form is postgresql://user@host:5432/database."
        ) from None
    except psycopg.OperationalError as error:
        raise ConfigError(
            "cannot connect to the database",
            detail=_first_line(str(error)),
            hint="Check the database URL, that the server runs, and that this host may log in.",
            sqlstate="08001",
        ) from None
    connection.prepare_threshold = None  # nothing here runs often, and poolers dislike prepared statements
    connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", [SEARCH_PATH])
    connection.execute("SET statement_timeout = 0")
    return connection


def read_committed(connection: psycopg.Connection) -> None:
    """Whatever the database or role says: what somebody changed meanwhile is left alone, and no error."""
    connection.execute("SET default_transaction_isolation = 'read committed'")


@contextlib.contextmanager
def readable_errors(doing: str) -> Iterator[None]:
    """Turn psycopg's errors into ours: `doing` says what was going on, as in "reading the keyring"."""
    try:
        yield
    except (
        pg_errors.UndefinedTable,
        pg_errors.UndefinedColumn,
        pg_errors.InvalidSchemaName,
        pg_errors.UndefinedFunction,
    ):
        raise ConfigError(
            f"{doing}: the database has no pgcrypt schema, or one of another version",
            hint="Run `pgcrypt-proxy init` once on this database.",
            sqlstate="55000",
        ) from None
    except pg_errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"{doing}: the database role may not do this",
            detail=error.diag.message_primary,
            hint="Use a database URL whose role ran `pgcrypt-proxy init`, or is a member of that role.",
            sqlstate="42501",
        ) from None
    except (pg_errors.LockNotAvailable, pg_errors.DeadlockDetected):
        raise ConfigError(
            f"{doing}: a lock was not granted in time",
            hint="Another transaction holds the table. Try again when it has ended, or raise --lock-timeout.",
            sqlstate="55P03",
        ) from None
    except psycopg.Error as error:
        raise PgcryptError(
            f"{doing}: the database answered with SQLSTATE {error.sqlstate or '08006'}",
            hint="The server's own log has the message; it is not repeated here because it may quote a value.",
            sqlstate=error.sqlstate or "08006",
        ) from None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
