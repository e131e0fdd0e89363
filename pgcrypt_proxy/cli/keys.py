"""`keys` shows the keyring, `keygen` makes a key encryption key, `open` opens one value."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.output import note, say, show_table
from pgcrypt_proxy.crypto.keyring import MAX_SEALS
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_loader, key_usage, open_one

#: More than any envelope that fits into PostgreSQL's largest value, in hexadecimal, is no envelope.
MAX_INPUT = 2 << 30

#: docs/keys.md, "Rotation".
ROTATE_AFTER = timedelta(days=183)


def keys(
    count: Annotated[
        bool, typer.Option("--count", help="Count the stored envelopes that need each key, by column.")
    ] = False,
    tenants: Annotated[bool, typer.Option("--tenants", help="Show the keys of tenants, too.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Show the keys of that tenant only.")] = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Show the keys: generation, state, use. Never the keys themselves."""
    with options.open_database(database_url_file) as connection:
        every = key_usage.list_keys(connection)
        found = [k for k in every if (k.tenant == tenant if tenant is not None else tenants or not k.tenant)]
        places = key_usage.envelopes_by_place(connection) if count else []
        terms = key_usage.columns_by_generation(connection)
    counts = key_usage.totals(places)
    show_table(
        *("id", "kind", "data class", "tenant", "generation", "state", "kek", "seals granted", "of limit"),
        *("created", "retired", "destroyed", "by"),
        *(("envelopes",) if count else ()),
        rows=[
            (
                *(str(k.id), k.kind, k.data_class, k.tenant, str(k.generation), k.state, f"{k.provider} {k.kek_id}"),
                f"{k.seals:,}" if k.kind == "dek" else "",
                f"{100 * k.seals / MAX_SEALS:.2f} %" if k.kind == "dek" else "",
                *(_time(at) for at in (k.created_at, k.retired_at, k.destroyed_at)),
                k.destroyed_by or k.retired_by or k.created_by or "",
                *((f"{counts[k.id]:,}" if k.kind == "dek" else "",) if count else ()),
            )
            for k in found
        ],
    )
    ids = {key.id for key in found}
    for usage in places:
        if usage.key_id not in ids:
            continue
        say(f"key {usage.key_id}: {usage.place}: {usage.count:,}")
    for key in found:
        if key.kind == "index":
            columns = ", ".join(terms.get(key.generation, []))
            say(f"key {key.id}, index generation {key.generation}: {columns or 'no column'}")
    for key in found:
        age = datetime.now(UTC) - (key.activated_at or key.created_at)
        if key.kind == "dek" and key.state == "active" and age > ROTATE_AFTER:
            of_tenant = f" --tenant {key.tenant}" if key.tenant else ""
            command = f"pgcrypt-proxy rotate dek --data-class {key.data_class}{of_tenant}"
            note(f"note: key {key.id} has been active for {age.days} days: {command}")
    hidden = {key.tenant for key in every if key.tenant} if not tenants and tenant is None else set()
    if hidden:
        say(f"and the keys of {len(hidden):,} tenants: --tenants shows them")
    if not every:
        note("The keyring is empty: keys are made when the first column needs them.")


def _time(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at is not None else ""


def keygen(path: Annotated[Path, typer.Argument(help="The new file; it must not exist.")]) -> None:
    """Make a file with a new key encryption key for provider `file`."""
    FileProvider.create(path)
    say(f"made {path} (mode 0600)")
    note("note: without this file nothing can be opened again: keep a copy apart from the database's backups")


def open_value(
    column: Annotated[str, typer.Option("--column", help="schema.table.column of the value.")],
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Open one envelope, given in hexadecimal on standard input, and print its value."""
    policy = options.load_policy(rules)
    text = sys.stdin.read(MAX_INPUT + 1)
    if len(text) > MAX_INPUT:
        raise ConfigError("standard input is too long for an envelope")
    with options.open_database(database_url_file) as connection:
        found = open_one.find_column(catalog_loader.load(connection, policy), column)
        with options.open_store(database_url_file, policy) as store:
            value = open_one.open_envelope(store, found, text)
    sys.stdout.flush()
    sys.stdout.buffer.write(value + b"\n")
    sys.stdout.buffer.flush()
