"""The settings about logins, judged together and made into what carries them out."""

from __future__ import annotations

from collections.abc import Callable

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.policy import document
from pgcrypt_proxy.server.accounts import Accounts, AuthQuery
from pgcrypt_proxy.server.credentials import FixedPassword, PasswordSource, TokenPassword, rds_iam_token
from pgcrypt_proxy.server.login_files import read_certificate_users
from pgcrypt_proxy.server.settings import Settings
from pgcrypt_proxy.session.login import METHODS, CertificateUse, LoginRules, Mode
from pgcrypt_proxy.session.scram import ChannelBinding

#: Needs a superuser, or a function of one's own behind it.
DEFAULT_AUTH_QUERY = (
    "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin"
    " AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())"
)
TOKENS = ("rds-iam",)


def rules(settings: Settings) -> LoginRules:
    """The rules of logins. Raises ConfigError for settings that contradict each other."""
    mode, certificate, address = _mode(settings), _certificate(settings), settings.address
    if certificate is CertificateUse.LOGIN and mode is not Mode.STATIC:
        raise ConfigError(
            "tls_client_certificate is login, but the server wants to see the clients' passwords",
            hint="With auth: static the proxy logs in to the server itself.",
        )
    for method in settings.require_auth:
        _word("require_auth", method, list(METHODS))
    if mode is Mode.STATIC and settings.upstream_user is None:
        raise ConfigError("auth is static but no user is named", hint="Set upstream_user.")
    names = settings.certificate_users
    return LoginRules(
        mode=mode,
        methods=frozenset(settings.require_auth or _default_methods(settings, mode)),
        channel_binding=ChannelBinding(address.channel_binding),
        users=frozenset(settings.users) or None,
        certificate=certificate,
        certificate_users=read_certificate_users(names) if names is not None else None,
        upstream_user=settings.upstream_user,
        is_backend_private=address.is_local,
    )


def accounts(settings: Settings, mock_secret: Callable[[], bytes]) -> Accounts | None:
    """What finds the accounts of clients; None in relay mode, where the server does. Raises ConfigError."""
    mode = _mode(settings)
    if mode is Mode.RELAY:
        return None
    if settings.users_file is not None and settings.auth_query:
        raise ConfigError("users_file and auth_query are both set", hint="Verifiers come from one of the two.")
    is_login_by_certificate = _certificate(settings) is CertificateUse.LOGIN
    sql = settings.auth_query
    if not sql and settings.users_file is None and mode is Mode.PASSTHROUGH:
        sql = DEFAULT_AUTH_QUERY
    if not sql and settings.users_file is None and not is_login_by_certificate:
        raise ConfigError(
            "auth is static, but it is not said how clients log in",
            hint="Set users_file, auth_query, or tls_client_certificate: login.",
        )
    query = AuthQuery(settings.database_url, sql, settings.connect_timeout_s) if sql else None
    return Accounts(
        mock_secret=mock_secret,
        mock_iterations=settings.scram_iterations,
        query=query if not is_login_by_certificate else None,
        users_file=settings.users_file if not is_login_by_certificate else None,
        password=_password(settings) if mode is Mode.STATIC else None,
    )


def _mode(settings: Settings) -> Mode:
    if not settings.auth:
        return Mode.RELAY if settings.address.is_local and not settings.address.is_tls else Mode.PASSTHROUGH
    return Mode(_word("auth", settings.auth, [mode.value for mode in Mode]))


def _certificate(settings: Settings) -> CertificateUse:
    use = CertificateUse(
        _word("tls_client_certificate", settings.tls_client_certificate, [use.value for use in CertificateUse])
    )
    if use is not CertificateUse.OFF and (settings.tls_client_ca is None or settings.tls != "require"):
        raise ConfigError(
            f"tls_client_certificate is {use.value}, but no certificate can be verified",
            hint="Set tls_client_ca to the authority's certificate, and tls: require.",
        )
    return use


def _default_methods(settings: Settings, mode: Mode) -> tuple[str, ...]:
    if mode is Mode.RELAY and settings.address.is_local:
        return METHODS
    if mode is Mode.STATIC and settings.upstream_token is not None:
        return ("password",)
    if mode is Mode.STATIC and settings.upstream_password is None and settings.address.sslcert is not None:
        return ("none",)
    return ("scram-sha-256",)


def _password(settings: Settings) -> PasswordSource:
    address, token = settings.address, settings.upstream_token
    if token is None:
        if settings.upstream_password is None and address.sslcert is None:
            raise ConfigError(
                "auth is static, but the proxy has nothing to log in with",
                hint="Set PGCRYPT_UPSTREAM_PASSWORD_FILE, upstream_token, or sslcert and sslkey in the database URL.",
            )
        return FixedPassword(settings.upstream_password or "")
    _word("upstream_token", token, list(TOKENS))
    if address.sslmode != "verify-full":
        raise ConfigError("tokens are sent in clear inside TLS", hint="Set sslmode=verify-full in the database URL.")
    assert settings.upstream_user is not None
    return TokenPassword(rds_iam_token(address.host, address.port, settings.upstream_user, settings.aws_region))


def _word(name: str, given: str, known: list[str]) -> str:
    if given not in known:
        raise ConfigError(f'{name} is "{given}"', hint=document.nearest(given, known))
    return given
