"""Messages that a backend sends. `decode` takes the whole message with its header.

Manual: protocol-message-formats.html and protocol-error-fields.html. Every
`decode` raises MalformedMessage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.reader import MalformedMessage, Reader

PARSE_COMPLETE = writer.message(codes.PARSE_COMPLETE)
BIND_COMPLETE = writer.message(codes.BIND_COMPLETE)
CLOSE_COMPLETE = writer.message(codes.CLOSE_COMPLETE)
NO_DATA = writer.message(codes.NO_DATA)
PORTAL_SUSPENDED = writer.message(codes.PORTAL_SUSPENDED)
EMPTY_QUERY_RESPONSE = writer.message(codes.EMPTY_QUERY_RESPONSE)


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """One column of a RowDescription; table OID and attribute number are 0 for what is no table's column."""

    name: bytes
    table_oid: int
    attribute_number: int
    type_oid: int
    type_length: int
    type_modifier: int
    format_code: int


@dataclass(frozen=True, slots=True)
class RowDescription:
    """The columns of a result."""

    fields: tuple[FieldDescription, ...]

    @classmethod
    def decode(cls, raw: bytes) -> RowDescription:
        reader = Reader(raw)
        fields = tuple(
            FieldDescription(
                reader.string(),
                reader.oid(),
                _signed16(reader.int16()),
                reader.oid(),
                _signed16(reader.int16()),
                reader.int32(),
                reader.int16(),
            )
            for _ in range(reader.int16())
        )
        reader.end()
        return cls(fields)

    def encode(self) -> bytes:
        parts = [writer.int16(len(self.fields))]
        for f in self.fields:
            parts += (
                writer.string(f.name),
                writer.oid(f.table_oid),
                writer.int16(f.attribute_number & 0xFFFF),
                writer.oid(f.type_oid),
                writer.int16(f.type_length & 0xFFFF),
                writer.int32(f.type_modifier),
                writer.int16(f.format_code),
            )
        return writer.message(codes.ROW_DESCRIPTION, *parts)


def _signed16(value: int) -> int:
    return value - 0x10000 if value >= 0x8000 else value


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """The types of a prepared statement's parameters."""

    type_oids: tuple[int, ...]

    @classmethod
    def decode(cls, raw: bytes) -> ParameterDescription:
        reader = Reader(raw)
        made = cls(reader.array(reader.oid))
        reader.end()
        return made

    def encode(self) -> bytes:
        return writer.message(codes.PARAMETER_DESCRIPTION, writer.oids(self.type_oids))


@dataclass(frozen=True, slots=True)
class _Fields:
    """Code and value of each field, in order; unknown codes are kept."""

    fields: tuple[tuple[int, bytes], ...] = field(repr=False)

    @staticmethod
    def _read(raw: bytes) -> tuple[tuple[int, bytes], ...]:
        reader = Reader(raw)
        fields = []
        while code := reader.byte():
            fields.append((code, reader.string()))
        reader.end()
        return tuple(fields)

    def _write(self, kind: int) -> bytes:
        return writer.message(kind, *(bytes([c]) + writer.string(v) for c, v in self.fields), b"\0")

    def get(self, code: str) -> bytes | None:
        """The field with that code ("C", "M"...), if the server sent it."""
        wanted = ord(code)
        return next((value for key, value in self.fields if key == wanted), None)

    @property
    def sqlstate(self) -> str:
        """Field C; "XX000" when the server sent none."""
        return (self.get("C") or b"XX000").decode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class ErrorResponse(_Fields):
    """An error."""

    @classmethod
    def decode(cls, raw: bytes) -> ErrorResponse:
        return cls(cls._read(raw))

    def encode(self) -> bytes:
        return self._write(codes.ERROR_RESPONSE)


@dataclass(frozen=True, slots=True)
class NoticeResponse(_Fields):
    """A warning or notice."""

    @classmethod
    def decode(cls, raw: bytes) -> NoticeResponse:
        return cls(cls._read(raw))

    def encode(self) -> bytes:
        return self._write(codes.NOTICE_RESPONSE)


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """The server waits for the next request; `status` is "I", "T" or "E" as a byte."""

    status: int

    @classmethod
    def decode(cls, raw: bytes) -> ReadyForQuery:
        reader = Reader(raw)
        made = cls(reader.byte())
        reader.end()
        if made.status not in b"ITE":
            raise MalformedMessage("invalid transaction status")
        return made

    def encode(self) -> bytes:
        return writer.message(codes.READY_FOR_QUERY, bytes([self.status]))


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A run-time parameter's value."""

    name: bytes
    value: bytes

    @classmethod
    def decode(cls, raw: bytes) -> ParameterStatus:
        reader = Reader(raw)
        made = cls(reader.string(), reader.string())
        reader.end()
        return made

    def encode(self) -> bytes:
        return writer.message(codes.PARAMETER_STATUS, writer.string(self.name), writer.string(self.value))


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """A statement is done; `tag` is "INSERT 0 1" and the like."""

    tag: bytes

    @classmethod
    def decode(cls, raw: bytes) -> CommandComplete:
        reader = Reader(raw)
        made = cls(reader.string())
        reader.end()
        return made

    def encode(self) -> bytes:
        return writer.message(codes.COMMAND_COMPLETE, writer.string(self.tag))


@dataclass(frozen=True, slots=True)
class Authentication:
    """An authentication request; `code` is of codes.Authentication, `data` what follows it."""

    code: int
    data: bytes = field(default=b"", repr=False)

    @classmethod
    def decode(cls, raw: bytes) -> Authentication:
        reader = Reader(raw)
        return cls(reader.int32(), reader.rest())

    def encode(self) -> bytes:
        return writer.message(codes.AUTHENTICATION, writer.int32(self.code), self.data)


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """The cancel key; protocol 3.2 allows 4 to 256 bytes of secret."""

    process_id: int
    secret_key: bytes = field(repr=False)

    @classmethod
    def decode(cls, raw: bytes) -> BackendKeyData:
        reader = Reader(raw)
        made = cls(reader.int32(), reader.rest())
        if not 4 <= len(made.secret_key) <= 256:
            raise MalformedMessage("invalid cancel key length")
        return made

    def encode(self) -> bytes:
        return writer.message(codes.BACKEND_KEY_DATA, writer.int32(self.process_id), self.secret_key)


def error_response(error: PgcryptError, codec: str | None = "utf-8") -> bytes:
    """The ErrorResponse that says `error` to a client, whose encoding is `codec`: fields S, V, C, M, D, H, P and W."""
    fields = [("S", error.severity), ("V", error.severity), ("C", error.code), ("M", error.message)]
    optional = (("D", error.detail), ("H", error.hint), ("P", error.position), ("W", error.context))
    fields += [(code, str(value)) for code, value in optional if value is not None]
    return ErrorResponse(
        tuple((ord(code), value.replace("\0", "").encode(codec or "ascii", "replace")) for code, value in fields)
    ).encode()
