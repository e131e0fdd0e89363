"""Provider `file`: the KEK in a file that only its owner may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.providers.local import LocalKek, new_key_text, read_key_text
from pgcrypt_proxy.crypto.providers.options import Options
from pgcrypt_proxy.errors import ConfigError

MAX_FILE_BYTES = 4096


class FileProvider(LocalKek):
    """Reads the KEK once. Raises ConfigError for files that are missing, shared, linked or malformed."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        super().__init__("file", _read(self.path))

    @classmethod
    def create(cls, path: str | Path) -> FileProvider:
        """Make a new KEK file, mode 0600. Raises ConfigError when there is one: a KEK is never overwritten."""
        path = Path(path)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise ConfigError(f"{path} exists and is not overwritten", hint="Choose another path.") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be made: {error.strerror}") from None
        with os.fdopen(descriptor, "w") as file:
            file.write(new_key_text() + "\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(path)


def _read(path: Path) -> SecretKey:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise ConfigError(
            f"the KEK file {path} cannot be read: {reason}", hint="`pgcrypt-proxy keygen` makes one."
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"the KEK file {path} is no regular file")
        if status.st_mode & 0o077:
            raise ConfigError(f"the KEK file {path} may be read or written by others", hint=f"Run: chmod 600 {path}")
        if status.st_uid not in (os.geteuid(), 0):
            raise ConfigError(f"the KEK file {path} belongs to another user", hint=f"Run: chown {os.geteuid()} {path}")
        raw = os.read(descriptor, MAX_FILE_BYTES)
    finally:
        os.close(descriptor)
    return read_key_text(raw.decode("ascii", "replace"), f"the KEK file {path}")


def make(options: Mapping[str, str]) -> FileProvider:
    """The provider with its options: `path`."""
    return FileProvider(Options("file", options, ("path",)).needed("path"))
