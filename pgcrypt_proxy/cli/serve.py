"""`serve` runs the proxy, `demo` shows it on a database of its own."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.errors import ConfigError


def serve(
    rules: options.Rules = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file (YAML).")] = None,
    listen_host: Annotated[str | None, typer.Option("--listen-host", help="Address to listen on.")] = None,
    listen_port: Annotated[int | None, typer.Option("--listen-port", help="Port to listen on.")] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", help="Processes that serve clients: a number, or auto for one per CPU.")
    ] = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Run the proxy until it is told to stop."""
    from pgcrypt_proxy.server import run as server_run  # the event loop loads for this command only
    from pgcrypt_proxy.server import settings

    def read() -> settings.Settings:
        given = {
            "rules": tuple(rules) if rules else None,
            "listen_host": listen_host,
            "listen_port": listen_port,
            "workers": settings.read("workers", workers, "--workers") if workers is not None else None,
            "database_url": options.database_url(database_url_file) if database_url_file else None,
        }
        return settings.load(config, overrides=given)

    raise typer.Exit(server_run.serve(read))


def demo() -> None:
    """Show the proxy at work on a temporary PostgreSQL of its own."""
    try:
        run_demo = importlib.import_module("pgcrypt_proxy.demo.main").main
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the demo needs the package {error.name}", hint="Install it: pip install 'pgcrypt-proxy[demo]'"
        ) from None
    raise typer.Exit(run_demo() or 0)
