"""TLS of both legs: contexts from files, kept as current as the files are. TLS 1.2 at least, no renegotiation.

A file that turns bad while the proxy runs changes nothing but the log.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from pgcrypt_proxy.crypto import certificates
from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops.address import SYSTEM, Address
from pgcrypt_proxy.server import log

#: The name by which PostgreSQL is known in ALPN.
ALPN = "postgresql"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the proxy shows to clients, and the channel binding that goes with it."""

    context: ssl.SSLContext
    binding: bytes | None = field(repr=False)


def server_identity(certificate: Path, key: Path, client_ca: Path | None = None) -> Identity:
    """For clients that ask for TLS; with `client_ca`, their own certificates are asked for and verified.

    Raises ConfigError that says which file is wrong.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET  # as in PostgreSQL: no session outlives its connection
    context.num_tickets = 0
    _load_chain(context, certificate, key)
    if client_ca is not None:
        _load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL  # whether there must be one is asked when the user is known
    try:
        der = certificates.pem_to_der(certificate.read_bytes())
    except (OSError, ValueError):
        raise ConfigError(f"the TLS certificate {certificate} cannot be read") from None
    return Identity(context, certificates.end_point_binding(der))


def upstream_context(address: Address) -> ssl.SSLContext:
    """For the legs to PostgreSQL, as libpq reads the same words. Raises ConfigError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if address.is_tls_1_3_only:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = address.sslmode == "verify-full"
    if address.sslrootcert is None:
        context.verify_mode = ssl.CERT_NONE  # sslmode=require: encrypted, but to nobody in particular
    elif address.sslrootcert == SYSTEM:
        context.load_default_certs()
    else:
        _load_authorities(context, Path(address.sslrootcert))
    if address.sslcert is not None and address.sslkey is not None:
        _load_chain(context, address.sslcert, address.sslkey)
    return context


def binding_of_peer(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> bytes | None:
    """tls-server-end-point of the certificate that the peer showed."""
    der = ssl_object.getpeercert(binary_form=True)
    return certificates.end_point_binding(der) if der else None


def names_of_peer(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> tuple[str, ...] | None:
    """The names in the peer's verified certificate, None when it showed none."""
    der = ssl_object.getpeercert(binary_form=True)
    return certificates.names(der) if der else None


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        if not path.is_file():
            raise ConfigError(f"the TLS file {path} does not exist")
    check_private(key, "the TLS key")
    try:
        # Without a password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigError(
            f"the TLS certificate {certificate} and key {key} cannot be used",
            hint="Both must be PEM, belong to each other, and the key must not be encrypted.",
        ) from None


def check_private(path: Path, what: str) -> None:
    """As PostgreSQL has it: others may not read it; the group may when it is root's. Raises ConfigError."""
    status = path.stat()
    if status.st_mode & (0o037 if status.st_uid == 0 else 0o077):
        raise ConfigError(f"{what} {path} may be read by others", hint=f"Run: chmod 600 {path}")


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        raise ConfigError(f"the certificates in {path} cannot be used", hint="PEM is needed.") from None


@dataclass(frozen=True, slots=True)
class Contexts:
    """What the files gave, and what state they were in."""

    client: Identity | None
    upstream: ssl.SSLContext | None
    state: tuple[tuple[int, int, int] | None, ...]


class TlsFiles:
    """The contexts in force. `client` is None when clients get no TLS, `upstream` when the server gets none."""

    def __init__(
        self, address: Address, certificate: Path | None, key: Path | None, client_ca: Path | None = None
    ) -> None:
        """Raises ConfigError."""
        self._address = address
        self._own = (certificate, key) if certificate is not None and key is not None else None
        self._client_ca = client_ca
        self.put(self.read())

    def read(self) -> Contexts:
        """What the files give now, in force nowhere yet. Raises ConfigError."""
        state = self._state()
        client = server_identity(*self._own, self._client_ca) if self._own is not None else None
        upstream = upstream_context(self._address) if self._address.is_tls else None
        return Contexts(client, upstream, state)

    def put(self, contexts: Contexts) -> None:
        """Let these be in force, for connections to come."""
        self.client, self.upstream, self._seen = contexts.client, contexts.upstream, contexts.state

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        root = self._address.sslrootcert
        paths = [*(self._own or ()), self._client_ca, self._address.sslcert, self._address.sslkey]
        if root is not None and root != SYSTEM:
            paths.append(Path(root))
        return tuple(_version(path) for path in paths if path is not None)

    def reload_if_changed(self) -> None:
        """Load all files again if one is another than before; bad ones change nothing, and are logged."""
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self.put(self.read())
        except PgcryptError as error:
            log.failure("TLS files not reloaded", error)
        else:
            log.get().info("TLS files reloaded")


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
