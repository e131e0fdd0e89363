"""Logging in, TLS, cancelling, limits and the end of connections, through the proxy."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgcrypt_proxy import fast
from pgcrypt_proxy.server.run import start
from tests.helpers.certificates import Authority
from tests.helpers.proxies import ProtectedDatabase, protected, settings_for
from tests.helpers.servers import PostgresServer

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text, name text); CREATE TABLE items (id int)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"


@pytest.fixture(scope="module")
def small(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("small"), SCHEMA, COLUMNS) as made:
        yield made


@pytest.fixture(scope="module")
def secured(
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
    certificate_authority: Authority,
) -> Iterator[tuple[ProtectedDatabase, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    issued = certificate_authority.issue("localhost", "localhost", "127.0.0.1")
    (folder / "server.crt").write_bytes(issued.certificate)
    (folder / "server.key").write_bytes(issued.private_key)
    (folder / "server.key").chmod(0o600)
    (folder / "root.crt").write_bytes(certificate_authority.certificate)
    files = {"tls": "require", "tls_certificate": folder / "server.crt", "tls_key": folder / "server.key"}
    with protected(postgres, folder, SCHEMA, COLUMNS, **files) as made:
        yield made, folder / "root.crt"


class TestLogin:
    @pytest.mark.parametrize(
        ("group", "encryption"),
        [("scram_users", "scram-sha-256"), ("md5_users", "md5"), ("password_users", "scram-sha-256")],
    )
    def test_methods_are_relayed(self, small: ProtectedDatabase, group: str, encryption: str) -> None:
        role = f"login_{group}"
        with small.direct() as direct:
            direct.execute(f"SET password_encryption = '{encryption}'".encode())
            direct.execute(f"DO $$ BEGIN CREATE ROLE {group}; EXCEPTION WHEN duplicate_object THEN END $$".encode())
            direct.execute(f"DROP ROLE IF EXISTS {role}".encode())
            direct.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right' IN ROLE {group}".encode())
            direct.execute("GRANT ALL ON users TO PUBLIC")
        with psycopg.connect(small.dsn(role), password="right", autocommit=True) as connection:
            row = connection.execute("SELECT current_user, email FROM users WHERE email = 'planted-none'").fetchone()
            assert row is None
            connection.execute("DELETE FROM users")
            connection.execute("INSERT INTO users (id, email) VALUES (1, 'planted-a')")
            assert connection.execute("SELECT email FROM users WHERE email = 'planted-a'").fetchall() == [
                ("planted-a",)
            ]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(small.dsn(role), password="wrong")

    def test_scram_on_both_legs_without_tls(self, small: ProtectedDatabase) -> None:
        with small.direct() as direct:
            direct.execute("SET password_encryption = 'scram-sha-256'")
            direct.execute("DROP ROLE IF EXISTS login_twice")
            direct.execute("CREATE ROLE login_twice LOGIN PASSWORD 'right' IN ROLE scram_users")
        running = start(settings_for(small.server, small.name, small.rules, auth="scram-passthrough"))
        try:
            dsn = small.dsn("login_twice").replace(f":{small.running.port}/", f":{running.port}/")
            with psycopg.connect(dsn, password="right") as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("login_twice",)
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(dsn, password="wrong")
        finally:
            running.stop()

    def test_guessing_gets_slower_in_relay_mode_too(self, small: ProtectedDatabase) -> None:
        with small.direct() as direct:
            direct.execute("SET password_encryption = 'scram-sha-256'")
            direct.execute("DROP ROLE IF EXISTS login_guessed")
            direct.execute("CREATE ROLE login_guessed LOGIN PASSWORD 'right' IN ROLE scram_users")
        running = start(settings_for(small.server, small.name, small.rules))
        try:
            dsn = small.dsn("login_guessed").replace(f":{small.running.port}/", f":{running.port}/")
            for _ in range(4):
                with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                    psycopg.connect(dsn, password="wrong")
            assert running.proxy.metrics.logins_failed._value.get() == 4
            assert running.proxy.metrics.logins_delayed._value.get() == 1
            psycopg.connect(dsn, password="right").close()
        finally:
            running.stop()

    def test_the_servers_own_refusals_come_through(self, small: ProtectedDatabase) -> None:
        with pytest.raises(psycopg.OperationalError, match='role "nobody_here" does not exist'):
            psycopg.connect(small.dsn("nobody_here"))
        with pytest.raises(psycopg.OperationalError, match="database"):
            psycopg.connect(small.dsn(), dbname="postgres")
        with pytest.raises(psycopg.OperationalError, match="unrecognized configuration parameter"):
            psycopg.connect(small.dsn(), options="-c nosuch.thing.x=1 -c nosuch_setting=1")

    def test_startup_options_reach_the_server(self, small: ProtectedDatabase) -> None:
        with psycopg.connect(small.dsn(), options="-c statement_timeout=12345", application_name="app") as connection:
            row = connection.execute("SELECT current_setting('statement_timeout'), current_setting('application_name')")
            assert row.fetchone() == ("12345ms", "app")

    def test_replication_is_refused(self, small: ProtectedDatabase) -> None:
        with pytest.raises(psycopg.OperationalError, match="replication"):
            psycopg.connect(small.dsn(), replication="database")


class TestTls:
    @pytest.mark.parametrize("mode", ["require", "verify-full"])
    def test_a_client_uses_tls(self, secured: tuple[ProtectedDatabase, Path], mode: str) -> None:
        db, root = secured
        dsn = db.dsn(sslmode=mode, sslrootcert=str(root))
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert connection.pgconn.ssl_in_use
            connection.execute("DELETE FROM users")
            connection.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [1, "planted-" + "t" * 100_000])
            row = connection.execute("SELECT length(name), email FROM users").fetchone()
            assert row is not None
            assert len(row[1]) == 100_008

    def test_a_wrong_authority_is_noticed(self, secured: tuple[ProtectedDatabase, Path], tmp_path: Path) -> None:
        (tmp_path / "other.crt").write_bytes(Authority("another").certificate)
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            psycopg.connect(secured[0].dsn(sslmode="verify-full", sslrootcert=str(tmp_path / "other.crt")))

    def test_plaintext_is_refused_where_tls_is_required(self, secured: tuple[ProtectedDatabase, Path]) -> None:
        with pytest.raises(psycopg.OperationalError, match="SSL connection is required"):
            psycopg.connect(secured[0].dsn(sslmode="disable"))

    def test_plaintext_behind_the_request_is_refused(self, secured: tuple[ProtectedDatabase, Path]) -> None:
        with socket.create_connection(("127.0.0.1", secured[0].running.port), 5) as sock:
            sock.sendall(struct.pack("!iI", 8, 80877103) + b"smuggled")
            data = b""
            while chunk := sock.recv(4096):
                data += chunk
        assert b"received unencrypted data after SSL request" in data

    def test_old_tls_is_refused(self, secured: tuple[ProtectedDatabase, Path]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", secured[0].running.port), 5) as sock:
            sock.sendall(struct.pack("!iI", 8, 80877103))
            assert sock.recv(1) == b"S"
            with pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(sock)


class TestCancel:
    def test_a_running_statement_is_cancelled(self, small: ProtectedDatabase) -> None:
        with small.connect() as connection:
            for sql in ("SELECT pg_sleep(30)", "SELECT email, pg_sleep(30) FROM users"):
                with small.direct() as direct:
                    direct.execute("DELETE FROM users; INSERT INTO users (id) VALUES (1)")
                timer = threading.Timer(0.3, connection.cancel_safe)
                timer.start()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    connection.execute(sql)  # type: ignore[arg-type]
                timer.join()
                assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_a_bogus_key_is_answered_by_silence(self, small: ProtectedDatabase) -> None:
        with socket.create_connection(("127.0.0.1", small.running.port), 5) as sock:
            sock.sendall(struct.pack("!iIII", 16, 80877102, 1, 2))
            assert sock.recv(100) == b""


class TestLimits:
    def test_too_many_connections(self, postgres: PostgresServer, tmp_path: Path) -> None:
        with protected(postgres, tmp_path, SCHEMA, COLUMNS, max_connections=2) as db:
            with db.connect(), db.connect(), pytest.raises(psycopg.OperationalError, match="too many clients"):
                db.connect()
            deadline = time.monotonic() + 5
            while True:
                with contextlib.suppress(psycopg.OperationalError), db.connect() as connection:
                    assert connection.execute("SELECT 1").fetchone() == (1,)
                    break
                assert time.monotonic() < deadline

    def test_a_slow_login_is_dropped(self, postgres: PostgresServer, tmp_path: Path) -> None:
        with (
            protected(postgres, tmp_path, SCHEMA, COLUMNS, authentication_timeout_s=0.3) as db,
            socket.create_connection(("127.0.0.1", db.running.port), 5) as sock,
        ):
            sock.sendall(b"\0\0")
            assert sock.recv(100) == b""

    @pytest.mark.parametrize(
        "junk", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\0\x01", b"SSH-2.0-x\r\n", b"\xff" * 64]
    )
    def test_other_protocols_are_closed(self, small: ProtectedDatabase, junk: bytes) -> None:
        with socket.create_connection(("127.0.0.1", small.running.port), 5) as sock:
            sock.sendall(junk)
            sock.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(4096):
                    pass
        with small.connect() as connection:
            connection.execute("SELECT 1")

    def test_a_vanished_client_rolls_back(self, small: ProtectedDatabase) -> None:
        connection = psycopg.connect(small.dsn())
        connection.execute("INSERT INTO items VALUES (77)")
        os.close(os.dup(connection.fileno()))
        connection.pgconn.finish()
        deadline = time.monotonic() + 5
        with small.direct() as direct:
            query = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND datname = current_database()"
            )
            while direct.execute(query).fetchone() != (0,):
                assert time.monotonic() < deadline
            assert direct.execute("SELECT count(*) FROM items WHERE id = 77").fetchone() == (0,)

    def test_a_terminated_backend_is_told(self, small: ProtectedDatabase) -> None:
        with small.connect() as connection, small.direct() as direct:
            direct.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute("SELECT 1")


def test_sessions_do_not_mix(small: ProtectedDatabase) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        mine = f"planted-marker-{number}-"
        try:
            with small.connect() as connection:
                connection.execute("CREATE TEMP TABLE mine (v text)")
                for turn in range(10):
                    value = f"{mine}{turn}"
                    connection.execute("INSERT INTO users VALUES (%s, %s)", [1000 + number * 100 + turn, value])
                    rows = connection.execute("SELECT email FROM users WHERE email = %s", [value]).fetchall()
                    if rows != [(value,)]:
                        failures.append(rows)
        except psycopg.Error as error:
            failures.append(type(error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class TestServe:
    """The command itself, as a process of its own."""

    def start(self, db: ProtectedDatabase, folder: Path, **environment: str) -> subprocess.Popen[str]:
        values = {
            "PGCRYPT_DATABASE_URL": db.server.dsn(db.name),
            "PGCRYPT_RULES": str(db.rules),
            "PGCRYPT_METRICS_PORT": "0",
            "PGCRYPT_LISTEN_PORT": str(free_port()),
            **environment,
        }
        self.port = int(values["PGCRYPT_LISTEN_PORT"])
        return subprocess.Popen(
            [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()", "serve"],
            env={**os.environ, **values},
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )

    def await_ready(self, process: subprocess.Popen[str]) -> str:
        """What it said before."""
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            if '"ready"' in line:
                return said
            said += line
        raise AssertionError("it did not start")

    def test_it_says_which_code_opens_rows(self, small: ProtectedDatabase, tmp_path: Path) -> None:
        for wanted, build in (("", fast.BUILD), ("python", "python")):
            process = self.start(small, tmp_path, PGCRYPT_ROWS=wanted)
            assert f'"rows: {build}"' in self.await_ready(process)
            process.terminate()
            process.communicate(timeout=30)

    def test_sigterm_lets_a_transaction_finish(self, small: ProtectedDatabase, tmp_path: Path) -> None:
        process = self.start(small, tmp_path)
        self.await_ready(process)
        dsn = f"postgresql://postgres@127.0.0.1:{self.port}/{small.name}?sslmode=disable"
        with psycopg.connect(dsn) as busy, psycopg.connect(dsn, autocommit=True) as idle:
            busy.execute("INSERT INTO items VALUES (88)")
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(psycopg.errors.AdminShutdown):
                idle.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(dsn)
            busy.commit()
        process.communicate(timeout=15)
        assert process.returncode == 0
        with small.direct() as direct:
            assert direct.execute("SELECT count(*) FROM items WHERE id = 88").fetchone() == (1,)

    def test_it_works_and_ends_though_nobody_reads_its_log(self, small: ProtectedDatabase, tmp_path: Path) -> None:
        process = self.start(small, tmp_path)
        self.await_ready(process)
        assert process.stderr is not None
        process.stderr.close()
        dsn = f"postgresql://postgres@127.0.0.1:{self.port}/{small.name}?sslmode=disable"
        with psycopg.connect(dsn, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.FeatureNotSupported):  # refusals are logged
                connection.execute("SELECT max(email) FROM users")
            assert connection.execute("SELECT 1").fetchone() == (1,)
        process.terminate()
        assert process.wait(timeout=15) == 0

    @pytest.mark.parametrize(
        ("environment", "message"),
        [
            ({"PGCRYPT_RULES": "missing.yaml"}, "cannot be read"),
            ({"PGCRYPT_DATABASE_URL": "postgresql://postgres@127.0.0.1/x?sslmode=prefer"}, "falls back"),
            ({"PGCRYPT_DATABASE_URL": "postgresql://postgres:secret@127.0.0.1:1/x"}, "cannot connect"),
            ({"PGCRYPT_TLS": "sometimes"}, "tls is"),
            ({"PGCRYPT_LISTEN_PORT": "many"}, "must be a number"),
        ],
    )
    def test_a_bad_start_says_why(
        self, small: ProtectedDatabase, tmp_path: Path, environment: dict[str, str], message: str
    ) -> None:
        values = {"PGCRYPT_LISTEN_PORT": str(free_port()), **environment}
        self.port = 0
        merged = {
            "PGCRYPT_DATABASE_URL": small.server.dsn(small.name),
            "PGCRYPT_RULES": str(small.rules),
            "PGCRYPT_METRICS_PORT": "0",
            **values,
        }
        done = subprocess.run(
            [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()", "serve"],
            env={**os.environ, **merged},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 2
        assert message in said
        assert "Traceback" not in said
        assert "secret" not in said

    def test_a_taken_port_says_so(self, small: ProtectedDatabase, tmp_path: Path) -> None:
        process = self.start(small, tmp_path, PGCRYPT_LISTEN_PORT=str(small.running.port))
        _, said = process.communicate(timeout=30)
        assert process.returncode == 2
        assert "cannot listen" in " ".join(said.split())


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_settings_do_not_show_the_url(small: ProtectedDatabase) -> None:
    settings = settings_for(small.server, small.name, small.rules)
    assert small.name not in repr(settings)
