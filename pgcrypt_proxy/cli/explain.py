"""`explain` prints what the proxy would do with a statement, without its protected values."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.mask import mask
from pgcrypt_proxy.cli.output import say
from pgcrypt_proxy.cli.planning import Names
from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan, StatementPlan
from pgcrypt_proxy.sql.planner import Planner

#: By the name of a Use.
WORDS = {
    "PASS": "as it came",
    "SEAL": "sealed",
    "ALIKE": "sealed",
    "SEAL_ARRAY": "sealed, each",
    "TERM": "term of",
    "TERM_ARRAY": "terms of",
    "FOLD": "case-folded term of",
    "FOLDED": "case-folded term of",
    "FOLDED_ARRAY": "case-folded terms of",
    "PATTERN": "case-folded term of",
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
        plan = Names(connection, search_path).plan(planner, sql, extended=not simple)
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
    return f"<{WORDS[slot.use.name]} {slot.column.qualified_name}>"


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
            word = WORDS[use.use.name]
            say(f"parameter ${number}: {word} {use.column.qualified_name}, from the client's ${use.client_index + 1}")


def _show_outputs(made: StatementPlan, number: int | None) -> None:
    where = f"statement {number}, " if number is not None else ""
    copied = made.copy
    what = "result column" if copied is None else "COPY column"
    verb = "opened" if copied is None or not copied.is_from else "sealed"
    for index, column in enumerate((made.outputs if copied is None else copied.columns) or (), 1):
        lineage = f"{verb} as {column.qualified_name} ({column.type})" if column is not None else "plain"
        say(f"{where}{what} {index}: {lineage}")
