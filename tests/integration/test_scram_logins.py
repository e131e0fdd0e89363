"""SCRAM on both legs over TLS: the client proves itself to the proxy, and that proof logs in to the server."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import subprocess
import time
from types import SimpleNamespace

import asyncpg
import boto3
import pg8000.native
import psycopg
import psycopg2
import pytest

from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server import log
from tests.helpers.certificates import Authority
from tests.helpers.middle import between
from tests.helpers.tls_database import PASSWORDS, TlsDatabase, TlsProxy

pytestmark = pytest.mark.one_server

WHO = "SELECT current_user, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())"


@pytest.fixture
def logged() -> io.StringIO:
    """All that proxies log in this test, at the most talkative level."""
    stream = io.StringIO()
    log.configure("debug", stream)
    return stream


class TestDrivers:
    @pytest.mark.parametrize("negotiation", ["postgres", "direct"])
    @pytest.mark.parametrize("binding", ["require", "disable"])
    def test_psycopg(self, tls_proxy: TlsProxy, negotiation: str, binding: str) -> None:
        with tls_proxy.connect(channel_binding=binding, sslnegotiation=negotiation) as connection:
            assert connection.execute(WHO).fetchone() == ("app", True)
            connection.execute("DELETE FROM users")
            connection.execute("INSERT INTO users VALUES (1, 'planted-scram')")
            row = connection.execute("SELECT email FROM users WHERE email = %s", ["planted-scram"]).fetchone()
            assert row == ("planted-scram",)
        with tls_proxy.db.direct() as direct:
            stored = direct.execute("SELECT email::bytea FROM users").fetchone()
            assert stored is not None
            assert b"planted" not in stored[0]

    def test_libpq_18(self, tls_proxy: TlsProxy) -> None:
        """The library that psycopg's wheels bring."""
        assert psycopg.pq.version() >= 180000
        with tls_proxy.connect(sslmode="verify-full", channel_binding="require") as connection:
            assert connection.execute(WHO).fetchone() == ("app", True)
            assert connection.pgconn.used_password

    def test_newest_protocol(self, tls_proxy: TlsProxy) -> None:
        with tls_proxy.connect(max_protocol_version="latest", channel_binding="require") as connection:
            assert connection.execute(WHO).fetchone() == ("app", True)

    def test_psycopg2(self, tls_proxy: TlsProxy) -> None:
        connection = psycopg2.connect(tls_proxy.dsn(channel_binding="require"), password=PASSWORDS["app"])
        with connection.cursor() as cursor:
            cursor.execute(WHO)
            assert cursor.fetchone() == ("app", True)
        connection.close()

    def test_psql_15(self, tls_proxy: TlsProxy) -> None:
        psql = tls_proxy.db.server.bin_dir / "psql"
        version = subprocess.run([str(psql), "--version"], capture_output=True, text=True, check=True).stdout
        assert "(PostgreSQL) 15." in version
        environment = {**os.environ, "PGPASSWORD": PASSWORDS["app"]}
        command = [str(psql), "-XAt", tls_proxy.dsn(channel_binding="require"), "-c", WHO]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert (done.stdout.strip(), done.stderr) == ("app|t", "")

    async def test_asyncpg(self, tls_proxy: TlsProxy) -> None:
        for direct in (False, True):
            connection = await asyncpg.connect(
                tls_proxy.dsn(), password=PASSWORDS["app"], statement_cache_size=0, direct_tls=direct
            )
            assert tuple(await connection.fetchrow(WHO)) == ("app", True)
            await connection.close()

    def test_pg8000(self, tls_proxy: TlsProxy) -> None:
        """Pure Python, with channel binding of its own making."""
        context = ssl.create_default_context(cafile=str(tls_proxy.db.folder / "root.crt"))
        with pg8000.native.Connection(
            "app",
            host="localhost",
            port=tls_proxy.running.port,
            database=tls_proxy.db.name,
            password=PASSWORDS["app"],
            ssl_context=context,
        ) as connection:
            assert connection.run(WHO) == [["app", True]]

    def test_a_cancel_request_inside_tls(self, tls_proxy: TlsProxy) -> None:
        async def run() -> None:
            connection = await psycopg.AsyncConnection.connect(tls_proxy.dsn(), password=PASSWORDS["app"])
            async with connection:
                sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
                await asyncio.sleep(0.3)
                await connection.cancel_safe()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    await sleeping

        asyncio.run(run())


class TestRefusals:
    def refusal(self, proxy: TlsProxy, user: str = "app", password: str | None = None, **parameters: str) -> str:
        with pytest.raises(psycopg.OperationalError) as caught:
            proxy.connect(user, password, **parameters)
        return str(caught.value)

    def test_a_wrong_password_and_an_unknown_user_look_the_same(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls()) as proxy:
            for user in ("app", "nobody_here", "certified"):
                said = self.refusal(proxy, user, "wrong", channel_binding="require")
                assert f'FATAL:  password authentication failed for user "{user}"' in said
        assert "connection authorized: user=nobody_here" not in tls_db.server.log_text()

    def test_nothing_reaches_the_server_before_the_proof(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls()) as proxy, tls_db.direct() as direct:
            before = tls_db.server.log_text().count("connection received")
            self.refusal(proxy, "app", "wrong")
            assert direct.execute("SELECT 1").fetchone() == (1,)
            assert tls_db.server.log_text().count("connection received") == before

    def test_a_changed_password_counts_at_once(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls()) as proxy, tls_db.direct() as direct:
            direct.execute("DROP ROLE IF EXISTS changing; CREATE ROLE changing LOGIN PASSWORD 'one'")
            proxy.connect("changing", "one").close()
            direct.execute("ALTER ROLE changing PASSWORD 'two'")
            assert "password authentication failed" in self.refusal(proxy, "changing", "one")
            proxy.connect("changing", "two").close()
            direct.execute("ALTER ROLE changing VALID UNTIL '2001-01-01'")
            assert "password authentication failed" in self.refusal(proxy, "changing", "two")

    def test_an_md5_password_cannot_pass(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls()) as proxy:
            assert "password authentication failed" in self.refusal(proxy, "app_md5")

    def test_methods_that_are_no_scram_are_refused(self, tls_db: TlsDatabase) -> None:
        """A server that lets somebody in without a proof may be anybody."""
        with tls_db.direct() as direct:
            direct.execute("ALTER ROLE trusted PASSWORD 'some'")
        with tls_db.proxy(**tls_db.client_tls()) as proxy:
            assert 'authentication by "none", which require_auth' in self.refusal(proxy, "trusted", "some")
            assert 'authentication by "password", which require_auth' in self.refusal(proxy, "app_clear")
        with tls_db.proxy(**tls_db.client_tls(), require_auth=("scram-sha-256", "none")) as proxy:
            proxy.connect("trusted", "some").close()

    def test_users_that_are_not_listed_look_like_unknown_ones(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls(), users=("fixed",)) as proxy:
            proxy.connect("fixed").close()
            assert "password authentication failed" in self.refusal(proxy, "app")

    def test_guessing_gets_slower(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls()) as proxy:
            for _ in range(4):
                self.refusal(proxy, "app", "wrong")
            metrics = proxy.running.proxy.metrics
            assert metrics.logins_failed._value.get() == 4
            assert metrics.logins_delayed._value.get() == 1
            proxy.connect("fixed").close()  # others are not touched
            proxy.connect("app").close()
            assert metrics.logins_delayed._value.get() == 2

    def test_pending_logins_are_bounded(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(**tls_db.client_tls(), max_pending_logins=2) as proxy:
            idle = [socket.create_connection(("127.0.0.1", proxy.running.port)) for _ in range(2)]
            with pytest.raises(psycopg.OperationalError):
                proxy.connect()
            for sock in idle:
                sock.close()
            deadline = time.monotonic() + 5
            while proxy.running.proxy._doorkeeper.pending_count:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            connections = [proxy.connect() for _ in range(4)]  # those who are in do not count
            for connection in connections:
                connection.close()

    def test_channel_binding_to_another_certificate_fails(self, tls_db: TlsDatabase, certificate_authority: Authority):
        """Somebody in the middle with a certificate of the same authority: the proof does not fit the proxy's."""
        tls_db.write("other", certificate_authority.issue("localhost", "localhost"))
        changes = tls_db.client_tls()
        with tls_db.proxy(**changes) as proxy, between(proxy.running.port) as middle:
            identity = proxy.running.proxy._files.client
            assert identity is not None
            identity.context.load_cert_chain(tls_db.folder / "other.crt", tls_db.folder / "other.key")
            elsewhere = proxy.dsn(channel_binding="require").replace(f":{proxy.running.port}/", f":{middle.port}/")
            with pytest.raises(psycopg.OperationalError, match="channel binding check failed"):
                psycopg.connect(elsewhere, password=PASSWORDS["app"])


class TestUsersFile:
    def test_verifiers_from_a_file(self, tls_db: TlsDatabase) -> None:
        with tls_db.direct() as direct:
            row = direct.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").fetchone()
        assert row is not None
        path = tls_db.folder / "users"
        path.touch(mode=0o600)
        path.write_text(f'# users\n"app" "{row[0]}"\nghost {Verifier.make("boo").text()}\n')
        with tls_db.proxy(**tls_db.client_tls(), users_file=path) as proxy:
            with proxy.connect(channel_binding="require") as connection:
                assert connection.execute(WHO).fetchone() == ("app", True)
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                proxy.connect("fixed")
            with pytest.raises(psycopg.OperationalError, match="verifier is not the one"):
                proxy.connect("ghost", "boo")  # the server mocks a login of its own, with another salt
            path.write_text(f"fixed {row[0]}\n")
            asyncio.run_coroutine_threadsafe(proxy.running.proxy.reload(), proxy.running._loop).result(timeout=10)
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                proxy.connect("app")

    def test_a_verifier_given_to_both(self, tls_db: TlsDatabase) -> None:
        """Where the server shows nobody its verifiers."""
        made = Verifier.make("planted-given")
        with tls_db.direct() as direct:
            direct.execute("DROP ROLE IF EXISTS given")
            direct.execute(f"CREATE ROLE given LOGIN PASSWORD '{made.text()}'".encode())
        path = tls_db.folder / "given"
        path.touch(mode=0o600)
        path.write_text(f'"given" {made.text()}\n')
        with tls_db.proxy(**tls_db.client_tls(), users_file=path) as proxy:
            proxy.connect("given", "planted-given", channel_binding="require").close()

    def test_it_must_be_private(self, tls_db: TlsDatabase) -> None:
        path = tls_db.folder / "open"
        path.write_text("")
        path.chmod(0o644)
        with pytest.raises(PgcryptError, match="may be read by others"), tls_db.proxy(users_file=path):
            pass


class TestStatic:
    STATIC: dict[str, object] = {  # noqa: RUF012
        "auth": "static",
        "upstream_user": "fixed",
        "upstream_password": PASSWORDS["fixed"],
    }

    @pytest.fixture
    def users(self, tls_db: TlsDatabase) -> dict[str, object]:
        path = tls_db.folder / "static-users"
        path.touch(mode=0o600)
        path.write_text(f"anna {Verifier.make('annas').text()}\n")
        return {**tls_db.client_tls(), **self.STATIC, "users_file": path}

    def test_users_of_the_proxy_use_one_of_the_server(self, tls_db: TlsDatabase, users: dict[str, object]) -> None:
        with tls_db.proxy(**users) as proxy:
            with proxy.connect("anna", "annas", channel_binding="require") as connection:
                assert connection.execute(WHO).fetchone() == ("fixed", True)
                assert connection.info.dbname == tls_db.name
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                proxy.connect("fixed")

    def test_a_wrong_password_of_the_proxy_is_not_the_clients(
        self, tls_db: TlsDatabase, users: dict[str, object]
    ) -> None:
        expected = pytest.raises(psycopg.OperationalError, match="the proxy could not log in to the server")
        with tls_db.proxy(**{**users, "upstream_password": "wrong"}) as proxy, expected:
            proxy.connect("anna", "annas")

    def test_a_password_in_clear_needs_require_auth(self, tls_db: TlsDatabase, users: dict[str, object]) -> None:
        clear = {**users, "upstream_user": "app_clear", "upstream_password": PASSWORDS["app_clear"]}
        with tls_db.proxy(**clear) as proxy, pytest.raises(psycopg.OperationalError, match="require_auth"):
            proxy.connect("anna", "annas")
        with tls_db.proxy(**clear, require_auth=("password",)) as proxy:
            proxy.connect("anna", "annas").close()

    def test_a_token_of_aws_in_the_passwords_place(
        self, tls_db: TlsDatabase, users: dict[str, object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Signed by boto3 itself; the server knows of each signature at once, as RDS does."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-key")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        signed: list[str] = []
        clients = boto3.client

        def client(service: str, region_name: str | None) -> SimpleNamespace:
            def sign(**asked: object) -> str:
                signed.append(clients(service, region_name=region_name).generate_db_auth_token(**asked))
                with tls_db.direct() as direct:
                    direct.execute(f"ALTER ROLE app_clear PASSWORD '{signed[-1]}'".encode())
                return signed[-1]

            return SimpleNamespace(generate_db_auth_token=sign)

        monkeypatch.setattr(boto3, "client", client)
        token = {"upstream_user": "app_clear", "upstream_token": "rds-iam"}
        try:
            with tls_db.proxy(**{**users, "upstream_password": None, **token}) as proxy:
                for _ in range(2):
                    with proxy.connect("anna", "annas") as connection:
                        assert connection.execute(WHO).fetchone() == ("app_clear", True)
            assert [one.partition("&X-Amz")[0] for one in signed] == [
                f"localhost:{tls_db.server.port}/?Action=connect&DBUser=app_clear"
            ]
        finally:
            with tls_db.direct() as direct:
                direct.execute(f"ALTER ROLE app_clear PASSWORD '{PASSWORDS['app_clear']}'".encode())

    def test_a_certificate_towards_the_server(
        self, tls_db: TlsDatabase, users: dict[str, object], certificate_authority: Authority
    ) -> None:
        tls_db.write("certified", certificate_authority.issue("certified"))
        files = {"sslcert": str(tls_db.folder / "certified.crt"), "sslkey": str(tls_db.folder / "certified.key")}
        changes = {
            **users,
            "upstream_user": "certified",
            "upstream_password": None,
            "database_url": tls_db.url(**files),
        }
        with tls_db.proxy(**changes) as proxy, proxy.connect("anna", "annas") as connection:
            assert connection.execute(WHO).fetchone() == ("certified", True)


class TestRelay:
    def test_relay_over_tls(self, tls_db: TlsDatabase) -> None:
        """Without TLS on the client's leg there is no channel binding to be had, and none to be missed."""
        with tls_db.proxy(auth="relay") as proxy:
            with proxy.connect(sslmode="disable") as connection:
                assert connection.execute(WHO).fetchone() == ("app", True)
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                proxy.connect(password="wrong", sslmode="disable")

    def test_scram_of_a_tls_client_says_what_to_do(self, tls_db: TlsDatabase) -> None:
        with tls_db.proxy(auth="relay", **tls_db.client_tls()) as proxy:
            with pytest.raises(psycopg.OperationalError, match="cannot be relayed"):
                proxy.connect()
            proxy.connect(channel_binding="disable").close()
            with pytest.raises(psycopg.OperationalError, match="channel binding is required"):
                proxy.connect(channel_binding="require")


def test_no_secret_is_logged(tls_db: TlsDatabase, logged: io.StringIO) -> None:
    with tls_db.direct() as direct:
        row = direct.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").fetchone()
    assert row is not None
    with tls_db.proxy(**tls_db.client_tls()) as proxy:
        proxy.connect().close()
        for password in ("planted-wrong-password", PASSWORDS["owner"]):
            with pytest.raises(psycopg.OperationalError):
                proxy.connect("app", password)
        with pytest.raises(psycopg.OperationalError):
            proxy.connect('planted"user\n{"event": "forged"}', "planted-wrong-password")
    said = logged.getvalue()
    assert said.count('"login failed"') == 3
    for secret in ("planted", "forged", *row[0].replace("$", ":").split(":")[2:]):
        assert secret not in said
