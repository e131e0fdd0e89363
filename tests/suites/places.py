"""The three places: a server itself, and a proxy before such a server, with no rules or with rules for another table.

Every run has a server of its own, so that no run meets what another one left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pgcrypt_proxy.demo import scenario
from pgcrypt_proxy.server.run import start
from tests.helpers import servers
from tests.helpers.proxies import settings_for, write_rules
from tests.suites.suite import DATABASE, Place, Suite

DIRECT, UNRULED, ARMED = "direct", "no rules", "armed"
PROXIED = (UNRULED, ARMED)
PLACES = (DIRECT, *PROXIED)

#: A table that no suite uses, in every place, so that all see the same tables. Not in public, which suites empty.
PEOPLE = (
    "CREATE SCHEMA pgcrypt_suites",
    "CREATE TABLE pgcrypt_suites.pgcrypt_people (id bigint PRIMARY KEY, email text, name text)",
)
RULE = "{table: pgcrypt_suites.pgcrypt_people, column: email, type: text, search: [equality]}"

#: As suites expect it of a server: no JIT where they measure, enough connections for their pools.
SERVER_SETTINGS = {"log_statement": "none", "log_connections": "off", "jit": "off", "max_connections": "120"}


@contextlib.contextmanager
def opened(name: str, suite: Suite, folder: Path) -> Iterator[Place]:
    """That place, made for this suite. `folder` takes the proxy's rules and keys."""
    with servers.running(servers.chosen_flavour(), {**SERVER_SETTINGS, **suite.settings}) as server:
        with server.connect(DATABASE) as connection:
            for statement in (*PEOPLE, *suite.prepare):
                connection.execute(statement.encode())
        if name == DIRECT:
            yield Place(name, server.port, server.port)
            return
        rules, _ = write_rules(folder, RULE if name == ARMED else "")
        scenario.seal_columns(server, DATABASE, rules)
        running = start(settings_for(server, DATABASE, rules))
        try:
            yield Place(name, running.port, server.port)
            running.refresh_catalog()
            armed = [column.is_armed for column in running.proxy.world.planner.catalog.protected_columns]
            if armed != [True] * (name == ARMED):
                raise AssertionError("the suite undid the rules: what ran through the proxy shows nothing")
        finally:
            running.stop()
