"""`protect`, `unprotect` and `verify`: the values of whole columns."""

from __future__ import annotations

from typing import Annotated

import psycopg
import typer

from pgcrypt_proxy.cli import online, options
from pgcrypt_proxy.cli.output import note, progress_bar, say, show_table
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_loader, open_one
from pgcrypt_proxy.ops import protect as ops_protect
from pgcrypt_proxy.ops import verify as ops_verify
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.protect import Options, Outcome, Preview
from pgcrypt_proxy.policy.model import Policy, Rule

Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose all values are, where the rule names a setting.")]


def protect(
    place: online.Place = None,
    table: options.Table = None,
    column: options.ColumnName = None,
    all_columns: Annotated[bool, typer.Option("--all", help="Every column that rules name.")] = False,
    dry_run: options.DryRun = False,
    max_rows: options.MaxRows = 200_000,
    lock_timeout: options.LockTimeout = 5.0,
    drop_pattern_indexes: Annotated[
        bool, typer.Option("--drop-pattern-indexes", help="Drop indexes that serve LIKE only.")
    ] = False,
    no_index: Annotated[bool, typer.Option("--no-index", help="Make no index that is not there.")] = False,
    tenant: Tenant = None,
    is_online: online.Online = False,
    abandon: online.Abandon = False,
    pause: online.Pause = 0.0,
    max_lag: online.MaxLag = 0.0,
    batch_blocks: online.BatchBlocks = online.DEFAULT_BATCH_BLOCKS,
    jobs: online.Jobs = 1,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Seal the values of a column. The table is locked meanwhile, unless --online is given."""
    chosen = Options(max_rows, lock_timeout, drop_pattern_indexes, not no_index, tenant)
    if is_online:
        online.run(
            *online.column_of(place, table, column),
            is_sealing=True,
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
    if abandon:
        raise ConfigError("--abandon is for --online")
    if place is not None:
        table, column = online.column_of(place, table, column)
    policy = options.load_policy(rules)
    with options.open_database(database_url_file) as connection:
        wanted = _wanted(connection, policy, table, column, all_columns)
        previews = [ops_protect.preview_protect(connection, rule, chosen) for rule in wanted]
        if dry_run:
            for preview in previews:
                show_preview(preview)
            if any(preview.assessment.obstacles for preview in previews):
                raise typer.Exit(2)
            return
        refuse_all_or_none(previews)
        with options.open_store(database_url_file, policy) as store:
            for rule in wanted:
                with progress_bar(rule.qualified_name) as progress:
                    done = ops_protect.protect(connection, store, rule, chosen, progress)
                show_outcome("sealed", done)
    if wanted:
        note(
            "note: what was plaintext until now may still be in the server's old WAL, backups, "
            "replication slots and free disk blocks"
        )


def unprotect(
    place: online.Place = None,
    table: options.Table = None,
    column: options.ColumnName = None,
    dry_run: options.DryRun = False,
    max_rows: options.MaxRows = 200_000,
    lock_timeout: options.LockTimeout = 5.0,
    is_online: online.Online = False,
    abandon: online.Abandon = False,
    pause: online.Pause = 0.0,
    max_lag: online.MaxLag = 0.0,
    batch_blocks: online.BatchBlocks = online.DEFAULT_BATCH_BLOCKS,
    jobs: online.Jobs = 1,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Store a column in plaintext again. The table is locked meanwhile, unless --online is given."""
    table, column = online.column_of(place, table, column)
    chosen = Options(max_rows, lock_timeout)
    if is_online:
        online.run(
            table,
            column,
            is_sealing=False,
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
    if abandon:
        raise ConfigError("--abandon is for --online")
    policy = options.load_policy(rules)
    with options.open_database(database_url_file) as connection:
        catalog = catalog_loader.load(connection, policy)
        found = open_one.find_column(catalog, ".".join((*options.table_name(table), column)))
        if dry_run:
            preview = ops_protect.preview_unprotect(connection, found, chosen)
            show_preview(preview)
            if preview.assessment.obstacles:
                raise typer.Exit(2)
            return
        with (
            options.open_store(database_url_file, policy) as store,
            progress_bar(found.qualified_name) as progress,
        ):
            done = ops_protect.unprotect(connection, store, found, chosen, progress)
    show_outcome("plain again", done)
    note("note: now remove its rule; until then every statement on the table is refused")


def verify(rules: options.Rules = None, database_url_file: options.UrlFile = None) -> None:
    """Open every sealed value and check what the database itself refuses. Exit status 1 on findings."""
    policy = options.load_policy(rules)
    with (
        options.open_database(database_url_file) as connection,
        options.open_store(database_url_file, policy) as store,
        progress_bar("verify") as progress,
    ):
        report = ops_verify.verify(connection, store, policy, progress)
    show_table(
        "column",
        "opened",
        "null",
        "key destroyed",
        "failed",
        rows=[(c.column, f"{c.opened:,}", f"{c.nulls:,}", f"{c.destroyed:,}", f"{c.failed:,}") for c in report.columns],
    )
    for column in report.columns:
        for problem in column.problems:
            say(f"finding: {column.column}: {problem}")
        if column.failed:
            more = "" if column.failed == len(column.rows) else " and more"
            say(f"finding: {column.column}: values do not open, at ctid {', '.join(column.rows)}{more}")
    for problem in report.problems:
        say(f"finding: {problem}")
    if not report.is_sound:
        raise typer.Exit(1)
    say("every value opens, and every column refuses plaintext")


def _wanted(
    connection: psycopg.Connection, policy: Policy, table: str | None, column: str | None, all_columns: bool
) -> list[Rule]:
    """The rules whose columns are to be sealed; those that are sealed already are said and left out."""
    if all_columns == bool(table or column) or bool(table) != bool(column):
        raise ConfigError("which column?", hint="Give --table and --column, or --all.")
    catalog = catalog_loader.load(connection, policy)
    armed = {c.qualified_name for c in catalog.protected_columns if c.is_armed}
    present = {c.qualified_name for c in catalog.protected_columns}
    rules = list(policy.rules) if all_columns else [options.find_rule(policy, table or "", column or "")]
    wanted = []
    for rule in rules:
        if rule.qualified_name in armed:
            say(f"already sealed: {rule.qualified_name}")
        elif rule.qualified_name not in present and all_columns:
            note(f"note: {rule.source}: {rule.qualified_name} does not exist yet")
        else:
            wanted.append(rule)
    return wanted


def refuse_all_or_none(previews: list[Preview]) -> None:
    """Raises ConfigError when something is in the way of any of them."""
    obstacles = [f"{p.column}: {reason}" for p in previews for reason in p.assessment.obstacles]
    if obstacles:
        raise ConfigError(
            f"{obstacles[0]}",
            detail="\n".join(obstacles[1:]) or None,
            hint="Nothing was changed.",
        )


def show_preview(preview: Preview) -> None:
    """Say what would become of a column."""
    rows = "too many rows" if preview.rows is None else f"{preview.rows:,} rows"
    say(f"{preview.column}: {rows}")
    for reason in preview.assessment.obstacles:
        say(f"  in the way: {reason}")
    for warning in preview.assessment.warnings:
        say(f"  warning: {warning}")
    if not preview.assessment.obstacles:
        for step in preview.steps:
            say(f"  {step};")


def show_outcome(what: str, done: Outcome) -> None:
    """Say what was done with a column."""
    say(
        f"{what}: {done.column} (id {done.column_id}), {done.values:,} values and {done.nulls:,} NULLs"
        f" in {done.seconds:.1f} s, every one opened again and compared"
    )
    if done.indexes:
        say(f"  indexes: {', '.join(done.indexes)}")
    if done.dropped:
        say(f"  dropped: {', '.join(done.dropped)}")
    for warning in done.warnings:
        note(f"warning: {warning}")
