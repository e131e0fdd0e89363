"""A login that the server and the client make out between themselves; the proxy sees to what is asked, and its order.

Passwords and proofs pass unread. SCRAM-SHA-256-PLUS is taken out of the
server's offer: it binds the proof to a TLS connection, and that ends here. A
client that insists on it gives up before it sends a proof.
"""

from __future__ import annotations

from pgcrypt_proxy.errors import BackendProtocolError
from pgcrypt_proxy.session.login import LoginRules
from pgcrypt_proxy.session.scram import LoginRefused
from pgcrypt_proxy.wire import codes, sasl
from pgcrypt_proxy.wire.backend import Authentication

_Code = codes.Authentication
_METHODS = {
    _Code.OK: "none",
    _Code.CLEARTEXT_PASSWORD: "password",
    _Code.MD5_PASSWORD: "md5",
    _Code.SASL: "scram-sha-256",
    _Code.GSS: "gss",
    _Code.SSPI: "sspi",
}
#: What may follow a request once the client answered it.
_FOLLOWERS = {
    _Code.CLEARTEXT_PASSWORD: {_Code.OK},
    _Code.MD5_PASSWORD: {_Code.OK},
    _Code.SASL: {_Code.SASL_CONTINUE},
    _Code.SASL_CONTINUE: {_Code.SASL_FINAL},
    _Code.SASL_FINAL: {_Code.OK},
    _Code.GSS: {_Code.GSS_CONTINUE, _Code.OK},
    _Code.SSPI: {_Code.GSS_CONTINUE, _Code.OK},
    _Code.GSS_CONTINUE: {_Code.GSS_CONTINUE, _Code.OK},
}


class RelayedLogin:
    """`is_answer_due`: the server waits for a message of the client, which may not speak before."""

    def __init__(self, rules: LoginRules, *, is_backend_tls: bool) -> None:
        self._rules = rules
        self._is_backend_tls = is_backend_tls
        self._last: int | None = None
        self._is_plus_removed = False
        self.is_answer_due = False

    @property
    def is_done(self) -> bool:
        return self._last == _Code.OK

    @property
    def awaited(self) -> str:
        """What the server calls the answer that is due."""
        match self._last:
            case _Code.SASL | _Code.SASL_CONTINUE:
                return "SASL"
            case _Code.GSS | _Code.GSS_CONTINUE:
                return "GSS"
            case _Code.SSPI:
                return "SSPI"
        return "password"

    def on_request(self, raw: bytes) -> bytes:
        """The request as the client gets it. Raises ProtocolError and LoginRefused."""
        request = Authentication.decode(raw)
        if self._last is None:
            self._check_first(request.code)
        elif self.is_answer_due or request.code not in _FOLLOWERS.get(_Code(self._last), ()):
            raise BackendProtocolError(f"authentication request {request.code} out of order")
        self._last = request.code
        self.is_answer_due = request.code not in (_Code.OK, _Code.SASL_FINAL)
        return self._without_plus(request) if request.code == _Code.SASL else raw

    def _check_first(self, code: int) -> None:
        if code not in _METHODS:
            raise BackendProtocolError(f"unknown or misplaced authentication request {code} from the server")
        method = _METHODS[_Code(code)]
        self._rules.check_method(method)
        if method == "password" and not (self._is_backend_tls or self._rules.is_backend_private):
            raise LoginRefused("the server asks for a password in clear over a connection without TLS")

    def _without_plus(self, request: Authentication) -> bytes:
        offered = sasl.mechanisms(request)
        kept = tuple(name for name in offered if not name.endswith("-PLUS"))
        self._is_plus_removed = kept != offered
        if not kept:
            raise LoginRefused("the server accepts SCRAM with channel binding only, which cannot be relayed")
        return sasl.offer(*kept)

    def on_answer(self, raw: bytes) -> bytes:
        """The client's answer as the server gets it. Raises LoginRefused."""
        self.is_answer_due = False
        if self._last == _Code.SASL and self._is_plus_removed:
            chosen = sasl.InitialResponse.decode(raw)
            if (chosen.data or b"").startswith(b"y"):
                # The server would take this for a stripped offer, and rightly so.
                raise LoginRefused(
                    "SCRAM over TLS cannot be relayed to a server that offers channel binding",
                    hint="Set auth: scram-passthrough in the proxy, or channel_binding=disable in the client.",
                )
        return raw
