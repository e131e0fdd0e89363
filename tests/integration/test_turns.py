"""Many rows in one COPY, cut into turns: all arrive, in order and sealed, and others are served meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgcrypt_proxy.server import leg
from tests.helpers.certificates import Authority
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text)"
COLUMNS = "{table: users, column: email, type: text}"
ROWS = 20_000


@pytest.fixture(scope="module")
def db(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory, certificate_authority: Authority
) -> Iterator[ProtectedDatabase]:
    folder = tmp_path_factory.mktemp("turns")
    issued = certificate_authority.issue("localhost", "localhost", "127.0.0.1")
    (folder / "server.crt").write_bytes(issued.certificate)
    (folder / "server.key").write_bytes(issued.private_key)
    (folder / "server.key").chmod(0o600)
    files = {"tls": "allow", "tls_certificate": folder / "server.crt", "tls_key": folder / "server.key"}
    with protected(postgres, folder, SCHEMA, COLUMNS, **files) as made:
        yield made


@pytest.mark.parametrize("sslmode", ["disable", "require"])
@pytest.mark.parametrize("turn_s", [0.0, leg.TURN_S])
def test_a_long_copy_arrives_whole(
    db: ProtectedDatabase, monkeypatch: pytest.MonkeyPatch, sslmode: str, turn_s: float
) -> None:
    monkeypatch.setattr(leg, "TURN_S", turn_s)
    data = "".join(f"{n}\tuser{n}@example.com\n" for n in range(ROWS)).encode()
    with (
        psycopg.connect(db.dsn(sslmode=sslmode), autocommit=True) as connection,
        db.connect() as other,
        connection.cursor() as cursor,
    ):
        connection.execute("TRUNCATE users")
        with cursor.copy("COPY users FROM STDIN") as copy:
            copy.write(data)
            assert other.execute("SELECT 1").fetchone() == (1,)
        rows = cursor.execute("SELECT id, email FROM users ORDER BY id").fetchall()
    assert rows == [(n, f"user{n}@example.com") for n in range(ROWS)]
    with db.direct() as direct:
        kept = direct.execute("SELECT count(DISTINCT email::bytea), min(length(email::bytea)) FROM users").fetchone()
    assert kept == (ROWS, len("user0@example.com") + 34)
