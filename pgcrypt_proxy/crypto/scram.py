"""The keys, proofs and signatures of SCRAM-SHA-256, without its messages. RFC 5802, section 3; RFC 7677.

A verifier is what the server keeps of a password, in PostgreSQL's form (column
rolpassword of pg_authid). It does not hold the password, and neither logs in
by itself nor does what `recover_client_key` finds outlive the login.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from pgcrypt_proxy.crypto.saslprep import saslprep

KEY_LENGTH = 32
SALT_LENGTH = 16
#: scram_iterations of PostgreSQL; also what a mock login shows.
DEFAULT_ITERATIONS = 4096

_VERIFIER = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_MAX_INT32 = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Verifier:
    """Salt, iterations, StoredKey and ServerKey of one password."""

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Verifier | None:
        """PostgreSQL's `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`; None for anything else."""
        match = _VERIFIER.fullmatch(text)
        if match is None or int(match[1]) > _MAX_INT32:
            return None
        salt, stored_key, server_key = (decode_base64(part.encode()) for part in match.groups()[1:])
        if not salt or stored_key is None or server_key is None:
            return None
        if len(stored_key) != KEY_LENGTH or len(server_key) != KEY_LENGTH:
            return None
        return cls(int(match[1]), salt, stored_key, server_key)

    @classmethod
    def make(cls, password: str, *, salt: bytes | None = None, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
        """The verifier of a password, with a fresh salt unless one is given."""
        salt = secrets.token_bytes(SALT_LENGTH) if salt is None else salt
        keys = ClientKeys.derive(password, salt, iterations)
        return cls(iterations, salt, stored_key(keys.client_key), keys.server_key)

    @classmethod
    def mock(cls, secret: bytes, user: str, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
        """What is shown of a user that is not there: always the same salt, keys that no password has."""
        salt = hmac.digest(secret, user.encode("utf-8", "surrogateescape"), "sha256")[:SALT_LENGTH]
        return cls(iterations, salt, secrets.token_bytes(KEY_LENGTH), secrets.token_bytes(KEY_LENGTH))

    def text(self) -> str:
        """PostgreSQL's form."""
        salt, stored, server = (
            base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def recover_client_key(self, proof: bytes, auth_message: bytes) -> bytes | None:
        """The ClientKey that a client proved to hold, None when the proof is wrong. Compared in constant time."""
        if len(proof) != KEY_LENGTH:
            return None
        key = _xor(proof, _hmac(self.stored_key, auth_message))
        return key if hmac.compare_digest(stored_key(key), self.stored_key) else None

    def server_signature(self, auth_message: bytes) -> bytes:
        return _hmac(self.server_key, auth_message)


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What logs in without the password: ClientKey, and the ServerKey that the server's signature is checked with."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, password: str, salt: bytes, iterations: int) -> ClientKeys:
        """From the password; costs `iterations`."""
        salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
        return cls(_hmac(salted, b"Client Key"), _hmac(salted, b"Server Key"))

    def proof(self, auth_message: bytes) -> bytes:
        return _xor(self.client_key, _hmac(stored_key(self.client_key), auth_message))

    def is_signature(self, signature: bytes, auth_message: bytes) -> bool:
        """Whether the server's signature is right, in constant time."""
        return hmac.compare_digest(signature, _hmac(self.server_key, auth_message))


def stored_key(client_key: bytes) -> bytes:
    return hashlib.sha256(client_key).digest()


def decode_base64(text: bytes) -> bytes | None:
    """Strict base64, None for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
