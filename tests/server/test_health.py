"""/healthz of a proxy of one process: it is well as long as it takes clients."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.helpers.proxies import protected
from tests.helpers.servers import PostgresServer
from tests.helpers.serving import eventually, serving

SCHEMA = "CREATE TABLE users (id int, email text)"
COLUMNS = "{table: users, column: email, type: text}"


def test_it_is_not_well_any_more_while_it_stops(postgres: PostgresServer, tmp_path: Path) -> None:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db, serving(db, tmp_path, PGCRYPT_WORKERS="1") as proxy:
        with proxy.connect() as busy:
            busy.execute("BEGIN; SELECT 1")
            assert proxy.get("/healthz") == (200, "ok\n")
            proxy.process.send_signal(signal.SIGTERM)
            eventually(lambda: proxy.get("/healthz") == (503, "stopping\n"))
            busy.execute("COMMIT")
        assert proxy.process.wait(timeout=30) == 0
