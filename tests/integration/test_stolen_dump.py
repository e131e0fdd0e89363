"""A dump of the database and all that the proxies logged: nothing opens without the KEK, everything with it."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select

from pgcrypt_proxy.crypto.keyring import wrap_context
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.sqlalchemy import Sealed, SealedColumnError, Sealer
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer
from tests.helpers.serving import MAIN, serving

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, ssn text, name text)"
COLUMNS = """
{table: users, column: email, type: text, search: [equality, equality_casefold]}
{table: users, column: ssn, type: text, data_class: restricted}
"""
ROWS = [(1, "planted-ada@x", "planted-1", "A"), (2, "planted-Bo@x", "", "B"), (3, None, "planted-é'\\", "C")]


def run(server: PostgresServer, database: str, rules: Path, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """A command line, as its own process."""
    environment = {"PGCRYPT_DATABASE_URL": server.dsn(database), "PGCRYPT_RULES": str(rules)}
    done = subprocess.run(
        [*MAIN, *arguments],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def used(db: ProtectedDatabase, folder: Path) -> str:
    """Write, read, search, fail and be refused through two proxies that log all they can; the logs."""
    logs = []
    for number, row in enumerate([ROWS[:2], ROWS[2:]]):
        with serving(db, folder, PGCRYPT_WORKERS="1", PGCRYPT_LOG_LEVEL="debug") as proxy, proxy.connect() as through:
            for values in row:
                through.execute("INSERT INTO users VALUES (%s, %s, %s, %s)", values)
            for sql in (
                "SELECT * FROM users WHERE email = 'planted-ada@x'",
                "SELECT id FROM users WHERE lower(email) = 'planted-bo@x'",
                "SELECT id FROM users WHERE ssn LIKE 'planted-1%'",
                "INSERT INTO users (id, email) VALUES (1, 'planted-ada@x')",
                f"SELEC 'planted-{number}' FROM users",
            ):
                try:
                    through.execute(sql.encode())
                except psycopg.Error as error:
                    assert error.sqlstate
        logs.append(proxy.log.read_text())
    return "".join(logs)


def keys_of(server: PostgresServer, database: str, kek: Path) -> list[bytes]:
    """Every key of the keyring, unwrapped, and the KEK itself."""
    provider = FileProvider(kek)
    with connect(server.dsn(database)) as own:
        store = KeyringStore(own, provider)
        keyring_id, records = store.keyring_id(), store.records()
    found = [
        provider.unwrap(r.wrapped, wrap_context(keyring_id, r.kind, r.data_class, r.tenant, r.generation))
        for r in records
        if r.wrapped is not None
    ]
    assert len(found) == 3  # two data classes, and the index key
    return found


def test_it_opens_nothing_without_the_kek_and_everything_with_it(
    postgres: PostgresServer, tmp_path: Path, create_database: Callable[[], str]
) -> None:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db:
        logs = used(db, tmp_path)
        keys = keys_of(postgres, db.name, db.kek)
        dump = subprocess.run(
            [postgres.bin_dir / "pg_dump", postgres.dsn(db.name)], capture_output=True, check=True
        ).stdout
        rules, kek = db.rules, db.kek
    assert logs.count('"event"') > 4
    for value in (value for row in ROWS for value in row[1:3] if value):
        for form in (value.encode(), value.encode().hex().encode()):
            assert form not in dump
            assert form not in logs.encode()
    for key in (*keys, *kek.read_bytes().split()):
        for form in (key, key.hex().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key)):
            assert form not in dump
            assert form not in logs.encode()

    elsewhere = create_database()
    restore = [postgres.bin_dir / "psql", "-q", "-v", "ON_ERROR_STOP=1", postgres.dsn(elsewhere)]
    subprocess.run(restore, input=dump, capture_output=True, check=True)
    with postgres.connect(elsewhere) as direct:
        held = direct.execute("SELECT id, email::bytea, ssn::bytea FROM users ORDER BY id").fetchall()
    assert [(e is None, s is None) for _, e, s in held] == [(e is None, s is None) for _, e, s, _ in ROWS]

    right = tmp_path / "right.kek"
    kek.rename(right)
    envelopes = [
        (column, "\\x" + envelope.hex(), plain)
        for stored, row in zip(held, ROWS, strict=True)
        for column, envelope, plain in zip(("email", "ssn"), stored[1:], row[1:3], strict=True)
        if envelope is not None
    ]
    url = f"postgresql+psycopg://postgres@127.0.0.1:{postgres.port}/{elsewhere}"
    for is_there in (False, True):  # no KEK at all, and another one
        if is_there:
            FileProvider.create(kek)
        for column, text, _ in envelopes:
            status, out, err = run(postgres, elsewhere, rules, "open", "--column", f"users.{column}", stdin=text)
            assert (status, out) == (2, "")
            assert "planted" not in err
        with pytest.raises(SealedColumnError):
            Sealer().open([rules], postgres.dsn(elsewhere))
    right.replace(kek)
    for column, text, plain in envelopes:
        done = run(postgres, elsewhere, rules, "open", "--column", f"users.{column}", stdin=text)
        assert done == (0, f"{plain}\n", "")
    sealer = Sealer()
    sealer.open([rules], postgres.dsn(elsewhere))
    users = Table(
        "users",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("email", Sealed(sealer, "users.email")),
        Column("ssn", Sealed(sealer, "users.ssn")),
    )
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            assert [tuple(row) for row in connection.execute(select(users).order_by(users.c.id))] == [
                row[:3] for row in ROWS
            ]
    finally:
        engine.dispose()
        sealer.close()
