from __future__ import annotations

import pytest

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.errors import ConfigError


def test_the_url_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("postgresql://a/\n")
    (tmp_path / "b").write_text("postgresql://b/\n")
    monkeypatch.setenv("PGCRYPT_DATABASE_URL", "postgresql://c/")
    monkeypatch.delenv("PGCRYPT_DATABASE_URL_FILE", raising=False)
    assert options.database_url(None) == "postgresql://c/"
    monkeypatch.setenv("PGCRYPT_DATABASE_URL_FILE", str(tmp_path / "b"))
    assert options.database_url(None) == "postgresql://b/"
    assert options.database_url(tmp_path / "a") == "postgresql://a/"


def test_no_url_says_where_to_put_it(monkeypatch, tmp_path):
    monkeypatch.delenv("PGCRYPT_DATABASE_URL", raising=False)
    monkeypatch.delenv("PGCRYPT_DATABASE_URL_FILE", raising=False)
    with pytest.raises(ConfigError) as caught:
        options.database_url(None)
    assert "PGCRYPT_DATABASE_URL" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="cannot be read"):
        options.database_url(tmp_path / "missing")


@pytest.mark.parametrize(("text", "name"), [("users", ("public", "users")), ("a.b", ("a", "b"))])
def test_table_names(text, name):
    assert options.table_name(text) == name


@pytest.mark.parametrize("text", ["a.b.c", ".b", ""])
def test_table_names_that_are_none(text):
    with pytest.raises(ConfigError):
        options.table_name(text)
