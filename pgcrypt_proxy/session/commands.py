"""What a session asks the server layer to do, in the imperative. `Session.handle` returns these in order."""

from __future__ import annotations

from dataclasses import dataclass

from pgcrypt_proxy.errors import KeyNotLoaded
from pgcrypt_proxy.session.events import Side


@dataclass(frozen=True, slots=True)
class SendData:
    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenBackend:
    """Connect to PostgreSQL; answer with `BackendOpened` or `BackendFailed`."""


@dataclass(frozen=True, slots=True)
class FindAccount:
    """Look up what logs this user in; answer with `AccountFound` or `LoginDenied`. Names nobody knows have answers."""

    user: str


@dataclass(frozen=True, slots=True)
class NoteFailedLogin:
    """This client's password was wrong."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Send `answer` (b"S") on the frontend leg, then take the TLS handshake as server; answer with `TlsStarted`."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class RelayCancel:
    """Send this CancelRequest packet on a connection of its own to PostgreSQL; then close the frontend leg."""

    packet: bytes


#: Of a refresh that is not about the session's own DDL.
UNNUMBERED = 0


@dataclass(frozen=True, slots=True)
class RefreshCatalog:
    """Load the catalog anew. `wait`: the session wants to hear of it, by a `WorldChanged` that answers `number`."""

    wait: bool
    number: int = UNNUMBERED


@dataclass(frozen=True, slots=True)
class LookUpRelations:
    """Load the catalog anew if it would say something new of relations with these names; then a `WorldChanged`
    answers UNNUMBERED. `but_plain`: of other than plain tables.
    """

    names: frozenset[str]
    but_plain: bool


@dataclass(frozen=True, slots=True)
class FetchKeys:
    """Load keys that are not in memory; then `KeysFetched` of that side."""

    side: Side
    wanted: KeyNotLoaded


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close that leg after what was sent to it is flushed."""

    side: Side


Command = (
    SendData
    | OpenBackend
    | FindAccount
    | NoteFailedLogin
    | StartTls
    | RelayCancel
    | RefreshCatalog
    | LookUpRelations
    | FetchKeys
    | CloseConnection
)
