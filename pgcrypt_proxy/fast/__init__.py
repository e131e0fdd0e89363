"""Compiled leaves of the hot path, where they could be built: bytes and sockets; no rules, no errors, little SQL.

`native` is what they are, or None: then the pure Python beside each use does
all, as it does with what the compiled code leaves alone. PGCRYPT_ROWS=python
forces that; PGCRYPT_ROWS=compiled makes it an error.
"""

from __future__ import annotations

import os
from types import ModuleType

VARIABLE = "PGCRYPT_ROWS"


def _load() -> ModuleType | None:
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "compiled", "python"):
        raise ImportError(f'{VARIABLE} is "{wanted}"; it can be "compiled" or "python"')
    if wanted == "python":
        return None
    try:
        from pgcrypt_proxy.fast import native
    except ImportError:
        if wanted == "compiled":
            raise
        return None
    return native


native = _load()
#: Which one runs, for logs and reports.
BUILD = "python" if native is None else "compiled"
