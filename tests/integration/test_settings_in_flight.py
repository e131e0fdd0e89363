"""A change of time zone or encoding that is still under way must not be overtaken by a value."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest
from psycopg import pq

from tests.helpers.proxies import ProtectedDatabase
from tests.helpers.ready import readable

WRITE = b"INSERT INTO kinds (id, ts, t) VALUES (1, '2024-01-01 12:00:00', 'planted-x')"


def stored(db: ProtectedDatabase) -> dt.datetime:
    with db.connect() as connection:
        row = connection.execute("SELECT ts FROM kinds").fetchone()
    assert row is not None
    made: dt.datetime = row[0]
    return made.astimezone(dt.UTC)


def test_in_one_text_it_is_refused(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="not done yet"):
            connection.execute(b"SET timezone TO 'Asia/Tokyo'; " + WRITE)
        connection.execute(b"SET search_path TO public; " + WRITE)  # changes nothing about values
        assert connection.execute("SELECT count(*) FROM kinds").fetchone() == (1,)


def test_in_one_pipeline_it_waits_or_is_refused(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        pgconn = connection.pgconn
        pgconn.enter_pipeline_mode()
        pgconn.send_query_params(b"SET timezone TO 'Asia/Tokyo'", None)
        pgconn.pipeline_sync()
        pgconn.send_query_params(WRITE, None)
        pgconn.pipeline_sync()
        statuses = [r.status for r in results(pgconn, syncs=2)]
        assert pq.ExecStatus.FATAL_ERROR not in statuses
        pgconn.send_query_params(b"SET timezone TO 'UTC'", None)
        pgconn.send_query_params(WRITE.replace(b"(1,", b"(2,"), None)
        pgconn.pipeline_sync()
        failed = [r for r in results(pgconn, syncs=1) if r.status == pq.ExecStatus.FATAL_ERROR]
        assert [r.error_field(pq.DiagnosticField.SQLSTATE) for r in failed] == [b"0A000"]
        pgconn.exit_pipeline_mode()
    assert stored(db) == dt.datetime(2024, 1, 1, 3, tzinfo=dt.UTC)


def results(pgconn: pq.abc.PGconn, syncs: int) -> list[pq.abc.PGresult]:
    """All results up to that many Syncs; blocks in short turns, so that the proxy's thread can run."""
    found: list[pq.abc.PGresult] = []
    while syncs:
        pgconn.flush()
        while pgconn.is_busy():
            readable([pgconn.socket], 5)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is not None:
            syncs -= result.status == pq.ExecStatus.PIPELINE_SYNC
            found.append(result)
    return found


def test_a_rollback_brings_the_old_setting_back(db: ProtectedDatabase) -> None:
    with db.connect() as connection:
        connection.execute("SET timezone TO 'UTC'")
        connection.execute("BEGIN")
        connection.execute("SET timezone TO 'Asia/Tokyo'")
        pgconn = connection.pgconn
        pgconn.enter_pipeline_mode()
        pgconn.send_query_params(b"ROLLBACK", None)
        pgconn.pipeline_sync()
        pgconn.send_query_params(WRITE, None)
        pgconn.pipeline_sync()
        assert pq.ExecStatus.FATAL_ERROR not in [r.status for r in results(pgconn, syncs=2)]
        pgconn.exit_pipeline_mode()
    assert stored(db) == dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
