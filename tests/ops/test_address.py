"""libpq's words in the database URL: read once, for both kinds of connections, and never a fallback."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.address import read, secured


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("url", "host", "sslmode", "is_local"),
    [
        ("postgresql://u@/d", "/var/run/postgresql", "disable", True),
        ("postgresql:///d?host=/tmp", "/tmp", "disable", True),
        ("postgresql://localhost/d", "localhost", "disable", True),
        ("postgresql://127.9.9.9/d", "127.9.9.9", "disable", True),
        ("postgresql://[::1]/d", "::1", "disable", True),
        ("postgresql://10.0.0.1/d", "10.0.0.1", "verify-full", False),
        ("postgresql://db.test/d", "db.test", "verify-full", False),
        ("postgresql://db.test/d?sslmode=disable", "db.test", "disable", False),
        ("postgresql://db.test/d?sslmode=require", "db.test", "require", False),
        ("postgresql://localhost/d?hostaddr=10.0.0.1", "localhost", "verify-full", False),
        ("postgresql://db.test/d?hostaddr=127.0.0.1", "db.test", "disable", True),
        ("host=localhost.evil.test dbname=d", "localhost.evil.test", "verify-full", False),
    ],
)
def test_hosts(url: str, host: str, sslmode: str, is_local: bool) -> None:
    address = read(url, {})
    assert (address.host, address.sslmode, address.is_local) == (host, sslmode, is_local)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "not valid"),
        ("postgresql://h/d?nosuch=1", "not valid"),
        ("postgresql://a,b/d", "several hosts"),
        ("postgresql://h:1,2/d", "several hosts"),
        ("host=h port=none", "port"),
        ("host=h port=0", "port"),
        ("postgresql://h/d?sslmode=prefer", "falls back"),
        ("postgresql://h/d?sslmode=allow", "falls back"),
        ("postgresql://127.0.0.1/d?sslmode=prefer", "falls back"),
        ("postgresql://h/d?sslmode=verify-fulll", 'sslmode in the database URL is "verify-fulll"'),
        ("postgresql://h/d?sslmode=verify-ca", "anybody's certificate"),
        ("postgresql://h/d?sslmode=require&sslrootcert=system", "anybody's certificate"),
        ("postgresql://h/d?sslrootcert=/none", "does not exist"),
        ("postgresql://h/d?sslcert=/a", "belong together"),
        ("postgresql://h/d?sslmode=disable&sslnegotiation=direct", "needs TLS"),
        ("postgresql://h/d?sslnegotiation=maybe", "sslnegotiation"),
        ("postgresql://h/d?ssl_min_protocol_version=TLSv1", "ssl_min_protocol_version"),
        ("postgresql://h/d?channel_binding=maybe", "channel_binding"),
        ("postgresql://h/d?sslcrl=/a", "sslcrl, which is not supported"),
        ("postgresql://h/d?service=x", "service, which is not supported"),
    ],
)
def test_mistakes(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(url, {})


def test_variables_fill_in(tmp_path: Path) -> None:
    root = tmp_path / "r.crt"
    root.touch()
    variables = {"PGHOST": "db.test", "PGPORT": "77", "PGSSLMODE": "verify-ca", "PGSSLROOTCERT": str(root)}
    address = read("postgresql:///d", variables)
    assert (address.host, address.port, address.sslmode, address.sslrootcert) == ("db.test", 77, "verify-ca", str(root))
    assert read("postgresql://other.test/d", variables).host == "other.test"
    with pytest.raises(ConfigError, match="falls back"):
        read("postgresql://h/d", {"PGSSLMODE": "prefer"})


def test_where_authorities_come_from(home: Path) -> None:
    assert read("postgresql://h/d", {}).sslrootcert == "system"
    assert read("postgresql://h/d?sslmode=require", {}).sslrootcert is None
    (home / ".postgresql").mkdir()
    (home / ".postgresql" / "root.crt").touch()
    assert read("postgresql://h/d", {}).sslrootcert == str(home / ".postgresql" / "root.crt")
    assert read("postgresql://h/d?sslmode=verify-ca", {}).sslrootcert == str(home / ".postgresql" / "root.crt")


def test_libpq_is_told_the_same() -> None:
    words = conninfo_to_dict(secured("postgresql://u:p@db.test/d?channel_binding=require", {}))
    assert words == {
        "user": "u",
        "password": "p",
        "dbname": "d",
        "host": "db.test",
        "port": "5432",
        "sslmode": "verify-full",
        "sslrootcert": "system",
        "channel_binding": "require",
        "gssencmode": "disable",
    }
    words = conninfo_to_dict(secured("postgresql://db.test/d?sslmode=disable", {}))
    assert words["require_auth"] == "!password"
    assert "sslmode" not in conninfo_to_dict(secured("postgresql:///d", {}))
    assert conninfo_to_dict(secured("postgresql://h/d?sslnegotiation=direct", {}))["sslnegotiation"] == "direct"
