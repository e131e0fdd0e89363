"""Whose each value is: a tenant's name, in the one spelling that keys are known by."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial

from pgcrypt_proxy.errors import InvalidValue, KeyUnavailable, WrongTenant
from pgcrypt_proxy.session.encodings import ClientEncoding
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.tenant_values import TenantElements, TenantFrom, TenantLiteral, TenantParameter, are_relatives
from pgcrypt_proxy.sql.tenants import no_tenant
from pgcrypt_proxy.values import arrays, casts, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import UNKNOWN_OID, LogicalType, element_of, type_by_oid

MAX_TENANT_BYTES = 200
#: No value of a tenant's column is written differently under other settings.
_SETTINGS = TextSettings()


def checked(name: str) -> str:
    """The name, if a tenant may have it. Raises InvalidValue."""
    is_sound = 0 < len(name.encode()) <= MAX_TENANT_BYTES and name == name.strip()
    if not is_sound or any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidValue(
            "that is no name of a tenant",
            hint=f"It has 1 to {MAX_TENANT_BYTES} bytes, no spaces at its ends and no control characters.",
            sqlstate="22023",
        )
    return name


class Tenants:
    """The tenants of one statement's values, as far as they are known. `session` is pgcrypt.tenant, None unset.

    Of a Bind `parameters` are read before its values; of COPY data `row` is, row by row.
    """

    def __init__(self) -> None:
        self.session: str | None = None
        self.parameters: dict[TenantParameter, str | None] = {}
        #: of an array parameter's elements, and which of them is sealed now
        self.elements: dict[TenantElements, list[str | None]] = {}
        self.element = 0
        self.row: bytes | None = None
        self._read_row: Callable[[bytes], str] | None = None
        self._last_row: tuple[bytes, str] | None = None
        self.encoding: Callable[[], ClientEncoding] | None = None

    def of(self, column: ProtectedColumn) -> str:
        """Whose value goes into `column`. Raises Refusal where there is none, InvalidValue for what is no name."""
        where = column.tenant_value
        found: str | None = None
        if isinstance(where, TenantLiteral):
            found = _named(where.type, codec.from_text(where.type, where.text.encode(), _SETTINGS))
        elif isinstance(where, TenantParameter):
            if where not in self.parameters:
                raise KeyUnavailable("the tenant of a value is not known")  # and it is not sealed for anybody
            found = self.parameters[where]
        elif isinstance(where, TenantElements):
            names = self.elements.get(where, [])
            found = names[self.element] if self.element < len(names) else None
        elif where is TenantFrom.ROW:
            found = self._of_row()
        elif where is TenantFrom.SESSION:
            if self.session is None:
                raise WrongTenant("the session has no tenant, and writes values of tenants")
            return self.session
        if found is None:
            raise no_tenant(column)
        return found

    def read_parameter(self, where: TenantParameter, value: bytes | None, oid: int, format_code: int) -> None:
        """Note whom a parameter of the client names. Raises InvalidValue."""
        if value is None:
            self.parameters[where] = None
            return
        given = _given(where, oid, type_by_oid)
        if format_code == 1:
            data = codec.from_binary(given, self._utf8(given, value))
        else:
            data = codec.from_text(given, self._utf8(None, value), _SETTINGS)
        self.parameters[where] = _converted(given, where.type, data)

    def read_elements(self, where: TenantElements, value: bytes | None, oid: int, format_code: int) -> None:
        """The same for the elements of an array."""
        given = _given(where, oid, element_of)
        if value is None:
            items: list[bytes | None] = []
        elif format_code == 1:
            items = arrays.from_binary(given, value, partial(self._utf8, given))
        else:
            items = arrays.from_text(given, self._utf8(None, value), _SETTINGS)
        self.elements[where] = [None if item is None else _converted(given, where.type, item) for item in items]

    def _utf8(self, given: LogicalType | None, value: bytes) -> bytes:
        encoding = self.encoding() if self.encoding is not None else None
        if encoding is None or encoding.is_utf8 or (given is not None and not codec.holds_text(given)):
            return value
        return encoding.to_utf8(value)

    # -- rows of COPY data, which come in UTF-8 only

    def start_rows(self, type_: LogicalType, *, is_binary: bool) -> None:
        """Rows come whose tenants are values of that type."""

        def read(value: bytes) -> str:
            data = codec.from_binary(type_, value) if is_binary else codec.from_text(type_, value, _SETTINGS)
            return _named(type_, data)

        self._read_row, self._last_row, self.row = read, None, None

    def on_row(self, value: bytes | None) -> None:
        """The tenant's field of the row whose values come next."""
        self.row = value

    def _of_row(self) -> str | None:
        if self.row is None or self._read_row is None:
            return None
        if self._last_row is None or self._last_row[0] != self.row:
            self._last_row = self.row, self._read_row(self.row)
        return self._last_row[1]


def _given(
    where: TenantParameter | TenantElements, oid: int, type_of: Callable[[int], LogicalType | None]
) -> LogicalType:
    """The type that a parameter (of its elements, for an array) has. Raises InvalidValue for one that is of no use."""
    if oid in (0, UNKNOWN_OID):
        return where.cast or where.type.base
    declared = type_of(oid)
    if declared is None or not are_relatives(declared, where.type):
        raise InvalidValue(
            "the parameter that names the tenant has another type than its column",
            hint="Declare the parameter with the column's type, or leave its type open.",
            sqlstate="42804",
        )
    return declared


def _converted(given: LogicalType, type_: LogicalType, data: bytes) -> str:
    """The name that a value of the one type is in a column of the other."""
    return _named(type_.base, data if given.name == type_.name else casts.convert(given, type_.base, data))


def _named(type_: LogicalType, data: bytes) -> str:
    return checked(codec.to_text(type_, data, _SETTINGS).decode())
