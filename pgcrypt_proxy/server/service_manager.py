"""What systemd, or another service manager of its kind, is told: sd_notify's datagrams, and its watchdog.

Manual: sd_notify(3). Whoever started us without NOTIFY_SOCKET hears nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping

from pgcrypt_proxy.server import log

#: What is for this process, and not for those that it starts.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceManager:
    """Where `environment` leads to. Telling never waits, and never fails."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s: float | None = None
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            with contextlib.suppress(ValueError):
                self.watchdog_s = int(environment.get("WATCHDOG_USEC", "")) / 1e6 or None

    def tell(self, *assignments: str) -> None:
        """For example `READY=1`; several arrive as one."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.get().warning("service manager not told", error=type(error).__name__)

    def ready(self, status: str) -> None:
        self.tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        self.tell("STOPPING=1", "STATUS=letting transactions finish")

    async def feed_watchdog(self) -> None:
        """As long as the event loop turns. Never returns where there is a watchdog."""
        while self.watchdog_s is not None:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 2)
