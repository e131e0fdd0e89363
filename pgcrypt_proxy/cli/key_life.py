"""`rotate dek`, `rotate index`, `rotate kek`, `reseal` and `destroy`: the lives of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgcrypt_proxy.cli import erasing, online, options
from pgcrypt_proxy.cli.output import note, progress_bar, say, show_table
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import key_destruction, key_rotation, key_usage
from pgcrypt_proxy.ops import reseal as ops_reseal
from pgcrypt_proxy.ops.key_rotation import LET_GO_S, Rotated
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.online.reindex import Rotation
from pgcrypt_proxy.ops.reseal import State

rotate = typer.Typer(name="rotate", help="New keys for old ones, without a pause.", no_args_is_help=True)


@rotate.command("dek")
def rotate_dek(
    data_class: Annotated[str | None, typer.Option("--data-class", help="Else every data class.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The keys of that tenant; else those of none.")] = None,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Seal new values under new data keys. Old values stay readable under theirs."""

    def committed(rotated: list[Rotated]) -> None:
        for one in rotated:
            say(f"data class {one.data_class}: key {one.new_id} is active, key {one.old_id} is retired")
        if rotated:
            note(f"waiting {LET_GO_S:g} s until every proxy has let go of the old keys")

    with options.open_store(database_url_file, options.load_policy(rules)) as store:
        rotated = key_rotation.rotate_deks(store, data_class, tenant=tenant or "", on_committed=committed)
    if not rotated:
        say("there is no data key yet: keys are made when the first column needs them")
        return
    say("nothing is sealed under the old keys any more")


@rotate.command("kek")
def rotate_kek(rules: options.Rules = None, database_url_file: options.UrlFile = None) -> None:
    """Wrap all keys anew under the key encryption key that the rules name. No value is touched.

    Running proxies must know both first: the new one under `keyring`, the old one under `keyring: previous`.
    """
    policy = options.load_policy(rules)
    with options.open_store(database_url_file, policy) as store:
        count = key_rotation.rotate_kek(store)
        current = store.providers.current
    say(f"{count} keys are wrapped by {current.name} {current.kek_id}, each unwrapped again and compared")
    if policy.keyring.previous:
        note("note: now nothing needs what `keyring: previous` names; keep the old KEK as long as old backups")


@rotate.command("index")
def rotate_index(
    table: options.Table = None,
    column: options.ColumnName = None,
    dry_run: options.DryRun = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Leave the columns as they are that were begun.")] = False,
    pause: online.Pause = 0.0,
    max_lag: online.MaxLag = 0.0,
    batch_blocks: online.BatchBlocks = online.DEFAULT_BATCH_BLOCKS,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Give every column index terms under a new index key, while applications go on. Killed, it goes on when run again.

    With --table and --column: the columns only that share that one's index domain. Their rules say phase: reindexing.
    """
    policy = options.load_policy(rules)
    place = (*options.table_name(table), column) if table and column else None
    if bool(table) != bool(column):
        raise ConfigError("which column?", hint="Give both --table and --column, or none for all columns.")
    with (
        options.open_database(database_url_file) as connection,
        options.open_store(database_url_file, policy) as store,
        progress_bar("rotate index") as progress,
    ):
        work = Rotation(connection, store, policy, place, LET_GO_S, batch_blocks, Pace(pause, max_lag), progress, _made)
        if dry_run:
            for name, assessment in work.assess():
                online.preview(assessment, name)
            return
        if abandon:
            for name in work.abandon():
                say(f"abandoned: {name} is as it was")
            return
        try:
            outcomes = work.to_the_end()
        except KeyboardInterrupt:
            note("stopped; nothing is lost, and applications go on. To go on from here: pgcrypt-proxy rotate index")
            raise typer.Exit(online.INTERRUPTED) from None
    for done in outcomes:
        online.show(done, "reindexed")
    note("note: now take `phase` out of the rules, and reload the proxies (SIGHUP)")
    note("note: once no column needs the old index key (`pgcrypt-proxy keys`), it can be destroyed")


def _made(generation: int) -> None:
    say(f"made the index key of generation {generation}")


def destroy(
    key_id: Annotated[int | None, typer.Argument(help="The key's id, as `keys` shows it.", metavar="KEY")] = None,
    shred: Annotated[
        bool,
        typer.Option("--shred", help="Destroy all keys of --tenant, so that its values can never be opened again."),
    ] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The tenant that is to be erased.")] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="A new file for the certificate of it (JSON).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: it cannot be taken back.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds that open transactions have to end.")] = 60.0,
    database_url_file: options.UrlFile = None,
) -> None:
    """Destroy a retired key that nothing stored needs; or erase a tenant, with --shred and --tenant."""
    if shred or tenant is not None or certificate is not None:
        if not shred or tenant is None or key_id is not None:
            raise ConfigError("what is to be destroyed?", hint="Give KEY; or --shred and --tenant, to erase a tenant.")
        erasing.erase(tenant, certificate, yes=yes, wait_s=wait, database_url_file=database_url_file)
        return
    if key_id is None:
        raise ConfigError("which key?", hint="Give KEY, or --shred and --tenant.")
    with options.open_database(database_url_file) as connection:
        key_destruction.check(connection, key_id)
        if not yes:
            raise ConfigError(
                f"key {key_id} is needed by nothing that is stored; to destroy it, say --yes",
                detail="Backups of this database that hold envelopes of this key open only with the keyring in them.",
                hint="It cannot be taken back.",
            )
        key_destruction.destroy(connection, key_id, wait_s=wait)
    say(f"key {key_id} is destroyed")


def reseal(
    status: Annotated[bool, typer.Option("--status", help="Show how far it is, and change nothing.")] = False,
    dry_run: options.DryRun = False,
    pause: Annotated[float, typer.Option("--pause", min=0, help="Seconds to wait after each batch.")] = 0.0,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Seal old values under the active data keys, while applications go on. Can be stopped and begun again."""
    with options.open_database(database_url_file) as connection:
        if status:
            _show_states(ops_reseal.states(connection))
            return
        if dry_run:
            active = {key.id for key in key_usage.list_keys(connection) if key.state == "active"}
            for usage in key_usage.envelopes_by_place(connection):
                if usage.key_id not in active:
                    say(f"{usage.place}: {usage.count:,} values under key {usage.key_id}")
            return
        policy = options.load_policy(rules)
        with options.open_store(database_url_file, policy) as store, progress_bar("reseal") as progress:
            _show_states(ops_reseal.reseal(connection, store, policy, pause_s=pause, progress=progress))
    say("every value of the columns in the rules is sealed under an active key")


def _show_states(found: list[State]) -> None:
    show_table(
        *("column", "resealed", "per second", "done", "left"),
        rows=[
            (
                one.place,
                f"{one.resealed:,}",
                f"{one.resealed / one.seconds:,.0f}" if one.seconds else "",
                "100 %" if one.is_finished else f"{100 * one.next_block / one.blocks:.0f} %" if one.blocks else "0 %",
                "" if one.is_finished or not one.next_block else f"{_left(one):,.0f} s",
            )
            for one in found
        ],
    )


def _left(state: State) -> float:
    return state.seconds / state.next_block * (state.blocks - state.next_block)
