"""Encrypted backups as bytes: what was written comes back, and nothing else does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.crypto import backup_stream
from pgcrypt_proxy.crypto.backup_stream import CHUNK_BYTES, Header
from pgcrypt_proxy.errors import OpenError

KEY = bytes(range(32))
HEADER = Header("file", "file:1234", bytes(16), bytes([7]) * 16, b"wrapped key")
MANIFEST = b'{"tables": []}'


def sealed(chunks: list[bytes], header: Header = HEADER, manifest: bytes = MANIFEST) -> list[bytes]:
    return list(backup_stream.seal(KEY, header, iter(chunks), lambda: manifest))


def opened(stream: bytes, key: bytes = KEY) -> tuple[bytes, bytes]:
    reader = io.BytesIO(stream)
    header = backup_stream.read_header(reader.read)
    found: list[bytes] = []
    data = b"".join(backup_stream.open_(key, header, reader.read, found.append))
    (manifest,) = found
    return data, manifest


@given(st.lists(st.binary(max_size=200)))
def test_what_was_written_comes_back(chunks: list[bytes]) -> None:
    assert opened(b"".join(sealed(chunks))) == (b"".join(chunks), MANIFEST)


def test_long_chunks_are_cut() -> None:
    data = bytes(range(256)) * (CHUNK_BYTES // 100)
    pieces = sealed([data])
    assert max(len(piece) for piece in pieces) == 5 + CHUNK_BYTES + 16
    assert opened(b"".join(pieces))[0] == data


def test_the_header_comes_back() -> None:
    assert backup_stream.read_header(io.BytesIO(sealed([])[0]).read) == HEADER


def test_every_byte_counts() -> None:
    stream = b"".join(sealed([b"a" * 40, b"b" * 40]))
    for at in range(len(stream)):
        changed = bytearray(stream)
        changed[at] ^= 1
        with pytest.raises(OpenError):
            opened(bytes(changed))


def test_a_stream_that_was_cut_short_shows() -> None:
    stream = b"".join(sealed([b"a" * 40, b"b" * 40]))
    for end in range(len(stream)):
        with pytest.raises(OpenError):
            opened(stream[:end])
    with pytest.raises(OpenError):
        opened(stream + b"x")


def moved(pieces: list[bytes]) -> Iterator[list[bytes]]:
    head, first, second, manifest = pieces
    yield [head, second, first, manifest]
    yield [head, first, manifest]
    yield [head, first, first, second, manifest]
    yield [head, first, second, manifest, manifest]
    yield [head, first, second, b"M" + second[1:]]
    yield [
        sealed([], replace(HEADER, backup_id=bytes([8]) * 16))[0],
        *pieces[1:],
    ]


def test_records_that_were_moved_show() -> None:
    pieces = sealed([b"a" * 40, b"b" * 40])
    for made in moved(pieces):
        with pytest.raises(OpenError):
            opened(b"".join(made))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(OpenError):
        opened(b"".join(sealed([b"data"])), bytes(32))


@pytest.mark.parametrize("stream", [b"", b"PGDMP", b"PGCRYPTB\x02" + bytes(100), b"PGCRYPTB\x01\xff\xff"])
def test_what_is_no_backup(stream: bytes) -> None:
    with pytest.raises(OpenError):
        opened(stream)


def test_a_length_takes_no_memory() -> None:
    stream = sealed([])[0] + b"D\xff\xff\xff\xff" + bytes(100)
    with pytest.raises(OpenError, match="damaged"):
        opened(stream)
