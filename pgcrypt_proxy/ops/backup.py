"""Encrypted backups: what pg_dump or pg_basebackup writes, as a stream under a key of its own, and back again.

The key is wrapped by the KEK's provider and stands in the stream's header; the
KEK does not. Nothing is written down in between.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

import psycopg

from pgcrypt_proxy.crypto import backup_stream
from pgcrypt_proxy.crypto.backup_stream import CHUNK_BYTES, Header, Read
from pgcrypt_proxy.crypto.keys import KEY_LENGTH
from pgcrypt_proxy.crypto.providers import KekProvider, holder
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable, PgcryptError
from pgcrypt_proxy.ops import audit, postgres_tools, table_sums
from pgcrypt_proxy.ops.connect import readable_errors
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.table_sums import TableSum


class Form(StrEnum):
    """`dump`: one database, as pg_dump's custom format. `base`: the whole cluster, as pg_basebackup's tar."""

    DUMP = "dump"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself, at its end. `tables` is empty for a base backup."""

    form: Form
    made_at: str
    server_version: str
    tables: tuple[TableSum, ...]

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        read: dict[str, Any] = json.loads(raw)
        tables = tuple(TableSum(**one) for one in read["tables"])
        return cls(Form(read["form"]), read["made_at"], read["server_version"], tables)


def make(
    connection: psycopg.Connection,
    store: KeyringStore,
    url: str,
    form: Form,
    *,
    folder: Path | None = None,
    arguments: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """The encrypted stream of a new backup, piece by piece; it is whole when this ends without an error.

    A dump and its checksums are of one snapshot. `folder` has PostgreSQL's programs, `arguments` are for them,
    `progress` gets the bytes read so far. Raises PgcryptError.
    """
    program = postgres_tools.find("pg_dump" if form is Form.DUMP else "pg_basebackup", folder)
    keyring_id, backup_id = store.keyring_id(), secrets.token_bytes(16)
    provider, key = store.providers.current, secrets.token_bytes(KEY_LENGTH)
    context = backup_stream.wrap_context(keyring_id, backup_id)
    header = Header(provider.name, provider.kek_id, keyring_id, backup_id, provider.wrap(key, context))
    if provider.unwrap(header.wrapped, context) != key:
        raise KeyUnavailable("the backup's key does not come back from the key encryption key as it was")
    with _snapshot(connection) as (snapshot, made_at):
        if form is Form.DUMP:
            command = [program, "--format=custom", f"--snapshot={snapshot}", *arguments]
        else:
            command = [program, "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", *arguments]

        def data() -> Iterator[bytes]:
            done = 0
            for chunk in postgres_tools.output(command, url, CHUNK_BYTES):
                done += len(chunk)
                progress(done)
                yield chunk

        def manifest() -> bytes:
            tables = tuple(table_sums.take(connection)) if form is Form.DUMP else ()
            version = str(connection.info.parameter_status("server_version"))
            return Manifest(form, made_at, version, tables).encode()

        yield from backup_stream.seal(key, header, data(), manifest)
    if connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone() != (True,):
        detail = f"backup {backup_id.hex()} ({form}), key wrapped by {header.kek_id}"
        audit.record(connection, audit.BACKED_UP, detail=detail)


@contextmanager
def _snapshot(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    with readable_errors("reading the database for the backup"), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute(
            "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.date_trunc('second', pg_catalog.now())::text"
        ).fetchone()
        assert row is not None
        yield row


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup whose key is unwrapped. `data` gives what the program wrote; `manifest` is there when that has ended."""

    header: Header
    data: Iterator[bytes]
    _found: list[Manifest]

    @property
    def manifest(self) -> Manifest:
        if not self._found:
            raise PgcryptError("the backup was not read to its end")
        return self._found[0]


def open_(read: Read, providers: Sequence[KekProvider]) -> Opened:
    """`read(n)` gives n bytes of the stream, fewer only at its end. Raises OpenError, KeyUnavailable."""
    header = backup_stream.read_header(read)
    key = holder(providers, header.provider, header.kek_id).unwrap(header.wrapped, header.context)
    found: list[Manifest] = []
    data = backup_stream.open_(key, header, read, lambda raw: found.append(Manifest.decode(raw)))
    return Opened(header, data, found)


def restore(
    opened: Opened,
    url: str,
    *,
    folder: Path | None = None,
    arguments: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Restore a dump into the database of `url`, in one transaction: a damaged backup leaves nothing behind.

    Raises OpenError, and PgcryptError when pg_restore fails or the backup is none of one database.
    """
    program = postgres_tools.find("pg_restore", folder)
    first = next(opened.data, b"")
    if not first.startswith(b"PGDMP"):
        raise ConfigError(
            "this is a backup of a whole cluster",
            hint="Unpack it into a new data directory: restore FILE --extract - | tar -xf - -C DIRECTORY",
        )
    command = [program, "--exit-on-error", "--single-transaction", "--dbname=", *arguments]
    done = 0
    with postgres_tools.input_of(command, url) as process:
        assert process.stdin is not None
        for chunk in chain([first], opened.data):
            done += len(chunk)
            progress(done)
            try:
                process.stdin.write(chunk)
            except BrokenPipeError:
                break  # its exit status says more


def compare(connection: psycopg.Connection, manifest: Manifest) -> list[str]:
    """What is other in this database than it was when the backup was made, a sentence for each table."""
    with readable_errors("reading the restored database"), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return table_sums.differences(list(manifest.tables), table_sums.take(connection))
