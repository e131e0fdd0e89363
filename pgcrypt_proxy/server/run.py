"""Start and stop of the whole proxy: `serve` for the command line, `start` for programs that embed it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import resource
import signal
import threading
from collections.abc import Callable

import uvloop

from pgcrypt_proxy.server import log, tls
from pgcrypt_proxy.server.listener import Listener
from pgcrypt_proxy.server.metrics import Metrics, MetricsServer
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.server.upstream import Upstream
from pgcrypt_proxy.server.world import World

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """No memory image of this process on disk, and no reading of it by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class Proxy:
    """The parts of one running proxy."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics()
        self.world = World(settings, self.metrics)
        self._upkeep: asyncio.Task[None] | None = None
        self._metrics_server: MetricsServer | None = None
        self.listener: Listener

    async def open(self) -> None:
        """Load, check, listen. Raises PgcryptError with nothing left running."""
        settings = self._settings
        context = None
        if settings.tls != "off":
            assert settings.tls_certificate is not None
            assert settings.tls_key is not None
            context = tls.server_context(settings.tls_certificate, settings.tls_key)
        try:
            await asyncio.to_thread(self.world.open)
            upstream = Upstream(*settings.upstream, settings.connect_timeout_s)
            self.listener = Listener(settings, self.world, upstream, self.metrics, context)
            self._metrics_server = MetricsServer(self.metrics, settings.metrics_host, settings.metrics_port)
            await self.listener.open()
        except BaseException:
            self._close()
            raise
        self._upkeep = asyncio.create_task(self.world.run())
        log.get().info("ready", host=settings.listen_host, port=self.listener.port, count=len(self.world.policy.rules))

    @property
    def metrics_port(self) -> int:
        assert self._metrics_server is not None
        return self._metrics_server.port

    async def close(self, *, drain: bool) -> None:
        """Stop accepting, let transactions finish when `drain`, and stop."""
        self.listener.stop_accepting()
        if drain:
            await self.listener.drain()
        self.listener.abort()
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
        await asyncio.to_thread(self._close)
        log.get().info("stopped")

    def _close(self) -> None:
        if self._metrics_server is not None:
            self._metrics_server.stop()
        self.world.close()


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.on_loop_exception)
    proxy = Proxy(settings)
    await proxy.open()
    stop, now = asyncio.Event(), asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def on_stop() -> None:
        (now if stop.is_set() else stop).set()

    def on_reload() -> None:
        task = loop.create_task(proxy.world.reload_rules())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    await stop.wait()
    log.get().info("stopping", seconds=settings.drain_timeout_s)
    draining = asyncio.create_task(proxy.close(drain=True))
    at_once = asyncio.create_task(now.wait())
    await asyncio.wait((draining, at_once), return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not draining.done():
        proxy.listener.abort()
    await draining


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (twice: at once); SIGHUP reads the rules anew. Returns the exit status.

    Raises PgcryptError when the proxy cannot start.
    """
    log.configure(settings.log_level)
    forbid_core_dumps()
    uvloop.run(_serve(settings))
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
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)


def start(settings: Settings) -> Running:
    """Start a proxy in a thread and return when it listens. Raises PgcryptError when it cannot start."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pgcrypt-proxy", daemon=True)
    thread.start()
    proxy = Proxy(settings)
    try:
        asyncio.run_coroutine_threadsafe(proxy.open(), loop).result(timeout=60)
    except BaseException:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        raise
    return Running(proxy, loop, thread)
