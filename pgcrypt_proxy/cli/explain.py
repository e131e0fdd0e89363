"""`explain` prints what the proxy would do with a statement, without its protected values."""

from __future__ import annotations

import sys
from typing import Annotated

import psycopg
import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.mask import mask
from pgcrypt_proxy.cli.output import say
from pgcrypt_proxy.errors import ConfigError, Refusal
from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.sql.plan import LiteralSlot, NeedsNames, Plan, StatementPlan, Use
from pgcrypt_proxy.sql.planner import Planner

MAX_NAMES = 1000

_WORDS = {
    Use.PASS: "as it came",
    Use.SEAL: "sealed",
    Use.SEAL_ARRAY: "sealed, each",
    Use.TERM: "term of",
    Use.TERM_ARRAY: "terms of",
}


def explain(
    statement: Annotated[str, typer.Argument(help="The SQL text; - reads it from standard input.")],
    simple: Annotated[
        bool, typer.Option("--simple", help="As the simple protocol sends it (several statements).")
    ] = False,
    search_path: Annotated[
        str | None, typer.Option("--search-path", help="The client's search_path; else the database's.")
    ] = None,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Say whether a statement is untouched, rewritten or refused, and how."""
    sql = sys.stdin.read() if statement == "-" else statement
    policy = options.load_policy(rules)
    with options.open_database(database_url_file) as connection:
        planner = Planner(catalog_loader.load(connection, policy))
        plan = _plan(connection, planner, sql, extended=not simple, search_path=search_path)
    if plan.is_untouched:
        say("untouched: it touches no protected column; it and its results pass as they are")
        return
    if plan.refusal is not None:
        for made in plan.statements:
            if made.refusal is not None:
                _show_refusal(sql, made.refusal)
        return
    say("rewritten:")
    say(f"  {rendered(plan)}")
    _show_parameters(plan)
    for number, made in enumerate(plan.statements, 1):
        _show_outputs(made, number if len(plan.statements) > 1 else None)


def rendered(plan: Plan) -> str:
    """The text for the server, with a name for each value that is sealed when it is sent."""
    return "".join(piece if isinstance(piece, str) else _shown(piece) for piece in plan.pieces)


def _shown(slot: LiteralSlot) -> str:
    if slot.text is None:
        return "NULL"
    return f"<{_WORDS[slot.use]} {slot.column.qualified_name}>"


def _plan(
    connection: psycopg.Connection, planner: Planner, sql: str, *, extended: bool, search_path: str | None
) -> Plan:
    resolved: dict[str, int] = {}
    for _ in range(MAX_NAMES):
        made = planner.plan(sql, extended=extended, resolved=resolved)
        if not isinstance(made, NeedsNames):
            return made
        resolved |= _resolve(connection, made.names, search_path)
    raise ConfigError("the statement names too many relations")


def _resolve(connection: psycopg.Connection, names: tuple[str, ...], search_path: str | None) -> dict[str, int]:
    """What the names mean under that search_path: relation OIDs, 0 for none."""
    with readable_errors("looking up names"), connection.transaction():
        connection.execute(
            "SELECT pg_catalog.set_config('search_path', COALESCE(%s, (SELECT reset_val"
            " FROM pg_catalog.pg_settings WHERE name = 'search_path')), true)",
            [search_path],
        )
        found = {}
        for name in names:
            row = connection.execute("SELECT pg_catalog.to_regclass(%s)::oid::bigint", [name]).fetchone()
            found[name] = int(row[0] or 0) if row else 0
    return found


def _show_refusal(sql: str, refusal: Refusal) -> None:
    say(f"refused: {refusal.message} (SQLSTATE {refusal.code})")
    if refusal.position is not None:
        start = sql.rfind("\n", 0, refusal.position - 1) + 1
        end = sql.find("\n", start)
        line = mask(sql)[start : end if end >= 0 else len(sql)]
        say(f"  {line}")
        say("  " + " " * (refusal.position - 1 - start) + "^")
    if refusal.detail:
        say(f"detail: {refusal.detail}")
    if refusal.hint:
        say(f"hint: {refusal.hint}")


def _show_parameters(plan: Plan) -> None:
    for number, use in enumerate(plan.parameters, 1):
        if use.column is not None:
            word = _WORDS[use.use]
            say(f"parameter ${number}: {word} {use.column.qualified_name}, from the client's ${use.client_index + 1}")


def _show_outputs(made: StatementPlan, number: int | None) -> None:
    where = f"statement {number}, " if number is not None else ""
    for index, column in enumerate(made.outputs or (), 1):
        if column is not None:
            say(f"{where}result column {index}: opened as {column.qualified_name} ({column.type})")
