"""`protect --online`, `unprotect --online` and `import --online`: columns of tables that are in use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.output import note, progress_bar, say
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import importing
from pgcrypt_proxy.ops.column_checks import Assessment
from pgcrypt_proxy.ops.column_rows import no_progress
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import checks, moves
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.engine import BATCH_BLOCKS, Outcome, Run
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.policy.model import Policy, Rule

INTERRUPTED = 130

Place = Annotated[
    str | None, typer.Argument(help="The column as schema.table.column or table.column.", metavar="COLUMN")
]
Online = Annotated[bool, typer.Option("--online", help="While applications use the table.")]
Abandon = Annotated[
    bool, typer.Option("--abandon", help="With --online: leave the column as it is, and take away what was begun.")
]
Pause = Annotated[float, typer.Option("--pause", min=0, help="With --online: seconds to wait after each batch.")]
MaxLag = Annotated[
    float, typer.Option("--max-lag", min=0, help="With --online: wait while standbys are so many seconds behind.")
]
BatchBlocks = Annotated[
    int, typer.Option("--batch-blocks", min=1, max=4096, help="With --online: blocks of 8 kB for each batch.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=64, help="With --online: so many connections that fill.")]
DEFAULT_BATCH_BLOCKS = BATCH_BLOCKS
_CUT_OVER = (
    "note: no value of the column passes as long as its rule says phase: importing. When no application encrypts it"
    " itself any more, take `phase` out of the rule, and reload the proxies (SIGHUP)"
)


def column_of(place: str | None, table: str | None, column: str | None) -> tuple[str, str]:
    """(table, column) as options name them, from either form. Raises ConfigError."""
    if place is not None and not (table or column):
        table, _, column = place.rpartition(".")
    if not table or not column or (place is not None and place != f"{table}.{column}"):
        raise ConfigError("which column?", hint="Give schema.table.column, or --table and --column.")
    return table, column


def run(
    table: str,
    column: str,
    *,
    is_sealing: bool,
    is_import: bool = False,
    foreign: Foreign | None = None,
    cut_over: bool = True,
    chosen: Options,
    pace: Pace,
    batch_blocks: int,
    jobs: int,
    abandon: bool,
    dry_run: bool,
    rules: list[Path] | None,
    database_url_file: Path | None,
) -> None:
    """Everything that the three commands do with --online."""
    policy = options.load_policy(rules)
    rule = options.find_rule(policy, table, column)
    target = Target(rule, is_sealing, chosen, is_import=is_import, foreign=foreign)
    name = target.rule.qualified_name
    command = f"pgcrypt-proxy {moves.COMMANDS[target.direction]} {name}"
    again = "the same command" if is_import else command
    with options.open_database(database_url_file) as connection:
        if dry_run:
            with readable_errors(f"looking at {name}"):
                preview(checks.assess(connection, target, checks.facts(connection, target)), name)
            if foreign is not None:
                look(connection, rule, foreign)
            return
        with options.open_store(database_url_file, policy) as store:
            try:
                with progress_bar(name) as progress:
                    work = Run(
                        connection,
                        store,
                        target,
                        batch_blocks,
                        pace,
                        no_progress if abandon else progress,
                        jobs,
                        lambda: _helper(database_url_file, policy),
                        cut_over,
                        (lambda: _say_cut_over(name)) if is_import else None,
                    )
                    if not abandon and work.is_done():
                        say(f"already {'sealed' if is_sealing else 'plain'}: {name}")
                        return
                    if abandon:
                        work.abandon()
                        say(f"abandoned: {name} is as it was")
                        return
                    done = work.to_the_end()
            except KeyboardInterrupt:
                note(f"stopped; nothing is lost, and applications go on. To go on from here: {again}")
                note(f"to leave the column as it is: {command} --abandon")
                raise typer.Exit(INTERRUPTED) from None
    if done.move.state == moves.FILLING:
        _show_ready(done)
        return
    show(done, "imported" if is_import else "sealed" if is_sealing else "plain again")
    if is_import:
        note(
            "note: what is under the old key may still be in free space of the table's blocks until it is used anew"
            " (VACUUM FULL at a quiet time takes it away), in old WAL, backups, replication slots and free disk blocks"
        )
        note(_CUT_OVER)
        return
    if is_sealing:
        note(
            "note: what was plaintext until now may still be in free space of the table's blocks until it is used anew"
            " (VACUUM FULL at a quiet time takes it away), in old WAL, backups, replication slots and free disk blocks"
        )
        note("note: now take `phase` out of the rule, and reload the proxies (SIGHUP)")
    else:
        note("note: now remove the rule, and reload the proxies (SIGHUP)")


def look(connection: psycopg.Connection, rule: Rule, foreign: Foreign, *, is_said: bool = True) -> None:
    """Open every value, and say how many there are that do. Raises ConfigError when there are others."""
    with progress_bar(rule.qualified_name) as progress:
        found = importing.survey(connection, rule, foreign, progress)
    if is_said:
        say(f"{rule.qualified_name}: {found.values - found.unreadable:,} of {found.values:,} values open")
    found.require_readable(rule.qualified_name)


def _say_cut_over(name: str) -> None:
    """Before rows are written anew, which takes time, while no value passes."""
    say(f"cut over: {name}")
    note(_CUT_OVER)


def _show_ready(done: Outcome) -> None:
    name = done.move.qualified_name
    say(f"ready: {name} (id {done.move.column_id}), {done.values:,} values in {done.seconds:.1f} s of this run")
    for warning in done.warnings:
        note(f"warning: {warning}")
    note(
        "note: applications go on to encrypt and decrypt it themselves. When they are to change, run the same command"
        " with --cut-over: it writes what was changed meanwhile, and lets the columns change places"
    )


@contextlib.contextmanager
def _helper(url_file: Path | None, policy: Policy) -> Iterator[tuple[psycopg.Connection, KeyringStore]]:
    with options.open_database(url_file) as connection, options.open_store(url_file, policy) as store:
        yield connection, store


def preview(assessment: Assessment, name: str) -> None:
    """Say what would become of a column. Raises Exit when something is in the way."""
    say(name)
    for reason in assessment.obstacles:
        say(f"  in the way: {reason}")
    for warning in assessment.warnings:
        say(f"  warning: {warning}")
    for index in assessment.conversions:
        say(f"  index {index.index}: {index.create or 'is dropped'}")
    if assessment.obstacles:
        raise typer.Exit(2)


def show(done: Outcome, what: str) -> None:
    """Say what was done with a column."""
    name = done.move.qualified_name
    say(f"{what}: {name} (id {done.move.column_id}), {done.values:,} values in {done.seconds:.1f} s of this run")
    if done.indexes:
        say(f"  indexes: {', '.join(done.indexes)}")
    for warning in done.warnings:
        note(f"warning: {warning}")
    if done.unproved:
        domain = f"pgcrypt.sealed_{done.move.column_id}"
        note(
            f"note: {domain} refuses what is no envelope, and did so before its first value; the server has not proved"
            " its constraints by a scan, which keeps writers out. At a quiet time: "
            + " ".join(f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {constraint};" for constraint in done.unproved)
        )
    if done.move.is_sealing and done.older:
        note(
            f"warning: dead rows with old values are kept for {', '.join(done.older)}; when that has ended:"
            f" VACUUM {done.move.qualified_table}"
        )
