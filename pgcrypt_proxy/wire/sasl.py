"""SASL inside the protocol's authentication messages: mechanism lists and the client's two answers.

Manual: protocol-message-formats.html (AuthenticationSASL, SASLInitialResponse,
SASLResponse). What the mechanisms say is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.backend import Authentication
from pgcrypt_proxy.wire.reader import MalformedMessage, Reader

SCRAM_SHA_256 = "SCRAM-SHA-256"
SCRAM_SHA_256_PLUS = "SCRAM-SHA-256-PLUS"


def mechanisms(request: Authentication) -> tuple[str, ...]:
    """The names in an AuthenticationSASL. Raises MalformedMessage."""
    if not request.data.endswith(b"\0\0"):
        raise MalformedMessage("invalid string in message")
    return tuple(name.decode("ascii", "replace") for name in request.data.split(b"\0") if name)


def offer(*names: str) -> bytes:
    """AuthenticationSASL."""
    return Authentication(codes.Authentication.SASL, b"".join(name.encode() + b"\0" for name in names) + b"\0").encode()


@dataclass(frozen=True, slots=True)
class InitialResponse:
    """SASLInitialResponse: the mechanism chosen, and its first message (None when the client sent none)."""

    mechanism: str
    data: bytes | None = field(repr=False)

    @classmethod
    def decode(cls, raw: bytes) -> InitialResponse:
        reader = Reader(raw)
        name, data = reader.string(), reader.value()
        reader.end()
        return cls(name.decode("ascii", "replace"), data)

    def encode(self) -> bytes:
        return writer.message(codes.PASSWORD, writer.string(self.mechanism.encode()), writer.values([self.data]))


def response(data: bytes) -> bytes:
    """SASLResponse."""
    return writer.message(codes.PASSWORD, data)


def response_data(raw: bytes) -> bytes:
    """What a SASLResponse carries."""
    return Reader(raw).rest()
