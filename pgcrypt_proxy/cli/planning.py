"""Plans for commands: what a proxy would do with a text, where names mean what they mean under a search_path."""

from __future__ import annotations

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.sql.plan import NeedsNames, Plan
from pgcrypt_proxy.sql.planner import Planner

MAX_NAMES = 1000


class Names:
    """Looks names up in the database, each once. `search_path` None is the database's own."""

    def __init__(self, connection: psycopg.Connection, search_path: str | None) -> None:
        self._connection = connection
        self._search_path = search_path
        self._known: dict[str, int] = {}

    def plan(self, planner: Planner, sql: str, *, extended: bool) -> Plan:
        """The plan of `sql`. Raises ConfigError when it names too much."""
        resolved: dict[str, int] = {}
        for _ in range(MAX_NAMES):
            made = planner.plan(sql, extended=extended, resolved=resolved)
            if not isinstance(made, NeedsNames):
                return made
            resolved = {name: self._oid(name) for name in made.names}
        raise ConfigError("the statement names too many relations")

    def _oid(self, name: str) -> int:
        """The OID of the relation that `name` means, 0 for none."""
        if name not in self._known:
            with readable_errors("looking up names"), self._connection.transaction():
                self._connection.execute(
                    "SELECT pg_catalog.set_config('search_path', COALESCE(%s, (SELECT reset_val"
                    " FROM pg_catalog.pg_settings WHERE name = 'search_path')), true)",
                    [self._search_path],
                )
                row = self._connection.execute("SELECT pg_catalog.to_regclass(%s)::oid::bigint", [name]).fetchone()
            self._known[name] = int(row[0] or 0) if row else 0
        return self._known[name]
