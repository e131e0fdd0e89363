"""Opens a single envelope, for the person who has one in hand and may use the keys."""

from __future__ import annotations

import time

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import tenant_columns
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import SilentObserver
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn


def find_column(catalog: Catalog, name: str) -> ProtectedColumn:
    """The sealed column that `name` (schema.table.column, or table.column) means. Raises ConfigError."""
    found = [
        column
        for column in catalog.protected_columns
        if name in (column.qualified_name, f"{column.table}.{column.name}")
    ]
    if len(found) != 1 or not found[0].is_armed:
        known = ", ".join(sorted(c.qualified_name for c in catalog.protected_columns if c.is_armed))
        what = "names several columns" if len(found) > 1 else "is no sealed column"
        raise ConfigError(f"{name} {what}", hint=f"Sealed columns: {known or 'none yet'}.")
    return found[0]


def open_envelope(store: KeyringStore, column: ProtectedColumn, hex_text: str) -> bytes:
    """The value in PostgreSQL's text form. `hex_text` is the envelope as psql shows it, \\x or not.

    Raises OpenError when it is no envelope of this column and keyring.
    """
    digits = hex_text.strip().removeprefix("\\x")
    if not digits or len(digits) % 2 or any(c not in "0123456789abcdefABCDEF" for c in digits):
        raise ConfigError("standard input is no envelope in hexadecimal", hint="Give it as psql shows it: \\x0101...")
    keyring = store.unlock()
    try:
        observer = SilentObserver()
        values = Values(keyring, observer, Meter(observer, time.monotonic))
        return tenant_columns.opener(store, values, column, 0)(b"\\x" + digits.encode())
    finally:
        keyring.zeroise()
