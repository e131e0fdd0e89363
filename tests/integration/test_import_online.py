"""A column that an application encrypts itself becomes a sealed one while the application goes on, to the cut-over."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from pgcrypt_proxy.crypto.foreign import forms
from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.keyring_store import KeyringStore, make_providers
from pgcrypt_proxy.ops.protect import values_of
from pgcrypt_proxy.policy.load import load
from tests.conftest import NOT_APPLICABLE
from tests.helpers.live import Live, await_state, two_proxies
from tests.helpers.servers import PostgresServer

KEY = Fernet.generate_key()
FERNET = Fernet(KEY)
ROWS, CLIENTS = 900, 3
SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text, note text NOT NULL DEFAULT repeat('n', 300));"
RULE = "{{table: users, column: email, type: text, search: [equality]{phase}}}"


def token(text: str) -> str:
    return FERNET.encrypt(text.encode()).decode()


@pytest.fixture
def live(postgres: PostgresServer, tmp_path: Path) -> Iterator[Live]:
    columns = RULE.format(phase=", phase: importing")
    with two_proxies(postgres, tmp_path, SCHEMA, columns, is_sealed=False) as live:
        with live.direct() as direct, direct.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO users (id, email) VALUES (%s, %s)",
                [(i, token(f"sown{i}") if i % 7 else None) for i in range(ROWS)],
            )
        yield live


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


class Application:
    """Clients that encrypt and decrypt by themselves, each with rows of its own, until they are refused."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.known: list[dict[int, str | None]] = []
        self.counts = [0] * CLIENTS
        self.ends: list[str] = [""] * CLIENTS
        self._give_up = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for number, thread in enumerate(threads):
            self.known.append({i: f"sown{i}" if i % 7 else None for i in range(number, ROWS, CLIENTS)})
            thread.start()
        try:
            yield
            for thread in threads:
                thread.join(60)
        finally:
            self._give_up.set()
            for thread in threads:
                thread.join()

    def await_more(self) -> None:
        before = [*self.counts]
        until(
            lambda: all(
                now > old + 5 or self.ends[i] for i, (now, old) in enumerate(zip(self.counts, before, strict=True))
            )
        )
        assert self.ends == [""] * CLIENTS

    def _client(self, number: int) -> None:
        """The first two through the proxies, one with prepared statements, the third directly."""
        dice, known = random.Random(number), self.known[number]
        connected = self._live.direct() if number == 2 else self._live.connect(number, prepare_threshold=None)
        with connected as connection:
            if number == 0:
                connection.prepare_threshold = 0
            try:
                while not self._give_up.is_set():
                    self._step(dice, connection, known, number)
                    self.counts[number] += 1
                self.ends[number] = "never"
            except psycopg.Error as error:
                self.ends[number] = f"{error.sqlstate} {error}"
            except Exception as error:
                self.ends[number] = f"{type(error).__name__} {error}"

    def _step(
        self, dice: random.Random, connection: psycopg.Connection, known: dict[int, str | None], number: int
    ) -> None:
        key, kind = dice.choice([*known]), dice.randrange(5)
        if kind == 0:
            changed = f"sown{dice.random()}" if dice.random() < 0.8 else None
            connection.execute(
                "UPDATE users SET email = %s WHERE id = %s", [changed if changed is None else token(changed), key]
            )
            known[key] = changed
        elif kind == 1 and len(known) > 100:
            connection.execute("DELETE FROM users WHERE id = %s", [key])
            del known[key]
        elif kind == 2:
            new = ROWS + CLIENTS * (len(known) + dice.randrange(50_000)) + number
            if new not in known:
                connection.execute("INSERT INTO users (id, email) VALUES (%s, %s)", [new, token(f"sown new {new}")])
                known[new] = f"sown new {new}"
        else:
            row = connection.execute("SELECT email FROM users WHERE id = %s", [key]).fetchone()
            assert row is not None
            if isinstance(row[0], bytes):
                raise psycopg.errors.CheckViolation("an envelope, which no proxy has opened")
            assert (row[0] and FERNET.decrypt(row[0].encode()).decode()) == known[key]


def until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Command:
    """`import --online` as it is typed, in processes of their own."""

    def __init__(self, live: Live, folder: Path) -> None:
        secret = folder / "secret"
        secret.write_bytes(KEY + b"\n")
        secret.chmod(0o600)
        self._command = [sys.executable, "-c", "from pgcrypt_proxy.cli import main; main()"]
        self._command += ["import", "--online", "users.email", "--from", "fernet", "--secret-file", str(secret)]
        self._command += ["--rules", str(live.rules), "--batch-blocks", "1"]
        self._environment = {**os.environ, "PGCRYPT_DATABASE_URL": live.server.dsn(live.name)}

    def run(self, *more: str) -> str:
        done = subprocess.run(
            [*self._command, *more], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        assert KEY.decode() not in done.stdout + done.stderr
        return done.stdout

    def kill_when(self, is_time: Callable[[], bool], *more: str) -> None:
        run = subprocess.Popen(
            [*self._command, *more], env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until(is_time)
            assert run.poll() is None
        finally:
            run.kill()
            run.wait(10)


def opened(live: Live) -> dict[int, str | None]:
    """What the envelopes in the database hold, looked at directly."""
    policy = load([live.rules])
    with (
        contextlib.closing(connect(live.server.dsn(live.name))) as connection,
        contextlib.closing(connect(live.server.dsn(live.name))) as own,
    ):
        (column,) = catalog_loader.load(connection, policy).protected_columns
        opener = values_of(KeyringStore(own, make_providers(policy.keyring).current).unlock()).opener(column, 1)
        found = connection.execute("SELECT id, email::bytea FROM public.users").fetchall()
    return {number: None if value is None else opener(value).decode() for number, value in found}


def test_an_application_goes_on_to_the_cut_over_and_is_refused_behind_it(
    live: Live, tmp_path: Path, stack: contextlib.ExitStack
) -> None:
    application, command = Application(live), Command(live, tmp_path)
    insert, select = "INSERT INTO users (id, email) VALUES (%s, %s)", "SELECT email FROM users WHERE id = %s"
    old = stack.enter_context(live.connect(prepare_threshold=0))
    old.execute(insert, [1_000_000, token("sown of old")])
    (shown,) = old.execute(select, [1_000_000]).fetchone() or ("",)
    assert FERNET.decrypt(shown) == b"sown of old"
    with application.running(), live.direct() as direct:
        progress = "SELECT count(*) FROM pgcrypt.moves WHERE moved > 0 AND next_block < blocks"
        command.kill_when(lambda: direct.execute(progress).fetchone() == (1,), "--pause", "30")
        await_state(live, "filling")
        assert "ready: public.users.email" in command.run()
        application.await_more()
        with direct.transaction():
            direct.execute("SELECT FROM users LIMIT 1")  # in the way of the swap
            command.kill_when(lambda: state(live) == "switching", "--cut-over")
        application.await_more()  # nobody is held up by what was killed
        assert "imported: public.users.email" in command.run("--cut-over")
    through, with_literals, directly = application.ends
    for end in (through, with_literals):
        assert end.startswith("55000 ")
        assert 'column "public.users.email" was imported' in end
    assert directly[:5] in ("23514", "0A000", "42804"), directly
    expected = {1_000_000: "sown of old"}
    for known in application.known:
        expected |= known
    assert opened(live) == expected
    with live.direct() as direct:
        rows = direct.execute("SELECT row_to_json(u)::text, email::bytea FROM users u").fetchall()
        assert not [
            row for row, value in rows if "gAAAA" in row or b"gAAAA" in (value or b"") or b"sown" in (value or b"")
        ]
    # what shows or stores no value goes on, all else waits for the rules to say that the application has changed
    with live.connect(1) as client:
        assert client.execute("SELECT count(*) FROM users WHERE email IS NOT NULL").fetchone() == (
            sum(text is not None for text in expected.values()),
        )
        client.execute("UPDATE users SET note = 'changed' WHERE id = 1000000")
        client.execute("BEGIN; DECLARE c CURSOR FOR SELECT id FROM users; COMMIT")
        for statement in (
            "SELECT * FROM users",
            "SELECT id FROM users WHERE email = 'sown'",
            "UPDATE users SET email = 'sown' WHERE id = 1000000 RETURNING id",
            "COPY users (email) TO STDOUT",
            "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM users",
        ):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="was imported"):
                client.execute(statement)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="was imported"):
            old.execute(select, [1_000_000])
        live.use_rules(RULE.format(phase=""))
        # its statements were prepared for what the application encrypted
        for query, values in ((insert, [1_000_001, token("sown")]), (select, [1_000_000])):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="must be prepared anew"):
                old.execute(query, values)
        assert dict(client.execute("SELECT id, email FROM users").fetchall()) == expected
        assert client.execute("SELECT id FROM users WHERE email = 'sown of old'").fetchall() == [(1_000_000,)]
        client.execute(insert, [1_000_002, "sown of new"])
    assert opened(live) == expected | {1_000_002: "sown of new"}


def state(live: Live) -> str | None:
    with live.direct() as direct:
        row = direct.execute("SELECT state FROM pgcrypt.moves").fetchone()
    return row and row[0]


def test_an_application_whose_sql_encrypts(postgres: PostgresServer, tmp_path: Path) -> None:
    columns = RULE.format(phase=", phase: importing")
    with two_proxies(postgres, tmp_path, SCHEMA, columns, is_sealed=False) as live, live.connect(1) as client:
        with live.direct() as direct:
            row = direct.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'").fetchone()
            if row == (0,):
                pytest.skip(f"{NOT_APPLICABLE}this server comes without pgcrypto")
            direct.execute("CREATE EXTENSION pgcrypto; ALTER TABLE users ALTER email TYPE bytea USING email::bytea")
        write = "INSERT INTO users (id, email) VALUES (%s, pgp_sym_encrypt(%s, %s))"
        read = "SELECT pgp_sym_decrypt(email, %s) FROM users WHERE id = %s"
        for number in range(50):
            client.execute(write, [number, f"sown{number}", "sown secret"])
        cipher = Foreign(forms.make(forms.PGP, b"sown secret"))
        live.bring_in("email", cipher, cut_over=False)
        client.execute(write, [50, "sown50", "sown secret"])
        assert client.execute(read, ["sown secret", 50]).fetchone() == ("sown50",)
        assert live.bring_in("email", cipher).values == 1
        for _ in range(2):  # withheld, and then as any protected column
            for query, values in ((write, [51, "sown", "sown secret"]), (read, ["sown secret", 50])):
                with pytest.raises((psycopg.errors.FeatureNotSupported, psycopg.errors.ObjectNotInPrerequisiteState)):
                    client.execute(query, values)
            live.use_rules(RULE.format(phase=""))
        expected = {number: f"sown{number}" for number in range(51)}
        assert dict(client.execute("SELECT id, email FROM users").fetchall()) == opened(live) == expected
