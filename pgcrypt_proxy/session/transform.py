"""Values on their way: parameters and literals become envelopes or terms, envelopes become values again.

Joins the types' codecs, the keyring and the plan; knows nothing of messages,
names or transactions. Whatever it raises is a PgcryptError without a value in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgcrypt_proxy.crypto.envelope import FLAG_EQ, FLAG_EQCI
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.errors import InvalidValue, KeyUnavailable, OpenError, PgcryptError
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import Observer
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import LiteralSlot, ParameterUse, Use
from pgcrypt_proxy.values import arrays, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import UNKNOWN_OID, LogicalType, element_of, type_by_oid

Opener = Callable[[bytes], bytes]

#: Types whose values PostgreSQL's = compares with each other; their equality keys agree.
_COMPARABLE = {"int2": "n", "int4": "n", "int8": "n", "numeric": "n", "text": "t", "varchar": "t"}


class Values:
    """Seals and opens with one keyring. `settings` follow the session's ParameterStatus."""

    def __init__(self, keyring: Keyring, observer: Observer, meter: Meter) -> None:
        self.keyring = keyring
        self.settings = TextSettings()
        self._observer = observer
        self._meter = meter

    def check_available(self) -> None:
        """Raises KeyUnavailable when the keyring's time is over, so that a statement fails before it runs."""
        if self.keyring.is_expired:
            raise KeyUnavailable(
                "the encryption keys are not available",
                hint="The key provider cannot be reached; the statement can be tried again later.",
            )

    # -- to the server

    def parameter(self, use: ParameterUse, declared_oid: int, value: bytes | None, format_code: int) -> bytes | None:
        """The upstream parameter, in binary format, that the client's `value` becomes. `use` is not PASS."""
        column = use.column
        assert column is not None
        if value is None:
            return None
        try:
            if format_code not in (0, 1):
                raise InvalidValue(f"unsupported format code: {format_code}", sqlstate="22023")
            declared = self._declared(column, declared_oid, use.use.is_array)
            source = declared or use.cast or column.type
            if use.use.is_array:
                items = self._read_array(source, value, format_code)
                return arrays.bytea_array([self._element(use.use, column, source, use.cast, item) for item in items])
            data = self._read(source, value, format_code)
            return self._made(use.use, column, source, use.cast, data)
        except PgcryptError as error:
            self._observer.failed(use.use.value, error, column.qualified_name)
            raise

    def literal(self, slot: LiteralSlot) -> str:
        """The SQL text that stands for the literal upstream. Errors carry the literal's position."""
        if slot.text is None:
            return f"NULL::pg_catalog.bytea{'[]' if slot.use.is_array else ''}"
        column = slot.column
        source = slot.cast or column.type
        try:
            text = slot.text.encode()
            if slot.use.is_array:
                items = arrays.from_text(source.base, text, self.settings)
                made_items = (self._element(slot.use, column, source, slot.cast, item) for item in items)
                elements = ",".join("NULL" if m is None else f'"\\\\\\\\x{m.hex()}"' for m in made_items)
                return f"E'{{{elements}}}'::pg_catalog.bytea[]"
            made = self._made(slot.use, column, source, slot.cast, self._read(source, text, 0))
            return f"E'\\\\x{made.hex()}'::pg_catalog.bytea"
        except PgcryptError as error:
            error.position = slot.position
            self._observer.failed(slot.use.value, error, column.qualified_name)
            raise

    def render(self, pieces: Sequence[str | LiteralSlot]) -> tuple[str, dict[LiteralSlot, int]]:
        """The rewritten text with every literal sealed, and how long each literal became."""
        parts: list[str] = []
        lengths: dict[LiteralSlot, int] = {}
        for piece in pieces:
            part = piece if isinstance(piece, str) else self.literal(piece)
            parts.append(part)
            if not isinstance(piece, str):
                lengths[piece] = len(part)
        return "".join(parts), lengths

    def _declared(self, column: ProtectedColumn, oid: int, is_array: bool) -> LogicalType | None:
        if oid in (0, UNKNOWN_OID):
            return None
        found = element_of(oid) if is_array else type_by_oid(oid)
        if found is None:
            raise InvalidValue(
                f'column "{column.name}" is of type {column.type} but the parameter has another type',
                hint="Declare the parameter with the column's type, or leave its type open.",
                sqlstate="42804",
            )
        return found

    def _read(self, source: LogicalType, value: bytes, format_code: int) -> bytes:
        if format_code == 1:
            return codec.from_binary(source.base, value)
        return codec.from_text(source.base, value, self.settings)

    def _read_array(self, source: LogicalType, value: bytes, format_code: int) -> list[bytes | None]:
        if format_code == 1:
            return arrays.from_binary(source.base, value)
        return arrays.from_text(source.base, value, self.settings)

    def _made(
        self, use: Use, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes
    ) -> bytes:
        if use is Use.SEAL:
            return self._seal(column, source, cast, data)
        term = self._term(column, source, cast, data)
        assert term is not None
        return term

    def _element(
        self, use: Use, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes | None
    ) -> bytes | None:
        """One element of an array of terms or envelopes; NULL stays NULL."""
        if data is None:
            return None
        return self._made(Use.SEAL if use is Use.SEAL_ARRAY else Use.TERM, column, source, cast, data)

    def _cast(self, source: LogicalType, cast: LogicalType | None, data: bytes) -> tuple[LogicalType, bytes]:
        """The value after the statement's own cast."""
        if cast is None or cast == source.base:
            return source, data
        return cast, codec.convert(source.base, cast, data, explicit=True)

    def _seal(self, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes) -> bytes:
        source, data = self._cast(source, cast, data)
        if source.base != column.type:
            data = codec.convert(source.base, column.type, data)
        started = self._meter.clock()
        terms, flags = [], 0
        if "equality" in column.search:
            terms.append(self.keyring.equality_term(column.index_domain, codec.equality_key(column.type, data)))
            flags |= FLAG_EQ
        if "equality_casefold" in column.search:
            terms.append(self.keyring.casefold_term(column.index_domain, codec.casefold_key(column.type, data)))
            flags |= FLAG_EQCI
        envelope = self.keyring.seal(SealContext(column.id, column.data_class), data, terms, flags)
        self._meter.add("seal", column.data_class, self._meter.clock() - started)
        return envelope

    def _term(
        self, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes | None
    ) -> bytes | None:
        if data is None:
            return None
        source, data = self._cast(source, cast, data)
        ours, theirs = column.type.name, source.name
        if _COMPARABLE.get(ours, ours) != _COMPARABLE.get(theirs, theirs):
            raise InvalidValue(
                f"operator does not exist: {column.type.base} = {source.base}",
                hint="Pass the value with the column's type.",
                sqlstate="42883",
            )
        started = self._meter.clock()
        term = self.keyring.equality_term(column.index_domain, codec.equality_key(source, data))
        self._meter.add("term", column.data_class, self._meter.clock() - started)
        return term

    # -- to the client

    def opener(self, column: ProtectedColumn, format_code: int, client_codec: str | None) -> Opener:
        """Turns the server's value of a protected column into the client's, in the format it asked for."""
        context = SealContext(column.id, column.data_class)
        meter, logical, settings = self._meter, column.type, self.settings
        is_text = format_code == 0

        def open_value(value: bytes) -> bytes:
            started = meter.clock()
            try:
                plaintext = self.keyring.open(context, _from_bytea_text(value) if is_text else value)
                data = codec.to_text(logical, plaintext, settings) if is_text else plaintext
                if client_codec != "utf-8":
                    _check_ascii(data, logical, client_codec)
            except PgcryptError as error:
                self._observer.failed("open", error, column.qualified_name)
                if error.detail is None:
                    error.detail = f'Column "{column.qualified_name}".'
                raise
            meter.add("open", column.data_class, meter.clock() - started)
            return data

        return open_value


def _check_ascii(data: bytes, logical: LogicalType, client_codec: str | None) -> None:
    """Plaintext is UTF-8: another client encoding gets it only where the two agree."""
    if logical.name in ("text", "varchar", "jsonb") and client_codec != "ascii" and not data.isascii():
        raise InvalidValue(
            "a protected value cannot be converted to the client's encoding",
            hint="SET client_encoding TO 'UTF8'.",
            sqlstate="22P05",
        )


def _from_bytea_text(text: bytes) -> bytes:
    """Bytes from bytea's text output, hex or escape. Raises OpenError for anything else."""
    if text[:2] == b"\\x":
        try:
            return bytes.fromhex(text[2:].decode("ascii"))
        except ValueError:
            raise OpenError("a protected value is no envelope") from None
    if b"\\" not in text:
        return text
    made = bytearray()
    position = 0
    while position < len(text):
        byte = text[position]
        if byte != 0x5C:
            made.append(byte)
            position += 1
        elif text[position + 1 : position + 2] == b"\\":
            made.append(0x5C)
            position += 2
        else:
            digits = text[position + 1 : position + 4]
            if len(digits) != 3 or digits[0] not in b"0123" or not all(d in b"01234567" for d in digits):
                raise OpenError("a protected value is no envelope")
            made.append(int(digits, 8))
            position += 4
    return bytes(made)
