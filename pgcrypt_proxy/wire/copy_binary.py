"""COPY's binary format: header, tuples and trailer, with the fields of some columns replaced.

Sans-IO: any split of the stream in, the finished part of it out. A tuple's
fields are laid out as in DataRow; the rest is in sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import struct

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.wire.copy_format import (
    MAX_LEFT,
    MAX_ROW_BYTES,
    Actions,
    BadField,
    Checks,
    CopyDataError,
    Taker,
    earlier_problem,
    row_too_long,
)

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
#: Signature, no flags, no extension.
HEADER = SIGNATURE + bytes(8)
TRAILER = b"\xff\xff"
_FLAGS = struct.Struct("!Ii")
_COUNT = struct.Struct("!h")
_LENGTH = struct.Struct("!i")
_OIDS = 1 << 16


class BinaryReplacer:
    """Replaces the fields that have an action; NULL stays NULL.

    What the header's extension holds is dropped: a server skips it. `line`
    counts tuples, as PostgreSQL does; `before` and `taker` are as with lines.
    """

    def __init__(
        self,
        actions: Actions,
        checks: Checks | None = None,
        max_row_bytes: int = MAX_ROW_BYTES,
        taker: Taker | None = None,
    ) -> None:
        self._taker = taker
        self._actions = actions
        self._checks = checks
        self._max_row_bytes = max_row_bytes
        self._pending = bytearray()
        self._needed = len(HEADER)
        self._is_in_header = True
        self._left_to_skip = 0
        self._is_over = False
        self.line = 0
        self.before = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on of the data so far. Raises CopyDataError, RowTooLong, BadField."""
        pending = self._pending
        pending += data
        if len(pending) < self._needed:
            return b""
        buffer = bytes(pending)
        out: list[bytes] = []
        at = 0
        if self._is_in_header:
            self._read_header(buffer)
            out.append(HEADER)
            at = len(HEADER)
            self._is_in_header = False
        if self._left_to_skip:
            skipped = min(self._left_to_skip, len(buffer) - at)
            self._left_to_skip -= skipped
            at += skipped
        if self._left_to_skip:
            self._needed = 1
        else:
            at = self._tuples(buffer, at, out)
        del pending[:at]
        return b"".join(out)

    @property
    def is_between_rows(self) -> bool:
        """Whether the next data begin with a tuple."""
        return not (self._pending or self._is_in_header or self._left_to_skip or self._is_over)

    def finish(self) -> bytes:
        """The stream ended: nothing may be left of an unfinished tuple. Raises CopyDataError."""
        if self._is_in_header:
            if not self._pending.startswith(SIGNATURE):
                raise CopyDataError("COPY file signature not recognized")
            what = "flags" if len(self._pending) < len(SIGNATURE) + 4 else "length"
            raise CopyDataError(f"invalid COPY file header (missing {what})")
        if self._left_to_skip:
            raise CopyDataError("invalid COPY file header (wrong length)")
        if len(self._pending) >= _COUNT.size:
            self.line += 1
            raise CopyDataError("unexpected EOF in COPY data")
        return b""

    def _read_header(self, buffer: bytes) -> None:
        if not buffer.startswith(SIGNATURE):
            raise CopyDataError("COPY file signature not recognized")
        flags, extension = _FLAGS.unpack_from(buffer, len(SIGNATURE))
        if flags & _OIDS:
            raise CopyDataError("invalid COPY file header (WITH OIDS)")
        if flags >> 16:
            raise CopyDataError("unrecognized critical flags in COPY file header")
        if extension < 0:
            raise CopyDataError("invalid COPY file header (missing length)")
        self._left_to_skip = extension

    def _tuples(self, buffer: bytes, at: int, out: list[bytes]) -> int:
        """Take all complete tuples from `at` on; returns where the first incomplete one begins."""
        actions, size, kept, left = self._actions, len(buffer), at, 0
        self._needed = _COUNT.size
        while at + _COUNT.size <= size:
            if self._is_over:
                raise CopyDataError("received copy data after EOF marker")
            if self._taker is not None and left < MAX_LEFT:
                made, stop, rows = self._taker(buffer, at, b"")
                if rows:
                    out += (buffer[kept:at], made)
                    self.line += rows
                    at = kept = stop
                    left = 0
                    continue
            left += 1
            count: int = _COUNT.unpack_from(buffer, at)[0]
            self.line += 1
            if count == -1:
                self._is_over = True
                self._needed = 1
                at += _COUNT.size
                continue
            before = len(out), kept
            try:
                if count != len(actions):
                    raise CopyDataError(f"row field count is {count}, expected {len(actions)}")
                fields: list[tuple[int, int, int]] = []
                end = self._fields(buffer, at + _COUNT.size, fields)
                if end > size:
                    self.line -= 1
                    self._needed = end - at
                    break
                for index, start, stop in fields:
                    value = self._replaced(index, buffer[start:stop])
                    out += (buffer[kept : start - _LENGTH.size], _LENGTH.pack(len(value)), value)
                    kept = stop
            except PgcryptError as error:
                self.before = b"".join([*out[: before[0]], buffer[before[1] : at]])
                if isinstance(error, BadField):
                    raise self._first_problem(error, buffer, at + _COUNT.size) from None
                raise
            at = end
        out.append(buffer[kept:at])
        if self._is_over and at < size:
            self.before = b"".join(out)
            raise CopyDataError("received copy data after EOF marker")
        return at

    def _first_problem(self, error: BadField, buffer: bytes, at: int) -> PgcryptError:
        """What the server finds first in a tuple whose fields begin at `at`: it reads one after the other."""
        if self._checks is None:
            return error
        values: list[bytes | None] = []
        for _ in range(error.column):
            length: int = _LENGTH.unpack_from(buffer, at)[0]
            at += _LENGTH.size
            values.append(None if length < 0 else buffer[at : at + length])
            at += max(length, 0)
        fields = tuple(action or check for action, check in zip(self._actions, self._checks.fields, strict=True))
        return earlier_problem(Checks(self._checks.line, fields), values) or error

    def _fields(self, buffer: bytes, at: int, fields: list[tuple[int, int, int]]) -> int:
        """Note (index, start, end) of the fields with an action; returns where the tuple ends, at the least."""
        size, start = len(buffer), at
        length_of, header = _LENGTH.unpack_from, _LENGTH.size
        for index, action in enumerate(self._actions):
            at += header
            if at > size:
                return at
            length: int = length_of(buffer, at - header)[0]
            if length < 0:
                if length < -1:
                    raise BadField(CopyDataError("invalid field size"), index)
                continue
            if action is not None:
                fields.append((index, at, at + length))
            at += length
            if at - start > self._max_row_bytes:
                raise row_too_long(self._max_row_bytes)
        return at

    def _replaced(self, index: int, value: bytes) -> bytes:
        action = self._actions[index]
        assert action is not None
        try:
            return action(value)
        except PgcryptError as error:
            raise BadField(error, index) from None
