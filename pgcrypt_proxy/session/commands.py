"""What a session asks the server layer to do, in the imperative. `Session.handle` returns these in order."""

from __future__ import annotations

from dataclasses import dataclass

from pgcrypt_proxy.session.events import Side


@dataclass(frozen=True, slots=True)
class SendData:
    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenBackend:
    """Connect to PostgreSQL; answer with `BackendOpened` or `BackendFailed`."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Send `answer` (b"S") on the frontend leg, then take the TLS handshake as server; answer with `TlsStarted`."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class RelayCancel:
    """Send this CancelRequest packet on a connection of its own to PostgreSQL; then close the frontend leg."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class RefreshCatalog:
    """Load the catalog anew; answer this session with `WorldChanged`.

    `wait` says that the session holds its frontend's messages until the answer.
    """

    wait: bool


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close that leg after what was sent to it is flushed."""

    side: Side


Command = SendData | OpenBackend | StartTls | RelayCancel | RefreshCatalog | CloseConnection
