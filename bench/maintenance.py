"""`protect` and `reseal` over one table in a database of its own: rows a second, once for each run."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench.results import SEALED, Results
from bench.tables import seal
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.reseal import reseal
from pgcrypt_proxy.policy.load import load
from tests.helpers.proxies import write_rules
from tests.helpers.servers import PostgresServer

RULES = "{table: people, column: email, type: text, search: [equality]}"
PEOPLE = """
CREATE TABLE people (id int PRIMARY KEY, email text NOT NULL, note text NOT NULL);
INSERT INTO people SELECT g, 'user' || g || '@example.com', 'note' FROM generate_series(1, {rows}) g;
CREATE INDEX people_email ON people (email);
"""


def measure(results: Results, server: PostgresServer, rows: int) -> None:
    print(f"protect and reseal {rows} rows", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, server.database() as name:
        rules, kek = write_rules(Path(folder), RULES)
        with server.connect(name) as connection:
            connection.execute(PEOPLE.format(rows=rows).encode())
        (outcome,) = seal(server, name, rules, kek)
        assert outcome.values == rows
        _add(results, "protect", rows, outcome.seconds)
        url = server.dsn(name)
        with connect(url) as connection, connect(url) as keys:
            store = KeyringStore(keys, FileProvider(kek))
            rotate_deks(store, sleep=lambda _: None)  # no proxy is there that would have to let go
            started = time.monotonic()
            reseal(connection, store, load([rules]))
            _add(results, "reseal", rows, time.monotonic() - started)


def _add(results: Results, what: str, rows: int, seconds: float) -> None:
    case = f"{what}, {rows // 1000}k rows, one searchable column"
    results.add("Maintenance", case, "rows/s", {SEALED: [rows / seconds]}, figure="rate", what=what)
