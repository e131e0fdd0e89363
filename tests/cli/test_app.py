from __future__ import annotations

import subprocess
import sys

import pytest

from pgcrypt_proxy import __version__
from pgcrypt_proxy.cli import app, setup


def test_version(capfd):
    assert app.run(["version"]) == 0
    assert capfd.readouterr().out == f"pgcrypt-proxy {__version__}\n"


def test_the_entry_point_exits_with_the_status():
    code = "import sys; from pgcrypt_proxy.cli import main; sys.argv = ['x', 'keygen', '/']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: / exists")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["keygen"], ["protect", "--max-rows", "x"]])
def test_a_wrong_command_line_is_a_user_error(arguments, capfd):
    assert app.run(arguments) == 2
    assert "Traceback" not in capfd.readouterr().err


def test_no_option_takes_a_password():
    for command in app.app.registered_commands:
        assert command.callback is not None
        names = command.callback.__annotations__
        assert not {"database_url", "url", "password"} & set(names)


def test_a_mistake_of_ours_shows_no_values(monkeypatch, capfd):
    def fail(text: str) -> None:
        raise RuntimeError("ada@example.com")

    monkeypatch.setattr(setup, "say", fail)
    assert app.run(["version"]) == app.EXIT_INTERNAL
    captured = capfd.readouterr()
    assert "internal error: RuntimeError at test_app.py:" in captured.err
    assert "ada@" not in captured.out + captured.err


def test_interrupt_is_no_error_of_ours(monkeypatch):
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "say", interrupt)
    assert app.run(["version"]) == app.EXIT_INTERRUPTED
