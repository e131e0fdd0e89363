"""What happened to a session, in the past tense. `Session.handle` takes these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.sql.planner import Planner


class Side(Enum):
    """The two legs: FRONTEND is the application, BACKEND the PostgreSQL server."""

    FRONTEND = "frontend"
    BACKEND = "backend"


@dataclass(frozen=True, slots=True)
class DataReceived:
    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The peer of that leg closed or was lost."""

    side: Side


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """The handshake asked for by `StartTls` is done; what follows is inside TLS."""


@dataclass(frozen=True, slots=True)
class BackendOpened:
    """The upstream connection asked for by `OpenBackend` stands."""


@dataclass(frozen=True, slots=True)
class BackendFailed:
    """The upstream connection could not be made; `reason` is fit for a client."""

    reason: str


@dataclass(frozen=True, slots=True)
class WorldChanged:
    """A new catalog or keyring is in force, or the one asked for by `RefreshCatalog` was loaded.

    `error` is set when a refresh was asked for and failed: statements that wait
    for it are planned with what is known.
    """

    planner: Planner
    keyring: Keyring
    error: str | None = None


Event = DataReceived | ConnectionClosed | TlsStarted | BackendOpened | BackendFailed | WorldChanged
