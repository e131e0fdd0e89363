"""`import`: columns that others encrypted become protected columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pgcrypt_proxy.cli import online, options, protection
from pgcrypt_proxy.cli.output import note, progress_bar
from pgcrypt_proxy.crypto import private_files
from pgcrypt_proxy.crypto.foreign.forms import FORMS, make
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import importing
from pgcrypt_proxy.ops import protect as ops_protect
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.protect import Options

MAX_SECRET_BYTES = 65_536


def import_(
    place: online.Place = None,
    form: Annotated[str, typer.Option("--from", help=f"What made the values: {', '.join(FORMS)}.")] = "",
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File of mode 0600 with the passphrase or key.")
    ] = None,
    secret_variable: Annotated[
        str | None, typer.Option("--secret-variable", help="Environment variable with it instead.")
    ] = None,
    padding: Annotated[
        str | None, typer.Option("--padding", help="For sqlalchemy-aes: pkcs5, oneandzeroes, zeroes or naive.")
    ] = None,
    dry_run: options.DryRun = False,
    max_rows: options.MaxRows = 200_000,
    lock_timeout: options.LockTimeout = 5.0,
    no_index: Annotated[bool, typer.Option("--no-index", help="Make no index that is not there.")] = False,
    tenant: protection.Tenant = None,
    is_online: online.Online = False,
    cut_over: Annotated[
        bool, typer.Option("--cut-over", help="With --online: let the columns change places when all is ready.")
    ] = False,
    abandon: online.Abandon = False,
    pause: online.Pause = 0.0,
    max_lag: online.MaxLag = 0.0,
    batch_blocks: online.BatchBlocks = online.DEFAULT_BATCH_BLOCKS,
    jobs: online.Jobs = 1,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Seal a column that pgcrypto, Fernet or SQLAlchemy-Utils encrypted. The table is locked meanwhile, unless --online
    is given.
    """
    table, column = online.column_of(place, None, None)
    chosen = Options(max_rows, lock_timeout, make_indexes=not no_index, tenant=tenant)
    if not is_online and (abandon or cut_over):
        raise ConfigError(f"--{'abandon' if abandon else 'cut-over'} is for --online")
    reading = None if abandon else importing.Foreign(make(form, _secret(secret_file, secret_variable), padding))
    if is_online or reading is None:
        online.run(
            table,
            column,
            is_sealing=True,
            is_import=True,
            foreign=reading,
            cut_over=cut_over,
            chosen=chosen,
            pace=Pace(pause, max_lag),
            batch_blocks=batch_blocks,
            jobs=jobs,
            abandon=abandon,
            dry_run=dry_run,
            rules=rules,
            database_url_file=database_url_file,
        )
        return
    policy = options.load_policy(rules)
    rule = options.find_rule(policy, table, column)
    with options.open_database(database_url_file) as connection:
        preview = ops_protect.preview_protect(connection, rule, chosen, reading)
        if dry_run:
            protection.show_preview(preview)
            if preview.assessment.obstacles:
                raise typer.Exit(2)
        protection.refuse_all_or_none([preview])
        online.look(connection, rule, reading, is_said=dry_run)
        if dry_run:
            return
        with options.open_store(database_url_file, policy) as store, progress_bar(rule.qualified_name) as progress:
            done = ops_protect.protect(connection, store, rule, chosen, progress, reading)
    protection.show_outcome("imported", done)
    note("note: the application must not decrypt the column itself any more, and must come through a proxy")
    note("note: what is under the old key may still be in old WAL, backups, replication slots and free disk blocks")


def _secret(file: Path | None, variable: str | None) -> bytes:
    """From the file, but for the newline at its end, or from the variable. Raises ConfigError."""
    if (file is None) == (variable is None):
        raise ConfigError(
            "where is the secret?", hint="Give --secret-file, or --secret-variable; never the secret itself."
        )
    if file is not None:
        raw = private_files.read(file, "the secret file", MAX_SECRET_BYTES + 1)
        if len(raw) > MAX_SECRET_BYTES:
            raise ConfigError(f"the secret file {file} is too long")
        return raw.removesuffix(b"\n").removesuffix(b"\r")
    assert variable is not None
    value = os.environb.get(variable.encode())
    if value is None:
        raise ConfigError(f"the environment has no variable {variable}")
    return value
