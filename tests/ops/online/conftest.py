"""A keyring's store, runs of the engine, and what a sealed column's values are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.ops import verify
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.engine import Run
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, Rule
from tests.helpers.servers import PostgresServer
from tests.ops.conftest import OpenProvider

MakeRun = Callable[..., Run]
Verified = Callable[..., int]


@pytest.fixture
def store(postgres: PostgresServer, database: str, connection: psycopg.Connection) -> Iterator[KeyringStore]:
    with connect(postgres.dsn(database)) as own:
        yield KeyringStore(own, OpenProvider())


@pytest.fixture
def sealing(connection: psycopg.Connection, store: KeyringStore) -> MakeRun:
    """A run that seals the rule's column."""

    def make(rule: Rule, options: Options | None = None, **more: Any) -> Run:
        return Run(connection, store, Target(replace(rule, phase="sealing"), True, options or Options()), **more)

    return make


@pytest.fixture
def opening(connection: psycopg.Connection, store: KeyringStore) -> MakeRun:
    """A run that makes the rule's column plain."""

    def make(rule: Rule, options: Options | None = None, **more: Any) -> Run:
        return Run(connection, store, Target(replace(rule, phase="opening"), False, options or Options()), **more)

    return make


@pytest.fixture
def verified(connection: psycopg.Connection, store: KeyringStore) -> Verified:
    """Everything is as `verify` wants it; how many values there are."""

    def check(*rules: Rule) -> int:
        report = verify.verify(connection, store, Policy(1, KeyringSettings("file", {}), rules))
        assert report.is_sound, report
        return sum(column.opened for column in report.columns)

    return check
