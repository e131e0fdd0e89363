"""The rows of a result with protected columns, opened on their way to the client.

Compiled code takes the rows that are straight. The others, and all rows where
there is none, go through `Values.opener`, the reference, which says what is
wrong with a row. Knows columns, formats and the keyring; no messages but DataRow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.errors import KeyNotLoaded
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.results import Outputs
from pgcrypt_proxy.session.transform import Opener, Values
from pgcrypt_proxy.session.waiting import RowsWait
from pgcrypt_proxy.values import codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType
from pgcrypt_proxy.wire import rows

MAX_REMEMBERED = 64
#: Rows that compiled code may leave to Python one after the other before the rest of their run is Python's, too.
MAX_LEFT = 8
#: Keys of tenants that are asked for at once; far fewer than are kept.
MAX_KEYS_AHEAD = 1000

RAW, ISO_DATE, CONVERT = 0, 8, 9
#: How compiled code writes a type in text; the numbers are columns.h's. Any other type is converted by its codec.
_KINDS = {"text": RAW, "varchar": RAW, "int2": 1, "int4": 2, "int8": 3, "bool": 4, "uuid": 5, "bytea": 6, "jsonb": 7}

_NativeColumn = tuple[int, bool, tuple[tuple[int, Any], ...], bytes, Callable[[bytes], bytes] | None]


class RowOpener:
    """Opens the rows of one kind of result: these columns, these formats, this client encoding."""

    def __init__(
        self,
        values: Values,
        meter: Meter,
        outputs: Outputs,
        codes: tuple[int, ...],
        *made_of: object,
        tenant: str | None = None,
    ) -> None:
        self.outputs = outputs
        self._made_of = made_of
        self.settings = values.settings
        self._is_utf8 = values.encoding.is_utf8
        self._values = values
        self._meter = meter
        self._codes = codes
        # Made now: they are for the settings of now, as the compiled ones are.
        self._reference: list[Opener | None] = [
            None if column is None else values.opener(column, code, tenant)
            for column, code in zip(outputs, codes, strict=True)
        ]
        self._keyring: Keyring | None = None
        self._native: Any = None

    def open(self, run: bytes, out: list[bytes]) -> None:
        """Append the rows of `run`, whole DataRow messages, as the client sees them.

        Raises PgcryptError at the first row that does not open, RowsWait at the first one whose key must be loaded;
        those before it are in `out`.
        """
        at = left = 0
        while at < len(run):
            if left < MAX_LEFT and (native := self.compiled()) is not None:
                started = self._meter.clock()
                opened, reached, counts = native.open(run, at)
                if reached > at:
                    out.append(opened)
                    self.count(counts, self._meter.clock() - started)
                    at, left = reached, 0
                    continue
            left += 1
            end = at + 1 + int.from_bytes(run[at + 1 : at + 5])
            try:
                out.append(rows.replace(run[at:end], self._reference))
            except KeyNotLoaded as wanted:
                raise RowsWait(run[at:], wanted.key_ids | self._further_keys(run, end)) from None
            at = end

    def _further_keys(self, run: bytes, at: int) -> set[int]:
        """The keys that rows behind the first that waits will ask for: all at once, not one by one."""
        found: set[int] = set()  # not more than can be there at once
        places = [n for n, column in enumerate(self.outputs) if column is not None and column.tenant is not None]
        while at < len(run) and len(found) < MAX_KEYS_AHEAD:
            end = at + 1 + int.from_bytes(run[at + 1 : at + 5])
            fields = rows.split(run[at + 5 : end])
            for number in places:
                value = fields[number] if number < len(fields) else None
                if value is not None and self._codes[number] == 1:
                    found.add(int.from_bytes(value[2:6]))
                elif value is not None and value[:2] == b"\\x" and len(value) >= 14:
                    found.add(int(value[6:14], 16))
            at = end
        return found

    def compiled(self) -> Any:
        """The compiled opener under the present keyring, or None: then the reference does it, or says why not."""
        keyring = self._values.keyring
        if fast.native is None or keyring.is_expired:
            return None
        if self._keyring is not keyring:
            self._keyring = keyring
            columns = self._native_columns(keyring)
            self._native = None if columns is None else fast.native.Rows(columns, *self._made_of)
        return self._native

    def _native_columns(self, keyring: Keyring) -> tuple[_NativeColumn | None, ...] | None:
        if not self._is_utf8:
            return None  # texts are converted, or found not to be convertible, one by one
        made: list[_NativeColumn | None] = []
        for column, code in zip(self.outputs, self._codes, strict=True):
            if column is None:
                made.append(None)
                continue
            if column.tenant is not None:
                return None  # each row has a key and context of its own
            keys = keyring.native_keys(SealContext(column.id, column.data_class))
            if keys is None:
                return None
            kind = RAW if code else _kind(column.type, self.settings)
            convert = partial(_to_text, column.type, self.settings) if kind == CONVERT else None
            made.append((kind, code == 0, *keys, convert))
        return tuple(made)

    def count(self, counts: tuple[int, ...], seconds: float) -> None:
        """So many values of each column were opened, all in that time."""
        sums: dict[str, int] = {}
        for column, count in zip(self.outputs, counts, strict=True):
            if column is not None and count:
                sums[column.data_class] = sums.get(column.data_class, 0) + count
        total = sum(sums.values())
        for data_class, count in sums.items():
            self._meter.add("open", data_class, seconds * count / total, count)


def _kind(logical: LogicalType, settings: TextSettings) -> int:
    if logical.name == "bytea" and settings.bytea_output == "escape":
        return CONVERT
    if logical.name == "date" and settings.output_style == "ISO":
        return ISO_DATE
    return _KINDS.get(logical.name, CONVERT)


def _to_text(logical: LogicalType, settings: TextSettings, plaintext: bytes) -> bytes:
    return codec.to_text(logical, plaintext, settings)


class RowOpeners:
    """Remembers a session's openers, so that a statement that is run again has its own at once."""

    def __init__(self, values: Values, meter: Meter) -> None:
        self._values = values
        self._meter = meter
        self._made: dict[tuple[int, tuple[int, ...], str, int, str | None], RowOpener] = {}

    def of(self, outputs: Outputs, codes: tuple[int, ...], tenant: str | None = None) -> RowOpener:
        """The opener for results of that form under the present settings and encoding."""
        values = self._values
        # By identity: an opener keeps both alive, and comparing columns would cost more than opening one.
        key = (id(outputs), codes, values.encoding.name, id(values.settings), tenant)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= MAX_REMEMBERED:
                self._made.clear()
            made = self._made[key] = RowOpener(values, self._meter, outputs, codes, tenant=tenant)
        return made
