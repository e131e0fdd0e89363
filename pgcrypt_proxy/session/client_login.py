"""The client's SCRAM login at the proxy. Ends with the keys that the client proved to hold, or with 28P01."""

from __future__ import annotations

from enum import Enum

from pgcrypt_proxy.crypto.scram import ClientKeys
from pgcrypt_proxy.errors import FrontendProtocolError
from pgcrypt_proxy.session.scram import LoginRefused, ScramServer
from pgcrypt_proxy.wire import codes, sasl
from pgcrypt_proxy.wire.backend import Authentication


class WrongPassword(LoginRefused):
    """The proof is wrong, or there is no such user: which of the two is not told."""

    sqlstate = "28P01"

    def __init__(self, user: str) -> None:
        super().__init__(f'password authentication failed for user "{user}"')


class _Step(Enum):
    OFFERED = "offered"
    CHALLENGED = "challenged"
    DONE = "done"


class ClientLogin:
    """One exchange: `offer` goes out first, then each of the client's messages is answered."""

    def __init__(self, scram: ScramServer, user: str) -> None:
        self._scram = scram
        self._user = user
        self._step = _Step.OFFERED
        self.keys: ClientKeys | None = None

    def offer(self) -> bytes:
        """AuthenticationSASL."""
        return sasl.offer(*self._scram.mechanisms)

    def on_message(self, raw: bytes) -> bytes:
        """The reply to a SASL message; `keys` are set by the last one. Raises ProtocolError and LoginRefused."""
        if self._step is _Step.OFFERED:
            self._step = _Step.CHALLENGED
            reply = self._scram.first(sasl.InitialResponse.decode(raw))
            return Authentication(codes.Authentication.SASL_CONTINUE, reply).encode()
        if self._step is _Step.CHALLENGED:
            self._step = _Step.DONE
            proven = self._scram.final(sasl.response_data(raw))
            if proven is None:
                raise WrongPassword(self._user)
            self.keys = proven.keys
            return Authentication(codes.Authentication.SASL_FINAL, proven.server_final).encode()
        raise FrontendProtocolError("unexpected authentication message")
