"""Messages that a frontend sends. `decode` takes the whole message with its header.

Manual: protocol-message-formats.html. Every `decode` raises MalformedMessage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.reader import Reader

SYNC = writer.message(codes.SYNC)
FLUSH = writer.message(codes.FLUSH)
TERMINATE = writer.message(codes.TERMINATE)
COPY_DONE = writer.message(codes.COPY_DONE)


def copy_fail(reason: bytes) -> bytes:
    """A CopyFail message."""
    return writer.message(codes.COPY_FAIL, writer.string(reason))


@dataclass(frozen=True, slots=True)
class Query:
    """A simple query. `text` is in the client's encoding."""

    text: bytes = field(repr=False)

    @classmethod
    def decode(cls, raw: bytes) -> Query:
        reader = Reader(raw)
        made = cls(reader.string())
        reader.end()
        return made

    def encode(self) -> bytes:
        return writer.message(codes.QUERY, writer.string(self.text))


@dataclass(frozen=True, slots=True)
class Parse:
    """Make a prepared statement; OID 0 leaves a parameter's type to the server."""

    statement_name: bytes
    query: bytes = field(repr=False)
    parameter_type_oids: tuple[int, ...] = ()

    @classmethod
    def decode(cls, raw: bytes) -> Parse:
        reader = Reader(raw)
        made = cls(reader.string(), reader.string(), reader.array(reader.oid))
        reader.end()
        return made

    def encode(self) -> bytes:
        return writer.message(
            codes.PARSE,
            writer.string(self.statement_name),
            writer.string(self.query),
            writer.oids(self.parameter_type_oids),
        )


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a portal from a prepared statement. A parameter of None is NULL."""

    destination_portal: bytes
    statement_name: bytes
    parameter_format_codes: tuple[int, ...] = ()
    parameters: tuple[bytes | None, ...] = field(default=(), repr=False)
    result_format_codes: tuple[int, ...] = ()

    @classmethod
    def decode(cls, raw: bytes) -> Bind:
        reader = Reader(raw)
        portal, statement = reader.string(), reader.string()
        formats = reader.int16s()
        parameters = reader.values()
        results = reader.int16s()
        reader.end()
        return cls(portal, statement, formats, parameters, results)

    def encode(self) -> bytes:
        return writer.message(
            codes.BIND,
            writer.string(self.destination_portal),
            writer.string(self.statement_name),
            writer.array16(self.parameter_format_codes),
            writer.int16(len(self.parameters)),
            writer.values(self.parameters),
            writer.array16(self.result_format_codes),
        )


def bind_names(start: bytes) -> tuple[bytes, bytes]:
    """The portal and the statement that a Bind names, read from its start. Raises MalformedMessage."""
    reader = Reader(start)
    return reader.string(), reader.string()


@dataclass(frozen=True, slots=True)
class _Named:
    """Describe and Close: `kind` is "S" (prepared statement) or "P" (portal)."""

    kind: int
    name: bytes

    @classmethod
    def _read(cls, raw: bytes) -> tuple[int, bytes]:
        reader = Reader(raw)
        kind, name = reader.byte(), reader.string()
        reader.end()
        return kind, name


@dataclass(frozen=True, slots=True)
class Describe(_Named):
    """Ask what a prepared statement or portal takes and returns."""

    @classmethod
    def decode(cls, raw: bytes) -> Describe:
        return cls(*cls._read(raw))

    def encode(self) -> bytes:
        return writer.message(codes.DESCRIBE, bytes([self.kind]), writer.string(self.name))


@dataclass(frozen=True, slots=True)
class Close(_Named):
    """Drop a prepared statement or portal."""

    @classmethod
    def decode(cls, raw: bytes) -> Close:
        return cls(*cls._read(raw))

    def encode(self) -> bytes:
        return writer.message(codes.CLOSE, bytes([self.kind]), writer.string(self.name))


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a portal; `max_rows` 0 or less means all."""

    portal: bytes
    max_rows: int = 0

    @classmethod
    def decode(cls, raw: bytes) -> Execute:
        reader = Reader(raw)
        made = cls(reader.string(), reader.int32())
        reader.end()
        return made

    def encode(self) -> bytes:
        return writer.message(codes.EXECUTE, writer.string(self.portal), writer.int32(self.max_rows))
