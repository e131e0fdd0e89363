"""Looks for planted plaintext wherever a server keeps bytes: log, statistics, table files, WAL, temporary files."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.helpers.servers import PostgresServer

#: Every value that tests put into protected columns through the proxy begins so.
PLANTED = "planted-"


def traces(server: PostgresServer, marker: str = PLANTED) -> list[str]:
    """The places that hold `marker`, after everything in memory was written out."""
    with server.connect() as connection:
        found = _statistics(connection, marker)
        connection.execute("CHECKPOINT")
        connection.execute("SELECT pg_switch_wal()")
    needle = marker.encode()
    for path in [server.log_path, *sorted(p for p in server.data_dir.rglob("*") if p.is_file())]:
        if _holds(path, needle):
            found.append(str(path.relative_to(server.directory)))
    return found


def _statistics(connection: psycopg.Connection, marker: str) -> list[str]:
    found = []
    like = f"%{marker}%"
    activity = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
    if connection.execute(activity, [like]).fetchone():
        found.append("pg_stat_activity")
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    statements = "SELECT 1 FROM pg_stat_statements WHERE query LIKE %s"
    # this very search is in the log and the statistics, as a parameter and without it
    if connection.execute(statements, [like]).fetchone():
        found.append("pg_stat_statements")
    return found


def _holds(path: Path, needle: bytes) -> bool:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # removed by the server meanwhile
        return False
    if needle not in data:
        return False
    if path.name != "server.log":
        return True
    # parameters of the search above
    lines = [line for line in data.splitlines() if needle in line]
    return any(b"'%" + needle not in line for line in lines)
