"""Twins on servers of their own: what is made up may put planted values where they belong to no protected column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers import servers
from tests.helpers.twins import Twins, running_twins

#: Some made-up statements never end.
SETTINGS = {"statement_timeout": "8s"}


@contextmanager
def fuzzed_twins(folder: Path) -> Iterator[Twins]:
    """Twins whose servers are started for them, and stopped."""
    flavour = servers.chosen_flavour()
    with (
        servers.running(flavour, SETTINGS) as server,
        servers.running(flavour, SETTINGS) as plain_server,
    ):
        for one in (server, plain_server):
            _avoid_known_bug(one)
        with running_twins(server, plain_server, folder) as made:
            yield made


def _avoid_known_bug(server: servers.PostgresServer) -> None:
    """Self-join elimination of PostgreSQL 18 loses conditions on expressions: see docs/known-differences.md."""
    with server.connect() as connection:
        if connection.execute("SELECT FROM pg_settings WHERE name = 'enable_self_join_elimination'").fetchone():
            connection.execute("ALTER SYSTEM SET enable_self_join_elimination = off")
            connection.execute("SELECT pg_reload_conf()")
