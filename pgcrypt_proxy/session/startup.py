"""From the first byte to the first ReadyForQuery: TLS requests, StartupMessage, relayed authentication.

Knows protocol-flow.html, "Start-up" and "SSL Session Encryption". Passwords and
SCRAM messages pass through unread. A client may speak only when the server has
asked it to. SCRAM-SHA-256-PLUS is taken out of the server's offer: it binds the
proof to a TLS connection that ends here.
"""

from __future__ import annotations

from enum import Enum

from pgcrypt_proxy.errors import BackendProtocolError, FrontendProtocolError
from pgcrypt_proxy.session.commands import OpenBackend, RelayCancel, StartTls
from pgcrypt_proxy.session.link import Link, SessionFatal
from pgcrypt_proxy.wire import startup as packets
from pgcrypt_proxy.wire.backend import Authentication, ErrorResponse, ParameterStatus, ReadyForQuery

MAX_AUTH_TOKEN_LENGTH = 65_535  # PG_MAX_AUTH_TOKEN_LENGTH in postgres
AUTHENTICATION_OK, SASL, SASL_FINAL = 0, 10, 12
#: AuthenticationRequests that wait for a message of the client: cleartext, MD5, GSS, SSPI and SASL.
ASKS_CLIENT = frozenset({3, 5, 7, 8, 9, 10, 11})
TLS_HANDSHAKE = 0x16


class Phase(Enum):
    STARTUP = "startup"  # no StartupMessage yet
    TLS = "tls"  # StartTls was asked for
    CONNECTING = "connecting"  # OpenBackend was asked for
    AUTHENTICATING = "authenticating"
    READY = "ready"


class Startup:
    """The first part of a connection. `phase` says what is awaited."""

    def __init__(self, link: Link, *, database_name: str | None, tls_available: bool, tls_required: bool) -> None:
        self._link = link
        self._database_name = database_name
        self._tls_available = tls_available
        self._tls_required = tls_required
        self._is_tls = False
        self._asked: set[type] = set()
        self._packet = b""
        self._is_answer_due = False
        self.phase = Phase.STARTUP

    # -- from the frontend

    def on_frontend(self) -> None:
        """Deal with what the application sent so far."""
        link = self._link
        while not link.is_closed and self.phase is Phase.STARTUP:
            packet = link.frontend.take_startup()
            if packet is None:
                return
            self._on_packet(packet)
        while not link.is_closed and self.phase is Phase.AUTHENTICATING and self._is_answer_due:
            raw = link.frontend.take()
            if raw is None:
                return
            self._on_password(raw)

    def check_first_byte(self, byte: int) -> None:
        """A TLS handshake without an SSLRequest (sslnegotiation=direct) is not served."""
        if byte == TLS_HANDSHAKE:
            self._link.terminate(None)

    def on_data_before_tls(self) -> None:
        self._refuse_unencrypted("SSL")

    def _on_packet(self, packet: bytes) -> None:
        link = self._link
        try:
            message = packets.decode(packet)
        except packets.UnsupportedProtocol as error:
            if error.is_protocol_2:
                link.to_frontend.append(b"E" + error.message.encode() + b"\n\0")
                link.terminate(None)
                return
            raise
        if isinstance(message, packets.SslRequest | packets.GssEncRequest):
            self._on_encryption_request(message)
        elif isinstance(message, packets.CancelRequest):
            link.is_closed = True
            link.commands.append(RelayCancel(packet))
        else:
            self._on_startup_message(packet, message.parameters)

    def _on_encryption_request(self, message: packets.SslRequest | packets.GssEncRequest) -> None:
        link = self._link
        is_ssl = isinstance(message, packets.SslRequest)
        if link.frontend.pending:
            self._refuse_unencrypted("SSL" if is_ssl else "GSSAPI encryption")
            return
        if type(message) in self._asked or (self._is_tls and is_ssl):
            raise FrontendProtocolError("unsupported frontend protocol: encryption was asked for twice")
        self._asked.add(type(message))
        if is_ssl and self._tls_available:
            self.phase = Phase.TLS
            link.commands.append(StartTls(b"S"))
        else:
            link.to_frontend.append(b"N")

    def _refuse_unencrypted(self, what: str) -> None:
        self._link.terminate(
            FrontendProtocolError(
                f"received unencrypted data after {what} request",
                detail="This could be either a client-software bug or evidence of an attempted"
                " man-in-the-middle attack.",
            )
        )

    def _on_startup_message(self, packet: bytes, parameters: dict[str, str]) -> None:
        if self._tls_required and not self._is_tls:
            raise SessionFatal(
                "an SSL connection is required",
                hint="Connect with sslmode=require or stronger.",
                sqlstate="28000",
            )
        if parameters.get("replication", "false").lower() not in ("false", "off", "no", "0", "f", "n"):
            raise SessionFatal(
                "replication connections are not served by the encrypting proxy",
                hint="Connect to the server itself; protected columns are replicated as envelopes.",
                sqlstate="0A000",
            )
        database = parameters.get("database") or parameters.get("user", "")
        if self._database_name is not None and database != self._database_name:
            raise SessionFatal(
                "this database is not served by the encrypting proxy",
                detail="A proxy serves one database, whose columns its rules name.",
                sqlstate="3D000",
            )
        self._packet = packet
        self.phase = Phase.CONNECTING
        self._link.commands.append(OpenBackend())

    def _on_password(self, raw: bytes) -> None:
        """PasswordMessage, SASLInitialResponse, SASLResponse or GSSResponse, unread."""
        link = self._link
        if raw[0] == ord("X"):
            link.terminate(None)
            return
        if raw[0] != ord("p"):
            raise FrontendProtocolError(f"expected authentication response, got message type {raw[0]}")
        if len(raw) > MAX_AUTH_TOKEN_LENGTH + 5:
            raise FrontendProtocolError("invalid authentication message length")
        self._is_answer_due = False
        link.to_backend.append(raw)

    # -- events

    def on_tls_started(self) -> None:
        self._is_tls = True
        self.phase = Phase.STARTUP

    def on_backend_opened(self) -> None:
        self.phase = Phase.AUTHENTICATING
        self._link.to_backend.append(self._packet)
        self._packet = b""

    def on_backend_failed(self, reason: str) -> None:
        link = self._link
        link.terminate(SessionFatal(f"could not connect to the server: {reason}", sqlstate="08006"))

    # -- from the backend

    def on_backend(self) -> None:
        """Relay what the server says until it is ready."""
        link = self._link
        while not link.is_closed and self.phase is Phase.AUTHENTICATING:
            raw = link.backend.take()
            if raw is None:
                return
            kind = raw[0]
            if kind == ord("R"):
                raw = self._on_authentication(raw)
            elif kind == ord("S"):
                status = ParameterStatus.decode(raw)
                link.set_parameter(status.name, status.value)
            elif kind == ord("Z"):
                link.transaction_status = ReadyForQuery.decode(raw).status
                self.phase = Phase.READY
            elif kind == ord("E"):
                link.is_server_ending = True
                ErrorResponse.decode(raw)
            elif kind not in b"KNv":
                raise BackendProtocolError(f"unexpected message type {kind} from the server during startup")
            link.to_frontend.append(raw)

    def _on_authentication(self, raw: bytes) -> bytes:
        request = Authentication.decode(raw)
        self._is_answer_due = request.code in ASKS_CLIENT
        if request.code != SASL:
            return raw
        offered = [name for name in request.data.split(b"\0") if name]
        kept = [name for name in offered if not name.endswith(b"-PLUS")]
        if kept == offered:
            return raw
        if not kept:
            raise SessionFatal(
                "the server accepts SCRAM with channel binding only, which cannot pass a proxy", sqlstate="28000"
            )
        return Authentication(SASL, b"".join(name + b"\0" for name in kept) + b"\0").encode()
