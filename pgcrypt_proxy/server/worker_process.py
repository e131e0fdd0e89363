"""One worker as its supervisor sees it: a process, and the channel to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server.channel import Channel, ChannelLost, Message
from pgcrypt_proxy.server.merged_metrics import Snapshot
from pgcrypt_proxy.server.service_manager import VARIABLES
from pgcrypt_proxy.server.settings import Settings, to_json


class WorkerProcess:
    """`is_member`: it has the rules that all have, and may take clients; `is_ready`: it takes them."""

    def __init__(self, number: int, generation: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.generation = generation
        self.channel = channel
        self.is_member = False
        self.is_ready = False
        self.failure: ConfigError | None = None
        self.metrics: Snapshot = []
        self._process = process
        self._hearing: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, number: int, generation: int, settings: Settings, seats: int, local: socket.socket | None
    ) -> WorkerProcess:
        """`seats` and `local` are inherited; settings go through the channel, since they may hold a password."""
        ours, theirs = socket.socketpair()
        with theirs:
            handed = [theirs.fileno(), seats, *([local.fileno()] if local is not None else [])]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # no modules from the working directory
                "-m",
                "pgcrypt_proxy.server.worker",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=handed,
                process_group=0,  # a terminal's signals are for the supervisor
                env={name: value for name, value in os.environ.items() if name not in VARIABLES},
            )
        made = cls(number, generation, process, await Channel.over(ours))
        place = local.fileno() if local is not None else None
        made.channel.send(do="start", number=number, settings=to_json(settings), seats=seats, local=place)
        return made

    def listen(self, on_message: Callable[[WorkerProcess, Message], None]) -> None:
        self._hearing = asyncio.create_task(self.channel.listen(lambda message: on_message(self, message)))

    async def asked(self, timeout_s: float, **message: Any) -> Message | None:
        """The answer; None when none came in time. A worker whose channel is lost gives an empty one."""
        try:
            return await self.channel.ask(timeout_s, **message)
        except ChannelLost:
            return {}
        except TimeoutError:
            return None

    def stop(self, *, now: bool = False) -> None:
        self.channel.send(do="stop", now=now)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> int:
        """Its exit status, when all that it said has been heard."""
        status = await self._process.wait()
        if self._hearing is not None:
            await self._hearing
        self.channel.close()
        return status
