"""Addresses that several processes listen on, each with a socket of its own (SO_REUSEPORT).

The kernel gives such an address to any process of the same user, so it is held
here for as long as the proxy runs, and that nobody else listens there is looked
at first: else two proxies would share their clients without a word.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from pgcrypt_proxy.server.listener import cannot_listen


@dataclass(frozen=True, slots=True)
class Held:
    """The sockets that hold the addresses; none of them listens."""

    sockets: tuple[socket.socket, ...]
    port: int

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


def hold(hosts: str, port: int) -> Held:
    """Hold `port` (0: one that is free) of all hosts. Raises ConfigError."""
    held: list[socket.socket] = []
    for host in hosts.split(","):
        try:
            found = socket.getaddrinfo(host.strip() or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, *_, address in dict.fromkeys(found):
                place = address[0], port, *address[2:]
                _bound(family, place, is_shared=False).close()
                held.append(_bound(family, place, is_shared=True))
                port = held[-1].getsockname()[1]
        except OSError as error:
            Held(tuple(held), port).close()
            raise cannot_listen(f"{host}:{port}", error) from None
    return Held(tuple(held), port)


def _bound(family: int, place: tuple[object, ...], *, is_shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
    except BaseException:
        made.close()
        raise
    return made
