"""The supervisor inside a test, where its patience can be shortened. The rest is tested with its process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server import supervisor
from pgcrypt_proxy.server.supervisor import Supervisor
from tests.helpers.proxies import protected, settings_for
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"


async def eventually(check: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.05)


async def test_a_worker_that_hangs_is_replaced(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "REPORT_EVERY_S", 0.2)
    monkeypatch.setattr(supervisor, "HUNG_S", 2.0)
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db:
        settings = settings_for(db.server, db.name, db.rules, workers=2)
        made = Supervisor(settings, lambda: settings)
        running = asyncio.create_task(made.run())
        await eventually(lambda: made.health() == (True, "ok"))
        victim = made._workers[0]
        os.kill(victim._process.pid, signal.SIGSTOP)
        await eventually(lambda: made._workers.get(0) not in (None, victim))
        await eventually(lambda: made.health() == (True, "ok"))
        made._on_stop()
        await running
        assert victim._process.returncode == -signal.SIGKILL


async def test_a_worker_that_does_not_take_a_reload_is_replaced_by_one_that_has_it(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PUT_S", 1.0)
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db:
        settings = settings_for(db.server, db.name, db.rules, workers=2)
        made = Supervisor(settings, lambda: replace(settings, max_connections=7))
        running = asyncio.create_task(made.run())
        await eventually(lambda: made.health() == (True, "ok"))
        victim = made._workers[1]
        ask = victim.asked

        async def stop_behind_prepare(timeout_s: float, **message: object) -> object:
            answer = await ask(timeout_s, **message)
            if message["do"] == "prepare":
                os.kill(victim._process.pid, signal.SIGSTOP)
            return answer

        monkeypatch.setattr(victim, "asked", stop_behind_prepare)
        await made.reload()
        assert made._settings.max_connections == 7
        await eventually(lambda: made._workers.get(1) not in (None, victim))
        await eventually(lambda: made.health() == (True, "ok"))
        assert made._workers[1].generation == 1
        made._on_stop()
        await running
        assert victim._process.returncode == -signal.SIGKILL


async def test_a_start_that_cannot_be_is_raised(postgres: PostgresServer, tmp_path: Path) -> None:
    with protected(postgres, tmp_path, SCHEMA, COLUMNS) as db:
        settings = settings_for(db.server, db.name, db.rules, workers=2, listen_host="192.0.2.1")
        with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
            await Supervisor(settings, lambda: settings).run()
        db.rules.write_text("nonsense")
        settings = settings_for(db.server, db.name, db.rules, workers=2)
        with pytest.raises(ConfigError, match=r"rules\.yaml"):
            await Supervisor(settings, lambda: settings).run()
