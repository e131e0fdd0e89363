"""One running proxy: its parts, their start, reload and end. A worker is one, and so is `serve` without workers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.providers import make_provider
from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.server import log, login_settings
from pgcrypt_proxy.server import settings as server_settings
from pgcrypt_proxy.server.doorkeeper import Doorkeeper
from pgcrypt_proxy.server.key_keeper import Clock
from pgcrypt_proxy.server.listener import Listener, Sharing
from pgcrypt_proxy.server.metrics import Metrics, MetricsServer
from pgcrypt_proxy.server.recorder import StatementRecorder
from pgcrypt_proxy.server.seats import Seats
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.server.throttle import LoginThrottle, OwnThrottle
from pgcrypt_proxy.server.tls import Contexts, TlsFiles
from pgcrypt_proxy.server.upstream import Upstream
from pgcrypt_proxy.server.world import NewRules, ProviderMaker, World

FILES_POLL_S = 5.0
REPORT_S = 1.0
NOT_RELOADED = "not reloaded: what was in force before goes on"


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a reload brings, read and checked. In force nowhere yet."""

    settings: Settings
    rules: NewRules
    contexts: Contexts
    users: Mapping[str, Verifier]

    @property
    def digest(self) -> str:
        """What the rules of several workers are compared by."""
        return self.rules.policy.digest

    def discard(self) -> None:
        self.rules.keyring.zeroise()


@dataclass(frozen=True, slots=True)
class Company:
    """What a proxy has in common with the other workers."""

    seats: Seats
    throttle: LoginThrottle
    sharing: Sharing | None = None
    has_metrics: bool = True


class Proxy:
    """The parts of one running proxy."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = time.monotonic,
        make_provider: ProviderMaker = make_provider,
        company: Company | None = None,
    ) -> None:
        self.settings = settings
        recorded = settings.record_statements
        self._recorder = StatementRecorder(recorded) if recorded is not None else None
        self.metrics = Metrics(self._recorder)
        self.world = World(settings, self.metrics, clock=clock, make_provider=make_provider)
        self._company = company or Company(Seats.alone(), OwnThrottle())
        self._upkeep: asyncio.Future[tuple[None, None, None]] | None = None
        self._metrics_server: MetricsServer | None = None
        self._health = (False, "starting")
        self.listener: Listener
        self._files: TlsFiles
        self._doorkeeper: Doorkeeper

    async def open(self) -> None:
        """Load, check, listen. Raises PgcryptError with nothing left running."""
        await self.load()
        await self.listen()

    async def load(self) -> None:
        """Load and check. Raises PgcryptError with nothing left running."""
        settings, company = self.settings, self._company
        address, has_tls = settings.address, settings.tls != "off"
        self._files = TlsFiles(
            address,
            settings.tls_certificate if has_tls else None,
            settings.tls_key if has_tls else None,
            settings.tls_client_ca,
        )
        accounts = login_settings.accounts(settings, lambda: self.world.keyring.keyring_id)
        self._doorkeeper = Doorkeeper(
            login_settings.rules(settings),
            accounts,
            self.metrics,
            settings.max_pending_logins,
            seats=company.seats,
            throttle=company.throttle,
        )
        try:
            await asyncio.to_thread(self.world.open)
            await self._doorkeeper.check()
            upstream = Upstream(address, self._files, settings.connect_timeout_s)
            self.listener = Listener(
                settings, self.world, upstream, self.metrics, self._files, self._doorkeeper, company.sharing
            )
            if company.has_metrics:
                self._metrics_server = MetricsServer(
                    self.metrics.registry, settings.metrics_host, settings.metrics_port, lambda: self._health
                )
        except BaseException:
            self._close()
            raise

    async def listen(self) -> None:
        """Take clients. Raises ConfigError with nothing left running."""
        try:
            await self.listener.open()
        except BaseException:
            self._close()
            raise
        self._health = (True, "ok")
        self._upkeep = asyncio.gather(self.world.run(), self._watch_files(), self._report())
        log.get().info(f"rows: {fast.BUILD}")
        log.get().info(
            "ready", host=self.settings.listen_host, port=self.listener.port, count=len(self.world.policy.rules)
        )

    async def prepare(self, settings: Settings) -> Prepared:
        """Read rules, certificates and users again, and check all of them. Raises PgcryptError; changes nothing."""
        contexts = await asyncio.to_thread(self._files.read)
        accounts = self._doorkeeper.accounts
        users = await asyncio.to_thread(accounts.read_users) if accounts is not None else {}
        return Prepared(settings, await self.world.prepare_rules(settings.rules), contexts, users)

    def put(self, prepared: Prepared) -> None:
        """Let what was prepared be in force. DDL may have come since then: refresh the catalog."""
        self.settings = self.listener.settings = prepared.settings
        self._doorkeeper.max_pending = prepared.settings.max_pending_logins
        self._files.put(prepared.contexts)
        if self._doorkeeper.accounts is not None:
            self._doorkeeper.accounts.put_users(prepared.users)
        self.world.put_rules(prepared.rules)

    async def reload(self, read: Callable[[], Settings] | None = None) -> bool:
        """Read rules, certificates and users again, and settings by `read`; whether all are good.

        If not, nothing changes, and that is logged and counted.
        """
        try:
            settings = settings_reread(self.settings, read) if read is not None else self.settings
            prepared = await self.prepare(settings)
        except Exception as error:
            self.metrics.reloads.labels("error").inc()
            log.failure(NOT_RELOADED, error)
            return False
        self.put(prepared)
        await self.world.refresh_catalog()
        self.metrics.reloads.labels("ok").inc()
        log.get().info("reloaded", count=len(self.world.policy.rules))
        return True

    async def _watch_files(self) -> None:
        """Certificates are renewed by programs that tell nobody. Never returns."""
        while True:
            await asyncio.sleep(FILES_POLL_S)
            self._files.reload_if_changed()

    async def _report(self) -> None:
        """What compiled code has done is counted now and then, not for each statement. Never returns."""
        while True:
            await asyncio.sleep(REPORT_S)
            self.listener.report()

    @property
    def metrics_port(self) -> int:
        assert self._metrics_server is not None
        return self._metrics_server.port

    async def close(self, *, drain: bool) -> None:
        """Stop accepting, let transactions finish when `drain`, and stop."""
        self._health = (False, "stopping")
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
        if self._recorder is not None:
            self._recorder.close()
        if self._metrics_server is not None:
            self._metrics_server.stop()
        self._doorkeeper.close()
        self.world.close()


async def stop_on(proxy: Proxy, stop: asyncio.Event, now: asyncio.Event) -> None:
    """Serve until `stop`; then let transactions finish until the deadline, or `now`."""
    await stop.wait()
    log.get().info("stopping", seconds=proxy.settings.drain_timeout_s)
    draining = asyncio.create_task(proxy.close(drain=True))
    at_once = asyncio.create_task(now.wait())
    await asyncio.wait((draining, at_once), return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not draining.done():
        proxy.listener.abort()
    await draining


def settings_reread(running: Settings, read: Callable[[], Settings]) -> Settings:
    """The settings of a proxy that runs, with what `read` says anew. Raises ConfigError; tells what needs a restart."""
    settings, others = server_settings.reloaded(running, read())
    for name in others:
        log.get().warning("setting changed: it needs a restart", operation=name)
    return settings
