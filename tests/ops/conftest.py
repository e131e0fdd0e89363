"""An initialised database, and rules for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import psycopg
import pytest

from pgcrypt_proxy.errors import KeyUnavailable
from pgcrypt_proxy.ops import install
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.policy.model import Rule
from tests.helpers.servers import PostgresServer


class OpenProvider:
    """A KekProvider that hides nothing: the wrapped key is the context and the key."""

    name = "open"
    kek_id = "open:1"

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        return repr(sorted(context.items())).encode() + b"|" + key

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        head = repr(sorted(context.items())).encode() + b"|"
        if not wrapped.startswith(head):
            raise KeyUnavailable("another context")
        return wrapped[len(head) :]


RuleMaker = Callable[..., Rule]


@pytest.fixture
def connection(postgres: PostgresServer, database: str) -> Iterator[psycopg.Connection]:
    """The product's own connection to a fresh database that `init` has been run on."""
    with connect(postgres.dsn(database)) as connection:
        install.install(connection)
        yield connection


@pytest.fixture
def rule() -> RuleMaker:
    def make(name: str, type: str = "text", search: tuple[str, ...] = (), /, **changes: object) -> Rule:
        schema, table, column = name.split(".")
        values: dict[str, object] = {
            "schema": schema,
            "table": table,
            "column": column,
            "type": type,
            "data_class": "pii",
            "search": frozenset(search),
            "index_domain": name,
            "source": "rules/test.yaml:7",
        }
        return Rule(**{**values, **changes})  # type: ignore[arg-type]

    return make
