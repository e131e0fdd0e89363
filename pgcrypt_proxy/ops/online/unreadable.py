"""Values that do not open while a column is imported: passed over, and named before the columns change places."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import psycopg

from pgcrypt_proxy.crypto.foreign import UnreadableValue
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import importing
from pgcrypt_proxy.ops.column_rows import shown
from pgcrypt_proxy.ops.online.moves import Move

#: When there are so many, looking for more is in vain: the secret is not the one.
MAX_UNREADABLE = 100

PassedOver = tuple[bytes, bytes, str]  # place, version, why it does not open


class Unreadable:
    """Those of one run, each row counted once, by all fillers together."""

    def __init__(self, move: Move) -> None:
        self._move = move
        self._lock = threading.Lock()
        self._rows: dict[tuple[bytes, bytes], str] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Look at all of them again: they may have been corrected."""
        with self._lock:
            self._rows.clear()

    def note(self, connection: psycopg.Connection, rows: Iterable[PassedOver]) -> int:
        """How many of them are new. In the transaction that has read them. Raises ConfigError when it is pointless."""
        with self._lock:
            new = [row for row in rows if row[:2] not in self._rows]
            for place, version, why in new:
                where = "" if len(self._rows) >= importing.MAX_NAMED else self._named(connection, place)
                self._rows[place, version] = f"{where}: {why}"
        if len(self._rows) >= MAX_UNREADABLE:
            self.require_none()
        return len(new)

    def require_none(self) -> None:
        """Raises ConfigError with the first of them."""
        if not self._rows:
            return
        count = f"at least {MAX_UNREADABLE}" if len(self._rows) >= MAX_UNREADABLE else str(len(self._rows))
        raise ConfigError(
            f"{self._move.qualified_name}: {count} of the values do not open",
            detail="\n".join([*self._rows.values()][: importing.MAX_NAMED]),
            hint="The columns do not change places before all values open. Correct those rows, or the secret, and run"
            " this again: it goes on from here.",
            sqlstate=UnreadableValue.sqlstate,
        )

    def _named(self, connection: psycopg.Connection, place: bytes) -> str:
        key = importing.shown_key(connection, self._move.relation_oid, self._move.column)
        row = connection.execute(
            f"SELECT {key} FROM ONLY {self._move.qualified_table} WHERE ctid = %s::tid".encode(),  # noqa: S608 (quoted)
            [shown(place)],
        ).fetchone()
        return row[0] if row is not None and row[0] else f"row {shown(place)}"
