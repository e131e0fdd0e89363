"""Several statements in one's place: a DO block, so that they are one command, done as a whole or not at all.

plpgsql runs DDL as it is written: nothing in it is a variable. The client sees
the tag of the command that it sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.ddl_layout import Span
from pgcrypt_proxy.sql.parse import Unparsable, parse

#: Does nothing, but fails in a failed transaction, and takes its turn.
NOTHING = "DO 'BEGIN END'"


@dataclass(slots=True)
class Steps:
    """What is done `before` and `after` the client's statement, of which nothing may be left (`is_replaced`)."""

    tag: str
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    is_replaced: bool = False


def carry_out(context: Context, statement: Span, steps: Steps) -> None:
    """Put the steps around the statement, or in its place."""
    text = context.text
    made = [*steps.before, *steps.after]
    for sql in made:
        _check(sql)
    start, end = statement.start(text), statement.end(text)
    if not made and not steps.is_replaced:
        return
    context.command_tag = steps.tag
    if steps.is_replaced and len(made) <= 1:
        context.edits[:] = []
        context.edit(start, end, made[0] if made else NOTHING)
        return
    tag = _dollar_tag(text.sql)
    if steps.is_replaced:
        context.edits[:] = []
        context.edit(start, end, f"DO {tag}BEGIN {'; '.join(made)}; END{tag}")
        return
    before = "".join(f"{sql}; " for sql in steps.before)
    after = "".join(f"{sql}; " for sql in steps.after)
    context.edit_around(start, end, f"DO {tag}BEGIN {before}", f"\n; {after}END{tag}")


def _dollar_tag(sql: str) -> str:
    number = 0
    while f"$pgcrypt{number}" in sql:
        number += 1
    return f"$pgcrypt{number}$"


def _check(sql: str) -> None:
    """A step stands in a string, where the parser does not look: it must be one statement."""
    try:
        count = len(parse(sql).statements)
    except Unparsable:
        count = 0
    if count != 1:
        raise refuse.unsafe()
