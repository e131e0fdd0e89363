"""Everything that reads bytes from elsewhere, each as a function of any bytes that must return.

A target accepts its input, or meets an error that is listed here; every other
exception is a finding, and so is an assertion about what was read.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator

from pgcrypt_proxy.crypto import envelope
from pgcrypt_proxy.crypto.scram import Verifier, decode_base64
from pgcrypt_proxy.errors import InvalidValue, OpenError, PgcryptError, ProtocolError
from pgcrypt_proxy.values import arrays, codec
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import LogicalType, type_by_name
from pgcrypt_proxy.wire import backend, frontend, rows, sasl, startup
from pgcrypt_proxy.wire.copy_binary import BinaryReplacer
from pgcrypt_proxy.wire.copy_format import CopyDataError
from pgcrypt_proxy.wire.framing import FrameBuffer
from pgcrypt_proxy.wire.proxy_header import ProxyHeader
from tests.wire.test_copy_lines import FORMATS, act, cut, expected, replacer
from tests.wire.test_copy_lines import run as run_lines

Target = Callable[[bytes], None]
SETTINGS = TextSettings()

FRONTEND = {
    ord("Q"): frontend.Query,
    ord("P"): frontend.Parse,
    ord("B"): frontend.Bind,
    ord("D"): frontend.Describe,
    ord("C"): frontend.Close,
    ord("E"): frontend.Execute,
}
BACKEND = {
    ord("T"): backend.RowDescription,
    ord("t"): backend.ParameterDescription,
    ord("E"): backend.ErrorResponse,
    ord("N"): backend.NoticeResponse,
    ord("Z"): backend.ReadyForQuery,
    ord("S"): backend.ParameterStatus,
    ord("C"): backend.CommandComplete,
    ord("R"): backend.Authentication,
    ord("K"): backend.BackendKeyData,
}


def _messages(data: bytes, decoders: dict[int, type]) -> None:
    """The first byte chooses the type; what is read is written as it came."""
    if not data:
        return
    decoder = decoders.get(data[0]) or [*decoders.values()][data[0] % len(decoders)]
    raw = bytes([next(kind for kind, one in decoders.items() if one is decoder)])
    raw += struct.pack("!i", len(data) + 3) + data[1:]
    with contextlib.suppress(ProtocolError):
        message = decoder.decode(raw)
        assert decoder.decode(message.encode()) == message
        repr(message)


def frontend_messages(data: bytes) -> None:
    _messages(data, FRONTEND)


def backend_messages(data: bytes) -> None:
    _messages(data, BACKEND)


def _framed(side: str, parts: list[bytes]) -> tuple[list[bytes], bool]:
    """The messages of a stream that comes in those parts, and whether it ended in an error."""
    buffer = FrameBuffer("frontend" if side == "frontend" else "backend")
    taken: list[bytes] = []
    try:
        for part in parts:
            buffer.feed(part)
            while (raw := buffer.take()) is not None:
                taken.append(raw)
    except ProtocolError:
        return taken, True
    return taken, False


def framing(data: bytes) -> None:
    """However the stream is cut, its messages are the same."""
    side, step, stream = ("frontend", "backend")[data[:1] > b"\x7f"], 1 + len(data) % 7, data[1:]
    whole = _framed(side, [stream])
    assert _framed(side, [stream[at : at + step] for at in range(0, len(stream), step)]) == whole
    assert stream.startswith(b"".join(whole[0]))


def startup_packets(data: bytes) -> None:
    buffer = FrameBuffer("frontend")
    buffer.feed(data)
    with contextlib.suppress(ProtocolError):
        while (packet := buffer.take_startup()) is not None:
            message = startup.decode(packet)
            if isinstance(message, startup.StartupMessage):
                again = startup.decode(startup.to_server(message))
                assert isinstance(again, startup.StartupMessage)
                assert again.parameters == {k: v for k, v in message.parameters.items() if k in again.parameters}
                startup.negotiation(message)


def login_messages(data: bytes) -> None:
    for decode in (sasl.InitialResponse.decode, sasl.response_data):
        with contextlib.suppress(ProtocolError):
            decode(b"p" + struct.pack("!i", len(data) + 4) + data)
    with contextlib.suppress(ProtocolError):
        sasl.mechanisms(backend.Authentication(10, data))
    decode_base64(data)
    with contextlib.suppress(UnicodeDecodeError):
        found = Verifier.parse(data.decode())
        assert found is None or Verifier.parse(found.text()) == found


def proxy_headers(data: bytes) -> None:
    header = ProxyHeader()
    with contextlib.suppress(ProtocolError):
        for byte in data:
            if header.feed(bytes([byte])) is not None:
                return


def data_rows(data: bytes) -> None:
    """What is not replaced keeps its bytes; what is, its place."""
    raw = b"D" + struct.pack("!i", len(data) + 4) + data
    try:
        values = rows.split(data)
    except ProtocolError:
        values = None
    for chosen in ("-", "x", "-x"):
        actions = [bytes.upper if mark == "x" else None for mark in (chosen * 40)[: len(values or ())]]
        try:
            made = rows.replace(raw, actions)
        except ProtocolError:
            assert values is None
            continue
        assert values is not None
        wanted = [v if a is None or v is None else a(v) for v, a in zip(values, actions, strict=True)]
        assert rows.split(made[5:]) == wanted


def copy_lines(data: bytes) -> None:
    """Text and CSV, as the slow reading of the same data has them."""
    if len(data) < 2 or len(data) > 2000:
        return
    format_, width, stream = FORMATS[data[0] % len(FORMATS)], 1 + data[1] % 3, data[2:]
    for marker in (False, True):
        wanted = expected(stream, format_, width, marker)
        assert run_lines(replacer(format_, width, marker_ends_csv=marker), [stream]) == wanted
        places = [data[0] % 50, data[1] % 80]
        assert run_lines(replacer(format_, width, marker_ends_csv=marker), cut(stream, places)) == wanted


def copy_binary(data: bytes) -> None:
    def run(parts: list[bytes]) -> bytes | None:
        made = BinaryReplacer((None, act, act))
        try:
            return b"".join([*(made.feed(part) for part in parts), made.finish()])
        except PgcryptError as error:
            assert isinstance(error, CopyDataError) or error.code == "54000" or "size" in error.message
            return None

    assert run([data]) == run([bytes([byte]) for byte in data])


def envelopes(data: bytes) -> None:
    try:
        found = envelope.parse(data)
    except OpenError as error:
        assert error.message == envelope.malformed().message
        return
    assert found.header + found.nonce + found.sealed == data
    assert envelope.header(found.flags, found.key_id, found.terms) == found.header
    repr(found)


def _value(type_: LogicalType, data: bytes, *, is_text: bool) -> None:
    try:
        made = codec.from_text(codec.literal_type(type_), data, SETTINGS) if is_text else codec.from_binary(type_, data)
        shown = codec.to_text(type_, made, SETTINGS)
    except InvalidValue as error:
        assert error.code[:2] in ("22", "54", "08", "0A", "XX", "42"), error.code
        assert repr(data)[2:-1] not in error.message or len(data) < 16  # or it is a type's name
        return
    assert codec.from_binary(type_, made) == made
    if codec.has_equality(type_):
        codec.equality_key(type_, made)
    if type_.name not in ("interval", "float4", "float8"):  # whose texts may not read as their parts
        assert codec.from_text(type_, shown, SETTINGS) == made


def _values(*names: str) -> Target:
    """Any bytes as text or as binary of those types."""
    types = [type_by_name(name) for name in names]

    def target(data: bytes) -> None:
        if data:
            _value(types[data[0] % len(types)], data[1:], is_text=data[0] >= 0x80)

    return target


def array_values(data: bytes) -> None:
    if not data:
        return
    element = type_by_name(("int4", "text", "numeric", "bytea", "timestamptz")[data[0] % 5])
    with contextlib.suppress(InvalidValue):
        read = arrays.from_text if data[0] >= 0x80 else arrays.from_binary
        items = read(element, data[1:], SETTINGS) if read is arrays.from_text else arrays.from_binary(element, data[1:])
        arrays.bytea_array(items)
    _value(type_by_name(f"{element.name}[]"), data[1:], is_text=data[0] >= 0x80)


def by_name() -> Iterator[tuple[str, Target]]:
    from tests.decoders import sessions

    yield from (
        ("frontend_messages", frontend_messages),
        ("backend_messages", backend_messages),
        ("framing", framing),
        ("startup_packets", startup_packets),
        ("login_messages", login_messages),
        ("proxy_headers", proxy_headers),
        ("data_rows", data_rows),
        ("copy_lines", copy_lines),
        ("copy_binary", copy_binary),
        ("envelopes", envelopes),
        ("jsonb_values", _values("jsonb", "json")),
        ("numeric_values", _values("numeric", "numeric(12,3)", "float8", "float4", "int8", "int2", "oid")),
        ("datetime_values", _values("timestamptz", "timestamp", "date", "time", "timetz", "interval")),
        ("other_values", _values("bytea", "uuid", "bool", "inet", "cidr", "macaddr", "macaddr8", "varbit")),
        ("array_values", array_values),
        ("sql_literals", sessions.sql_literals),
        ("sql_texts", sessions.sql_texts),
        ("client_bytes", sessions.client_bytes),
        ("server_bytes", sessions.server_bytes),
        ("login_bytes", sessions.login_bytes),
    )


TARGETS: dict[str, Target] = dict(by_name())
