"""`serve --workers`: several processes that are one proxy, tested as processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer
from tests.helpers.serving import MAIN, Serving, eventually, serving

pytestmark = pytest.mark.one_server

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text);
CREATE FUNCTION tally() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users WHERE email IS NOT NULL';
"""
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
SAFE = "safe_functions: [public.tally]\n"


@pytest.fixture(scope="module")
def db(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("workers"), SCHEMA, COLUMNS) as made:
        yield made


@pytest.fixture(autouse=True)
def as_they_were(db: ProtectedDatabase) -> Iterator[None]:
    rules = db.rules.read_text()
    yield
    db.rules.write_text(rules)


@pytest.fixture(scope="module")
def pair(db: ProtectedDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """For tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("pair")
    with serving(db, folder, PGCRYPT_UNIX_SOCKET_DIR=str(folder)) as made:
        yield made


def test_workers_share_the_address_and_are_counted_as_one(pair: Serving) -> None:
    refused = pair.metric('pgcrypt_refusals_total{sqlstate="0A000"}')
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            connection = stack.enter_context(pair.connect())
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                connection.execute("SELECT max(email) FROM users")
        assert {line["worker"] for line in pair.said("statement refused")} == {0, 1}
        assert pair.metric('pgcrypt_refusals_total{sqlstate="0A000"}') == refused + 24
        assert pair.metric("pgcrypt_connections_open") == 24
        assert pair.metric("pgcrypt_workers_ready") == 2
        eventually(lambda: 200 < pair.metric("pgcrypt_keyring_seconds_left") <= 300)
        assert (
            pair.metric("pgcrypt_login_seconds_count") == pair.metric('pgcrypt_login_seconds_bucket{le="+Inf"}') >= 24
        )
    assert pair.get("/healthz") == (200, "ok\n")
    with pair.db.direct() as direct:  # two of the workers, one of the fixture's proxy, and none of the supervisor
        own = "application_name = 'pgcrypt-proxy' AND datname = current_database()"
        assert direct.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {own}".encode()).fetchone() == (3,)


def test_what_one_worker_seals_another_opens_and_finds(pair: Serving) -> None:
    for number in range(12):
        with pair.connect() as writing, pair.connect() as reading:
            writing.execute("INSERT INTO users VALUES (%s, %s)", [number, f"planted-{number}"])
            found = reading.execute("SELECT email FROM users WHERE email = %s", [f"planted-{number}"]).fetchall()
            assert found == [(f"planted-{number}",)]
    with pair.db.direct() as direct:
        stored = direct.execute("SELECT email::bytea FROM users").fetchall()
        direct.execute("DELETE FROM users")
    assert len(stored) == 12
    assert b"planted" not in b"".join(value for (value,) in stored)


def test_a_cancel_request_reaches_its_session_through_any_worker(pair: Serving) -> None:
    """Which worker takes a connection is the kernel's choice: that all twelve meet the right one means 1 in 4096."""
    with pair.connect() as connection:
        for _ in range(12):
            timer = threading.Timer(0.2, connection.cancel_safe)
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(30)")
            timer.join()
    assert pair.metric("pgcrypt_cancel_requests_total") == 12


def test_failed_logins_count_over_all_workers(pair: Serving) -> None:
    with pair.db.direct() as direct:
        direct.execute("SET password_encryption = 'scram-sha-256'")
        direct.execute("DROP ROLE IF EXISTS workers_guessed")
        direct.execute("CREATE ROLE workers_guessed LOGIN PASSWORD 'right' IN ROLE scram_users")
    for _ in range(5):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(pair.dsn("workers_guessed"), password="wrong")
    assert pair.metric("pgcrypt_logins_failed_total") == 5
    assert pair.metric("pgcrypt_logins_delayed_total") == 2
    psycopg.connect(pair.dsn("workers_guessed"), password="right").close()


def test_a_unix_socket_is_shared(pair: Serving) -> None:
    folder = str(pair.log.parent)
    for _ in range(6):
        with psycopg.connect(pair.dsn(host=folder)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_second_proxy_is_not_let_to_the_address(pair: Serving, tmp_path: Path) -> None:
    with serving(pair.db, tmp_path, is_awaited=False, PGCRYPT_LISTEN_PORT=str(pair.port)) as second:
        assert second.process.wait(timeout=30) == 2
    assert "cannot listen on" in " ".join(second.log.read_text().split())


def test_connections_are_limited_over_all_workers(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path, PGCRYPT_MAX_CONNECTIONS="4") as made, contextlib.ExitStack() as stack:
        there = [stack.enter_context(made.connect()) for _ in range(4)]
        for _ in range(12):
            with pytest.raises(psycopg.OperationalError, match="too many clients"):
                made.connect()
        there[0].close()
        eventually(lambda: made.metric("pgcrypt_connections_open") == 3)
        stack.enter_context(made.connect())


def test_a_dead_worker_is_replaced_and_what_it_counted_stays(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path, PGCRYPT_MAX_CONNECTIONS="24") as made, contextlib.ExitStack() as stack:
        there = [stack.enter_context(made.connect()) for _ in range(24)]
        assert made.metric("pgcrypt_connections_accepted_total") == 24
        victim = made.workers()[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: made.metric("pgcrypt_worker_restarts_total") == 1)
        eventually(lambda: made.metric("pgcrypt_workers_ready") == 2)
        assert victim not in made.workers()
        assert made.metric("pgcrypt_connections_accepted_total") == 24
        lost = 0
        for connection in there:
            try:
                connection.execute("SELECT 1")
            except psycopg.OperationalError:
                lost += 1
        assert 0 < lost < 24
        assert made.metric("pgcrypt_connections_open") == 24 - lost
        for _ in range(lost):  # the seats of the dead are free
            stack.enter_context(made.connect())
        assert made.said("worker lost")[0]["reason"] == "killed"
        assert made.get("/healthz") == (200, "ok\n")


def test_a_worker_told_to_end_lets_its_transactions_finish(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path) as made, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(psycopg.connect(made.dsn())) for _ in range(12)]
        for connection in busy:
            connection.execute("SELECT 1")
        os.kill(made.workers()[0], signal.SIGTERM)
        eventually(lambda: made.get("/healthz")[1] == "1 of 2 workers serve\n")
        for connection in busy:
            connection.commit()
        eventually(lambda: made.metric("pgcrypt_workers_ready") == 2)


def test_workers_end_when_their_supervisor_died(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path) as made:
        workers = made.workers()
        assert len(workers) == 2
        busy = psycopg.connect(made.dsn())
        busy.execute("SELECT 1")
        made.process.kill()
        made.process.wait()
        eventually(lambda: is_refused(made))
        busy.commit()  # transactions may finish
        busy.close()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        assert {line["worker"] for line in made.said("the supervisor is gone")} == {0, 1}


def is_refused(made: Serving) -> bool:
    try:
        made.connect().close()
    except psycopg.OperationalError as error:
        return "refused" in str(error)
    return False


def test_sigterm_lets_transactions_of_all_workers_finish(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path) as made, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(psycopg.connect(made.dsn())) for _ in range(8)]
        idle = [stack.enter_context(made.connect()) for _ in range(8)]
        for number, connection in enumerate(busy):
            connection.execute("INSERT INTO users VALUES (%s, 'planted-busy')", [number])
        made.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(made))
        assert made.get("/healthz") == (503, "stopping\n")
        for connection in idle:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        for connection in busy:
            connection.commit()
        assert made.process.wait(timeout=15) == 0
    with db.direct() as direct:
        assert direct.execute("SELECT count(*) FROM users").fetchone() == (8,)
        direct.execute("DELETE FROM users")


def test_a_second_signal_ends_transactions_at_once(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path, PGCRYPT_DRAIN_TIMEOUT_S="60") as made, psycopg.connect(made.dsn()) as busy:
        busy.execute("SELECT 1")
        made.process.send_signal(signal.SIGINT)
        eventually(lambda: is_refused(made))
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(timeout=15) == 0
        with pytest.raises(psycopg.OperationalError):
            busy.commit()


class TestReload:
    def test_rules_change_for_live_connections_in_all_workers_or_in_none(
        self, db: ProtectedDatabase, tmp_path: Path
    ) -> None:
        good = db.rules.read_text()
        with serving(db, tmp_path) as made, contextlib.ExitStack() as stack:
            there = [stack.enter_context(made.connect()) for _ in range(16)]

            def calls() -> list[bool]:
                return [answers(connection, "SELECT tally()") for connection in there]

            assert not any(calls())
            db.rules.write_text(good + SAFE + "nonsense: 1\n")
            made.reload()
            assert made.metric('pgcrypt_reloads_total{status="error"}') == 1
            assert made.said("not reloaded: what was in force before goes on")
            assert not any(calls())
            db.rules.write_text(good + SAFE)
            made.reload()
            assert made.metric('pgcrypt_reloads_total{status="ok"}') == 1
            assert all(calls())

    def test_one_worker_that_cannot_keeps_all_as_they_were(self, db: ProtectedDatabase, tmp_path: Path) -> None:
        """One worker is stopped while the other reads: it finds other rules than that one did."""
        good = db.rules.read_text()
        with serving(db, tmp_path) as made, contextlib.ExitStack() as stack:
            there = [stack.enter_context(made.connect()) for _ in range(16)]
            stopped = made.workers()[0]
            os.kill(stopped, signal.SIGSTOP)
            try:
                db.rules.write_text(good + SAFE)
                made.process.send_signal(signal.SIGHUP)
                time.sleep(2)
                db.rules.write_text(good + SAFE.replace("tally", "tallies"))
            finally:
                os.kill(stopped, signal.SIGCONT)
            eventually(lambda: made.metric('pgcrypt_reloads_total{status="error"}') == 1)
            assert not any(answers(connection, "SELECT tally()") for connection in there)

    def test_a_new_worker_must_have_the_rules_of_the_others(self, db: ProtectedDatabase, tmp_path: Path) -> None:
        good = db.rules.read_text()
        with serving(db, tmp_path) as made:
            db.rules.write_text(good + SAFE)
            os.kill(made.workers()[0], signal.SIGKILL)
            eventually(lambda: bool(made.said("the rules on disk are not those in force: reload them")))
            assert made.get("/healthz") == (200, "1 of 2 workers serve\n")
            for _ in range(8):
                with made.connect() as connection:
                    assert not answers(connection, "SELECT tally()")
            made.reload()
            eventually(lambda: made.metric("pgcrypt_workers_ready") == 2)
            for _ in range(8):
                with made.connect() as connection:
                    assert answers(connection, "SELECT tally()")

    def test_settings_that_may_change_do(self, db: ProtectedDatabase, tmp_path: Path) -> None:
        limit = tmp_path / "settings.yaml"
        limit.write_text("max_connections: 2\n")
        with serving(db, tmp_path, "--config", "settings.yaml") as made, made.connect(), made.connect():
            with pytest.raises(psycopg.OperationalError, match="too many clients"):
                made.connect()
            limit.write_text("max_connections: 3\nkey_ttl_s: 100\n")
            made.reload()
            made.connect().close()
            assert [line["operation"] for line in made.said("setting changed: it needs a restart")] == ["key_ttl_s"]


def answers(connection: psycopg.Connection, sql: str) -> bool:
    try:
        connection.execute(sql.encode())
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def test_a_start_that_fails_says_why_once(db: ProtectedDatabase, tmp_path: Path) -> None:
    with serving(db, tmp_path, is_awaited=False, PGCRYPT_RULES="missing.yaml") as made:
        assert made.process.wait(timeout=30) == 2
    assert made.log.read_text().count("cannot be read") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_is_told(db: ProtectedDatabase, tmp_path: Path, workers: str, is_abstract: bool) -> None:
    name = f"@pgcrypt-test-{os.getpid()}-{workers}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if is_abstract else name)
        manager.settimeout(40)
        heard: list[str] = []

        def await_word(word: str) -> None:
            while word not in (heard or [""])[-1].splitlines():
                heard.append(manager.recv(4096).decode())

        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000", "PGCRYPT_WORKERS": workers}
        with serving(db, tmp_path, is_awaited=False, **environment) as made:
            await_word("READY=1")
            await_word("WATCHDOG=1")
            made.process.send_signal(signal.SIGHUP)
            await_word("RELOADING=1")
            assert any(line.startswith("MONOTONIC_USEC=") for line in heard[-1].splitlines())
            await_word("READY=1")
            db.rules.write_text("nonsense")
            made.process.send_signal(signal.SIGHUP)
            await_word("RELOADING=1")
            await_word("READY=1")
            assert "STATUS=not reloaded" in heard[-1]
            made.process.terminate()
            await_word("STOPPING=1")
            assert made.process.wait(timeout=20) == 0
        assert not any("READY=1" in said for said in heard[: heard.index(next(s for s in heard if "READY=1" in s))])


@pytest.mark.slow
def test_no_worker_seals_under_an_old_key_once_rotate_is_done(pair: Serving) -> None:
    is_done, failed, times = threading.Event(), [], {}

    def write(first: int) -> None:
        number = first
        with pair.connect() as connection:
            while not is_done.is_set():
                begun = time.monotonic()
                try:
                    connection.execute("INSERT INTO users VALUES (%s, %s)", [number, "planted-key"])
                except psycopg.Error as error:
                    failed.append(error.sqlstate)
                else:
                    times[number] = begun
                number += 1
                time.sleep(0.02)

    threads = [threading.Thread(target=write, args=(first * 100_000,)) for first in range(1, 9)]
    for thread in threads:
        thread.start()
    try:
        environment = {"PGCRYPT_DATABASE_URL": pair.db.server.dsn(pair.db.name), "PGCRYPT_RULES": str(pair.db.rules)}
        subprocess.run(
            [*MAIN, "rotate", "dek"],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
            timeout=60,
        )
        rotated = time.monotonic()
        time.sleep(1)
    finally:
        is_done.set()
        for thread in threads:
            thread.join()
    with pair.db.direct() as direct:
        active = direct.execute("SELECT id FROM pgcrypt.keyring WHERE kind = 'dek' AND state = 'active'").fetchone()
        stored = direct.execute("SELECT id, substr(email::bytea, 3, 4) FROM users").fetchall()
        direct.execute("DELETE FROM users")
    assert active is not None
    keys = {number: int.from_bytes(key, "big") for number, key in stored}
    late = {keys[number] for number, begun in times.items() if begun >= rotated}
    assert late == {active[0]}
    assert len(set(keys.values())) == 2  # some were sealed before, under the old one
    assert failed == []
