"""Real applications, unmodified, through the proxy: Django's own apps and a SQLAlchemy model set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pgcrypt_proxy.demo import main, scenario
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.server.run import Running
from tests.helpers.proxies import sealed_demo
from tests.helpers.servers import PostgresServer


@pytest.fixture
def ready(postgres: PostgresServer, tmp_path: Path) -> Iterator[tuple[str, Path, Running]]:
    """A database with both applications' tables, sealed, behind a proxy."""
    with sealed_demo(postgres, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("application", "binding"), [("django_app", "client"), ("django_app", "server"), ("sqlalchemy_app", "")]
)
def test_an_application_works_and_its_values_are_sealed(
    postgres: PostgresServer, ready: tuple[str, Path, Running], application: str, binding: str
) -> None:
    name, rules, running = ready
    scenario.run_application(application, "use", "127.0.0.1", running.port, name, DEMO_BINDING=binding)
    values = 0
    with postgres.connect(name) as direct:
        for rule in load([rules]).rules:
            query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(rule.column), sql.Identifier(rule.table))
            for (value,) in direct.execute(query).fetchall():
                if value is not None:
                    assert isinstance(value, bytes)
                    assert value[0] == 1
                    assert main.MARK.encode() not in value
                    values += 1
    assert values > 10


def test_migrations_run_through_the_proxy_beside_sealed_tables(
    postgres: PostgresServer, ready: tuple[str, Path, Running]
) -> None:
    name, _, running = ready
    with postgres.connect(name) as direct:  # the session table is not protected: made again through the proxy
        direct.execute("DROP TABLE django_session; DELETE FROM django_migrations WHERE app = 'sessions'")
    scenario.run_application("django_app", "migrate", "127.0.0.1", running.port, name)
    with postgres.connect(name) as direct:
        assert direct.execute("SELECT count(*) FROM django_session").fetchone() == (0,)


def test_the_demo_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main() == 0
    shown = capsys.readouterr().out
    assert "the application sees" in shown
    assert "the database holds" in shown
    assert "violates check constraint" in shown


def test_a_failing_application_fails_the_demo(postgres: PostgresServer, database: str) -> None:
    with pytest.raises(scenario.DemoFailed):
        scenario.run_application("django_app", "use", postgres.host, postgres.port, database)
    with postgres.connect(database) as direct, pytest.raises(psycopg.errors.UndefinedTable):
        direct.execute("SELECT * FROM auth_user")
