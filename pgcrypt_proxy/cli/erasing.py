"""The erasure of tenants: asks first, writes the certificate, and checks one that was written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.output import note, say
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import erasure

MAX_CERTIFICATE_BYTES = 16 << 20


def erase(tenant: str, certificate: Path | None, *, yes: bool, wait_s: float, database_url_file: Path | None) -> None:
    """Destroy a tenant's keys once the user has typed its name, or said --yes."""
    with options.open_database(database_url_file) as connection:
        found = erasure.extent(connection, tenant)
        for usage in found.places:
            say(f"key {usage.key_id}: {usage.place}: {usage.count:,} values")
        say(f"tenant {tenant}: {len(found.keys)} keys, {found.count:,} stored values")
        note("note: backups of this database that hold the keyring of now open them still: they must end, too")
        if not yes:
            _confirm(tenant)
        file = _new_file(certificate) if certificate is not None else None
        made = erasure.erase(
            connection,
            tenant,
            wait_s=wait_s,
            on_waiting=lambda seconds: note(f"waiting {seconds:g} s until nobody can seal for the tenant any more"),
        )
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if file is not None:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
    for line in erasure.text_of(made):
        say(line)
    if file is None:
        say(text.rstrip())


def _confirm(tenant: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"to erase tenant {tenant}, say --yes", hint="It cannot be taken back: nobody can open its values again."
        )
    typed = typer.prompt(f"This cannot be taken back. Type the tenant's name to erase it ({tenant})", default="")
    if typed != tenant:
        raise ConfigError("that is another name; nothing was changed")


def _new_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"the certificate {path} cannot be written: {error.strerror}") from None


def certificate(
    path: Annotated[Path, typer.Argument(help="A certificate of erasure (JSON).")],
    database_url_file: options.UrlFile = None,
) -> None:
    """Check a certificate of erasure against the audit trail and the keyring. Exit status 1 when it is not true."""
    try:
        raw = path.read_bytes()[:MAX_CERTIFICATE_BYTES]
        read: Any = json.loads(raw)
    except (OSError, ValueError):
        raise ConfigError(f"{path} cannot be read as JSON") from None
    if not isinstance(read, dict):
        raise ConfigError(f"{path} is no certificate of erasure")
    with options.open_database(database_url_file) as connection:
        problems = erasure.check(connection, read)
    for problem in problems:
        say(f"finding: {problem}")
    if problems:
        raise typer.Exit(1)
    say(f"tenant {read['tenant']} was erased as the certificate says")


def readmit(
    tenant: Annotated[str, typer.Option("--tenant", help="A tenant that was erased.")],
    database_url_file: options.UrlFile = None,
) -> None:
    """Let the name of an erased tenant be used again, with new keys. What was sealed before stays closed."""
    with options.open_database(database_url_file) as connection:
        erasure.readmit(connection, tenant)
    say(f"tenant {tenant} gets keys again with its next value")
