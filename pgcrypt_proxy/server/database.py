"""The proxy's own connection to the protected database: blocking work, one job at a time, in a thread of its own.

Knows connecting, listening and threads; what is done there is the jobs' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from pgcrypt_proxy.ops.connect import connect, readable_errors

T = TypeVar("T")

CATALOG_CHANNEL, KEYRING_CHANNEL = "pgcrypt_catalog", "pgcrypt_keyring"
CHANNELS = (CATALOG_CHANNEL, KEYRING_CHANNEL)


class Database:
    """Connects when it is needed, and again after the connection was lost."""

    def __init__(self, url: str, *, connect_timeout_s: int, channels: tuple[str, ...] = CHANNELS) -> None:
        self._url = url
        self._channels = channels
        self._connect_timeout_s = connect_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._connection: psycopg.Connection | None = None
        self._told: set[str] = set()

    async def run(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Do `work` with the connection. Raises PgcryptError, also when there is none to be had or it was lost."""

        def job() -> T:
            with readable_errors("working on the database"):
                return work(self.connected())

        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def connected(self) -> psycopg.Connection:
        """The connection, for the thread that has the jobs (or the one that starts the proxy)."""
        if self._connection is None or self._connection.closed:
            if self._connection is not None:  # told while nobody listened; after the first connect all is loaded anyway
                self._told.update(self._channels)
            self._connection = connect(self._url, connect_timeout_s=self._connect_timeout_s)
            self._connection.add_notify_handler(lambda notify: self._told.add(notify.channel))
            for channel in self._channels:
                self._connection.execute(f"LISTEN {channel}")
        return self._connection

    def heard(self, connection: psycopg.Connection) -> frozenset[str]:
        """The channels on which something was told since the last look; waits for nothing."""
        try:
            connection.execute("SELECT")  # what was told comes with the answer to any query
        except psycopg.OperationalError:
            return frozenset()  # the connection was lost; the next one finds what was missed
        told = frozenset(self._told)
        self._told.clear()
        return told

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._connection is not None:
            self._connection.close()
