"""Changes one column's type with new values for every row, in one transaction that holds the table.

The column keeps its attribute number, position, NOT NULL and privileges, and
the table needs no primary key: new values are staged in a temporary table by
ctid, put into a scratch column, and taken over by ALTER COLUMN TYPE, which
rewrites the table and so leaves nothing of the old values in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.ops import column_rows
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.column_rows import Digest, Progress
from pgcrypt_proxy.ops.index_conversion import Conversion, quoted

STAGE = "pg_temp.pgcrypt_stage"
SCRATCH = "pgcrypt_scratch"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """`read` and `reread` are SQL expressions of type bytea over the column, before and after.

    `change` gives (plaintext, stored value) for what `read` gave; `reopen` gives
    the plaintext again for what `reread` gives.
    """

    target_type: str
    staged_type: str
    read: str
    change: Callable[[bytes], tuple[bytes, bytes]]
    reread: str
    reopen: Callable[[bytes], bytes]
    conversions: Sequence[Conversion]


def alter_steps(facts: ColumnFacts, target_type: str, staged_type: str) -> list[str]:
    """The statements that take over the staged values, in order."""
    table, column = quoted(facts.schema, facts.table), quoted(facts.name)
    steps = [f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT"] if facts.default is not None else []
    return [
        *steps,
        f"ALTER TABLE {table} ADD COLUMN {SCRATCH} {staged_type}",
        f"UPDATE {table} AS t SET {SCRATCH} = s.value"  # noqa: S608 (names only, all quoted)
        f" FROM {STAGE} AS s WHERE t.ctid OPERATOR(pg_catalog.=) s.row",
        f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {target_type} USING {SCRATCH}::{target_type},"
        f" DROP COLUMN {SCRATCH}",
    ]


def values_query(facts: ColumnFacts, expression: str) -> str:
    """SQL for the ctid and `expression` of every row whose value is not NULL."""
    table, column = quoted(facts.schema, facts.table), quoted(facts.name)
    return (
        f"SELECT pg_catalog.tidsend(ctid), {expression}"  # noqa: S608 (names only, all quoted)
        f" FROM ONLY {table} WHERE {column} IS NOT NULL"
    )


def run(connection: psycopg.Connection, facts: ColumnFacts, rewrite: Rewrite, progress: Progress, total: int) -> int:
    """Rewrite the column; the caller's transaction holds the table. How many values are not NULL.

    Raises PgcryptError when what is in the table afterwards is not what was there before.
    """
    connection.execute(
        f"CREATE TEMPORARY TABLE pgcrypt_stage (row tid NOT NULL, value {rewrite.staged_type} NOT NULL)"
        " ON COMMIT DROP".encode()
    )
    before = Digest()

    def change(value: bytes) -> bytes:
        plaintext, stored = rewrite.change(value)
        before.add(plaintext)
        return stored

    for batch in column_rows.batches(connection, values_query(facts, rewrite.read)):
        column_rows.stage(connection, STAGE, column_rows.mapped(batch, change))
        progress("reading", before.count, total)
    # Only the row column: statistics of the values would be copies of them.
    connection.execute(f"ANALYZE {STAGE} (row)".encode())
    for conversion in rewrite.conversions:
        if conversion.drop:
            connection.execute(conversion.drop.encode())
    with _triggers_off(connection, facts):
        for step in alter_steps(facts, rewrite.target_type, rewrite.staged_type):
            connection.execute(step.encode())
    for conversion in rewrite.conversions:
        if conversion.create is not None:
            connection.execute(conversion.create.encode())
    _compare(connection, facts, rewrite, before, progress)
    return before.count


def _compare(
    connection: psycopg.Connection, facts: ColumnFacts, rewrite: Rewrite, before: Digest, progress: Progress
) -> None:
    after = Digest(before.key)
    for batch in column_rows.batches(connection, values_query(facts, rewrite.reread)):
        for _, plaintext in column_rows.mapped(batch, rewrite.reopen):
            after.add(plaintext)
        progress("verifying", after.count, before.count)
    if not before.agrees(after):
        raise PgcryptError(
            f"{facts.qualified_name}: the new values are not the old ones; nothing was changed",
            detail=f"{before.count} values before, {after.count} after.",
        )


@contextlib.contextmanager
def _triggers_off(connection: psycopg.Connection, facts: ColumnFacts) -> Iterator[None]:
    """The UPDATE of the scratch column is no event of the application's: its triggers do not see it."""
    table = quoted(facts.schema, facts.table)
    enabled = [trigger for trigger in facts.triggers if trigger.enabled != "D"]
    for trigger in enabled:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {quoted(trigger.name)}".encode())
    yield
    for trigger in enabled:
        how = {"R": "REPLICA ", "A": "ALWAYS "}.get(trigger.enabled, "")
        connection.execute(f"ALTER TABLE {table} ENABLE {how}TRIGGER {quoted(trigger.name)}".encode())
