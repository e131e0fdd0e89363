"""What happens before a client is in: how many may be there at once, who must wait, and who finds their accounts."""

from __future__ import annotations

import asyncio

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.server.accounts import Accounts
from pgcrypt_proxy.server.metrics import Metrics
from pgcrypt_proxy.server.seats import Seat, Seats
from pgcrypt_proxy.server.throttle import LoginThrottle
from pgcrypt_proxy.session.events import AccountFound
from pgcrypt_proxy.session.login import LoginRules
from pgcrypt_proxy.session.scram import LoginRefused

#: A longer name is no role's (NAMEDATALEN), and must not fill the throttle's memory.
MAX_NAME = 63


class Doorkeeper:
    """One for all connections of a process. `accounts` is None in relay mode, where the server knows its users."""

    def __init__(
        self,
        rules: LoginRules,
        accounts: Accounts | None,
        metrics: Metrics,
        max_pending: int,
        *,
        seats: Seats,
        throttle: LoginThrottle,
    ) -> None:
        self.rules = rules
        self.accounts = accounts
        self.metrics = metrics
        self.seats = seats
        self.throttle = throttle
        self.max_pending = max_pending

    @property
    def pending_count(self) -> int:
        """How many connections are not logged in yet, over all workers."""
        return self.seats.total(Seat.PENDING_LOGIN)

    def visit(self) -> Visit | None:
        """For a connection that begins now; None when as many as may be are not logged in yet."""
        return Visit(self) if self.seats.take(Seat.PENDING_LOGIN, self.max_pending) else None

    async def check(self) -> None:
        """Raises PgcryptError when no account could be found at all."""
        if self.accounts is not None:
            await self.accounts.check()

    def close(self) -> None:
        if self.accounts is not None:
            self.accounts.close()


class Visit:
    """One connection on its way in. Pending until it is logged in or gone."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper
        self._user: str | None = None
        self._is_pending = True
        self.host = ""  # the client's address, empty for a Unix socket

    async def admit(self, user: str) -> None:
        """Wait for the failures of others like this one; the first time only. Raises TooManyFailures."""
        if self._user is not None:
            return
        self._user = user[:MAX_NAME]
        wait_s = await self._doorkeeper.throttle.wait_s((self.host, self._user))
        if wait_s > 0:
            self._doorkeeper.metrics.logins_delayed.inc()
            await asyncio.sleep(wait_s)

    async def find_account(self, user: str) -> AccountFound:
        """Raises PgcryptError that tells a client nothing about the user."""
        accounts = self._doorkeeper.accounts
        if accounts is None:
            raise LoginRefused("there is nothing to log in with")
        try:
            return await accounts.find(user)
        except PgcryptError as error:
            log.failure("account not looked up", error)
            raise LoginRefused("the proxy cannot look up users at the moment", sqlstate="08006") from None

    def failed(self) -> None:
        """The password was wrong."""
        self._doorkeeper.throttle.failed((self.host, self._user or ""))
        self._doorkeeper.metrics.logins_failed.inc()

    def logged_in(self) -> None:
        self._doorkeeper.throttle.succeeded((self.host, self._user or ""))
        self.left()

    def left(self) -> None:
        if self._is_pending:
            self._is_pending = False
            self._doorkeeper.seats.give(Seat.PENDING_LOGIN)
