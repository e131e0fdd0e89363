"""The PROXY protocol's header, whole and in pieces, and what is none."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from pgcrypt_proxy.errors import FrontendProtocolError
from pgcrypt_proxy.wire.proxy_header import MAX_REST, SIGNATURE, ProxyHeader


def header(host: str, *, command: int = 0x21, extra: bytes = b"") -> bytes:
    address = ipaddress.ip_address(host)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed * 2 + struct.pack("!HH", 40000, 5432) + extra
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("extra", [b"", b"\x04\0\x03abc"])
def test_the_client_is_who_the_header_says(host: str, extra: bytes) -> None:
    whole = header(host, extra=extra)
    for step in (1, 7, len(whole)):
        read = ProxyHeader()
        for at in range(0, len(whole) - step, step):
            assert read.feed(whole[at : at + step]) is None
        at = (len(whole) - 1) // step * step
        assert read.feed(whole[at:] + b"rest") == b"rest"
        assert read.host == host


def test_a_health_check_names_nobody() -> None:
    read = ProxyHeader()
    assert read.feed(header("192.0.2.7", command=0x20)) == b""
    assert read.host == ""
    unix = SIGNATURE + struct.pack("!BBH", 0x21, 0x31, 216) + bytes(216)
    assert ProxyHeader().feed(unix + b"x") == b"x"


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11" + struct.pack("!H", MAX_REST + 1),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(FrontendProtocolError):
        ProxyHeader().feed(data)
