"""What happened to a session, in the past tense. `Session.handle` takes these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.scram import Password
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
class InputEnded:
    """The frontend sends nothing more, and can still be sent to: it ended its half of the connection."""


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """The handshake is done, asked for by `StartTls` or begun by the client; what follows is inside TLS.

    `binding` is tls-server-end-point of the proxy's certificate, None when it has
    none. `certificate_names` are those of the client's verified certificate.
    """

    binding: bytes | None = None
    certificate_names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class BackendOpened:
    """The upstream connection asked for by `OpenBackend` stands; `binding` is that of the server's certificate."""

    is_tls: bool = False
    binding: bytes | None = None


@dataclass(frozen=True, slots=True)
class AccountFound:
    """What `FindAccount` asked for. `is_mock`: there is no such user, and nobody may notice.

    `verifier` is None where certificates stand in the passwords' place;
    `password` is the proxy's own on the server, in static mode.
    """

    verifier: Verifier | None
    is_mock: bool = False
    password: Password | None = None


@dataclass(frozen=True, slots=True)
class LoginDenied:
    """Instead of AccountFound: nobody, or not this client, can log in now."""

    error: PgcryptError


@dataclass(frozen=True, slots=True)
class BackendFailed:
    """The upstream connection could not be made; `reason` is fit for a client."""

    reason: str


@dataclass(frozen=True, slots=True)
class WorldChanged:
    """A new catalog or keyring is in force, or the one asked for by `RefreshCatalog` was loaded (`answers` its number).

    `error` is set when a refresh was asked for and failed: statements that wait
    for it are planned with what is known.
    """

    planner: Planner
    keyring: Keyring
    error: str | None = None
    answers: int | None = None


@dataclass(frozen=True, slots=True)
class KeysFetched:
    """The keys asked for by `FetchKeys` are in the keyring, as far as there are such; `error` says what went wrong."""

    side: Side
    error: PgcryptError | None = None


Event = (
    DataReceived
    | ConnectionClosed
    | InputEnded
    | TlsStarted
    | AccountFound
    | LoginDenied
    | BackendOpened
    | BackendFailed
    | WorldChanged
    | KeysFetched
)
