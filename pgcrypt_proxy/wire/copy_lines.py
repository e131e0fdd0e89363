"""COPY's text and CSV formats: rows, with the fields of some columns replaced.

Sans-IO: any split of the stream in, the finished part of it out. Lines, fields
and escapes are read exactly as PostgreSQL reads them (copyfromparse.c): if the
two saw different fields, a value would go where it does not belong. What is not
replaced keeps its bytes. Replaced fields are written as PostgreSQL's own output
writes them (copyto.c), so one class serves both directions.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.wire import copy_fields
from pgcrypt_proxy.wire.copy_format import (
    MAX_LEFT,
    MAX_ROW_BYTES,
    RESCAN_BYTES,
    Actions,
    BadField,
    Checks,
    CopyDataError,
    CopyFormat,
    Header,
    Taker,
    earlier_problem,
    row_too_long,
)

_EOL = re.compile(rb"\r\n|\n|\r")
_Span = tuple[int, int]


class _Line(NamedTuple):
    """Where a line ends, without its end and with it."""

    end: int
    after: int
    is_marker: bool = False


class LineReplacer:
    """Replaces the fields that have an action; NULLs and default markers stay as they are.

    `is_output`: the data come from the server, whose lines end in a newline.
    `marker_ends_csv`: the server takes a line of `\\.` as the end of CSV too
    (before PostgreSQL 18). `taker` is offered rows first. `line` counts lines as PostgreSQL does. After an error
    `before` are the rows of the same data that stand before it, ready to be sent.
    """

    def __init__(
        self,
        format_: CopyFormat,
        names: tuple[str, ...],
        actions: Actions,
        *,
        is_output: bool = False,
        marker_ends_csv: bool = False,
        checks: Checks | None = None,
        max_row_bytes: int = MAX_ROW_BYTES,
        taker: Taker | None = None,
    ) -> None:
        self._taker = taker
        self._format = format_
        self._names = names
        self._actions = actions
        self._is_output = is_output
        self._marker_ends = marker_ends_csv or not format_.is_csv
        self._checks = checks
        self._max_row_bytes = max_row_bytes
        self._syntax = copy_fields.syntax(format_)
        self._coder = copy_fields.Coder(format_, is_single=len(names) == 1)
        self._is_header = format_.header is not Header.NONE
        self._eol: bytes | None = None
        self._row: re.Pattern[bytes] | None = None
        self._groups = tuple(index for index, action in enumerate(actions) if action is not None)
        if is_output:
            self._learn(b"\n")
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._rescan_at = 0
        self._is_over = False
        self.line = 0
        self.before = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on of the data so far. Raises CopyDataError, RowTooLong, BadField."""
        if self._is_over:
            return b""
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes < self._rescan_at and self._pending_bytes <= self._max_row_bytes:
            return b""
        return self._take(is_last=False)

    def finish(self) -> bytes:
        """The stream ended; a last line needs no end of its own. Raises as `feed`."""
        return b"" if self._is_over else self._take(is_last=True)

    @property
    def is_between_rows(self) -> bool:
        """Whether the next data begin with a row."""
        return not (self._pending or self._is_header or self._is_over)

    # -- rows

    def _take(self, *, is_last: bool) -> bytes:
        buffer = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        out: list[bytes] = []
        at = kept = 0
        size = len(buffer)
        while at < size and not self._is_over:
            if self._row is not None and not self._is_header:
                at, kept = self._rows(buffer, at, kept, out)
                if at == size:
                    break
            inner_eol = self._inner_eol  # as it is before this line's own end is seen
            before = len(out), kept
            try:
                line = self._line(buffer, at, is_last)
                if line is None:
                    break
                if line.is_marker:
                    self._is_over = True
                else:
                    self.line += 1 + self._inner_lines(buffer, at, line.end, inner_eol)
                    kept = self._whole_line(buffer, at, line.end, kept, out)
            except PgcryptError:
                self._keep_before(out, buffer, at, *before)
                raise
            at = line.after
        out.append(buffer[kept:at])
        rest = b"" if self._is_over else buffer[at:]
        self._pending = [rest] if rest else []
        self._pending_bytes = len(rest)
        if len(rest) > self._max_row_bytes:
            self.line += 1
            self.before = b"".join(out)
            raise row_too_long(self._max_row_bytes)
        self._rescan_at = 2 * len(rest) if len(rest) > RESCAN_BYTES else 0
        return b"".join(out)

    def _rows(self, buffer: bytes, at: int, kept: int, out: list[bytes]) -> tuple[int, int]:
        """The hot loop: complete rows of the right number of fields. Returns (where it stopped, what is kept from)."""
        row = self._row
        assert row is not None
        match, groups, replaced = row.match, self._groups, self._replaced
        counts_inside, eol, left = self._format.is_csv, self._inner_eol, 0
        while True:
            if self._taker is not None and left < MAX_LEFT:
                taken, stop, count = self._taker(buffer, at, self._eol or b"")
                if count:
                    out += (buffer[kept:at], taken)
                    self.line += buffer.count(eol, at, stop) if counts_inside else count
                    at = kept = stop
                    left = 0
            found = match(buffer, at)
            if found is None:
                return at, kept
            left += 1
            stop = found.end()
            if stop - at > self._max_row_bytes:
                return at, kept  # which is said where lines are looked at one by one
            self.line += buffer.count(eol, at, stop) if counts_inside else 1
            before = len(out), kept
            try:
                for number, index in enumerate(groups, 1):
                    start, end = found.span(number)
                    made = replaced(buffer[start:end], index)
                    if made is not None:
                        out.append(buffer[kept:start])
                        out.append(made)
                        kept = end
            except BadField as error:
                self._keep_before(out, buffer, at, *before)
                raise self._first_problem(error, buffer[at : stop - len(self._eol or b"")], error.column) from None
            at = stop

    def _whole_line(self, buffer: bytes, at: int, end: int, kept: int, out: list[bytes]) -> int:
        """One line by itself: a header, the first row, the last, or a wrong one. Returns what is kept from."""
        if end - at > self._max_row_bytes:
            raise row_too_long(self._max_row_bytes)
        if self._is_header:
            self._is_header = False
            if self._is_output:
                return kept
            if self._format.header is Header.MATCH:
                self._check_header([buffer[start:stop] for start, stop in self._split(buffer, at, end)])
                return kept
            # The server throws it away unread; were it a row by mistake, its values would still have been sent.
            out.append(buffer[kept:at])
            return end
        try:
            spans = self._split(buffer, at, end)
            if len(spans) > len(self._names):
                raise CopyDataError("extra data after last expected column")
            for index in self._groups:
                if index >= len(spans):
                    break
                start, stop = spans[index]
                made = self._replaced(buffer[start:stop], index)
                if made is not None:
                    out += (buffer[kept:start], made)
                    kept = stop
        except BadField as error:
            raise self._first_problem(error, buffer[at:end], error.column) from None
        except CopyDataError as error:
            raise self._first_problem(error, buffer[at:end], 0) from None
        if len(spans) < len(self._names):
            missing = CopyDataError(f'missing data for column "{self._names[len(spans)]}"')
            raise self._first_problem(missing, buffer[at:end], len(spans))
        return kept

    def _keep_before(self, out: list[bytes], buffer: bytes, at: int, count: int, kept: int) -> None:
        """Note what may be sent of `out`: the rows before the one at `at`, in which an error was found."""
        self.before = b"".join([*out[:count], buffer[kept:at]])

    def _first_problem(self, error: PgcryptError, line: bytes, column: int) -> PgcryptError:
        """What the server finds first in a row: bad text, and then a bad value before that of `column`."""
        checks, coder = self._checks, self._coder
        if checks is None:
            return error
        try:
            checks.line(line)
            spans = [] if self._format.is_csv and not column else self._split(line, 0, len(line))
            raw = [line[start:stop] for start, stop in spans]
            if not self._format.is_csv:
                for one in raw:
                    checks.line(coder.decode(one))
        except PgcryptError as earlier:
            return earlier
        values = (coder.decode(one) if coder.is_value(one, index) else None for index, one in enumerate(raw[:column]))
        return earlier_problem(checks, values) or error

    def _replaced(self, raw: bytes, index: int) -> bytes | None:
        """What becomes of the field of column `index`; None when it is no value. Raises BadField."""
        action, coder = self._actions[index], self._coder
        if action is None or not coder.is_value(raw, index):
            return None
        try:
            return coder.encode(action(coder.decode(raw)), index)
        except PgcryptError as error:
            raise BadField(error, index) from None

    def _split(self, buffer: bytes, at: int, end: int) -> list[_Span]:
        """The fields of the line `at..end`."""
        match = self._syntax.field.match
        spans: list[_Span] = []
        while True:
            found = match(buffer, at, end)
            assert found is not None
            stop = found.end()
            if stop < end and buffer[stop : stop + 1] != self._format.delimiter:
                if self._format.is_csv:
                    raise CopyDataError("unterminated CSV quoted field")
                stop = end  # a backslash that ends the data escapes nothing
            spans.append((at, stop))
            if stop >= end:
                return spans
            at = stop + 1

    def _check_header(self, fields: list[bytes]) -> None:
        if len(fields) != len(self._names):
            raise CopyDataError(
                f"wrong number of fields in header line: got {len(fields)}, expected {len(self._names)}"
            )
        for number, (raw, name) in enumerate(zip(fields, self._names, strict=True), 1):
            if raw == self._format.null or self._coder.decode(raw) != name.encode():
                raise CopyDataError(f'column name mismatch in header line field {number}: expected "{name}"')

    # -- lines

    def _line(self, buffer: bytes, at: int, is_last: bool) -> _Line | None:
        """The line at `at`; None while it is not known where it ends."""
        found = self._syntax.line.match(buffer, at)
        assert found is not None
        stop, size = found.end(), len(buffer)
        if self._marker_ends and self._format.is_csv and stop == at + 2 < size and buffer.startswith(b"\\.", at):
            return self._marker(buffer, stop, is_last)
        if stop == size:
            return _Line(size, size) if is_last else None
        if buffer[stop] in b"\r\n":
            return self._line_end(buffer, at, stop, is_last)
        if self._format.is_csv:  # a quote that is not closed
            return _Line(size, size) if is_last else None
        # a backslash: the end marker's, or the last byte
        if stop + 1 == size:
            return _Line(size, size) if is_last else None
        if stop != at:
            self._fail("end-of-copy marker is not alone on its line")
        return self._marker(buffer, stop + 2, is_last)

    def _marker(self, buffer: bytes, end: int, is_last: bool) -> _Line | None:
        """The end marker, `\\.`, up to `end`. What follows its line is not looked at."""
        eol = self._eol or b"\n"
        if not is_last and len(buffer) < end + len(eol):
            return None
        after = buffer[end : end + len(eol)]
        if after == eol or (self._eol is None and after == b"\r"):
            return _Line(end, end + len(eol), is_marker=True)
        if after[:1] in (b"\r", b"\n"):
            self._fail("end-of-copy marker does not match previous newline style")
        self._fail("end-of-copy marker is not alone on its line")

    def _line_end(self, buffer: bytes, at: int, stop: int, is_last: bool) -> _Line | None:
        """The line `at..stop`, which must end as the first one does."""
        if buffer[stop] == 0x0D and stop + 1 == len(buffer) and self._eol in (None, b"\r\n") and not is_last:
            return None
        found = _EOL.match(buffer, stop)
        assert found is not None
        eol = found.group()
        if self._eol is None:
            self._learn(eol)
        elif not eol.startswith(self._eol):
            self.line += 1 + self._inner_lines(buffer, at, stop, self._inner_eol)
            raise _mixed_line_ends(eol, is_csv=self._format.is_csv)
        assert self._eol is not None
        return _Line(stop, stop + len(self._eol))

    def _learn(self, eol: bytes) -> None:
        self._eol = eol
        self._row = copy_fields.row_pattern(
            self._format, tuple(a is not None for a in self._actions), eol, marker_ends=self._marker_ends
        )

    @property
    def _inner_eol(self) -> bytes:
        """The byte by which PostgreSQL counts lines inside of quotes."""
        return b"\n" if self._eol == b"\n" else b"\r"

    def _inner_lines(self, buffer: bytes, at: int, end: int, eol: bytes) -> int:
        """The line ends inside of quotes in the line `at..end`."""
        return buffer.count(eol, at, end) if self._format.is_csv else 0

    def _fail(self, message: str) -> NoReturn:
        self.line += 1
        raise CopyDataError(message)


def _mixed_line_ends(eol: bytes, *, is_csv: bool) -> CopyDataError:
    what, letter = ("newline", "n") if eol == b"\n" else ("carriage return", "r")
    if is_csv:
        return CopyDataError(f"unquoted {what} found in data", hint=f"Use quoted CSV field to represent {what}.")
    return CopyDataError(f"literal {what} found in data", hint=f'Use "\\{letter}" to represent {what}.')
