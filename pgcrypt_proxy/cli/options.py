"""Options that several commands share, and what they lead to: database, rules, keyring."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.policy import load as load_rules
from pgcrypt_proxy.policy.model import Policy, Rule

RULES_VARIABLE = "PGCRYPT_RULES"
URL_VARIABLE = "PGCRYPT_DATABASE_URL"
URL_FILE_VARIABLE = "PGCRYPT_DATABASE_URL_FILE"

Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", "-r", help="Rule file or folder; may be given again. Else PGCRYPT_RULES."),
]
UrlFile = Annotated[
    Path | None,
    typer.Option(
        "--database-url-file",
        help="File that holds the database URL. Else PGCRYPT_DATABASE_URL(_FILE); never an argument.",
    ),
]
Table = Annotated[str | None, typer.Option("--table", help="schema.table; without schema: public.")]
ColumnName = Annotated[str | None, typer.Option("--column", help="The column's name.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
MaxRows = Annotated[int, typer.Option("--max-rows", min=0, help="Refuse tables with more rows than this.")]
LockTimeout = Annotated[float, typer.Option("--lock-timeout", min=0.001, help="Seconds to wait for the table's lock.")]


def database_url(url_file: Path | None) -> str:
    """The database URL from the file or the environment. Raises ConfigError."""
    file = url_file or (Path(named) if (named := os.environ.get(URL_FILE_VARIABLE)) else None)
    if file is not None:
        try:
            url = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(f"the database URL file {file} cannot be read: {reason}") from None
    else:
        url = os.environ.get(URL_VARIABLE, "")
    if not url:
        raise ConfigError(
            "the database URL is not set",
            hint=f"Set {URL_VARIABLE}=postgresql://user@host:5432/database, or give --database-url-file.",
        )
    return url


def open_database(url_file: Path | None) -> contextlib.AbstractContextManager[psycopg.Connection]:
    """A connection that is closed at the end of the `with` block."""
    return contextlib.closing(connect(database_url(url_file)))


def load_policy(rules: list[Path] | None) -> Policy:
    """The rules of the option or of PGCRYPT_RULES. Raises PolicyError."""
    named = os.environ.get(RULES_VARIABLE, "")
    return load_rules.load(rules or [Path(part) for part in named.split(os.pathsep) if part])


@contextlib.contextmanager
def open_store(url_file: Path | None, policy: Policy) -> Iterator[KeyringStore]:
    """The keyring over a connection of its own."""
    providers = make_providers(policy.keyring)
    with open_database(url_file) as connection:
        yield KeyringStore(connection, providers.current, providers.previous)


def table_name(text: str) -> tuple[str, str]:
    """(schema, table) of what was given. Raises ConfigError."""
    parts = text.split(".")
    if len(parts) == 1:
        parts.insert(0, "public")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"--table is {text}", hint="Write it as schema.table.")
    return parts[0], parts[1]


def find_rule(policy: Policy, table: str, column: str) -> Rule:
    """The rule for that column. Raises ConfigError."""
    schema, name = table_name(table)
    for rule in policy.rules:
        if (rule.schema, rule.table, rule.column) == (schema, name, column):
            return rule
    raise ConfigError(
        f"no rule names {schema}.{name}.{column}",
        hint="Add it to a rule file first: the rule says type, data class and search.",
    )
