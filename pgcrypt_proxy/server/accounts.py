"""What logs a user in: a verifier from the users file or from the database, and the proxy's own password.

Nothing is kept: the database is asked at every login, over a connection of its
own, so a changed password counts at once. A user that is not there gets a
verifier that nobody can meet, always with the same salt.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import connect, readable_errors
from pgcrypt_proxy.server.credentials import PasswordSource
from pgcrypt_proxy.server.login_files import read_users
from pgcrypt_proxy.session.events import AccountFound

LOOKUP_TIMEOUT = "10s"


class AuthQuery:
    """Asks the database for verifiers. Blocking; for one thread."""

    def __init__(self, url: str, sql: str, connect_timeout_s: float) -> None:
        self._url = url
        self._sql = sql
        self._connect_timeout_s = connect_timeout_s
        self._connection: psycopg.Connection | None = None

    def find(self, user: str) -> Verifier | None:
        """The user's verifier; None for nobody, and for one without a SCRAM password. Raises PgcryptError."""
        try:
            user.encode()
        except UnicodeEncodeError:
            return None
        with readable_errors("looking up a user (auth_query)"):
            try:
                row = self._ask(user)
            except psycopg.errors.InsufficientPrivilege:
                raise ConfigError(
                    "looking up a user (auth_query): the database role may not read verifiers",
                    hint="Give it a function that may (auth_query), or the verifiers in a file (users_file):"
                    ' see "How clients log in" in the settings.',
                    sqlstate="42501",
                ) from None
            except psycopg.OperationalError:
                self.close()  # it may have been lost long ago; a second loss is told
                row = self._ask(user)
        return Verifier.parse(row[0]) if row is not None and isinstance(row[0], str) else None

    def _ask(self, user: str) -> tuple[object, ...] | None:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, connect_timeout_s=int(self._connect_timeout_s))
            self._connection.execute(f"SET statement_timeout = '{LOOKUP_TIMEOUT}'")
        with psycopg.RawCursor(self._connection) as cursor:
            return cursor.execute(self._sql.encode(), [user]).fetchone()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Accounts:
    """Finds accounts for sessions. `mock_secret` gives what the salts of unknown users come from."""

    def __init__(
        self,
        *,
        mock_secret: Callable[[], bytes],
        mock_iterations: int,
        query: AuthQuery | None = None,
        users_file: Path | None = None,
        password: PasswordSource | None = None,
    ) -> None:
        """Raises ConfigError."""
        self._mock_secret = mock_secret
        self._mock_iterations = mock_iterations
        self._query = query
        self._users_file = users_file
        self._users = self.read_users()
        self._password = password
        self._jobs = ThreadPoolExecutor(1, thread_name_prefix="accounts")

    async def check(self) -> None:
        """Ask once, so that what can never work is known at start. Raises PgcryptError."""
        await self.find("")

    async def find(self, user: str) -> AccountFound:
        """What this user logs in with, whether there is such a user or not. Raises PgcryptError."""
        return await asyncio.get_running_loop().run_in_executor(self._jobs, self._find, user)

    def _find(self, user: str) -> AccountFound:
        password = self._password.get() if self._password is not None else None
        if self._query is None and self._users_file is None:
            return AccountFound(None, password=password)
        verifier = self._query.find(user) if self._query is not None else self._users.get(user)
        if verifier is not None:
            return AccountFound(verifier, password=password)
        mock = Verifier.mock(self._mock_secret(), user, self._mock_iterations)
        return AccountFound(mock, is_mock=True, password=password)

    def read_users(self) -> Mapping[str, Verifier]:
        """What the users file says now, in force nowhere yet. Raises ConfigError."""
        return read_users(self._users_file) if self._users_file is not None else {}

    def put_users(self, users: Mapping[str, Verifier]) -> None:
        self._users = users

    def close(self) -> None:
        self._jobs.shutdown(wait=True, cancel_futures=True)
        if self._query is not None:
            with contextlib.suppress(psycopg.Error):
                self._query.close()
