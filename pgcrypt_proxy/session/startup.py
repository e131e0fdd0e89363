"""From the first byte to the first ReadyForQuery: TLS requests, StartupMessage, the two legs' logins.

Knows protocol-flow.html, "Start-up" and "SSL Session Encryption". In relay mode
the server is connected to first, and it and the client make the login out
(`relayed_login`). Otherwise the client logs in here (`client_login`), and only
then is the server connected to and logged in to (`backend_login`); the client
gets AuthenticationOk from the server, when both have succeeded.
"""

from __future__ import annotations

from enum import Enum

from pgcrypt_proxy.errors import BackendProtocolError, FrontendProtocolError
from pgcrypt_proxy.session.backend_login import BackendLogin
from pgcrypt_proxy.session.client_login import ClientLogin, WrongPassword
from pgcrypt_proxy.session.commands import FindAccount, NoteFailedLogin, OpenBackend, RelayCancel, StartTls
from pgcrypt_proxy.session.events import AccountFound, BackendOpened, TlsStarted
from pgcrypt_proxy.session.link import Link, SessionFatal
from pgcrypt_proxy.session.login import CertificateUse, LoginRules, Mode
from pgcrypt_proxy.session.relayed_login import RelayedLogin
from pgcrypt_proxy.session.scram import Credentials, KnownKeys, LoginRefused, ScramServer
from pgcrypt_proxy.wire import codes
from pgcrypt_proxy.wire import startup as packets
from pgcrypt_proxy.wire.backend import Authentication, BackendKeyData, ErrorResponse, ParameterStatus, ReadyForQuery
from pgcrypt_proxy.wire.framing import NoStartupPacket

TLS_HANDSHAKE = 0x16
#: Far more than a server has to say before ReadyForQuery.
MAX_STARTUP_MESSAGES = 2_000


class Phase(Enum):
    STARTUP = "startup"  # no StartupMessage yet
    TLS = "tls"  # StartTls was asked for
    ACCOUNT = "account"  # FindAccount was asked for
    CLIENT_LOGIN = "client login"  # the client logs in at the proxy
    CONNECTING = "connecting"  # OpenBackend was asked for
    AUTHENTICATING = "authenticating"  # the server is asked
    READY = "ready"


class Startup:
    """The first part of a connection. `phase` says what is awaited."""

    def __init__(
        self, link: Link, *, database_name: str | None, tls_available: bool, tls_required: bool, login: LoginRules
    ) -> None:
        self._link = link
        self._database_name = database_name
        self._tls_available = tls_available
        self._tls_required = tls_required
        self._rules = login
        self._tls: TlsStarted | None = None
        self._asked: set[type] = set()
        self._message: packets.StartupMessage | None = None
        self._client_login: ClientLogin | None = None
        self._account: AccountFound | None = None
        self._backend_login: BackendLogin | RelayedLogin | None = None
        self._messages_left = MAX_STARTUP_MESSAGES
        self.phase = Phase.STARTUP

    @property
    def user(self) -> str:
        """The user that the client named, empty before it did."""
        return self._message.parameters["user"] if self._message is not None else ""

    # -- from the frontend

    def on_frontend(self) -> None:
        """Deal with what the application sent so far."""
        link = self._link
        while not link.is_closed and self.phase is Phase.STARTUP:
            try:
                packet = link.frontend.take_startup()
                if packet is None:
                    return
                self._on_packet(packet)
            except NoStartupPacket:
                link.terminate(None)
                return
        while not link.is_closed and self._is_answer_due:
            raw = link.frontend.take()
            if raw is None:
                break
            self._on_password(raw)
        if link.frontend.pending > codes.MAX_AUTH_TOKEN_LENGTH + 1:
            raise FrontendProtocolError("invalid authentication message length")

    @property
    def _is_answer_due(self) -> bool:
        if self.phase is Phase.CLIENT_LOGIN:
            return True
        login = self._backend_login
        return self.phase is Phase.AUTHENTICATING and isinstance(login, RelayedLogin) and login.is_answer_due

    def check_first_byte(self, byte: int) -> None:
        """A TLS handshake that the server layer did not take: TLS is off, or it is the second inside the first."""
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
                link.to_frontend.append(b"EFATAL:  " + error.message.encode() + b"\n\0")
                link.terminate(None)
                return
            raise
        if isinstance(message, packets.SslRequest | packets.GssEncRequest):
            self._on_encryption_request(message)
        elif isinstance(message, packets.CancelRequest):
            link.is_closed = True
            link.commands.append(RelayCancel(packet))
        else:
            self._on_startup_message(message)

    def _on_encryption_request(self, message: packets.SslRequest | packets.GssEncRequest) -> None:
        link = self._link
        is_ssl = isinstance(message, packets.SslRequest)
        if link.frontend.pending:
            self._refuse_unencrypted("SSL" if is_ssl else "GSSAPI encryption")
            return
        if type(message) in self._asked or (self._tls is not None and is_ssl):
            raise packets.UnsupportedProtocol(codes.SSL_REQUEST_CODE if is_ssl else codes.GSSENC_REQUEST_CODE)
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

    def _on_startup_message(self, message: packets.StartupMessage) -> None:
        parameters = message.parameters
        if self._tls_required and self._tls is None:
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
        database = parameters.get("database") or parameters["user"]
        if self._database_name is not None and database != self._database_name:
            raise SessionFatal(
                "this database is not served by the encrypting proxy",
                detail="A proxy serves one database, whose columns its rules name.",
                sqlstate="3D000",
            )
        self._message = message
        self._rules.check_certificate(self.user, self._tls.certificate_names if self._tls is not None else None)
        is_password_asked = self._rules.mode is not Mode.RELAY and self._rules.certificate is not CertificateUse.LOGIN
        if not is_password_asked and not self._rules.allows(self.user):
            raise LoginRefused(f'user "{self.user}" is not one that the encrypting proxy serves')
        if self._rules.mode is Mode.RELAY:
            self._open_backend()
        else:
            if message.is_to_be_negotiated:
                self._link.to_frontend.append(packets.negotiation(message))
            self.phase = Phase.ACCOUNT
            self._link.commands.append(FindAccount(self.user))

    def _open_backend(self) -> None:
        self.phase = Phase.CONNECTING
        self._link.commands.append(OpenBackend())

    def _on_password(self, raw: bytes) -> None:
        """PasswordMessage, SASLInitialResponse, SASLResponse or GSSResponse."""
        link = self._link
        if raw[0] == codes.TERMINATE:
            link.terminate(None)
            return
        if raw[0] != codes.PASSWORD:
            awaited = self._backend_login.awaited if isinstance(self._backend_login, RelayedLogin) else "SASL"
            raise FrontendProtocolError(f"expected {awaited} response, got message type {raw[0]}")
        if self._client_login is None:
            assert isinstance(self._backend_login, RelayedLogin)
            link.to_backend.append(self._backend_login.on_answer(raw))
            return
        try:
            link.to_frontend.append(self._client_login.on_message(raw))
        except WrongPassword:
            link.commands.append(NoteFailedLogin())
            raise
        if self._client_login.keys is not None:
            self._open_backend()

    # -- events

    def on_tls_started(self, event: TlsStarted) -> None:
        self._tls = event
        self.phase = Phase.STARTUP

    def on_account_found(self, account: AccountFound) -> None:
        self._account = account
        if account.verifier is None:
            if self._rules.certificate is not CertificateUse.LOGIN:
                raise LoginRefused("there is nothing to log in with")
            self._open_backend()
            return
        scram = ScramServer(
            account.verifier,
            is_mock=account.is_mock or not self._rules.allows(self.user),
            binding=self._tls.binding if self._tls is not None else None,
        )
        self._client_login = ClientLogin(scram, self.user)
        self._link.to_frontend.append(self._client_login.offer())
        self.phase = Phase.CLIENT_LOGIN

    def on_backend_opened(self, event: BackendOpened) -> None:
        assert self._message is not None
        if self._rules.mode is Mode.RELAY:
            packet = self._message.packet
            self._backend_login = RelayedLogin(self._rules, is_backend_tls=event.is_tls)
        else:
            is_static = self._rules.mode is Mode.STATIC
            packet = packets.to_server(self._message, self._rules.upstream_user if is_static else None)
            self._backend_login = BackendLogin(
                self._rules, self._credentials(), is_tls=event.is_tls, binding=event.binding
            )
        self.phase = Phase.AUTHENTICATING
        self._link.backend.limit(codes.MAX_AUTH_TOKEN_LENGTH)
        self._link.to_backend.append(packet)

    def _credentials(self) -> Credentials:
        account, login = self._account, self._client_login
        assert account is not None
        if self._rules.mode is Mode.STATIC:
            assert account.password is not None
            return account.password
        assert account.verifier is not None
        assert login is not None
        assert login.keys is not None
        return KnownKeys(login.keys, account.verifier)

    def on_backend_failed(self, reason: str) -> None:
        link = self._link
        link.terminate(SessionFatal(f"could not connect to the server: {reason}", sqlstate="08006"))

    # -- from the backend

    def on_backend(self) -> None:
        """Take what the server says until it is ready."""
        link = self._link
        while not link.is_closed and self.phase is Phase.AUTHENTICATING:
            raw = link.backend.take()
            if raw is None:
                return
            self._messages_left -= 1
            if self._messages_left < 0:
                raise BackendProtocolError("the server has too much to say before it is ready")
            self._on_backend_message(raw)

    def _on_backend_message(self, raw: bytes) -> None:
        link, login = self._link, self._backend_login
        assert login is not None
        kind = raw[0]
        if kind == codes.AUTHENTICATION and not login.is_done:
            self._on_authentication(raw)
            return
        if kind == codes.ERROR_RESPONSE:
            self._on_error(ErrorResponse.decode(raw), is_authenticated=login.is_done)
        elif kind == codes.NEGOTIATE_PROTOCOL_VERSION and not login.is_done:
            if self._rules.mode is not Mode.RELAY:
                return  # an older server; the client has its answer, and what the legs speak differs in nothing else
        elif kind == codes.NOTICE_RESPONSE:
            pass
        elif not login.is_done or kind not in (codes.PARAMETER_STATUS, codes.BACKEND_KEY_DATA, codes.READY_FOR_QUERY):
            raise BackendProtocolError(f"unexpected message type {kind} from the server during startup")
        elif kind == codes.PARAMETER_STATUS:
            status = ParameterStatus.decode(raw)
            link.set_parameter(status.name, status.value)
        elif kind == codes.BACKEND_KEY_DATA:
            BackendKeyData.decode(raw)  # raises what is wrong
        elif kind == codes.READY_FOR_QUERY:
            link.transaction_status = ReadyForQuery.decode(raw).status
            link.backend.limit(None)
            self.phase = Phase.READY
            self._client_login = self._account = self._backend_login = None  # nobody needs the keys any more
        link.to_frontend.append(raw)

    def _on_authentication(self, raw: bytes) -> None:
        link, login = self._link, self._backend_login
        if isinstance(login, RelayedLogin):
            link.to_frontend.append(login.on_request(raw))
            return
        assert login is not None
        reply = login.on_request(Authentication.decode(raw))
        if reply:
            link.to_backend.append(reply)
        if login.is_done:
            link.to_frontend.append(raw)

    def _on_error(self, error: ErrorResponse, *, is_authenticated: bool) -> None:
        link = self._link
        link.is_server_ending = True
        if is_authenticated:
            return
        if self._rules.mode is Mode.RELAY:
            if error.sqlstate in ("28P01", "28000"):
                link.commands.append(NoteFailedLogin())
        elif self._rules.mode is Mode.STATIC and error.sqlstate.startswith("28"):
            # About the proxy's own user: none of the client's business, and nothing that it did wrong.
            raise SessionFatal("the proxy could not log in to the server", sqlstate="08006")
