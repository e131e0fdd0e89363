"""What supervisor and worker say to each other: lines of JSON over a socket pair that nobody else holds.

A message is an object with `do`; one that has an `id` is answered by one with
that number as `re`. The end of the channel is the end of the other process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
#: Metrics of a worker take some tens of kilobytes.
MAX_LINE = 16 << 20


class ChannelLost(Exception):
    """The other process is gone."""


class Channel:
    """One end. `listen` must run for answers to come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._awaited: dict[int, asyncio.Future[Message]] = {}
        self._is_lost = False

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        """The socket is the channel's from now on."""
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE))

    def send(self, **message: Any) -> None:
        """What is said to a process that is gone is lost."""
        if not self._is_lost:
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def ask(self, timeout_s: float, **message: Any) -> Message:
        """The answer. Raises TimeoutError and ChannelLost."""
        if self._is_lost:
            raise ChannelLost
        number = next(self._numbers)
        self._awaited[number] = answer = asyncio.get_running_loop().create_future()
        try:
            self.send(**message, id=number)
            async with asyncio.timeout(timeout_s):
                answered: Message = await answer
                return answered
        finally:
            self._awaited.pop(number, None)

    def answer(self, message: Message, **answer: Any) -> None:
        self.send(**answer, re=message["id"])

    async def receive(self) -> Message | None:
        """The next message that is no answer; None at the end."""
        while True:
            try:
                line = await self._reader.readline()
                message: Message = json.loads(line) if line.endswith(b"\n") else {}
            except (OSError, ValueError):
                message = {}
            if not message:
                self.close()
                return None
            if "re" not in message:
                return message
            if (awaited := self._awaited.get(message["re"])) is not None and not awaited.done():
                awaited.set_result(message)

    async def listen(self, on_message: Callable[[Message], None]) -> None:
        """Until the end."""
        while (message := await self.receive()) is not None:
            on_message(message)

    async def flush(self) -> None:
        """All that was said is on its way: nothing can be said any more."""
        self.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def close(self) -> None:
        self._is_lost = True
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_exception(ChannelLost())
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()
