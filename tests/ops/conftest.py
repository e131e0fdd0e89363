"""An initialised database, and rules for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from pgcrypt_proxy.ops import install
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.policy.model import Rule
from tests.helpers.servers import PostgresServer

RuleMaker = Callable[..., Rule]


@pytest.fixture
def connection(postgres: PostgresServer, database: str) -> Iterator[psycopg.Connection]:
    """The product's own connection to a fresh database that `init` has been run on."""
    with connect(postgres.dsn(database)) as connection:
        install.install(connection)
        yield connection


@pytest.fixture
def rule() -> RuleMaker:
    def make(column: str, type: str = "text", search: tuple[str, ...] = (), **changes: object) -> Rule:
        schema, table, name = column.split(".")
        values: dict[str, object] = {
            "schema": schema,
            "table": table,
            "column": name,
            "type": type,
            "data_class": "pii",
            "search": frozenset(search),
            "index_domain": column,
            "source": "rules/test.yaml:7",
        }
        return Rule(**{**values, **changes})  # type: ignore[arg-type]

    return make
