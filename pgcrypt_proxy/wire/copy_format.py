"""The formats of COPY data, as the options of a COPY statement choose them, and what goes wrong in them.

Manual: sql-copy.html, "File Formats". Knows no SQL, no types and no keys: what
becomes of a field's value is an *action* of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from pgcrypt_proxy.errors import PgcryptError

#: What replaces a field's value; None leaves the field as it came.
Action = Callable[[bytes], bytes]
Actions = tuple[Action | None, ...]
#: Replaces the fields of whole rows at once: given data, where a row begins, and how lines end (nothing: they are
#: tuples); returns the rows it took, where the next begins, and how many they are. None at all where it took none.
Taker = Callable[[bytes, int, bytes], tuple[bytes, int, int]]
#: Rows that a taker may leave one after the other before the rest of their data is not offered to it.
MAX_LEFT = 8


@dataclass(frozen=True, slots=True)
class Checks:
    """What the server would find wrong with a row, asked only of one that fails anyway: `line` reads its text,
    `fields` the values of columns without an action (None where nobody knows). They raise PgcryptError.
    """

    line: Callable[[bytes], object]
    fields: tuple[Callable[[bytes], object] | None, ...]


#: A row that is longer is none that an application means; PostgreSQL's own limit is 1 GB.
MAX_ROW_BYTES = 64 * 1024 * 1024
#: An unfinished row longer than this is looked at again only when it has doubled, so that no byte is read often.
RESCAN_BYTES = 64 * 1024


class CopyKind(Enum):
    TEXT = "text"
    CSV = "csv"
    BINARY = "binary"


class Header(Enum):
    """Whether the first line holds names, and whether they must be those of the columns."""

    NONE = "none"
    SKIPPED = "skipped"
    MATCH = "match"


@dataclass(frozen=True, slots=True)
class CopyFormat:
    """One format. Characters are single bytes of ASCII; `null` and `default` are as they stand in the data.

    The sets hold column indexes (0-based): FORCE_QUOTE, FORCE_NULL, FORCE_NOT_NULL.
    """

    kind: CopyKind = CopyKind.TEXT
    delimiter: bytes = b"\t"
    null: bytes = b"\\N"
    default: bytes | None = None
    header: Header = Header.NONE
    quote: bytes = b'"'
    escape: bytes = b'"'
    force_quote: frozenset[int] = frozenset()
    force_null: frozenset[int] = frozenset()
    force_not_null: frozenset[int] = frozenset()

    @property
    def is_csv(self) -> bool:
        return self.kind is CopyKind.CSV


class CopyDataError(PgcryptError):
    """The data are not of their format. Wording and SQLSTATE are PostgreSQL's (copyfromparse.c)."""

    sqlstate = "22P04"
    kind = "copy"


class RowTooLong(PgcryptError):
    """A row is longer than the proxy holds in memory."""

    sqlstate = "54000"
    kind = "limit"


class BadField(PgcryptError):
    """An action failed. `cause` says how; `column` (an index) and `line` say where."""

    def __init__(self, cause: PgcryptError, column: int) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.column = column


def earlier_problem(checks: Checks | None, values: Iterable[bytes | None]) -> BadField | None:
    """What the server finds first: it reads the values of a row (None where there is none) in their order."""
    if checks is None:
        return None
    for index, (check, value) in enumerate(zip(checks.fields, values, strict=False)):
        if check is not None and value is not None:
            try:
                check(value)
            except PgcryptError as error:
                return BadField(error, index)
    return None


def row_too_long(limit: int) -> RowTooLong:
    return RowTooLong(
        f"a row of COPY data is longer than {limit} bytes",
        hint="Insert the row by itself, its values as parameters, or raise max_row_bytes.",
    )
