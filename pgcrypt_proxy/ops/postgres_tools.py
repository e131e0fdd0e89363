"""PostgreSQL's own programs (pg_dump, pg_restore, pg_basebackup), run against the protected database.

The database URL reaches them by the environment, never by an argument, which
every user of the machine could read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops import address

#: libpq's variables, by the word in a connection string. Manual, "Environment Variables" of libpq.
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def find(program: str, folder: Path | None) -> str:
    """The program's path: in `folder`, else on the PATH. Raises ConfigError."""
    found = shutil.which(program, path=str(folder) if folder is not None else None)
    if found is None:
        raise ConfigError(
            f"{program} was not found{f' in {folder}' if folder is not None else ''}",
            hint="Install PostgreSQL's client programs, of the server's version or newer, or name their folder: --bin.",
        )
    return found


def environment(url: str) -> dict[str, str]:
    """This process's environment with the database URL in libpq's variables. Raises ConfigError."""
    words = {name: str(value) for name, value in conninfo_to_dict(address.secured(url)).items() if value is not None}
    unknown = sorted(words.keys() - _VARIABLES.keys())
    if unknown:
        raise ConfigError(f"the database URL has {unknown[0]}, which cannot be passed to PostgreSQL's programs")
    kept = {name: value for name, value in os.environ.items() if name not in _VARIABLES.values()}
    return {**kept, **{_VARIABLES[name]: value for name, value in words.items()}}


def output(command: Sequence[str], url: str, chunk_bytes: int) -> Iterator[bytes]:
    """What the program writes, in chunks. Raises PgcryptError when it fails: what came until then is not all."""
    with _running(command, url, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read(chunk_bytes):
            yield chunk
        _check(command, process)


@contextlib.contextmanager
def input_of(command: Sequence[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program, to be written to. Its end is awaited if the block succeeds; else it is killed first."""
    with _running(command, url, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield process
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        _check(command, process)


@contextlib.contextmanager
def _running(command: Sequence[str], url: str, **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    # no shell; the program is PostgreSQL's, its arguments the operator's
    process = subprocess.Popen(list(command), env=environment(url), **pipes)  # type: ignore[call-overload]  # noqa: S603
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was left in the buffer has nobody to read it
                    pipe.close()


def _check(command: Sequence[str], process: subprocess.Popen[bytes]) -> None:
    status = process.wait()
    if status:
        raise PgcryptError(
            f"{Path(command[0]).name} failed with exit status {status}", hint="What it said stands above."
        )
