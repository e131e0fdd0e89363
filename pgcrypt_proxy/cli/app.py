"""Puts the commands together, and turns every error into one clear line and an exit status.

0: done. 1: `check`, `verify`, `audit verify` or `learn` found something. 2: what was asked cannot be
done as it was asked. 70: a mistake of the program itself.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from pgcrypt_proxy.cli import (
    audit,
    backup,
    erasing,
    explain,
    import_,
    key_life,
    keys,
    learn,
    logins,
    output,
    protection,
    serve,
    setup,
)
from pgcrypt_proxy.errors import PgcryptError

EXIT_USER_ERROR = 2
EXIT_INTERNAL = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="pgcrypt-proxy",
    help="A transparent encrypting proxy for PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, and so plaintext
    rich_markup_mode=None,
)
for command in (
    serve.serve,
    serve.demo,
    setup.init,
    setup.check,
    protection.protect,
    protection.unprotect,
    protection.verify,
    import_.import_,
    explain.explain,
    learn.learn,
    keys.keys,
    keys.keygen,
    keys.open_value,
    logins.verifier,
    key_life.reseal,
    key_life.destroy,
    erasing.readmit,
    backup.backup,
    backup.restore,
    setup.version,
):
    app.command(name="open" if command is keys.open_value else command.__name__.rstrip("_"))(command)
app.add_typer(key_life.rotate)
app.add_typer(audit.audit)


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status."""
    try:
        app(args=list(arguments), prog_name="pgcrypt-proxy")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except PgcryptError as error:
        output.show_error(error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        output.note("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:
        return _internal(error)
    return 0


def _internal(error: Exception) -> int:
    """A mistake of ours: its kind and place, not its text, which may hold a value."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    output.note(f"error: internal error: {type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}")
    output.note("hint: This is a mistake of pgcrypt-proxy. Please report this line and what you did.")
    return EXIT_INTERNAL
