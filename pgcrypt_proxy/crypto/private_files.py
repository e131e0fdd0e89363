"""Files that hold secrets: nobody else may read or write them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pgcrypt_proxy.errors import ConfigError


def read(path: Path, what: str, max_bytes: int, hint: str | None = None) -> bytes:
    """The first `max_bytes` of it. Raises ConfigError, in which the file is called `what`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise ConfigError(f"{what} {path} cannot be read: {reason}", hint=hint) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{what} {path} is no regular file")
        if status.st_mode & 0o077:
            raise ConfigError(f"{what} {path} may be read or written by others", hint=f"Run: chmod 600 {path}")
        if status.st_uid not in (os.geteuid(), 0):
            raise ConfigError(f"{what} {path} belongs to another user", hint=f"Run: chown {os.geteuid()} {path}")
        return os.read(descriptor, max_bytes)
    finally:
        os.close(descriptor)
