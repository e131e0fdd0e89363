"""How the sockets of both legs are set up."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When a peer that says nothing is asked whether it is there, how often again, and how often in vain.

    As tcp_keepalives_idle, _interval and _count of PostgreSQL: 0 is the system's own.
    """

    idle_s: int
    interval_s: int
    count: int


def tune(sock: socket.socket | None, keepalive: Keepalive) -> None:
    """No delay for small messages, and keepalive so that a vanished peer is noticed."""
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", keepalive.idle_s),
        ("TCP_KEEPINTVL", keepalive.interval_s),
        ("TCP_KEEPCNT", keepalive.count),
    ):
        if value and hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
