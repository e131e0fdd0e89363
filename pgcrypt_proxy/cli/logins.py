"""`verifier` makes a line of the users file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pgcrypt_proxy.cli.output import say
from pgcrypt_proxy.crypto.scram import DEFAULT_ITERATIONS, Verifier
from pgcrypt_proxy.errors import ConfigError

MAX_PASSWORD = 1024


def verifier(
    user: Annotated[str, typer.Argument(help="The user's name.")],
    iterations: Annotated[int, typer.Option("--iterations", min=4096, help="Cost of a guess.")] = DEFAULT_ITERATIONS,
) -> None:
    """Make a line of the users file: the password is asked for, or read from standard input."""
    if sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline(MAX_PASSWORD + 1).rstrip("\r\n")
    if not password or len(password) > MAX_PASSWORD:
        raise ConfigError(f"the password must have 1 to {MAX_PASSWORD} characters")
    if not user or not user.isprintable():
        raise ConfigError("this is no user's name")
    quoted = '"' + user.replace('"', '""') + '"'
    say(f"{quoted} {Verifier.make(password, iterations=iterations).text()}")
