"""Provider `file`: the KEK in a file that only its owner may read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pgcrypt_proxy.crypto import private_files
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
    raw = private_files.read(path, "the KEK file", MAX_FILE_BYTES, "`pgcrypt-proxy keygen` makes one.")
    return read_key_text(raw.decode("ascii", "replace"), f"the KEK file {path}")


def make(options: Mapping[str, str]) -> FileProvider:
    """The provider with its options: `path`."""
    return FileProvider(Options("file", options, ("path",)).needed("path"))
