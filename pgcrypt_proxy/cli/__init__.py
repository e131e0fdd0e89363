"""The command line: `pgcrypt-proxy COMMAND`. One module per group of commands; `main` is the entry point.

Knows how to ask and how to show; what is done lives in `ops` and `server`.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its status."""
    from pgcrypt_proxy.cli.app import main as run_app  # typer and rich load when they are needed

    run_app()
