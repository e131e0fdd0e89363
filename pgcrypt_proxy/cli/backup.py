"""`backup` and `restore`: encrypted backups, to a file, to standard output, or to S3."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.output import byte_counter, note, say
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import backup as ops_backup
from pgcrypt_proxy.ops import backup_places
from pgcrypt_proxy.ops.backup import Form, Opened
from pgcrypt_proxy.ops.backup_places import STANDARD
from pgcrypt_proxy.ops.keyring_store import make_providers

Place = Annotated[str, typer.Argument(help="A file, - for standard output or input, or s3://bucket/key.")]
Bin = Annotated[Path | None, typer.Option("--bin", help="Folder with PostgreSQL's client programs. Else the PATH.")]
ToolArguments = Annotated[list[str] | None, typer.Argument(help="Behind --: for pg_dump, pg_basebackup or pg_restore.")]


def backup(
    place: Place,
    arguments: ToolArguments = None,
    base: Annotated[bool, typer.Option("--base", help="The whole cluster, by pg_basebackup.")] = False,
    bin_folder: Bin = None,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Back up the database, encrypted under a key of its own that the key encryption key wraps.

    Nothing is written down in plaintext on the way. Whoever restores needs the key encryption key.
    """
    url, form = options.database_url(database_url_file), Form.BASE if base else Form.DUMP
    with (
        options.open_database(database_url_file) as connection,
        options.open_store(database_url_file, options.load_policy(rules)) as store,
        byte_counter(form) as progress,
    ):
        pieces = ops_backup.make(
            connection, store, url, form, folder=bin_folder, arguments=arguments or (), progress=progress
        )
        written = backup_places.write(place, pieces)
    note(f"{written:,} bytes written to {'standard output' if place == STANDARD else place}")


def restore(
    place: Place,
    arguments: ToolArguments = None,
    extract: Annotated[
        str | None,
        typer.Option("--extract", help="Only decrypt, into this file or - : pg_restore's archive, or a tar."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Then compare rows and checksums of all tables.")] = False,
    compare_only: Annotated[bool, typer.Option("--compare-only", help="Restore nothing, compare only.")] = False,
    bin_folder: Bin = None,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Restore a backup into the (empty) database of the URL, in one transaction."""
    if extract is not None and (verify or compare_only):
        raise ConfigError("--extract restores nothing that could be compared", hint="Leave --verify out.")
    providers = make_providers(options.load_policy(rules).keyring)
    with backup_places.reading(place) as read, byte_counter("restore") as progress:
        opened = ops_backup.open_(read, (providers.current, *providers.previous))
        if extract is not None:
            backup_places.write(extract, opened.data)
        elif compare_only:
            for _ in opened.data:
                pass
        else:
            url = options.database_url(database_url_file)
            ops_backup.restore(opened, url, folder=bin_folder, arguments=arguments or (), progress=progress)
    note(f"backup {opened.header.backup_id.hex()} of {opened.manifest.made_at} is whole")
    if verify or compare_only:
        _compare(opened, database_url_file)


def _compare(opened: Opened, database_url_file: Path | None) -> None:
    manifest = opened.manifest
    if manifest.form is not Form.DUMP:
        raise ConfigError("a backup of a whole cluster has no checksums of tables", hint="pg_verifybackup checks it.")
    with options.open_database(database_url_file) as connection:
        problems = ops_backup.compare(connection, manifest)
    for problem in problems:
        say(problem)
    if problems:
        sys.exit(1)
    rows = sum(table.rows for table in manifest.tables)
    say(f"{len(manifest.tables)} tables with {rows:,} rows are as they were")
