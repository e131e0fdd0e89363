from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops.connect import connect, readable_errors


def test_errors_never_repeat_what_the_server_said_of_values(connection):
    with pytest.raises(PgcryptError) as caught, readable_errors("trying"):
        connection.execute("SELECT 'ada@example.com'::pg_catalog.int4")
    assert caught.value.code == "22P02"
    shown = f"{caught.value} {caught.value.detail} {caught.value.hint}"
    assert "ada@" not in shown
    assert caught.value.__suppress_context__


def test_our_own_errors_pass():
    with pytest.raises(ConfigError, match="mine"), readable_errors("trying"):
        raise ConfigError("mine")


def test_a_connection_depends_on_no_search_path(postgres, database):
    with postgres.connect(database) as admin:
        admin.execute(f"ALTER DATABASE {database} SET search_path = evil, public")
    with connect(postgres.dsn(database)) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)
        assert connection.autocommit


@pytest.mark.parametrize("url", ["nonsense", "postgresql://u:hunter2@[", "postgresql://u:hunter2@127.0.0.1:1/d"])
def test_a_bad_url_is_not_repeated(url):
    with pytest.raises(ConfigError) as caught:
        connect(url)
    assert "hunter2" not in f"{caught.value} {caught.value.detail} {caught.value.hint}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
