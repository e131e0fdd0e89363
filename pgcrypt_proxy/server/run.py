"""Start and stop of the whole proxy: `serve` for the command line, `start` for programs that embed it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from pgcrypt_proxy.crypto.providers import make_provider
from pgcrypt_proxy.server import log, supervisor
from pgcrypt_proxy.server.key_keeper import Clock
from pgcrypt_proxy.server.process import forbid_core_dumps, keep_memory
from pgcrypt_proxy.server.proxy import NOT_RELOADED, Proxy, stop_on
from pgcrypt_proxy.server.service_manager import ServiceManager
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.server.world import ProviderMaker


async def _serve(settings: Settings, read: Callable[[], Settings]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.on_loop_exception)
    manager = ServiceManager()
    proxy = Proxy(settings)
    await proxy.open()
    stop, now = asyncio.Event(), asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()
    one_at_a_time = asyncio.Lock()

    def start(work: Coroutine[Any, Any, None]) -> None:
        task = loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def on_stop() -> None:
        (now if stop.is_set() else stop).set()
        manager.stopping()

    async def reload() -> None:
        async with one_at_a_time:
            manager.reloading()
            is_good = await proxy.reload(read)
            log.configure(proxy.settings.log_level)
            manager.ready("serving" if is_good else NOT_RELOADED)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: start(reload()))
    manager.ready("serving")
    start(manager.feed_watchdog())
    try:
        await stop_on(proxy, stop, now)
    finally:
        for task in tuple(tasks):
            task.cancel()


def serve(read: Callable[[], Settings]) -> int:
    """Run until SIGTERM or SIGINT (twice: at once); SIGHUP reads rules, certificates, users and settings anew.

    `read` gives the settings, and is called for each reload. Returns the exit
    status. Raises PgcryptError when the proxy cannot start.
    """
    settings = read()
    log.configure(settings.log_level)
    forbid_core_dumps()
    keep_memory()
    if settings.worker_count > 1:
        return supervisor.supervise(settings, read)
    uvloop.run(_serve(settings, read))
    return 0


class Running:
    """A proxy in a thread of its own; for programs that embed it. `port` is where it listens."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self.proxy = proxy
        self._loop = loop
        self._thread = thread
        self.port = proxy.listener.port
        self.metrics_port = proxy.metrics_port

    def call(self, work: Callable[[], object]) -> None:
        """Run `work` on the proxy's loop and wait for it."""

        async def run() -> None:
            work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=30)

    def refresh_catalog(self) -> None:
        """Load the catalog now."""
        asyncio.run_coroutine_threadsafe(self.proxy.world.refresh_catalog(), self._loop).result(timeout=30)

    def stop(self, *, drain: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self.proxy.close(drain=drain), self._loop).result(timeout=60)
        _end(self._loop, self._thread)


def _run(runner: asyncio.Runner) -> None:
    """Run the loop until it is stopped, then close it: no descriptor, task or thread of it is left."""
    with runner:
        runner.get_loop().run_forever()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)


def start(
    settings: Settings, *, clock: Clock = time.monotonic, make_provider: ProviderMaker = make_provider
) -> Running:
    """Start a proxy in a thread and return when it listens. Raises PgcryptError when it cannot start.

    `clock` is what the keys' time is measured by, `make_provider` how their provider is found.
    """
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    loop = runner.get_loop()
    thread = threading.Thread(target=_run, args=(runner,), name="pgcrypt-proxy", daemon=True)
    thread.start()
    proxy = Proxy(settings, clock=clock, make_provider=make_provider)
    try:
        asyncio.run_coroutine_threadsafe(proxy.open(), loop).result(timeout=60)
    except BaseException:
        _end(loop, thread)
        raise
    return Running(proxy, loop, thread)
