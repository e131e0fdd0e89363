"""`import`: columns that hold what others encrypted become protected columns.

All values are opened before anything is changed; what does not open is counted, and the first of it named by its
row. Then `protect` seals what it reads through the other cipher, in one transaction, each value opened again and
compared. Secrets and plaintext never go to the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import psycopg

from pgcrypt_proxy.crypto.foreign import ForeignCipher, UnreadableValue
from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops import catalog_queries, column_facts
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.column_rows import Progress, no_progress, shown
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.policy.model import Rule
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType

BATCH_BLOCKS = 64
#: So many rows that do not open are named.
MAX_NAMED = 10
BYTEA_OID = 17
#: Types of columns that hold text: text, varchar.
TEXT_OIDS = frozenset({25, 1043})

_PRIMARY_KEY = """
SELECT a.attname FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
WHERE i.indrelid = %s AND i.indisprimary ORDER BY pg_catalog.array_position(i.indkey::int2[], a.attnum)
"""
_BLOCKS = """
SELECT (pg_catalog.pg_relation_size(%s::bigint::oid::regclass)
        / pg_catalog.current_setting('block_size')::bigint)::bigint
"""


class Foreign:
    """Reads a column through that cipher (a `protect.Reading`)."""

    def __init__(self, cipher: ForeignCipher) -> None:
        self._cipher = cipher
        self._settings = TextSettings()

    @property
    def is_authenticated(self) -> bool:
        """Whether a wrong secret opens nothing at all."""
        return self._cipher.is_authenticated

    def seen(self, connection: psycopg.Connection, facts: ColumnFacts, rule: Rule) -> ColumnFacts:
        """As if the column were of the rule's type already. Raises ConfigError when it cannot hold ciphertext."""
        if facts.type_oid != BYTEA_OID and facts.type_oid not in TEXT_OIDS:
            raise ConfigError(
                f"{facts.qualified_name} is of type {facts.type}: others' ciphertext is in columns of bytea or text",
                sqlstate="42804",
            )
        wanted = logical_type(rule, catalog_queries.fetch_types(connection))
        return replace(facts, type_oid=wanted.parameter_oid, type_modifier=wanted.column_typmod)

    def query(self, connection: psycopg.Connection, facts: ColumnFacts) -> str:
        column = quoted(facts.name)
        if facts.type_oid == BYTEA_OID:
            return f"{column}::pg_catalog.bytea"
        return f"pg_catalog.convert_to({column}, 'UTF8')"

    def plaintext(self, value: bytes, column: ProtectedColumn) -> bytes:
        return self.opened(value, column.type)

    def opened(self, value: bytes, type_: LogicalType) -> bytes:
        """The value in the type's binary form. Raises UnreadableValue, which shows none of it."""
        plaintext = self._cipher.open(value)
        if type_.name == "bytea":
            return plaintext
        try:
            return codec.fit(type_, codec.from_text(type_, plaintext, self._settings), explicit=False)
        except PgcryptError:  # whose text may show the value
            raise UnreadableValue(f"what it opens to is no {type_}") from None


@dataclass(slots=True)
class Survey:
    """What is in a column: `values` were looked at, `unreadable` of them do not open. `named`: (row, why)."""

    values: int = 0
    unreadable: int = 0
    named: list[tuple[str, str]] = field(default_factory=list)

    def require_readable(self, name: str) -> None:
        """Raises ConfigError when there is a value that does not open."""
        if self.unreadable:
            raise ConfigError(
                f"{name}: {self.unreadable:,} of {self.values:,} values do not open",
                detail="\n".join(f"{row}: {why}" for row, why in self.named),
                hint="Nothing was changed. Correct those rows, or the secret.",
                sqlstate=UnreadableValue.sqlstate,
            )


def survey(connection: psycopg.Connection, rule: Rule, reading: Foreign, progress: Progress = no_progress) -> Survey:
    """Open every value, a stretch of the table at a time. Changes nothing, locks nothing."""
    name = f"{rule.schema}.{rule.table}.{rule.column}"
    with readable_errors(f"reading {name}"):
        facts = column_facts.read(connection, rule.schema, rule.table, rule.column)
        reading.seen(connection, facts, rule)
        wanted = logical_type(rule, catalog_queries.fetch_types(connection))
        found = Survey()
        for rows, done, blocks in _stretches(connection, facts, reading):
            for place, value, key in rows:
                found.values += 1
                try:
                    reading.opened(value, wanted)
                except UnreadableValue as error:
                    found.unreadable += 1
                    if len(found.named) < MAX_NAMED:
                        found.named.append((key or f"row {shown(place)}", error.message))
            progress("opening", done, blocks)
    return found


def _stretches(
    connection: psycopg.Connection, facts: ColumnFacts, reading: Foreign
) -> Iterator[tuple[list[tuple[bytes, bytes, str | None]], int, int]]:
    """(rows, blocks done, blocks in all): of each row its place, the stored value, and its primary key as text."""
    key = shown_key(connection, facts.relation_oid, facts.name)
    row = connection.execute(_BLOCKS, [facts.relation_oid]).fetchone()
    blocks = int(row[0]) if row else 0
    table, column = quoted(facts.schema, facts.table), quoted(facts.name)
    for start in range(0, blocks, BATCH_BLOCKS):
        end = start + BATCH_BLOCKS
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            cursor.execute("SET LOCAL row_security = off")  # an error rather than rows left out
            rows = cursor.execute(
                f"SELECT pg_catalog.tidsend(ctid), {reading.query(connection, facts)}, {key}"  # noqa: S608 (quoted)
                f" FROM ONLY {table} WHERE {column} IS NOT NULL"
                f" AND ctid >= '({start},0)'::tid AND ctid < '({end},0)'::tid".encode(),
                binary=True,
            ).fetchall()
        yield rows, min(end, blocks), blocks


def shown_key(connection: psycopg.Connection, relation_oid: int, column: str) -> str:
    """SQL for a row's primary key in words, NULL if the table has none but `column`."""
    keys = [name for (name,) in connection.execute(_PRIMARY_KEY, [relation_oid]) if name != column]
    return " || ', ' || ".join(f"'{_literal(name)} ' || {quoted(name)}::text" for name in keys) or "NULL::text"


def _literal(name: str) -> str:
    return name.replace("'", "''")
