"""One of several processes that serve clients: a proxy of its own, which does what its supervisor says.

`python -m pgcrypt_proxy.server.worker DESCRIPTOR` is for the supervisor alone; the
descriptor is the worker's end of their channel. When the supervisor is gone the
worker lets transactions finish, and ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.channel import Channel, ChannelLost, Message
from pgcrypt_proxy.server.listener import Sharing
from pgcrypt_proxy.server.merged_metrics import snapshot
from pgcrypt_proxy.server.process import forbid_core_dumps, keep_memory
from pgcrypt_proxy.server.proxy import NOT_RELOADED, Company, Prepared, Proxy, stop_on
from pgcrypt_proxy.server.seats import Seats
from pgcrypt_proxy.server.settings import from_json
from pgcrypt_proxy.server.throttle import Key, too_many_failures
from pgcrypt_proxy.session.scram import LoginRefused

#: The supervisor answers at once, unless it has died or hangs.
ANSWER_S = 5.0
#: It may be at a reload when a worker wants to join.
JOIN_S = 120.0
#: For the end of an orphan, past the time that its transactions have.
GRACE_S = 30


class SharedThrottle:
    """The throttle that the supervisor keeps for all workers."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def wait_s(self, key: Key) -> float:
        """Raises TooManyFailures, and LoginRefused when nobody answers."""
        try:
            answer = await self._channel.ask(ANSWER_S, do="wait", key=key)
        except (TimeoutError, ChannelLost):
            raise LoginRefused("the proxy cannot take logins at the moment", sqlstate="57P03") from None
        if answer["wait_s"] is None:
            raise too_many_failures()
        return float(answer["wait_s"])

    def failed(self, key: Key) -> None:
        self._channel.send(do="login_failed", key=key)

    def succeeded(self, key: Key) -> None:
        self._channel.send(do="login_succeeded", key=key)


class Worker:
    """A proxy that is told what to do."""

    def __init__(self, channel: Channel, proxy: Proxy, number: int) -> None:
        self._channel = channel
        self._proxy = proxy
        self._number = number
        self._preparing: asyncio.Task[None] | None = None
        self._prepared: Prepared | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.stop, self.now = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        """Serve until the end; the exit status."""
        try:
            await self._proxy.load()
            if self.stop.is_set() or not await self._may_join():
                await self._proxy.close(drain=False)
                return 0
            await self._proxy.listen()
        except PgcryptError as error:
            return await tell_failure(self._channel, error)
        self._channel.send(do="ready")
        await self.stop.wait()
        self._channel.send(do="leaving")
        await stop_on(self._proxy, self.stop, self.now)
        await self._report_last()
        return 0

    async def _may_join(self) -> bool:
        """Whether the other workers have the same rules and settings."""
        try:
            answer = await self._channel.ask(JOIN_S, do="join", digest=self._proxy.world.policy.digest)
        except (TimeoutError, ChannelLost):
            return False
        return bool(answer["may"])

    async def _report_last(self) -> None:
        """What was counted since the last report would be lost."""
        self._channel.send(do="last", metrics=snapshot(self._proxy.metrics.registry))
        await self._channel.flush()

    def on_message(self, message: Message) -> None:
        do = message["do"]
        if do == "stop":
            self.stop.set()
            if message["now"]:
                self.now.set()
        elif do == "report":
            self._channel.answer(message, metrics=snapshot(self._proxy.metrics.registry))
        elif do == "prepare":
            self._preparing = self._start(self._prepare(message))
        elif do == "put":
            self._start(self._put(message))
        elif do == "discard":
            self._discard()

    def on_supervisor_gone(self) -> None:
        if not self.stop.is_set():
            log.get().error("the supervisor is gone")
            self.stop.set()
        signal.alarm(int(self._proxy.settings.drain_timeout_s) + GRACE_S)  # whatever may hang then

    async def _prepare(self, message: Message) -> None:
        self._discard()
        try:
            self._prepared = await self._proxy.prepare(from_json(message["settings"]))
        except Exception as error:
            log.failure(NOT_RELOADED, error)
            self._channel.answer(message, digest=None)
        else:
            self._channel.answer(message, digest=self._prepared.digest)

    async def _put(self, message: Message) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            return  # unanswered, so the supervisor ends this process
        self._proxy.put(prepared)
        log.configure(prepared.settings.log_level, worker=self._number)
        self._channel.answer(message)
        await self._proxy.world.refresh_catalog()

    def _discard(self) -> None:
        if self._preparing is not None and self._preparing is not asyncio.current_task():
            self._preparing.cancel()
        if self._prepared is not None:
            self._prepared.discard()
            self._prepared = None

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def tell_failure(channel: Channel, error: PgcryptError) -> int:
    """There is no start; the exit status. The supervisor has the words."""
    channel.send(do="failed", message=error.message, hint=error.hint, sqlstate=error.code)
    await channel.flush()
    return 2


async def work(sock: socket.socket) -> int:
    """Everything, from the supervisor's first word on."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.on_loop_exception)
    channel = await Channel.over(sock)
    first = await channel.receive()
    if first is None:
        return 1
    number, settings = first["number"], from_json(first["settings"])
    log.configure(settings.log_level, worker=number)
    seats = Seats.shared(first["seats"], number)
    os.close(first["seats"])
    local = socket.socket(fileno=first["local"]) if first["local"] is not None else None
    company = Company(seats, SharedThrottle(channel), Sharing(local), has_metrics=False)
    try:
        worker = Worker(channel, Proxy(settings, company=company), number)
    except PgcryptError as error:
        return await tell_failure(channel, error)
    loop.add_signal_handler(signal.SIGTERM, worker.stop.set)
    hearing = loop.create_task(channel.listen(worker.on_message))
    hearing.add_done_callback(lambda _: worker.on_supervisor_gone())
    return await worker.run()


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGHUP):  # these are the supervisor's to act upon
        signal.signal(number, signal.SIG_IGN)
    forbid_core_dumps()
    keep_memory()
    return uvloop.run(work(socket.socket(fileno=int(arguments[0]))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
