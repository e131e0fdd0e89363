"""SASL's messages and the startup packet of another user."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.wire import sasl, startup
from pgcrypt_proxy.wire.backend import Authentication
from pgcrypt_proxy.wire.framing import FrameBuffer
from pgcrypt_proxy.wire.reader import MalformedMessage
from tests.session.conversations import startup as packet


def test_offers() -> None:
    raw = sasl.offer("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert raw == b"R\0\0\0\x2a\0\0\0\nSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    assert sasl.mechanisms(Authentication.decode(raw)) == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")


@pytest.mark.parametrize("data", [b"", b"\0", b"SCRAM-SHA-256", b"SCRAM-SHA-256\0"])
def test_unterminated_offers(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        sasl.mechanisms(Authentication(10, data))


@pytest.mark.parametrize("data", [b"", b"n,,n=,r=x", None])
def test_initial_responses(data: bytes | None) -> None:
    made = sasl.InitialResponse("SCRAM-SHA-256", data)
    assert sasl.InitialResponse.decode(made.encode()) == made


@pytest.mark.parametrize(
    "body", [b"", b"SCRAM", b"S\0", b"S\0\0\0\0\2x", b"S\0\0\0\0\0x", b"S\0\xff\xff\xff\xfe", b"S\0\x7f\xff\xff\xffx"]
)
def test_malformed_initial_responses(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        sasl.InitialResponse.decode(b"p" + (len(body) + 4).to_bytes(4, "big") + body)


def test_responses() -> None:
    assert sasl.response_data(sasl.response(b"c=biws")) == b"c=biws"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"user": "a", "database": "d"}, {"user": "z", "database": "d"}),
        ({"user": "a"}, {"user": "z", "database": "a"}),
        ({"user": "a", "database": ""}, {"user": "z", "database": "a"}),
        ({"user": "a", "options": "-c x=y", "database": "d"}, {"user": "z", "options": "-c x=y", "database": "d"}),
    ],
)
def test_another_user(given: dict[str, str], expected: dict[str, str]) -> None:
    message = startup.decode(packet(**given))
    assert isinstance(message, startup.StartupMessage)
    again = startup.decode(startup.to_server(message, "z"))
    assert isinstance(again, startup.StartupMessage)
    assert again.parameters == expected
    assert (again.protocol_major, again.protocol_minor) == (3, 0)


def test_a_second_user_in_the_packet_is_gone() -> None:
    raw = packet(user="a", database="d")[8:-1] + b"user\0b\0\0"
    message = startup.decode((len(raw) + 8).to_bytes(4, "big") + b"\0\3\0\0" + raw)
    assert isinstance(message, startup.StartupMessage)
    assert message.parameters["user"] == "b"  # the last one counts, as for the server
    assert startup.to_server(message, "z").count(b"user\0") == 1


def test_a_limit_comes_and_goes() -> None:
    buffer = FrameBuffer("backend", 1000)
    buffer.limit(100)
    buffer.feed(b"N\0\0\0\x65")
    with pytest.raises(Exception, match="invalid message length"):
        buffer.take()
    buffer.limit(None)
    assert buffer.take() is None
    buffer.limit(5000)  # never over the usual one
    buffer.feed(b"x" * 0x61 + b"N\0\0\x0f\xff")
    assert buffer.take() is not None
    with pytest.raises(Exception, match="invalid message length"):
        buffer.take()
