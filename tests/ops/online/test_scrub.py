"""What was plaintext is gone from rows, live and dead, from indexes, statistics and the log."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.online import locking, scrub
from pgcrypt_proxy.ops.online.pace import Pace
from tests.helpers.servers import PostgresServer
from tests.ops.online.test_engine import rows

BLOCK = 8192
BURIED = b"buried-"

TABLE = """
CREATE TABLE public.t (id int PRIMARY KEY, v text NOT NULL, wide text, note text DEFAULT 'n');
ALTER TABLE public.t ALTER wide SET STORAGE EXTERNAL, ALTER v SET STATISTICS 10;
CREATE INDEX ON public.t (v);
INSERT INTO public.t SELECT i, 'buried-' || md5(i::text), CASE WHEN i % 50 = 0 THEN repeat('buried-wide', 800) END
FROM generate_series(1, 3000) i;
DELETE FROM public.t WHERE id % 7 = 0;
UPDATE public.t SET note = 'changed' WHERE id % 3 = 0;
ANALYZE public.t;
"""


def tuples(data: bytes) -> Iterator[bytes]:
    """What lies between pd_upper and pd_special of each heap page: the tuples, dead ones too (storage-page-layout)."""
    for start in range(0, len(data), BLOCK):
        upper, special = struct.unpack_from("=HH", data, start + 14)
        yield data[start + upper : start + special]


def files(server: PostgresServer, connection: psycopg.Connection) -> dict[str, bytes]:
    """The files of the table, its TOAST table and their indexes, and of pg_statistic."""
    connection.execute("CHECKPOINT")
    found = rows(
        connection,
        "WITH t AS (SELECT oid, reltoastrelid FROM pg_class WHERE oid = 'public.t'::regclass)"
        " SELECT c.relname, c.relkind::text, pg_relation_filepath(c.oid) FROM pg_class c, t"
        " WHERE c.oid IN (t.oid, t.reltoastrelid, 'pg_statistic'::regclass)"
        " OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (t.oid, t.reltoastrelid))",
    )
    data = {name: (Path(server.data_dir) / path).read_bytes() for name, _, path in found}
    heaps = {name for name, kind, _ in found if kind in "rt"}
    return {name: b"".join(tuples(bytes_)) if name in heaps else bytes_ for name, bytes_ in data.items()}


def whole_file(server: PostgresServer, connection: psycopg.Connection) -> bytes:
    connection.execute("CHECKPOINT")
    ((path,),) = rows(connection, "SELECT pg_relation_filepath('public.t')")
    return (Path(server.data_dir) / path).read_bytes()


def test_an_older_snapshot_is_named(postgres, database, connection, sealing, rule, monkeypatch):
    connection.execute(TABLE)
    monkeypatch.setattr(scrub, "PATIENCE_S", 1.0)
    with postgres.connect(database) as other:
        keep_not_null = scrub.keep_not_null

        def look(*arguments: object) -> None:
            keep_not_null(*arguments)  # type: ignore[arg-type]
            other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            other.execute("SELECT count(*) FROM t")

        monkeypatch.setattr(scrub, "keep_not_null", look)
        done = sealing(rule("public.t.v", "text", ("equality",))).to_the_end()
        assert done.older == (f"pid {other.info.backend_pid} (no name)",)
        assert BURIED in files(postgres, connection)["t"].replace(b"buried-wide", b"")
        other.execute("COMMIT")
    connection.execute("VACUUM public.t")
    assert BURIED not in files(postgres, connection)["t"].replace(b"buried-wide", b"")


def test_nothing_is_left_in_rows_and_statistics(postgres, connection, sealing, rule):
    connection.execute(TABLE)
    assert {name for name, data in files(postgres, connection).items() if BURIED in data} >= {"t", "pg_statistic"}
    before = len(postgres.log_text())
    for name in ("v", "wide"):
        sealing(rule(f"public.t.{name}", "text", ("equality",) if name == "v" else ())).to_the_end()
    assert [name for name, data in files(postgres, connection).items() if BURIED in data] == []
    assert BURIED.decode() not in postgres.log_text()[before:]
    connection.execute("VACUUM FULL public.t")
    assert BURIED not in whole_file(postgres, connection)
    assert BURIED.decode() not in str(rows(connection, "SELECT * FROM pg_stats WHERE tablename = 't'"))


def test_a_row_that_is_held_is_waited_for(postgres, database, connection, sealing, rule, monkeypatch):
    connection.execute(TABLE)
    with postgres.connect(database) as other:
        keep_not_null = scrub.keep_not_null

        def hold(*arguments: object) -> None:
            keep_not_null(*arguments)  # type: ignore[arg-type]
            other.execute("BEGIN")
            other.execute("SELECT FROM t WHERE id = 1 FOR UPDATE")

        slept: list[float] = []

        def let_go(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                other.execute("COMMIT")

        monkeypatch.setattr(scrub, "keep_not_null", hold)
        sealing(rule("public.t.v", "text", ("equality",)), pace=Pace(sleep=let_go)).to_the_end()
        assert len(slept) == 2
    assert BURIED not in files(postgres, connection)["t"].replace(b"buried-wide", b"")


def test_a_row_that_is_held_for_long_is_left_for_another_run(
    postgres, database, connection, sealing, verified, rule, monkeypatch
):
    connection.execute(TABLE)
    ruled = rule("public.t.v", "text", ("equality",))
    monkeypatch.setattr(locking, "TRIES", 2)
    with postgres.connect(database) as other:
        keep_not_null = scrub.keep_not_null

        def hold(*arguments: object) -> None:
            keep_not_null(*arguments)  # type: ignore[arg-type]
            other.execute("BEGIN")
            other.execute("SELECT FROM t WHERE id = 1 FOR UPDATE")

        with monkeypatch.context() as patched:
            patched.setattr(scrub, "keep_not_null", hold)
            with pytest.raises(ConfigError, match="could not be written in 2 tries") as caught:
                sealing(ruled, pace=Pace(sleep=lambda _: None)).to_the_end()
        assert f"pid {other.info.backend_pid}" in str(caught.value.detail)
        other.execute("COMMIT")
    assert rows(connection, "SELECT state FROM pgcrypt.moves") == [("scrubbing",)]
    assert verified(ruled) == len(rows(connection, "SELECT FROM public.t"))
    sealing(ruled).to_the_end()
    assert rows(connection, "SELECT state FROM pgcrypt.moves") == []
    assert BURIED not in files(postgres, connection)["t"].replace(b"buried-wide", b"")


def test_a_plain_column_that_was_abandoned_leaves_nothing(
    postgres, connection, store, sealing, opening, rule, monkeypatch
):
    connection.execute(TABLE)
    ruled = rule("public.t.v", "text", ("equality",))
    sealing(ruled).to_the_end()
    run = opening(ruled)
    with monkeypatch.context() as patched:
        patched.setattr(type(run), "_swapped", lambda *_: (_ for _ in ()).throw(ConfigError("stopped")))
        with pytest.raises(ConfigError, match="stopped"):
            run.to_the_end()
    assert BURIED in files(postgres, connection)["t"].replace(b"buried-wide", b"")
    opening(ruled).abandon()
    assert BURIED not in files(postgres, connection)["t"].replace(b"buried-wide", b"")
