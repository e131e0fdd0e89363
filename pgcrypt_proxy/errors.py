"""Every exception of the product, each with the SQLSTATE a client sees.

Texts never contain plaintext, key material, parameters, ciphertext or the
statement. They say what happened, where (column, construct, position) and what
to do. SQLSTATEs: PostgreSQL manual, appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar


class PgcryptError(Exception):
    """Base of all errors.

    `message`, `detail` and `hint` are the ErrorResponse fields M, D and H;
    `position` is field P: 1-based, in characters of the client's statement;
    `context` is field W: where in the data it happened.
    """

    sqlstate: ClassVar[str] = "XX000"
    severity: ClassVar[str] = "ERROR"
    #: label of the failures_total metric; stable and free of values
    kind: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.context: str | None = None
        self.code = sqlstate or self.sqlstate


class ConfigError(PgcryptError):
    """The settings file, environment or command line is wrong."""

    sqlstate = "F0000"
    kind = "config"


class PolicyError(PgcryptError):
    """A rule file is wrong, or contradicts the database. Carries file and line in the text."""

    sqlstate = "F0000"
    kind = "policy"


class ProtocolError(PgcryptError):
    """One side broke the wire protocol; the connection cannot go on."""

    sqlstate = "08P01"
    severity = "FATAL"
    kind = "protocol"


class FrontendProtocolError(ProtocolError):
    """The application's side sent bytes that are no valid message."""

    kind = "frontend_protocol"


class BackendProtocolError(ProtocolError):
    """The server's side sent bytes that are no valid message."""

    kind = "backend_protocol"


class Refusal(PgcryptError):
    """The statement asks ciphertext for what it cannot give. Cannot be switched off."""

    sqlstate = "0A000"
    kind = "refusal"


class InvalidValue(PgcryptError):
    """A value is not valid for the column's declared type.

    The server would say so itself if it saw the value, so SQLSTATE and wording
    are PostgreSQL's own (22P02, 22001, 22003, 22007, 22008...), except that the
    value is never repeated.
    """

    sqlstate = "22P02"
    kind = "invalid_value"


class SealError(PgcryptError):
    """A value could not be sealed."""

    sqlstate = "58000"
    kind = "seal"


class OpenError(PgcryptError):
    """An envelope is malformed or fails authentication. The row fails; ciphertext never flows on."""

    sqlstate = "XX001"
    kind = "open"


class KeyUnavailable(PgcryptError):
    """The key provider cannot be reached, or the key is destroyed or unknown."""

    sqlstate = "58030"
    kind = "key_unavailable"


class KeyNotLoaded(KeyUnavailable):
    """A key is not in memory, a tenant's or one that was made just now: this says what to load.

    Key ids are for opening; (data class, tenant) pairs with a number of seals are for sealing.
    """

    def __init__(self, *, key_ids: Iterable[int] = (), seals: Mapping[tuple[str, str], int] | None = None) -> None:
        super().__init__(
            "the data encryption key of a value is not available", hint="The statement can be tried again."
        )
        self.key_ids = frozenset(key_ids)
        self.seals = dict(seals or {})


class WrongTenant(PgcryptError):
    """A value belongs to another tenant than the session's, or the session has none."""

    sqlstate = "42501"
    kind = "tenant"


class CatalogDrift(PgcryptError):
    """The database's shape is not what the plan was made for."""

    sqlstate = "0A000"
    kind = "catalog_drift"
