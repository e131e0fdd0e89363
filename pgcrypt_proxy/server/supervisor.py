"""The process above the workers: starts and restarts them, changes all of them at once, adds up their metrics.

It holds no keys, and has no connections with clients or with the database. What
it keeps for all workers is their addresses, the counts of seats and the throttle
of failed logins. A reload has two halves: every worker reads and checks, and only
when all have the same rules does every worker put them in force. A worker that
cannot follow is killed, and one that comes later must have the rules of the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.registry import Collector

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server import addresses, log
from pgcrypt_proxy.server.channel import Message
from pgcrypt_proxy.server.listener import BACKLOG, local_socket
from pgcrypt_proxy.server.merged_metrics import Snapshot, added, lasting, merged, snapshot
from pgcrypt_proxy.server.metrics import MetricsServer
from pgcrypt_proxy.server.proxy import NOT_RELOADED, settings_reread
from pgcrypt_proxy.server.seats import Seats, make_memory
from pgcrypt_proxy.server.service_manager import ServiceManager
from pgcrypt_proxy.server.settings import Settings, to_json
from pgcrypt_proxy.server.throttle import Throttle, TooManyFailures
from pgcrypt_proxy.server.worker_process import WorkerProcess

#: How long the start says nothing while workers beside the first are not ready.
READY_S = 30.0
#: A worker that ended is started again at once, then later and later; one that had lived so long counts as well.
FIRST_DELAY_S, MAX_DELAY_S, STEADY_S = 0.1, 15.0, 30.0
PREPARE_S, PUT_S = 60.0, 15.0
REPORT_EVERY_S, SCRAPE_S = 5.0, 3.0
#: A worker that has not answered for so long serves nobody.
HUNG_S = 60.0
#: Past the time that transactions have.
GRACE_S = 10.0


class Supervisor:
    """Of all workers of one proxy."""

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        self._settings = settings
        self._read = read
        self._count = settings.worker_count
        self._workers: dict[int, WorkerProcess] = {}
        self._ready = [asyncio.Event() for _ in range(self._count)]
        self._generation = 0
        self._digest: str | None = None
        self._one_change = asyncio.Lock()
        self._throttle = Throttle()
        self._manager = ServiceManager()
        self._stop, self._now = asyncio.Event(), asyncio.Event()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: Snapshot = []
        registry = self._registry = CollectorRegistry()
        self._gauge = Gauge("pgcrypt_workers_ready", "Workers that take clients", registry=registry)
        self._restarts = Counter("pgcrypt_worker_restarts", "Workers that ended by themselves", registry=registry)
        self._reloads = Counter("pgcrypt_reloads", "Reloads of all workers", ["status"], registry=registry)

    # -- from start to end

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, and then until all workers have ended. Raises ConfigError when there is no start."""
        loop, settings = asyncio.get_running_loop(), self._settings
        loop.set_exception_handler(log.on_loop_exception)
        with contextlib.ExitStack() as held:
            address = addresses.hold(settings.listen_host, settings.listen_port)
            held.callback(address.close)
            self._settings = settings = replace(settings, listen_port=address.port)
            self._local = local_socket(settings, address.port)
            if self._local is not None:
                held.callback(self._local.close)
                self._local.listen(BACKLOG)
            self._memory = make_memory(self._count)
            held.callback(os.close, self._memory)
            self._seats = Seats.shared(self._memory)
            server = MetricsServer(_Gathered(self), settings.metrics_host, settings.metrics_port, self.health)
            held.callback(server.stop)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._on_stop)
            loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self.reload()))
            keepers = [asyncio.create_task(self._keep(0))]
            try:
                await self._first
                keepers += [asyncio.create_task(self._keep(number)) for number in range(1, self._count)]
                await self._await_ready()
                await self._stop.wait()
            finally:
                self._stop.set()
                address.close()
                if self._local is not None:
                    self._local.close()
                await self._end(keepers)
        log.get().info("stopped")

    async def _await_ready(self) -> None:
        ready = asyncio.gather(*(event.wait() for event in self._ready))
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((ready, stop), timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        stop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ready
        if not self._stop.is_set():
            self._manager.ready(self._status())
            self._begin(self._manager.feed_watchdog())
            log.get().info("workers ready", port=self._settings.listen_port, count=self._ready_count())

    def _on_stop(self) -> None:
        (self._now if self._stop.is_set() else self._stop).set()
        if not self._first.done():
            self._first.set_result(None)

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        """Tell the workers to end, and see to it that they do."""
        if self._workers:
            self._manager.stopping()
            log.get().info("stopping", seconds=self._settings.drain_timeout_s)
        for worker in self._workers.values():
            worker.stop()
        now = asyncio.create_task(self._now.wait())
        ended = asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.wait(
            (ended, now), timeout=self._settings.drain_timeout_s + GRACE_S, return_when=asyncio.FIRST_COMPLETED
        )
        now.cancel()
        if not ended.done():
            for worker in self._workers.values():
                worker.stop(now=True)
            await asyncio.wait((ended,), timeout=GRACE_S)
            for worker in self._workers.values():
                worker.kill()
        await ended
        for task in tuple(self._tasks):
            task.cancel()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- one worker

    async def _keep(self, number: int) -> None:
        """See to it that there is a worker of this number."""
        loop, failures = asyncio.get_running_loop(), 0
        while not self._stop.is_set():
            began = loop.time()
            try:
                await self._live(number)
            except Exception as error:  # such as no memory, no process, no file descriptor
                log.failure("worker not started", error, worker=number)
            if self._stop.is_set() or not self._first.done() or self._first.exception() is not None:
                break
            self._restarts.inc()
            failures = 0 if loop.time() - began > STEADY_S else failures + 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(FIRST_DELAY_S * 2 ** min(failures, 10), MAX_DELAY_S))
        if not self._first.done():
            self._first.set_exception(ConfigError("the first worker ended before it was ready"))

    async def _live(self, number: int) -> None:
        """The life of one worker. Raises what keeps it from beginning."""
        worker = await WorkerProcess.start(number, self._generation, self._settings, self._memory, self._local)
        self._workers[number] = worker
        worker.listen(self._on_message)
        if self._stop.is_set():
            worker.stop()
        watching = asyncio.create_task(self._watch(worker))
        status = await worker.ended()
        watching.cancel()
        self._bury(worker)
        if self._stop.is_set():
            return
        failure = worker.failure
        if failure is not None and not self._first.done():
            self._first.set_exception(failure)  # it is said by who waits for it
            return
        reason = "killed" if status < 0 else "it ended" if failure is None else "it could not start"
        sqlstate = failure.code if failure is not None else ""
        log.get().error("worker lost", worker=number, count=status, reason=reason, sqlstate=sqlstate)

    def _bury(self, worker: WorkerProcess) -> None:
        del self._workers[worker.number]
        self._ready[worker.number].clear()
        self._seats.clear(worker.number)
        self._ended = added((self._ended, lasting(worker.metrics)))
        self._tell_status()

    async def _watch(self, worker: WorkerProcess) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            if worker.is_member and not await self._report(worker, HUNG_S):
                log.get().error("worker killed: it does not answer", worker=worker.number)
                worker.kill()
                return

    async def _report(self, worker: WorkerProcess, timeout_s: float) -> bool:
        answer = await worker.asked(timeout_s, do="report")
        if answer:
            worker.metrics = answer["metrics"]
        return answer is not None

    def _on_message(self, worker: WorkerProcess, message: Message) -> None:
        do, key = message["do"], tuple(message.get("key", ()))
        if do == "join":
            self._begin(self._join(worker, message))
        elif do == "ready":
            worker.is_ready = True
            self._ready[worker.number].set()
            if not self._first.done():
                self._first.set_result(None)
            self._tell_status()
        elif do == "leaving":
            worker.is_ready = False
            self._ready[worker.number].clear()
            self._tell_status()
        elif do == "failed":
            worker.failure = ConfigError(message["message"], hint=message["hint"], sqlstate=message["sqlstate"])
        elif do == "last":
            worker.metrics = message["metrics"]
        elif do == "wait":
            try:
                wait_s = self._throttle.wait_s(key)
            except TooManyFailures:
                wait_s = None
            worker.channel.answer(message, wait_s=wait_s)
        elif do == "login_failed":
            self._throttle.failed(key)
        elif do == "login_succeeded":
            self._throttle.succeeded(key)

    async def _join(self, worker: WorkerProcess, message: Message) -> None:
        """Let it serve beside the others if it has what they have; the only one may have what it found."""
        async with self._one_change:
            is_same = message["digest"] == self._digest or not self._members()
            if not is_same:
                log.get().error("the rules on disk are not those in force: reload them", worker=worker.number)
            worker.is_member = is_same and worker.generation == self._generation
            if worker.is_member:
                self._digest = message["digest"]
            worker.channel.answer(message, may=worker.is_member)

    def _members(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers.values() if worker.is_member]

    # -- all workers

    async def reload(self) -> None:
        """Rules, certificates, users and settings anew, in all workers or in none."""
        async with self._one_change:
            self._manager.reloading()
            is_good = await self._reload()
            self._reloads.labels("ok" if is_good else "error").inc()
            self._manager.ready(self._status() if is_good else f"{NOT_RELOADED}; {self._status()}")

    async def _reload(self) -> bool:
        try:
            settings = settings_reread(self._settings, self._reread)
        except Exception as error:
            log.failure(NOT_RELOADED, error)
            return False
        members = self._members()
        prepare = [worker.asked(PREPARE_S, do="prepare", settings=to_json(settings)) for worker in members]
        answers = [answer for answer in await asyncio.gather(*prepare) if answer != {}]
        digests = {answer["digest"] if answer is not None else None for answer in answers}
        if len(digests) != 1 or None in digests:
            for worker in members:
                worker.channel.send(do="discard")
            reason = "a worker cannot" if None in digests or not digests else "the workers have read different rules"
            log.get().error(NOT_RELOADED, reason=reason)
            return False
        self._settings, self._digest, self._generation = settings, digests.pop(), self._generation + 1
        put = await asyncio.gather(*(worker.asked(PUT_S, do="put") for worker in members))
        for worker, answer in zip(members, put, strict=True):
            if not answer:
                log.get().error("worker killed: it did not take what was reloaded", worker=worker.number)
                worker.kill()
        log.configure(settings.log_level)
        log.get().info("workers reloaded", count=len(members))
        return True

    def _reread(self) -> Settings:
        settings = self._read()
        return settings if settings.listen_port else replace(settings, listen_port=self._settings.listen_port)

    # -- what is told

    def _ready_count(self) -> int:
        return sum(event.is_set() for event in self._ready)

    def _status(self) -> str:
        return f"{self._ready_count()} of {self._count} workers serve"

    def _tell_status(self) -> None:
        self._gauge.set(self._ready_count())
        if not self._stop.is_set():
            self._manager.tell(f"STATUS={self._status()}")

    def health(self) -> tuple[bool, str]:
        """Whether somebody takes clients."""
        count = self._ready_count()
        if self._stop.is_set():
            return False, "stopping"
        return count > 0, "ok" if count == self._count else self._status()

    async def snapshots(self) -> list[Snapshot]:
        """Of all workers that are and were, and of this process."""
        await asyncio.gather(*(self._report(worker, SCRAPE_S) for worker in self._members()))
        there = [worker.metrics for worker in self._workers.values()]
        return [snapshot(self._registry), self._ended, *there]


class _Gathered(Collector):
    """Collects from the threads of the metrics server."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterable[Metric]:
        asked = asyncio.run_coroutine_threadsafe(self._supervisor.snapshots(), self._loop)
        return merged(asked.result(timeout=2 * SCRAPE_S))


def supervise(settings: Settings, read: Callable[[], Settings]) -> int:
    """Run until told to stop; the exit status. Raises ConfigError when there is no start."""

    async def run() -> None:
        await Supervisor(settings, read).run()

    asyncio.run(run())
    return 0
