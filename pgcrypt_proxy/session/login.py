"""Who may log in and how: the rules of logins as plain data, and what a client's certificate says.

Knows no message; `client_login`, `backend_login` and `relayed_login` carry it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pgcrypt_proxy.session.scram import ChannelBinding, LoginRefused

#: libpq's require_auth words for what a server may ask of a client.
METHODS = ("none", "password", "md5", "scram-sha-256", "gss", "sspi")


class Mode(Enum):
    """How a client's login becomes one to PostgreSQL."""

    RELAY = "relay"  # the server's requests and the client's answers pass through
    PASSTHROUGH = "scram-passthrough"  # SCRAM on both legs, with what the client proves
    STATIC = "static"  # the proxy's own user and password on the server


class CertificateUse(Enum):
    """What is asked of a client's certificate. Its chain is verified in any case."""

    OFF = "off"
    VERIFY_CA = "verify-ca"  # there must be one, besides the password
    VERIFY_FULL = "verify-full"  # and it must name the user
    LOGIN = "login"  # the same, in the password's place


@dataclass(frozen=True, slots=True)
class LoginRules:
    """`certificate_users` maps names (`CN=...`, `DNS=...`) to users; None: the common name is the user.

    `is_backend_private`: nobody can listen in on the way to the server, TLS or not.
    """

    mode: Mode = Mode.RELAY
    methods: frozenset[str] = frozenset(METHODS)
    channel_binding: ChannelBinding = ChannelBinding.PREFER
    users: frozenset[str] | None = None
    certificate: CertificateUse = CertificateUse.OFF
    certificate_users: Mapping[str, frozenset[str]] | None = field(default=None, repr=False)
    upstream_user: str | None = None
    is_backend_private: bool = True

    def allows(self, user: str) -> bool:
        """Whether the list of users, if there is one, names this one."""
        return self.users is None or user in self.users

    def check_certificate(self, user: str, names: tuple[str, ...] | None) -> None:
        """Whether a client with this certificate (None: without) may log in as `user`. Raises LoginRefused."""
        if self.certificate is CertificateUse.OFF:
            return
        if names is None:
            raise LoginRefused("connection requires a valid client certificate")
        if self.certificate is CertificateUse.VERIFY_CA:
            return
        if self.certificate_users is None:
            is_named = f"CN={user}" in names
        else:
            is_named = any(user in self.certificate_users.get(name, ()) for name in names)
        if not is_named:
            raise LoginRefused(f'certificate authentication failed for user "{user}"')

    def check_method(self, method: str) -> None:
        """Whether the server may ask for this. Raises LoginRefused."""
        if method not in self.methods:
            raise LoginRefused(
                f'the server asks for authentication by "{method}", which require_auth does not allow',
                hint="Have the server ask for scram-sha-256 (pg_hba.conf), or see require_auth in the settings.",
            )
