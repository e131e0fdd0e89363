"""Streams a column's values out and stages new ones by row, so that no statement ever carries a value.

Values leave as binary results and come back as binary COPY; both go by
connection only, never through SQL text, parameters or client files. Rows are
known by their ctid, which holds still under an ACCESS EXCLUSIVE lock.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator

import psycopg

from pgcrypt_proxy.errors import PgcryptError

BATCH_ROWS = 500

#: The header and trailer of binary COPY (sql-copy.html, "Binary Format").
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!II", 0, 0)
_COPY_TRAILER = struct.pack("!h", -1)
_TID = struct.Struct("!IH")

Pair = tuple[bytes, bytes]  # ctid as tidsend writes it, value
Progress = Callable[[str, int, int], None]  # phase, rows done, rows in all


def no_progress(phase: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


class Digest:
    """A sum over values that no order changes: equal sums mean the same values, each as often."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key or secrets.token_bytes(32)
        self.count = 0
        self._sum = 0

    def add(self, value: bytes) -> None:
        """Count a value in."""
        hashed = hashlib.blake2b(value, key=self.key, digest_size=32).digest()
        self._sum = (self._sum + int.from_bytes(hashed, "big")) % (1 << 256)
        self.count += 1

    def agrees(self, other: Digest) -> bool:
        """Whether the other one, made with the same key, has seen the same values."""
        return (self.count, self._sum) == (other.count, other._sum)


def batches(connection: psycopg.Connection, query: str, *, size: int = BATCH_ROWS) -> Iterator[list[Pair]]:
    """The rows (bytea, bytea) of `query`, `size` at a time. Needs a transaction; holds one batch only."""
    name = f"pgcrypt_{secrets.token_hex(4)}"
    with connection.cursor(binary=True) as cursor:
        cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {query}".encode())
        while True:
            rows = cursor.execute(f"FETCH {size} FROM {name}".encode(), binary=True).fetchall()
            if not rows:
                break
            yield rows
        cursor.execute(f"CLOSE {name}".encode())


def stage(connection: psycopg.Connection, table: str, rows: Iterable[tuple[bytes, ...]]) -> None:
    """Append rows to `table`, each field in the binary form of its column."""
    parts = [_COPY_HEADER]
    for row in rows:
        parts.append(struct.pack("!h", len(row)))
        for field in row:
            parts += (struct.pack("!i", len(field)), field)
    parts.append(_COPY_TRAILER)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)".encode()) as copy,
    ):
        copy.write(b"".join(parts))


def mapped(batch: Iterable[Pair], change: Callable[[bytes], bytes]) -> Iterator[Pair]:
    """The pairs with their values changed. An error names the row by its ctid, never by its value."""
    for tid, value in batch:
        try:
            yield tid, change(value)
        except PgcryptError as error:
            error.detail = f"Row {shown(tid)}." + (f" {error.detail}" if error.detail else "")
            raise


def shown(tid: bytes) -> str:
    """A ctid as PostgreSQL writes it: (block,offset)."""
    block, offset = _TID.unpack(tid)
    return f"({block},{offset})"
