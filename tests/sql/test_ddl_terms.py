"""Names of indexes that nobody named; that they are PostgreSQL's own is tested in integration/test_migrations.py."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.sql.ddl_terms import MAX_NAME_BYTES, object_name


@pytest.mark.parametrize(
    ("table", "columns", "label", "name"),
    [
        ("users", ("email",), "key", "users_email_key"),
        ("users", (), "pkey", "users_pkey"),
        ("users", ("id", "email"), "idx", "users_id_email_idx"),
        ("t" * 63, ("c" * 63,), "key", "t" * 29 + "_" + "c" * 29 + "_key"),
        ("t" * 63, ("c",), "key", "t" * 57 + "_c_key"),
        ("t", ("c" * 63, "d"), "key", "t_" + "c" * 57 + "_key"),
        ("é" * 31, ("c" * 40,), "idx", "é" * 14 + "_" + "c" * 29 + "_idx"),
    ],
)
def test_object_name(table: str, columns: tuple[str, ...], label: str, name: str) -> None:
    assert object_name(table, columns, label) == name
    assert len(name.encode()) <= MAX_NAME_BYTES
