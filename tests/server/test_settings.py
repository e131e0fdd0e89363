"""Settings from file, environment and options; every mistake is named; every setting is described."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server.settings import Settings, from_json, load, reloaded, to_json

URL = "postgresql://app:planted-password@127.0.0.1:5433/shop"
ENVIRONMENT = {"PGCRYPT_DATABASE_URL": URL, "PGCRYPT_RULES": "/a/rules.yaml:/b"}


def test_the_environment(tmp_path: Path) -> None:
    made = load(environment={**ENVIRONMENT, "PGCRYPT_LISTEN_PORT": "7000", "PGCRYPT_DRAIN_TIMEOUT_S": "1.5"})
    assert made.rules == (Path("/a/rules.yaml"), Path("/b"))
    assert (made.listen_port, made.drain_timeout_s, made.listen_host) == (7000, 1.5, "127.0.0.1")
    assert (made.address.host, made.address.port) == ("127.0.0.1", 5433)
    assert made.database_name == "shop"
    assert "planted-password" not in repr(made)


def test_a_file_then_the_environment_then_options(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("rules: [r.yaml]\nlisten_port: 1\nmax_connections: 2\ntls: off\nlog_level: debug\n")
    made = load(path, {"PGCRYPT_DATABASE_URL": URL, "PGCRYPT_LISTEN_PORT": "3"}, {"log_level": "error", "rules": None})
    assert (made.listen_port, made.max_connections, made.log_level) == (3, 2, "error")
    assert made.rules == (tmp_path / "r.yaml",)


def test_the_url_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n")
    made = load(environment={"PGCRYPT_DATABASE_URL_FILE": str(tmp_path / "url"), "PGCRYPT_RULES": "r"})
    assert made.database_url == URL
    with pytest.raises(PgcryptError, match="DATABASE_URL_FILE cannot be read"):
        load(environment={"PGCRYPT_DATABASE_URL_FILE": str(tmp_path / "none"), "PGCRYPT_RULES": "r"})


def test_secrets_come_from_files_too_but_not_from_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("planted-password\n")
    made = load(environment={**ENVIRONMENT, "PGCRYPT_UPSTREAM_PASSWORD_FILE": str(tmp_path / "secret")})
    assert made.upstream_password == "planted-password"
    path = tmp_path / "settings.yaml"
    path.write_text("rules: [r]\nupstream_password: x\n")
    with pytest.raises(PgcryptError, match="has no key"):
        load(path, ENVIRONMENT)


def test_lists(tmp_path: Path) -> None:
    assert load(environment={**ENVIRONMENT, "PGCRYPT_USERS": "a, b,"}).users == ("a", "b")
    path = tmp_path / "settings.yaml"
    path.write_text("rules: [r]\nusers: [a, b]\nrequire_auth: [scram-sha-256]\n")
    made = load(path, {"PGCRYPT_DATABASE_URL": URL})
    assert (made.users, made.require_auth) == (("a", "b"), ("scram-sha-256",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PGCRYPT_DATABASE_URL": ""}, "the database URL is not set"),
        ({"PGCRYPT_DATABASE_URL": "postgresql://h/d?nosuch=1"}, "the database URL is not valid"),
        ({"PGCRYPT_DATABASE_URL": "postgresql://10.0.0.1/d?sslmode=prefer"}, "falls back to a connection without TLS"),
        ({"PGCRYPT_UPSTREAM_PASSWORD_FILE": "/none"}, "PGCRYPT_UPSTREAM_PASSWORD_FILE cannot be read"),
        ({"PGCRYPT_RULES": ""}, "no rule file is named"),
        ({"PGCRYPT_TLS": "maybe"}, 'tls is "maybe"'),
        ({"PGCRYPT_TLS": "require"}, "no certificate is named"),
        ({"PGCRYPT_LOG_LEVEL": "loud"}, 'log_level is "loud"'),
        ({"PGCRYPT_MAX_CONNECTIONS": "many"}, "PGCRYPT_MAX_CONNECTIONS must be a number"),
        ({"PGCRYPT_MAX_CONNECTIONS": "-1"}, "must not be negative"),
        ({"PGCRYPT_KEY_TTL_S": "301"}, "at most 300"),
    ],
)
def test_mistakes(changes: dict[str, str], message: str) -> None:
    with pytest.raises(PgcryptError, match=message) as caught:
        load(environment={**ENVIRONMENT, **changes})
    assert "planted-password" not in f"{caught.value.message} {caught.value.hint}"


def test_mistakes_in_a_file_have_their_line(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("rules: [r]\nlisten_prot: 1\n")
    with pytest.raises(PgcryptError, match=f'{path}:2: the settings file has no key "listen_prot"') as caught:
        load(path, ENVIRONMENT)
    assert caught.value.hint == 'Did you mean "listen_port"?'
    path.write_text("rules: [r]\nlisten_port: x\n")
    with pytest.raises(PgcryptError, match=f"{path}:2: listen_port must be a number"):
        load(path, ENVIRONMENT)
    path.write_text("database_url: postgresql://x\n")
    with pytest.raises(PgcryptError, match="has no key"):
        load(path, ENVIRONMENT)


def test_every_setting_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    missing = [f.name for f in fields(Settings) if f"`{f.name}`" not in text]
    assert missing == []


def test_workers_are_a_number_or_one_per_cpu() -> None:
    assert load(environment=ENVIRONMENT).worker_count == 1
    assert load(environment={**ENVIRONMENT, "PGCRYPT_WORKERS": "3"}).worker_count == 3
    for text in ("auto", "0"):
        made = load(environment={**ENVIRONMENT, "PGCRYPT_WORKERS": text})
        assert made.worker_count == len(os.sched_getaffinity(0))
    for text, message in (("some", "must be a number, or auto"), ("-1", "must not be negative")):
        with pytest.raises(PgcryptError, match=f"PGCRYPT_WORKERS {message}"):
            load(environment={**ENVIRONMENT, "PGCRYPT_WORKERS": text})


def test_another_process_gets_all_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "rules: [r.yaml]\nusers: [a, b]\nusers_file: u\nunix_socket_dir: /run/x\nkey_ttl_s: 12.5\ntls: allow\n"
        "tls_certificate: c\ntls_key: k\n"
    )
    made = load(path, {"PGCRYPT_DATABASE_URL": URL, "PGCRYPT_UPSTREAM_PASSWORD": "planted"})
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_a_reload_takes_what_may_change_and_names_the_rest() -> None:
    running = load(environment=ENVIRONMENT)
    found = replace(running, max_connections=5, rules=(Path("/c"),), key_ttl_s=9.0, listen_port=1)
    assert reloaded(running, found) == (
        replace(running, max_connections=5, rules=(Path("/c"),)),
        ["listen_port", "key_ttl_s"],
    )
    assert reloaded(running, running) == (running, [])
