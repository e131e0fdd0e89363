"""TLS of the client leg: a context from certificate and key, TLS 1.2 at least."""

from __future__ import annotations

import ssl
from pathlib import Path

from pgcrypt_proxy.errors import ConfigError

#: The name by which PostgreSQL is known in ALPN.
ALPN = "postgresql"


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The context for clients that ask for TLS. Raises ConfigError that says which file is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (certificate, key):
        if not path.is_file():
            raise ConfigError(f"the TLS file {path} does not exist")
    if key.stat().st_mode & 0o077 and key.stat().st_uid != 0:
        raise ConfigError(f"the TLS key {key} may be read by others", hint=f"Run: chmod 600 {key}")
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        raise ConfigError(
            f"the TLS certificate {certificate} and key {key} cannot be used",
            hint="Both must be PEM, and belong to each other.",
        ) from None
    return context
