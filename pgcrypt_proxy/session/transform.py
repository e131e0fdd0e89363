"""Values on their way: parameters and literals become envelopes or terms, envelopes become values again.

Joins the types' codecs, the keyring and the plan; knows nothing of messages,
names or transactions. Whatever it raises is a PgcryptError without a value in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pgcrypt_proxy.crypto.envelope import FLAG_EQ, FLAG_EQCI
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.errors import InvalidValue, KeyNotLoaded, KeyUnavailable, PgcryptError
from pgcrypt_proxy.session.bytea_text import from_bytea_text
from pgcrypt_proxy.session.encodings import UTF8
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import Observer
from pgcrypt_proxy.session.tenant_values import Tenants
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import ELEMENT_USES, Assigned, LiteralSlot, ParameterUse, Use, declared_type, own_type
from pgcrypt_proxy.values import arrays, casts, codec
from pgcrypt_proxy.values.problems import no_cast
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import UNKNOWN_OID, LogicalType

Opener = Callable[[bytes], bytes]
Sealer = Callable[[bytes], bytes]

#: A case-folded key that no text has: theirs begin with "c" or "u".
_NO_TEXT = b"n"
#: Values of these SQLSTATEs fail the COPY whatever ON_ERROR says: the server does so for what is not UTF-8, and takes
#: the words that mean its clock.
_NOT_SKIPPED = frozenset({"22021", "0A000"})
#: Of these, only what has no digit is certain to be none for the server too: it reads more dates than the proxy.
_BAD_DATETIME = "22007"
_DIGIT = re.compile(rb"\d")
_NO_BYTEA = b"\\x-"
_WILDCARDS = re.compile(rb"[%_\\]")


class Values:
    """Seals and opens with one keyring. `settings` and `encoding` follow the session's ParameterStatus."""

    def __init__(self, keyring: Keyring, observer: Observer, meter: Meter) -> None:
        self.keyring = keyring
        self.settings = TextSettings()
        self.encoding = UTF8
        self.tenants = Tenants()
        self.tenants.encoding = lambda: self.encoding
        self._observer = observer
        self._meter = meter
        self._contexts: dict[tuple[int, str, str], SealContext] = {}

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
        try:
            if format_code not in (0, 1):
                raise InvalidValue(f"unsupported format code: {format_code}", sqlstate="22023")
            declared = self._declared(column, declared_oid, use.use.is_array)
            source = declared or use.cast or own_type(use.use, column, use.default)
            _check_type(use.use, column, use.cast or source)
            if value is None:
                return None
            if format_code == 0:
                value = self.encoding.to_utf8(value)
            if use.use.is_array:
                items = self._read_array(source, value, format_code)
                made = []
                for number, item in enumerate(items):
                    self.tenants.element = number
                    made.append(self._element(use.use, column, source, use.cast, item))
                return arrays.bytea_array(made)
            data = self._read(source, value, format_code)
            return self._made(use.use, column, source, use.cast, data)
        except PgcryptError as error:
            self._observer.failed(use.use.value, error, column.qualified_name)
            raise

    def literal(self, slot: LiteralSlot) -> str:
        """The SQL text that stands for the literal upstream. Errors carry the literal's position."""
        column = slot.column
        assigned = slot.assigned
        if assigned is None:
            read_as = source = slot.cast or own_type(slot.use, column, slot.default)
        else:
            read_as, source = assigned.given or assigned.declared, assigned.declared
        try:
            _check_type(slot.use, column, source)
            if slot.text is None:
                return f"NULL::pg_catalog.bytea{'[]' if slot.use.is_array else ''}"
            text, literal_type = slot.text.encode(), codec.literal_type(read_as)
            if slot.use.is_array:
                items = (
                    None if item is None else self._assigned(assigned, item)
                    for item in arrays.from_text(literal_type, text, self.settings)
                )
                made_items = (self._element(slot.use, column, source, slot.cast, item) for item in items)
                elements = ",".join("NULL" if m is None else f'"\\\\\\\\x{m.hex()}"' for m in made_items)
                return f"E'{{{elements}}}'::pg_catalog.bytea[]"
            data = self._assigned(assigned, codec.from_text(literal_type, text, self.settings))
            made = self._made(slot.use, column, source, slot.cast, data)
            return f"E'\\\\x{made.hex()}'::pg_catalog.bytea"
        except PgcryptError as error:
            error.position = slot.position
            self._observer.failed(slot.use.value, error, column.qualified_name)
            raise

    def _assigned(self, assigned: Assigned | None, data: bytes) -> bytes:
        """The value after it became that of EXECUTE's parameter."""
        if assigned is None:
            return data
        given = assigned.given
        if given is None:
            return codec.fit(assigned.declared, data, explicit=False)
        if given.typmod != -1:
            data = casts.convert(given.base, given, data, self.settings, explicit=True)
        if given.base == assigned.declared:
            return data
        return casts.convert(given.base, assigned.declared, data, self.settings)

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

    def sealing_keys(self, pieces: Sequence[str | LiteralSlot]) -> frozenset[int]:
        """The DEKs under which `render` seals literals now."""
        columns = {
            piece.column
            for piece in pieces
            if not isinstance(piece, str) and piece.text is not None and not piece.use.is_compared
        }
        active = self.keyring.active_keys if columns else {}
        found = {active.get(column.data_class) for column in columns if column.tenant is None}
        of_tenants = (column for column in columns if column.tenant is not None)
        found |= {self.keyring.tenants.active_id(column.data_class, self.tenants.of(column)) for column in of_tenants}
        return frozenset(key_id for key_id in found if key_id is not None)

    def _declared(self, column: ProtectedColumn, oid: int, is_array: bool) -> LogicalType | None:
        if oid in (0, UNKNOWN_OID):
            return None
        found = declared_type(column, oid, is_array=is_array)
        if found is None:
            raise InvalidValue(
                f'column "{column.name}" is of type {column.type} but the parameter has another type',
                hint="Declare the parameter with the column's type, or leave its type open.",
                sqlstate="42804",
            )
        return found

    def _read(self, source: LogicalType, value: bytes, format_code: int) -> bytes:
        if format_code == 1:
            data = codec.from_binary(source.base, self._recoded(source, value))
        else:
            data = codec.from_text(source.base, value, self.settings)
        # a parameter has no modifier, except that of its domain
        return data if source.domain is None else codec.fit(source, data, explicit=False)

    def _read_array(self, source: LogicalType, value: bytes, format_code: int) -> list[bytes | None]:
        if format_code == 1:
            recoded = None if self.encoding.is_utf8 else partial(self._recoded, source)
            return arrays.from_binary(source.base, value, recoded)
        return arrays.from_text(source.base, value, self.settings)

    def _recoded(self, source: LogicalType, value: bytes) -> bytes:
        """A client's binary value with its text, if it holds any, in UTF-8."""
        return value if self.encoding.is_utf8 else codec.with_texts(source, value, self.encoding.to_utf8)

    def _made(
        self, use: Use, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes
    ) -> bytes:
        if use in (Use.SEAL, Use.ALIKE):
            return self._seal(column, source, cast, data)
        return self._term(use, column, source, cast, data)

    def _element(
        self, use: Use, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes | None
    ) -> bytes | None:
        """One element of an array of terms or envelopes; NULL stays NULL."""
        if data is None:
            return None
        return self._made(ELEMENT_USES[use], column, source, cast, data)

    def _cast(self, source: LogicalType, cast: LogicalType | None, data: bytes) -> tuple[LogicalType, bytes]:
        """The value after the statement's own cast."""
        if cast is None or cast == source.base:
            return source, data
        return cast, casts.convert(source.base, cast, data, self.settings, explicit=True)

    def _seal(self, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes) -> bytes:
        source, data = self._cast(source, cast, data)
        base = source.base
        if base is not column.type and base != column.type:  # mostly they are one object; to compare two takes long
            data = casts.convert(base, column.type, data, self.settings)
        started = self._meter.clock()
        terms, flags = [], 0
        equality, folded = term_keys(column, data)
        if equality is not None:
            terms.append(self._equality_term(column, equality))
            flags |= FLAG_EQ
        if folded is not None:
            terms.append(self._casefold_term(column, folded))
            flags |= FLAG_EQCI
        tenant = "" if column.tenant is None else self.tenants.of(column)
        bound = column.id, column.data_class, tenant
        context = self._contexts.get(bound)
        if context is None:
            context = SealContext(*bound)
            if not tenant:  # of which there may be many
                self._contexts[bound] = context
        envelope = self.keyring.seal(context, data, terms, flags, column.index_generation)
        self._meter.add("seal", column.data_class, self._meter.clock() - started)
        return envelope

    def _term(
        self, use: Use, column: ProtectedColumn, source: LogicalType, cast: LogicalType | None, data: bytes
    ) -> bytes:
        source, data = self._cast(source, cast, data)
        started = self._meter.clock()
        if use is Use.TERM:
            term = self._equality_term(column, casts.search_key(column.type, source, data))
        else:
            term = self._casefold_term(column, _folded(use, column, source, data))
        self._meter.add("term", column.data_class, self._meter.clock() - started)
        return term

    def _equality_term(self, column: ProtectedColumn, key: bytes) -> bytes:
        return self.keyring.equality_term(column.index_domain, key, column.index_generation)

    def _casefold_term(self, column: ProtectedColumn, key: bytes) -> bytes:
        return self.keyring.casefold_term(column.index_domain, key, column.index_generation)

    def sealer(self, column: ProtectedColumn, *, is_binary: bool, skips_bad_values: bool) -> Sealer:
        """Turns a value of COPY data into its envelope, in the same format: in text as bytea's input takes it.

        `skips_bad_values`: what is none of the type becomes what is no bytea, so that the server skips the row.
        """

        def seal_value(value: bytes) -> bytes:
            try:
                data = self._copied(column, value, is_binary=is_binary)
                envelope = self._seal(column, column.type.base, None, data)
            except KeyNotLoaded:
                raise
            except PgcryptError as error:
                if skips_bad_values and is_certainly_bad(error, value):
                    return _NO_BYTEA
                self._observer.failed("seal", error, column.qualified_name)
                raise
            return envelope if is_binary else b"\\x" + envelope.hex().encode()

        return seal_value

    def _copied(self, column: ProtectedColumn, value: bytes, *, is_binary: bool) -> bytes:
        """A value of COPY data before the column's modifier is applied."""
        if is_binary:
            base = column.type.base
            return codec.from_binary(base, self._recoded(base, value))
        return codec.from_text(codec.literal_type(column.type), value, self.settings)

    def sealed_parts(
        self, column: ProtectedColumn, value: bytes, *, is_binary: bool
    ) -> tuple[bytes, bytes | None, bytes | None]:
        """What is sealed of a value of COPY data, and what its terms are made of, for compiled code to do it."""
        base, data = column.type.base, self._copied(column, value, is_binary=is_binary)
        if base != column.type:
            data = casts.convert(base, column.type, data, self.settings)
        return data, *term_keys(column, data)

    # -- to the client

    def opener(self, column: ProtectedColumn, format_code: int, tenant: str | None = None) -> Opener:
        """Turns the server's value of a protected column into the client's, in the format it asked for.

        `tenant` is the session's, where that decides what is opened. Raises KeyNotLoaded for keys to be loaded.
        """
        context = SealContext(column.id, column.data_class, "" if column.tenant is None else tenant or "")
        has_tenants = column.tenant is not None
        is_any = not column.is_of_session  # whose it is, the key says
        meter, logical, settings = self._meter, column.type, self.settings
        is_text = format_code == 0
        encoding = self.encoding
        is_recoded = not encoding.is_utf8 and codec.holds_text(logical)
        escaped = replace(settings, bytea_output="escape")

        def open_value(value: bytes) -> bytes:
            started = meter.clock()
            try:
                sealed = from_bytea_text(value) if is_text else value
                if has_tenants:
                    plaintext, _ = self.keyring.open_of_tenant(context, sealed, is_any=is_any)
                else:
                    plaintext = self.keyring.open(context, sealed)
                if is_text:
                    # the form that the envelope came in tells bytea_output, which the server does not report
                    data = codec.to_text(logical, plaintext, settings if value[:2] == b"\\x" else escaped)
                    if is_recoded:
                        data = encoding.from_utf8(data)
                else:
                    data = codec.to_binary(logical, plaintext)
                    if is_recoded:
                        data = codec.with_texts(logical, data, encoding.from_utf8)
            except KeyNotLoaded:
                raise
            except PgcryptError as error:
                self._observer.failed("open", error, column.qualified_name)
                if error.detail is None:
                    error.detail = f'Column "{column.qualified_name}".'
                raise
            meter.add("open", column.data_class, meter.clock() - started)
            return data

        return open_value


def term_keys(column: ProtectedColumn, data: bytes) -> tuple[bytes | None, bytes | None]:
    """The equality class and the case-folded one of a value of a column, each if it has a term of it."""
    return (
        codec.equality_key(column.type, data) if "equality" in column.search else None,
        casts.casefold_key(column.type, data, is_upper=column.is_folded_upper) if column.is_folded else None,
    )


def is_certainly_bad(error: PgcryptError, value: bytes) -> bool:
    """Whether the server, too, would find that a value of COPY data is none of its column's type."""
    if not isinstance(error, InvalidValue) or error.code in _NOT_SKIPPED:
        return False
    return error.code != _BAD_DATETIME or _DIGIT.search(value) is None


def _check_type(use: Use, column: ProtectedColumn, source: LogicalType) -> None:
    """PostgreSQL says so where there is no operator or assignment before it reads a value, of NULL too."""
    match ELEMENT_USES.get(use, use):
        case Use.SEAL if not casts.is_assignable(source, column.type):
            raise no_cast(source, column.type)
        case Use.ALIKE if not casts.is_alike(source, column.type):
            raise casts.no_match(column.type, source)
        case Use.TERM if not casts.is_comparable(column.type, source):
            raise casts.no_operator(column.type, source)


def _folded(use: Use, column: ProtectedColumn, source: LogicalType, data: bytes) -> bytes:
    """The case-folded key of a value that lower(column), or upper(column), is compared with. Raises Refusal."""
    if use is Use.PATTERN and _WILDCARDS.search(data):
        raise refuse.pattern(column)
    key = casts.casefold_key(source, data, is_upper=column.is_folded_upper)
    if use is Use.FOLDED and data != key[1:]:
        return _NO_TEXT
    return key
