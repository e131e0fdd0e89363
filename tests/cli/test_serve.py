from __future__ import annotations

import sys
import types
from pathlib import Path

from pgcrypt_proxy.server import run as server_run


def test_serve_passes_what_was_given(run, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(server_run, "serve", lambda read: seen.append(read()) or 0)
    (tmp_path / "url").write_text("postgresql:///from-file\n")
    given = [
        "--rules",
        "a.yaml",
        "--rules",
        "b.yaml",
        "--listen-port",
        "7000",
        "--listen-host",
        "::1",
        "--workers",
        "3",
    ]
    assert run("serve", *given, "--database-url-file", str(tmp_path / "url")).status == 0
    (settings,) = seen
    assert settings.rules == (Path("a.yaml"), Path("b.yaml"))
    assert (settings.listen_host, settings.listen_port) == ("::1", 7000)
    assert settings.database_name == "from-file"
    assert settings.workers == 3


def test_serve_takes_the_environment_and_the_exit_status(run, monkeypatch, database):
    seen = []
    monkeypatch.setattr(server_run, "serve", lambda read: seen.append(read()) or 3)
    assert run("serve").status == 3
    assert seen[0].database_name == database


def test_serve_with_wrong_settings_is_a_user_error(run, monkeypatch):
    monkeypatch.setenv("PGCRYPT_LISTEN_PORT", "many")
    done = run("serve")
    assert done.status == 2
    assert "PGCRYPT_LISTEN_PORT must be a number" in done.err
    monkeypatch.delenv("PGCRYPT_LISTEN_PORT")
    done = run("serve", "--workers", "some")
    assert done.status == 2
    assert "--workers must be a number, or auto" in done.err


def test_a_demo_without_its_packages_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pgcrypt_proxy.demo.main", None)
    done = run("demo")
    assert done.status == 2
    assert "pip install 'pgcrypt-proxy[demo]'" in done.err


def test_the_demo_gives_the_exit_status(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pgcrypt_proxy.demo", types.ModuleType("pgcrypt_proxy.demo"))
    module = types.ModuleType("pgcrypt_proxy.demo.main")
    module.main = lambda: 4  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pgcrypt_proxy.demo.main", module)
    assert run("demo").status == 4
