"""Values that others encrypted: what `import` opens, so that they can be sealed. Nothing here encrypts.

Each form is a class with `open`, which gives the plaintext as the other program had it, or raises UnreadableValue:
one text for a wrong secret and for damaged bytes, since neither can be told from the other, and never the bytes.
"""

from __future__ import annotations

from typing import Protocol

from pgcrypt_proxy.errors import PgcryptError


class UnreadableValue(PgcryptError):
    """A value is not what the form says, or was not encrypted under that secret."""

    sqlstate = "22P03"
    kind = "unreadable"


class ForeignCipher(Protocol):
    """Opens values of one form under one secret. `is_authenticated`: a wrong one opens none, a damaged value not."""

    is_authenticated: bool

    def open(self, stored: bytes) -> bytes:
        """The plaintext. Raises UnreadableValue."""
        ...


def does_not_open() -> UnreadableValue:
    """For whatever a wrong secret could be the cause of."""
    return UnreadableValue("it does not open under that secret, or was damaged")
