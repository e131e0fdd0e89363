"""Packets without a type byte: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.

Manual: protocol-flow.html, "Start-up"; the error texts are PostgreSQL's (backend_startup.c).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pgcrypt_proxy.errors import FrontendProtocolError, ProtocolError
from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.framing import NoStartupPacket

_CODE = struct.Struct("!I")
_HEAD = struct.Struct("!iI")
#: Protocol 3.2: that of PostgreSQL 18.
NEWEST_MINOR = 2
#: Parameters that are named so change the protocol itself.
EXTENSION_PREFIX = "_pq_."


@dataclass(frozen=True, slots=True)
class SslRequest:
    """The client asks for TLS."""


@dataclass(frozen=True, slots=True)
class GssEncRequest:
    """The client asks for GSSAPI encryption."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """The client asks to cancel a statement of another connection. `packet` is relayed as it came."""

    packet: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """The client opens a session. `packet` is relayed as it came."""

    protocol_major: int
    protocol_minor: int
    parameters: dict[str, str] = field(repr=False)
    packet: bytes = field(repr=False)

    @property
    def extensions(self) -> tuple[str, ...]:
        """Protocol extensions that the client asks for; there are none."""
        return tuple(name for name in self.parameters if name.startswith(EXTENSION_PREFIX))

    @property
    def is_to_be_negotiated(self) -> bool:
        """Whether the client asks for more than protocol 3.2 has."""
        return self.protocol_minor > NEWEST_MINOR or bool(self.extensions)


StartupPacket = SslRequest | GssEncRequest | CancelRequest | StartupMessage


class UnsupportedProtocol(ProtocolError):
    """The client speaks another major protocol version. `is_protocol_2`: it expects an error of that form."""

    sqlstate = "0A000"

    def __init__(self, code: int) -> None:
        major, minor = code >> 16, code & 0xFFFF
        super().__init__(f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}")
        self.is_protocol_2 = major < 3


class NoUser(ProtocolError):
    """The startup packet names no user."""

    sqlstate = "28000"


def decode(packet: bytes) -> StartupPacket:
    """What a packet of the startup phase is; `packet` includes its length.

    Raises ProtocolError with the server's own text and SQLSTATE.
    """
    if len(packet) < 8:
        raise NoStartupPacket("invalid length of startup packet")
    code: int = _CODE.unpack_from(packet, 4)[0]
    if code == codes.SSL_REQUEST_CODE:
        return SslRequest()
    if code == codes.GSSENC_REQUEST_CODE:
        return GssEncRequest()
    if code == codes.CANCEL_REQUEST_CODE:
        if not 16 <= len(packet) <= 12 + 256:
            raise NoStartupPacket("invalid length of cancel request packet")
        return CancelRequest(packet)
    major, minor = code >> 16, code & 0xFFFF
    if major != 3:
        raise UnsupportedProtocol(code)
    parameters = _parameters(packet)
    if not parameters.get("user"):
        raise NoUser("no PostgreSQL user name specified in startup packet")
    return StartupMessage(major, minor, parameters, packet)


def to_server(message: StartupMessage, user: str | None = None) -> bytes:
    """The StartupMessage for a server that the proxy logs in to, whose client it has answered about the protocol.

    With another `user` the database stays, also where the user was its default.
    """
    if user is None and not message.is_to_be_negotiated:
        return message.packet
    parameters = {name: value for name, value in message.parameters.items() if not name.startswith(EXTENSION_PREFIX)}
    if user is not None:
        parameters["database"] = parameters.get("database") or parameters["user"]
        parameters["user"] = user
    pairs = b"".join(_encoded(text) + b"\0" for pair in parameters.items() for text in pair)
    minor = min(message.protocol_minor, NEWEST_MINOR)
    return _HEAD.pack(_HEAD.size + len(pairs) + 1, message.protocol_major << 16 | minor) + pairs + b"\0"


def negotiation(message: StartupMessage) -> bytes:
    """NegotiateProtocolVersion: what of the client's wishes is not to be had."""
    minor = min(message.protocol_minor, NEWEST_MINOR)
    options = message.extensions
    return writer.message(
        codes.NEGOTIATE_PROTOCOL_VERSION,
        writer.int32(message.protocol_major << 16 | minor),
        writer.int32(len(options)),
        *(writer.string(_encoded(name)) for name in options),
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _parameters(packet: bytes) -> dict[str, str]:
    """Name/value pairs of NUL-terminated strings, then one more NUL."""
    parameters: dict[str, str] = {}
    at, end = 8, len(packet)
    while at < end and packet[at] != 0:
        name_end = packet.find(b"\0", at)
        value_end = packet.find(b"\0", name_end + 1) if name_end >= 0 else -1
        if value_end < 0:
            break
        name = packet[at:name_end].decode("utf-8", "surrogateescape")
        parameters[name] = packet[name_end + 1 : value_end].decode("utf-8", "surrogateescape")
        at = value_end + 1
    if at != end - 1:
        raise FrontendProtocolError("invalid startup packet layout: expected terminator as last byte")
    return parameters
