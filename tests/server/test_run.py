"""A proxy that a program embeds leaves nothing behind when it is stopped, or could not start."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.server.run import start
from tests.helpers.descriptors import held
from tests.helpers.proxies import protected, settings_for
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

COLUMNS = "{table: users, column: email, type: text}"


def test_stopped_proxies_leave_no_descriptor_and_no_thread(postgres: PostgresServer, tmp_path: Path) -> None:
    with protected(postgres, tmp_path, "CREATE TABLE users (email text)", COLUMNS) as db:
        settings = settings_for(postgres, db.name, db.rules)
        start(settings).stop()  # what is opened once for all
        before, threads = held(), threading.active_count()
        for drain in (False, True, False):
            running = start(settings)
            running.refresh_catalog()
            running.stop(drain=drain)
        assert len(held()) <= len(before), set(held()) - set(before)
        assert threading.active_count() <= threads


def test_a_proxy_that_cannot_start_leaves_no_descriptor_and_no_thread(postgres: PostgresServer, tmp_path: Path) -> None:
    with postgres.database() as name:
        settings = settings_for(postgres, name, tmp_path / "missing.yaml")
        with pytest.raises(PgcryptError):
            start(settings)
        before, threads = held(), threading.active_count()
        for _ in range(3):
            with pytest.raises(PgcryptError):
                start(settings)
        assert len(held()) <= len(before), set(held()) - set(before)
        assert threading.active_count() <= threads
