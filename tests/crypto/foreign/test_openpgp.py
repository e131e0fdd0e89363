"""OpenPGP under a passphrase: what pgcrypto and gpg make is opened, and nothing that is damaged."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.crypto.foreign import UnreadableValue
from pgcrypt_proxy.crypto.foreign.openpgp import OpenPgp
from pgcrypt_proxy.crypto.foreign.openpgp_packets import crc24

#: SELECT pgp_sym_encrypt('planted-é', 'secret', options) of pgcrypto in PostgreSQL 15, by options.
_MADE = json.loads((Path(__file__).parent / "pgcrypto.json").read_text())
VECTORS: dict[str, str] = _MADE["opens"]
REFUSED: dict[str, str] = _MADE["refused"]
PLAINTEXT = "planted-é".encode()
WRONG = "it does not open under that secret, or was damaged"


def reason(stored: bytes, passphrase: bytes = b"secret") -> str:
    with pytest.raises(UnreadableValue) as caught:
        OpenPgp(passphrase).open(stored)
    return caught.value.message


@pytest.mark.parametrize("options", VECTORS)
def test_pgcrypto_s_messages(options: str) -> None:
    assert OpenPgp(b"secret").open(bytes.fromhex(VECTORS[options])) == PLAINTEXT


MESSAGE = bytes.fromhex(VECTORS[""])


@pytest.mark.parametrize("at", range(len(MESSAGE)))
def test_every_changed_byte_is_found(at: int) -> None:
    """Apart from the packets' lengths, whatever is said of it shows nothing."""
    for flip in (0x01, 0x80):
        damaged = bytes([*MESSAGE[:at], MESSAGE[at] ^ flip, *MESSAGE[at + 1 :]])
        assert "planted" not in reason(damaged)


@pytest.mark.parametrize("length", range(len(MESSAGE)))
def test_no_part_of_it_opens(length: int) -> None:
    reason(MESSAGE[:length])


def test_more_than_it_does_not_open() -> None:
    reason(MESSAGE + b"\0")
    assert reason(MESSAGE + MESSAGE) == "it is no OpenPGP message under one passphrase"


def test_another_passphrase_and_damage_are_told_alike() -> None:
    assert reason(MESSAGE, b"Secret") == WRONG
    assert reason(MESSAGE[:-1] + bytes([MESSAGE[-1] ^ 1])) == WRONG
    assert reason(bytes.fromhex(VECTORS["sess-key=1"]), b"Secret") == WRONG


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("disable-mdc=1", "it has no modification detection code (disable-mdc)"),
        ("cipher-algo=bf", "it is encrypted with Blowfish; only AES is supported"),
    ],
)
def test_what_is_not_supported_is_said(options: str, said: str) -> None:
    assert reason(bytes.fromhex(REFUSED[options])) == said


def test_a_message_for_a_public_key() -> None:
    assert reason(b"\xc1\x01\x03" + MESSAGE) == "it was encrypted for a public key, not under a passphrase"


@given(st.binary(max_size=300))
def test_other_bytes(data: bytes) -> None:
    reason(data)


@given(st.integers(0, len(MESSAGE)), st.binary(min_size=1, max_size=20))
def test_bytes_put_in(at: int, data: bytes) -> None:
    reason(MESSAGE[:at] + data + MESSAGE[at:])


def armored(data: bytes, *, crc: bytes | None = None, headers: bytes = b"") -> bytes:
    text = base64.encodebytes(data)
    checksum = base64.b64encode(crc24(data).to_bytes(3, "big") if crc is None else crc)
    return (
        b"-----BEGIN PGP MESSAGE-----\n" + headers + b"\n" + text + b"=" + checksum + b"\n-----END PGP MESSAGE-----\n"
    )


def test_armor() -> None:
    cipher = OpenPgp(b"secret")
    assert cipher.open(armored(MESSAGE)) == PLAINTEXT
    assert cipher.open(armored(MESSAGE, headers=b"Comment: x\nVersion: 1\n")) == PLAINTEXT
    assert cipher.open(armored(MESSAGE).replace(b"\n", b"\r\n")) == PLAINTEXT
    for damaged in (armored(MESSAGE, crc=b"abc"), armored(MESSAGE)[:-10], armored(MESSAGE).replace(b"\n\n", b"\n", 1)):
        assert reason(damaged) == "its armor is damaged"


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
@pytest.mark.parametrize("cipher", ["AES128", "AES192", "AES256"])
@pytest.mark.parametrize("compress", ["none", "zip", "zlib"])
@pytest.mark.parametrize("size", [0, 9, 100_000])
def test_gpg(tmp_path: Path, cipher: str, compress: str, size: int) -> None:
    """Long messages have partial lengths, compressed ones no length at all."""
    plaintext = (b"planted-" * (size // 8 + 1))[:size]
    command = [
        *(
            "gpg",
            "--homedir",
            str(tmp_path),
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "secret",
        ),
        *("--symmetric", "--cipher-algo", cipher, "--compress-algo", compress, "--s2k-count", "65536"),
    ]
    tmp_path.chmod(0o700)
    made = subprocess.run(command, input=plaintext, capture_output=True, timeout=60, check=True).stdout
    assert OpenPgp(b"secret").open(made) == plaintext
