"""Files of users and certificates: their forms, and mistakes with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server.login_files import read_certificate_users, read_users

ONE = Verifier.make("x", salt=b"salt", iterations=1)


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def test_users(tmp_path: Path) -> None:
    text = f'# a\n\n; b\nanna {ONE.text()}\n"b ""c"""  "{ONE.text()}"\nd\t{ONE.text()}\r\n'
    assert read_users(private(tmp_path / "u", text)) == {"anna": ONE, 'b "c"': ONE, "d": ONE}
    assert read_users(private(tmp_path / "empty", "")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("anna", ":1: not a user and a SCRAM verifier"),
        ("\nanna secret", ":2: not a user"),
        ("anna md5d41d8cd98f00b204e9800998ecf8427e", ":1: not a user"),
        (f'"anna {ONE.text()}', ":1: not a user"),
        (f'"" {ONE.text()}', ":1: not a user"),
        (f"a {ONE.text()}\na {ONE.text()}", ":2: this user stands twice"),
    ],
)
def test_mistakes_in_users(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_users(private(tmp_path / "u", text))
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_users(tmp_path / "none")
    path = private(tmp_path / "u", "")
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_users(path)
    path.chmod(0o604)
    with pytest.raises(ConfigError, match="may be read by others"):
        read_users(path)


def test_certificate_users(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text('CN=a anna\n# x\n"CN=a b" bert\nDNS=a.test "c d"\nCN=a other\n')
    assert read_certificate_users(path) == {
        "CN=a": frozenset({"anna", "other"}),
        "CN=a b": frozenset({"bert"}),
        "DNS=a.test": frozenset({"c d"}),
    }


@pytest.mark.parametrize("text", ["CN=a", "a anna", "CN= anna", "O=a anna", "CN anna"])
def test_mistakes_in_certificate_users(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c"
    path.write_text(text)
    with pytest.raises(ConfigError, match=":1: not a certificate's name"):
        read_certificate_users(path)
