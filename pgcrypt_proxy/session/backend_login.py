"""The proxy's own login to PostgreSQL, in the client's stead: by SCRAM keys or a password.

What the server asks for must be allowed and in order; a password in clear goes
over TLS only; the server must show that it knows the verifier before anything
that follows is believed.
"""

from __future__ import annotations

from enum import Enum

from pgcrypt_proxy.errors import BackendProtocolError
from pgcrypt_proxy.session.login import LoginRules
from pgcrypt_proxy.session.scram import Credentials, LoginRefused, Password, ScramClient
from pgcrypt_proxy.wire import codes, sasl, writer
from pgcrypt_proxy.wire.backend import Authentication

_Code = codes.Authentication


class _Step(Enum):
    START = "start"
    FIRST_SENT = "client-first sent"
    FINAL_SENT = "client-final sent"
    ANSWERED = "nothing but the server's verdict is awaited"
    DONE = "done"


class BackendLogin:
    """Answers the server's authentication requests; `is_done` once it said AuthenticationOk."""

    def __init__(self, rules: LoginRules, credentials: Credentials, *, is_tls: bool, binding: bytes | None) -> None:
        self._rules = rules
        self._credentials = credentials
        self._is_tls = is_tls
        self._scram = ScramClient(credentials, binding=binding, policy=rules.channel_binding)
        self._step = _Step.START

    @property
    def is_done(self) -> bool:
        return self._step is _Step.DONE

    def on_request(self, request: Authentication) -> bytes:
        """What to send to the server, nothing for some. Raises ProtocolError and LoginRefused."""
        taken = self._step, request.code
        if taken == (_Step.START, _Code.SASL):
            self._rules.check_method("scram-sha-256")
            self._step = _Step.FIRST_SENT
            return self._scram.first(sasl.mechanisms(request)).encode()
        if taken == (_Step.FIRST_SENT, _Code.SASL_CONTINUE):
            self._step = _Step.FINAL_SENT
            return sasl.response(self._scram.final(request.data))
        if taken == (_Step.FINAL_SENT, _Code.SASL_FINAL):
            self._scram.check(request.data)
            self._step = _Step.ANSWERED
            return b""
        if taken == (_Step.ANSWERED, _Code.OK):
            self._step = _Step.DONE
            return b""
        if taken == (_Step.START, _Code.OK):
            self._rules.check_method("none")
            self._step = _Step.DONE
            return b""
        if taken == (_Step.START, _Code.CLEARTEXT_PASSWORD):
            self._rules.check_method("password")
            self._step = _Step.ANSWERED
            return self._password()
        if self._step is _Step.START:
            raise LoginRefused(
                f"the server asks for authentication method {request.code}, which the proxy does not answer itself",
                hint="Have the server ask for scram-sha-256 (pg_hba.conf), or set auth: relay.",
            )
        raise BackendProtocolError(f"authentication request {request.code} out of order")

    def _password(self) -> bytes:
        if not isinstance(self._credentials, Password):
            raise LoginRefused("the server asks for a password, but only SCRAM keys are known")
        if not self._is_tls:
            raise LoginRefused("the server asks for a password in clear over a connection without TLS")
        return writer.message(codes.PASSWORD, writer.string(self._credentials.text.encode()))
