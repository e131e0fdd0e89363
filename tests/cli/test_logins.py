"""`verifier` makes lines that the users file takes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pgcrypt_proxy.cli.app import run
from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.server.login_files import read_users


def test_a_line_of_the_users_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("planted-password\n"))
    assert run(["verifier", 'an "na"', "--iterations", "5000"]) == 0
    line = capsys.readouterr().out
    assert "planted" not in line
    path = tmp_path / "users"
    path.touch(mode=0o600)
    path.write_text(line)
    (found,) = read_users(path).values()
    assert found == Verifier.make("planted-password", salt=found.salt, iterations=5000)
    assert list(read_users(path)) == ['an "na"']


@pytest.mark.parametrize(("user", "password"), [("a", "\n"), ("a", "x" * 2000), ("a\nb", "x\n"), ("", "x\n")])
def test_mistakes(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    assert run(["verifier", user]) == 2
