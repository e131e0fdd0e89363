"""The header of the PROXY protocol, version 2, in which a load balancer says who connects to it.

Specification: haproxy.org, proxy-protocol.txt, section 2.2. What else the header
holds (TLV fields) is skipped.
"""

from __future__ import annotations

import ipaddress
import struct

from pgcrypt_proxy.errors import FrontendProtocolError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
#: Far more than addresses and the usual TLV fields.
MAX_REST = 4096
_HEAD = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
#: TCP over IPv4 and over IPv6: how long an address is.
_ADDRESS_LENGTHS = {0x11: 4, 0x21: 16}


class ProxyHeader:
    """Takes the first bytes of a connection. `host` is the client's address, empty where the header names none."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.host = ""

    def feed(self, data: bytes) -> bytes | None:
        """What follows the header, None while it is not complete. Raises FrontendProtocolError when it is none."""
        self._data += data
        start = bytes(self._data[: len(SIGNATURE)])
        if not SIGNATURE.startswith(start):
            raise FrontendProtocolError("the connection does not begin with a PROXY protocol header")
        if len(self._data) < _HEAD.size:
            return None
        _, command, family, rest = _HEAD.unpack_from(self._data)
        if command not in (_LOCAL, _PROXY) or rest > MAX_REST:
            raise FrontendProtocolError("the PROXY protocol header is not valid")
        if len(self._data) < _HEAD.size + rest:
            return None
        if command == _PROXY:
            self._read_host(family, rest)
        return bytes(self._data[_HEAD.size + rest :])

    def _read_host(self, family: int, rest: int) -> None:
        length = _ADDRESS_LENGTHS.get(family)
        if length is None:
            return  # another kind of connection: nothing is known of who it is
        if rest < 2 * length + 4:
            raise FrontendProtocolError("the PROXY protocol header is not valid")
        self.host = str(ipaddress.ip_address(bytes(self._data[_HEAD.size : _HEAD.size + length])))
