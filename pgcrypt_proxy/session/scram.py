"""SCRAM-SHA-256 and -PLUS as two state machines: server towards the application, client towards PostgreSQL.

RFC 5802 and 7677, with what PostgreSQL makes of them (auth-scram.c): the user
name in the messages is ignored, the one of the startup packet counts; the only
channel binding is tls-server-end-point. Every step may be taken once, in order.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from pgcrypt_proxy.crypto.scram import ClientKeys, Verifier, decode_base64
from pgcrypt_proxy.errors import BackendProtocolError, FrontendProtocolError, PgcryptError
from pgcrypt_proxy.wire.sasl import SCRAM_SHA_256, SCRAM_SHA_256_PLUS, InitialResponse

#: Bytes of a nonce before base64, as in PostgreSQL.
RAW_NONCE_LENGTH = 18
#: More would let a hostile server keep this process busy with one login (CVE-2026-42198 and others).
MAX_SERVER_ITERATIONS = 100_000

_BINDING_NAME = b"tls-server-end-point"
# "," ends an attribute; a nonce is printable ASCII without it.
_CLIENT_FIRST = re.compile(
    rb"(n|y|p=[A-Za-z0-9.-]+),(a=[^,]*)?,((m=[^,]*)?(?:,?n=[^,]*,r=([!-+\--~]+)(?:,.*)?)?)", re.DOTALL
)
_CLIENT_FINAL = re.compile(rb"(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,.*)?),p=([A-Za-z0-9+/=]+)", re.DOTALL)
_SERVER_FIRST = re.compile(rb"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})(?:,.*)?", re.DOTALL)
_SERVER_FINAL = re.compile(rb"v=([A-Za-z0-9+/=]+)(?:,.*)?", re.DOTALL)


class LoginRefused(PgcryptError):
    """A login is not allowed, in PostgreSQL's words where it has any."""

    severity = "FATAL"
    sqlstate = "28000"
    kind = "login"


class ChannelBinding(Enum):
    """libpq's channel_binding."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"


class Credentials(Protocol):
    """What the proxy logs in to PostgreSQL with."""

    def keys_for(self, salt: bytes, iterations: int) -> ClientKeys:
        """The keys under the server's salt and iterations. Raises LoginRefused."""


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Keys that a client proved to hold; good for one salt and number of iterations only."""

    keys: ClientKeys
    verifier: Verifier

    def keys_for(self, salt: bytes, iterations: int) -> ClientKeys:
        if (salt, iterations) != (self.verifier.salt, self.verifier.iterations):
            raise LoginRefused(
                "password authentication failed: the server's verifier is not the one that the proxy was given",
                hint="The password was changed or has expired, or auth_query or users_file is of another server.",
                sqlstate="28P01",
            )
        return self.keys


@dataclass(slots=True)
class Password:
    """A password of the proxy's own. Its last keys are kept, since making them is meant to be slow."""

    text: str = field(repr=False)
    _made: tuple[bytes, int, ClientKeys] | None = field(default=None, repr=False)

    def keys_for(self, salt: bytes, iterations: int) -> ClientKeys:
        if iterations > MAX_SERVER_ITERATIONS:
            raise LoginRefused(f"the server asks for more than {MAX_SERVER_ITERATIONS} SCRAM iterations")
        if self._made is None or self._made[:2] != (salt, iterations):
            self._made = salt, iterations, ClientKeys.derive(self.text, salt, iterations)
        return self._made[2]


@dataclass(frozen=True, slots=True)
class Proven:
    """A client's proof was right: its keys, and the message that ends the exchange."""

    keys: ClientKeys
    server_final: bytes = field(repr=False)


class ScramServer:
    """The proxy as server. `binding` is tls-server-end-point of its own certificate when the leg is TLS.

    `is_mock`: nobody has this verifier's keys; the exchange is the same and fails at its end.
    """

    def __init__(self, verifier: Verifier, *, is_mock: bool, binding: bytes | None, nonce: bytes | None = None) -> None:
        self._verifier = verifier
        self._is_mock = is_mock
        self._binding = binding
        self._nonce = nonce or _fresh_nonce()
        self._header = b""
        self._messages: list[bytes] = []

    @property
    def mechanisms(self) -> tuple[str, ...]:
        plus = (SCRAM_SHA_256_PLUS,) if self._binding is not None else ()
        return (*plus, SCRAM_SHA_256)

    def first(self, chosen: InitialResponse) -> bytes:
        """client-first-message in, server-first-message out. Raises ProtocolError and LoginRefused."""
        if self._messages:
            raise FrontendProtocolError("malformed SCRAM message: unexpected first message")
        if chosen.mechanism not in self.mechanisms:
            raise FrontendProtocolError("client selected an invalid SASL authentication mechanism")
        match = _CLIENT_FIRST.fullmatch(chosen.data or b"")
        if match is None:
            raise FrontendProtocolError("malformed SCRAM message")
        flag, authorization, bare, extension, nonce = match.groups()
        if authorization:
            raise LoginRefused("client uses authorization identity, but it is not supported", sqlstate="0A000")
        if extension:
            raise LoginRefused("client requires an unsupported SCRAM extension", sqlstate="0A000")
        if nonce is None:
            raise FrontendProtocolError("malformed SCRAM message")
        self._check_flag(flag, is_plus=chosen.mechanism == SCRAM_SHA_256_PLUS)
        self._header = flag + b",,"
        self._nonce = nonce + self._nonce
        salt = base64.b64encode(self._verifier.salt)
        reply = b"r=%s,s=%s,i=%d" % (self._nonce, salt, self._verifier.iterations)
        self._messages = [bare, reply]
        return reply

    def _check_flag(self, flag: bytes, *, is_plus: bool) -> None:
        if is_plus != flag.startswith(b"p"):
            raise FrontendProtocolError(
                "malformed SCRAM message: the mechanism and the channel binding flag contradict each other"
            )
        if is_plus and flag != b"p=" + _BINDING_NAME:
            raise FrontendProtocolError("unsupported SCRAM channel-binding type")
        if flag == b"y" and self._binding is not None:
            # It was offered: somebody took it out on the way.
            raise LoginRefused(
                "SCRAM channel binding negotiation error",
                detail="The client supports SCRAM channel binding but thinks the server does not."
                "  However, this server does support channel binding.",
            )

    def final(self, data: bytes) -> Proven | None:
        """client-final-message in; None for a proof that is wrong. Raises ProtocolError and LoginRefused."""
        if len(self._messages) != 2:
            raise FrontendProtocolError("malformed SCRAM message: unexpected final message")
        match = _CLIENT_FINAL.fullmatch(data)
        if match is None:
            raise FrontendProtocolError("malformed SCRAM message")
        without_proof, header, nonce, proof_text = match.groups()
        bound = self._binding if self._header.startswith(b"p") else b""
        if not hmac.compare_digest(header, base64.b64encode(self._header + (bound or b""))):
            raise LoginRefused("SCRAM channel binding check failed")
        if not hmac.compare_digest(nonce, self._nonce):
            raise FrontendProtocolError("invalid SCRAM response", detail="Nonce does not match.")
        proof = decode_base64(proof_text)
        if proof is None:
            raise FrontendProtocolError("malformed SCRAM message", detail="Malformed proof in client-final-message.")
        message = b",".join((*self._messages, without_proof))
        self._messages.append(without_proof)
        client_key = self._verifier.recover_client_key(proof, message)
        if client_key is None or self._is_mock:
            return None
        signature = base64.b64encode(self._verifier.server_signature(message))
        return Proven(ClientKeys(client_key, self._verifier.server_key), b"v=" + signature)


class ScramClient:
    """The proxy as client. `binding` is tls-server-end-point of the server's certificate when the leg is TLS."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        binding: bytes | None,
        policy: ChannelBinding = ChannelBinding.PREFER,
        nonce: bytes | None = None,
    ) -> None:
        self._credentials = credentials
        self._binding = binding if policy is not ChannelBinding.DISABLE else None
        self._policy = policy
        self._nonce = nonce or _fresh_nonce()
        self._header = b""
        self._bare = b""
        self._keys: ClientKeys | None = None
        self._auth_message = b""

    def first(self, offered: tuple[str, ...]) -> InitialResponse:
        """The mechanism chosen, with client-first-message. Raises LoginRefused."""
        is_plus = self._binding is not None and SCRAM_SHA_256_PLUS in offered
        if not is_plus and self._policy is ChannelBinding.REQUIRE:
            raise LoginRefused(
                "channel binding is required, but the server did not offer an authentication method"
                " that supports channel binding"
            )
        if not is_plus and SCRAM_SHA_256 not in offered:
            raise LoginRefused("none of the server's SASL authentication mechanisms are supported")
        # "y" lets the server find out that its offer of channel binding was taken out on the way.
        flag = b"p=" + _BINDING_NAME if is_plus else b"y" if self._binding is not None else b"n"
        self._header = flag + b",,"
        self._bare = b"n=,r=" + self._nonce
        mechanism = SCRAM_SHA_256_PLUS if is_plus else SCRAM_SHA_256
        return InitialResponse(mechanism, self._header + self._bare)

    def final(self, server_first: bytes) -> bytes:
        """server-first-message in, client-final-message out. Raises ProtocolError and LoginRefused."""
        match = _SERVER_FIRST.fullmatch(server_first)
        if match is None or not self._bare:
            raise BackendProtocolError("malformed SCRAM message from the server")
        nonce, salt_text, iterations = match.groups()
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise BackendProtocolError("invalid SCRAM response from the server: nonce mismatch")
        salt = decode_base64(salt_text)
        if not salt:
            raise BackendProtocolError("malformed SCRAM message from the server")
        self._keys = self._credentials.keys_for(salt, int(iterations))
        bound = self._binding if self._header.startswith(b"p") else b""
        without_proof = b"c=%s,r=%s" % (base64.b64encode(self._header + (bound or b"")), nonce)
        self._auth_message = b",".join((self._bare, server_first, without_proof))
        return without_proof + b",p=" + base64.b64encode(self._keys.proof(self._auth_message))

    def check(self, server_final: bytes) -> None:
        """server-final-message in: the server has shown that it knows the verifier. Raises BackendProtocolError."""
        match = _SERVER_FINAL.fullmatch(server_final)
        signature = decode_base64(match[1]) if match is not None else None
        if signature is None or self._keys is None:
            raise BackendProtocolError("malformed SCRAM message from the server")
        if not self._keys.is_signature(signature, self._auth_message):
            raise BackendProtocolError("incorrect server signature: the server does not know the user's verifier")


def _fresh_nonce() -> bytes:
    return base64.b64encode(secrets.token_bytes(RAW_NONCE_LENGTH))
