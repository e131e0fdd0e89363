"""`audit show` and `audit verify`: what happened to keys, and whether the trail of it is whole."""

from __future__ import annotations

from collections import deque
from typing import Annotated

import typer

from pgcrypt_proxy.cli import erasing, options
from pgcrypt_proxy.cli.output import say, show_table
from pgcrypt_proxy.ops import audit as ops_audit

audit = typer.Typer(name="audit", help="The audit trail of keys.", no_args_is_help=True)


@audit.command("show")
def show(
    last: Annotated[int, typer.Option("--last", min=1, help="How many events, the newest ones.")] = 50,
    key: Annotated[int | None, typer.Option("--key", help="Only events of this key.")] = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Show the newest events."""
    with options.open_database(database_url_file) as connection:
        found = (event for event in ops_audit.events(connection) if key is None or event.key_id == key)
        newest = deque(found, last)
    show_table(
        *("id", "at", "event", "key", "role", "actor", "detail"),
        rows=[
            (
                str(event.id),
                event.at.strftime("%Y-%m-%d %H:%M:%S"),
                event.event,
                "" if event.key_id is None else str(event.key_id),
                event.role,
                event.actor,
                event.detail,
            )
            for event in newest
        ],
    )


@audit.command("verify")
def verify(
    head: Annotated[
        str | None, typer.Option("--head", help="A head that an earlier verify gave; it must be in the trail.")
    ] = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Compute the trail's hashes anew. Exit status 1 when an event was changed or removed."""
    with options.open_database(database_url_file) as connection:
        verdict = ops_audit.verify(connection, head)
    for problem in verdict.problems:
        say(f"finding: {problem}")
    if verdict.problems:
        raise typer.Exit(1)
    say(f"{verdict.events:,} events, none changed, none missing")
    say(f"head: {verdict.head}")


audit.command("certificate")(erasing.certificate)
