"""COPY's rows in compiled code: sealed on their way in, opened on their way out.

What is not plainly right is left, row by row, to the replacers of `wire` and the
codecs of `transform`, the reference, which do it or say what is wrong with it.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.session.compiled_seals import sealing
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.opening import RowOpener
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.plan import CopyPlan
from pgcrypt_proxy.wire import codes
from pgcrypt_proxy.wire.copy_format import CopyKind, Taker

#: Rows sealed at once: what is reserved of a key for them is out of others' reach meanwhile.
MAX_ROWS = 8192
MAX_MARKER_BYTES = 64
#: What an envelope is written with: none of it may be part of the form.
_ENVELOPE = b"\\x0123456789abcdef"

_Form = tuple[bool, bool, bytes, bytes, bytes, bytes | None]


def taker(plan: CopyPlan, values: Values, meter: Meter, max_row_bytes: int) -> Taker | None:
    """Seals the rows of a COPY FROM; None where the replacers do it by themselves."""
    if not _is_plain(plan, values):
        return None
    return _RowSealer(plan, values, meter, max_row_bytes).take


class _RowSealer:
    def __init__(self, plan: CopyPlan, values: Values, meter: Meter, max_row_bytes: int) -> None:
        self._plan = plan
        self._values = values
        self._meter = meter
        self._max_row_bytes = max_row_bytes
        self._keyring: Keyring | None = None
        self._native: Any = None
        self._keys: list[int | None] = []
        self._each: Counter[int] = Counter()

    def take(self, data: bytes, at: int, eol: bytes) -> tuple[bytes, int, int]:
        """As `Taker`."""
        keyring = self._values.keyring
        if self._keyring is not keyring:
            self._keyring = keyring
            self._native = self._made(keyring)
        if self._native is None:
            return b"", at, 0
        reserved = keyring.reserve_seals(self._each, MAX_ROWS)
        if not reserved:
            return b"", at, 0
        started = self._meter.clock()
        made, reached, rows, sealed, used = self._native.seal(data, at, eol, reserved)
        seconds = self._meter.clock() - started
        left = Counter({key_id: reserved * count for key_id, count in self._each.items()})
        for key_id, count in zip(self._keys, used, strict=True):
            if key_id is not None:
                left[key_id] -= count
        for key_id, count in left.items():
            keyring.grant_seals(key_id, count)
        values = sum(sealed)
        for column, count in zip(self._plan.columns, sealed, strict=True):
            if column is not None and count:
                self._meter.add("seal", column.data_class, seconds * count / values, count)
        return made, reached, rows

    def _made(self, keyring: Keyring) -> Any:
        """The compiled sealer under that keyring, or None."""
        assert fast.native is not None
        self._keys, self._each = [], Counter()
        made: list[Any] = []
        for column in self._plan.columns:
            if column is None:
                made.append(None)
                self._keys.append(None)
                continue
            convert = partial(self._values.sealed_parts, column, is_binary=self._plan.format.kind is CopyKind.BINARY)
            found = sealing(column, keyring, convert)
            if found is None:
                return None
            key_id, native = found
            self._keys.append(key_id)
            self._each[key_id] += 1
            made.append(native)
        return fast.native.Seals(tuple(made), _form(self._plan), self._max_row_bytes)


class CopyOpener(RowOpener):
    """Opens the rows of a COPY TO, each of which the server sends as one CopyData."""

    def __init__(self, plan: CopyPlan, values: Values, meter: Meter) -> None:
        self._is_plain = _is_plain(plan, values)
        format_codes = (int(plan.format.kind is CopyKind.BINARY),) * len(plan.columns)
        super().__init__(values, meter, plan.columns, format_codes, codes.COPY_DATA, _form(plan))

    def compiled(self) -> Any:
        """As RowOpener's, and None for forms that compiled code does not read."""
        return super().compiled() if self._is_plain else None

    def take(self, run: bytes, at: int) -> tuple[bytes, int]:
        """The first rows of `run` from `at` on, opened, and where the others begin. Only between rows."""
        native = self.compiled()
        if native is None:
            return b"", at
        started = self._meter.clock()
        opened, reached, counts = native.open(run, at)
        if reached > at:
            self.count(counts, self._meter.clock() - started)
        return opened, reached


def _is_plain(plan: CopyPlan, values: Values) -> bool:
    """Whether compiled code knows the data's form, and may read and write the sealed columns in it."""
    format_ = plan.format
    if fast.native is None or not values.encoding.is_utf8:
        return False
    if any(column is not None and column.tenant is not None for column in plan.columns):
        return False  # each row has a key and context of its own
    if format_.kind is CopyKind.BINARY:
        return True
    sealed = {index for index, column in enumerate(plan.columns) if column is not None}
    if sealed & (format_.force_quote | format_.force_null | format_.force_not_null):
        return False
    if len(format_.null) > MAX_MARKER_BYTES or len(format_.default or b"") > MAX_MARKER_BYTES:
        return False
    if format_.is_csv and (format_.quote != format_.escape or format_.quote in _ENVELOPE):
        return False
    return format_.delimiter not in _ENVELOPE


def _form(plan: CopyPlan) -> _Form | None:
    """What compiled code must know of a text or CSV format; None for the binary one."""
    format_ = plan.format
    if format_.kind is CopyKind.BINARY:
        return None
    is_single = len(plan.columns) == 1
    return format_.is_csv, is_single, format_.delimiter, format_.quote, format_.null, format_.default
