"""Where encrypted backups are written to and read from: a file, standard output and input, an object in S3.

Nothing half done is left: a file appears under its name when it is whole, an
upload that fails is given up.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from pgcrypt_proxy.crypto.backup_stream import Read
from pgcrypt_proxy.errors import ConfigError, PgcryptError

STANDARD = "-"
S3_ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_S3"


def write(place: str, pieces: Iterator[bytes]) -> int:
    """Write them to `place` (a path, `-`, or s3://bucket/key); how many bytes. Raises PgcryptError."""
    counted = _Counted(pieces)
    if place == STANDARD:
        for piece in counted:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    elif place.startswith("s3://"):
        _upload(place, counted)
    else:
        _write_file(Path(place), counted)
    return counted.total


@contextlib.contextmanager
def reading(place: str) -> Iterator[Read]:
    """A function that gives so many bytes of it, fewer only at its end. Raises ConfigError."""
    if place == STANDARD:
        yield sys.stdin.buffer.read
    elif place.startswith("s3://"):
        client, bucket, key = _object(place)
        with _s3_errors(place):
            body = client.get_object(Bucket=bucket, Key=key)["Body"]
            with contextlib.closing(body):
                yield lambda count: _read_fully(body, count)
    else:
        try:
            stream: BinaryIO = Path(place).open("rb")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise ConfigError(f"the backup {place} cannot be read: {error.strerror}") from None
        with stream:
            yield stream.read


class _Counted:
    """The pieces, with their length so far, and as a file for boto3."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.total = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.total += len(piece)
            yield piece

    def read(self, count: int = -1) -> bytes:
        """Bytes up to `count`, fewer only at the end; all that is left without it."""
        parts, have = [self._rest], len(self._rest)
        while count < 0 or have < count:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self.total += len(piece)
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        wanted = len(whole) if count < 0 else count
        self._rest = whole[wanted:]
        return whole[:wanted]


def _write_file(path: Path, pieces: _Counted) -> None:
    partial = path.with_name(f"{path.name}.partial")
    if path.exists():
        raise ConfigError(f"{path} exists already", hint="Name another file: a backup never replaces one.")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{partial} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for piece in pieces:
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise PgcryptError(f"{path} cannot be written: {error.strerror}", sqlstate="58030") from None
        raise


def _upload(place: str, pieces: _Counted) -> None:
    client, bucket, key = _object(place)
    with _s3_errors(place):
        client.upload_fileobj(pieces, bucket, key)  # in parts; given up as a whole on any error


def _object(place: str) -> tuple[Any, str, str]:
    parts = urlsplit(place)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    if not bucket or not key:
        raise ConfigError(f"{place} names no object", hint="The form is s3://bucket/key.")
    try:
        import boto3
    except ImportError:
        raise ConfigError("s3:// needs boto3", hint="pip install 'pgcrypt-proxy[aws]'") from None
    with _s3_errors(place):
        return boto3.client("s3", endpoint_url=os.environ.get(S3_ENDPOINT_VARIABLE)), bucket, key


@contextlib.contextmanager
def _s3_errors(place: str) -> Iterator[None]:
    """boto3's errors become ours, by their code: their texts may be anything."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise PgcryptError(f"{place}: S3 answered {code}", sqlstate="58030") from None
    except (Boto3Error, BotoCoreError) as error:
        raise PgcryptError(
            f"{place}: S3 could not be used ({type(error).__name__})",
            hint="Credentials and region are found as boto3 finds them.",
            sqlstate="58030",
        ) from None


def _read_fully(body: Any, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := body.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
