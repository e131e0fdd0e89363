"""What `serve` is told: from a YAML file, then PGCRYPT_* environment variables, then the command line.

docs/settings.md describes every one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import address
from pgcrypt_proxy.ops.address import Address
from pgcrypt_proxy.policy import document
from pgcrypt_proxy.server.sockets import Keepalive
from pgcrypt_proxy.wire.copy_format import MAX_ROW_BYTES

ENV_PREFIX = "PGCRYPT_"
TLS_MODES = ("off", "allow", "require")
PROXY_PROTOCOLS = ("off", "v2")
ABSENT_COLUMNS = ("refuse", "wait")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of `serve`. Hosts that begin with `/` are folders of Unix sockets."""

    database_url: str  # the proxy's own connection; its host and port are where clients are led, too
    rules: tuple[Path, ...]
    listen_host: str = "127.0.0.1"
    listen_port: int = 6432
    unix_socket_dir: Path | None = None
    proxy_protocol: str = "off"
    tls: str = "off"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_client_certificate: str = "off"
    certificate_users: Path | None = None
    auth: str = ""  # relay for a server on this machine, else scram-passthrough
    auth_query: str = ""
    users_file: Path | None = None
    users: tuple[str, ...] = ()
    require_auth: tuple[str, ...] = ()
    scram_iterations: int = 4096
    upstream_user: str | None = None
    upstream_password: str | None = None
    upstream_token: str | None = None
    aws_region: str | None = None
    workers: int = 1  # 0: as many as there are CPUs
    max_connections: int = 1000
    max_pending_logins: int = 200
    authentication_timeout_s: float = 60.0
    connect_timeout_s: float = 10.0
    drain_timeout_s: float = 30.0
    absent_columns: str = "refuse"
    catalog_poll_s: float = 30.0
    key_ttl_s: float = 300.0
    max_statement_bytes: int = 1 << 20
    max_message_bytes: int = 0x3FFFFFFF
    max_row_bytes: int = MAX_ROW_BYTES
    tcp_keepalives_idle_s: int = 60
    tcp_keepalives_interval_s: int = 10
    tcp_keepalives_count: int = 6
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9187
    record_statements: Path | None = None
    log_level: str = "info"

    def __post_init__(self) -> None:
        if self.tls not in TLS_MODES:
            raise ConfigError(f'tls is "{self.tls}"', hint=document.nearest(self.tls, list(TLS_MODES)))
        if self.tls != "off" and (self.tls_certificate is None or self.tls_key is None):
            raise ConfigError(f"tls is {self.tls} but no certificate is named", hint="Set tls_certificate and tls_key.")
        if self.proxy_protocol not in PROXY_PROTOCOLS:
            raise ConfigError(
                f'proxy_protocol is "{self.proxy_protocol}"',
                hint=document.nearest(self.proxy_protocol, list(PROXY_PROTOCOLS)),
            )
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(
                f'log_level is "{self.log_level}"', hint=document.nearest(self.log_level, list(LOG_LEVELS))
            )
        if self.absent_columns not in ABSENT_COLUMNS:
            raise ConfigError(
                f'absent_columns is "{self.absent_columns}"',
                hint=document.nearest(self.absent_columns, list(ABSENT_COLUMNS)),
            )
        if not self.rules:
            raise ConfigError("no rule file is named", hint="Give --rules FILE, or set PGCRYPT_RULES.")
        if not 0 < self.key_ttl_s <= 300:
            raise ConfigError("key_ttl_s must be over 0 and at most 300 seconds")
        _ = self.address

    @property
    def address(self) -> Address:
        """Where PostgreSQL is and how the way there is secured, from `database_url`. Raises ConfigError."""
        return address.read(self.database_url)

    @property
    def keepalive(self) -> Keepalive:
        """Of both legs."""
        return Keepalive(self.tcp_keepalives_idle_s, self.tcp_keepalives_interval_s, self.tcp_keepalives_count)

    @property
    def worker_count(self) -> int:
        """How many processes serve clients."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def database_name(self) -> str:
        """The one database that is served: rules and keyring are a database's."""
        parts = _conninfo(self.database_url)
        return str(parts.get("dbname") or parts.get("user") or "postgres")

    def __repr__(self) -> str:
        return f"Settings(listen={self.listen_host}:{self.listen_port})"  # the URL may hold a password


def _conninfo(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except Exception:
        raise ConfigError(
            "the database URL is not valid", hint="The form is postgresql://user@host:5432/database."
        ) from None


def _workers(text: str) -> int:
    return 0 if text == "auto" else int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


_READERS: dict[str, Callable[[str], Any]] = {
    "database_url": str,
    "rules": lambda text: tuple(Path(part) for part in text.split(os.pathsep) if part),
    "listen_host": str,
    "listen_port": int,
    "unix_socket_dir": Path,
    "proxy_protocol": str,
    "tls": str,
    "tls_certificate": Path,
    "tls_key": Path,
    "tls_client_ca": Path,
    "tls_client_certificate": str,
    "certificate_users": Path,
    "auth": str,
    "auth_query": str,
    "users_file": Path,
    "users": _words,
    "require_auth": _words,
    "scram_iterations": int,
    "upstream_user": str,
    "upstream_password": str,
    "upstream_token": str,
    "aws_region": str,
    "workers": _workers,
    "max_connections": int,
    "max_pending_logins": int,
    "authentication_timeout_s": float,
    "connect_timeout_s": float,
    "drain_timeout_s": float,
    "absent_columns": str,
    "catalog_poll_s": float,
    "key_ttl_s": float,
    "max_statement_bytes": int,
    "max_message_bytes": int,
    "max_row_bytes": int,
    "tcp_keepalives_idle_s": int,
    "tcp_keepalives_interval_s": int,
    "tcp_keepalives_count": int,
    "metrics_host": str,
    "metrics_port": int,
    "record_statements": Path,
    "log_level": str,
}
assert set(_READERS) == {f.name for f in fields(Settings)}
#: Never in the settings file; the variable with _FILE behind its name may lead to a file that holds it.
_SECRETS = ("database_url", "upstream_password")
_LISTS = ("users", "require_auth")
#: What a reload changes in a proxy that runs.
RELOADABLE = frozenset(
    {"rules", "log_level", "max_connections", "max_pending_logins", "authentication_timeout_s", "drain_timeout_s"}
)


def load(
    path: Path | None = None, environment: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings from a file, the environment and `overrides` (None values count as not given).

    Raises ConfigError that names the file and line, or the variable.
    """
    values: dict[str, Any] = {}
    if path is not None:
        known = [name for name in _READERS if name not in _SECRETS]
        for name, node in document.mapping(path, document.read(path), known, "the settings file").items():
            if name == "rules" and hasattr(node, "value") and isinstance(node.value, list):
                values[name] = tuple(path.parent / document.text(path, item, "a rule file") for item in node.value)
                continue
            if name in _LISTS and hasattr(node, "value") and isinstance(node.value, list):
                values[name] = tuple(document.text(path, item, name) for item in node.value)
                continue
            values[name] = read(name, document.text(path, node, name), f"{path}:{document.place(node)}: {name}")
    values.update(_from_environment(os.environ if environment is None else environment))
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    if "database_url" not in values:
        raise ConfigError(
            "the database URL is not set",
            hint="Set PGCRYPT_DATABASE_URL, or PGCRYPT_DATABASE_URL_FILE to a file that holds it.",
        )
    values.setdefault("rules", ())
    return Settings(**values)


def reloaded(running: Settings, found: Settings) -> tuple[Settings, list[str]]:
    """`running` with what may change in a proxy that runs, and the names of what else is another now."""
    changed = [f.name for f in fields(Settings) if getattr(running, f.name) != getattr(found, f.name)]
    new = {name: getattr(found, name) for name in changed if name in RELOADABLE}
    return replace(running, **new), [name for name in changed if name not in RELOADABLE]


def to_json(settings: Settings) -> dict[str, Any]:
    """All settings, secrets too, for another process of this proxy."""
    values = {f.name: getattr(settings, f.name) for f in fields(Settings)}
    values["rules"] = [str(path) for path in settings.rules]
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def from_json(values: Mapping[str, Any]) -> Settings:
    """What `to_json` gave."""
    typed = dict(values)
    for name, value in values.items():
        if _READERS[name] is Path and value is not None:
            typed[name] = Path(value)
        elif name in _LISTS:
            typed[name] = tuple(value)
    return Settings(**{**typed, "rules": tuple(Path(path) for path in values["rules"])})


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _SECRETS:
        variable = f"{ENV_PREFIX}{name.upper()}_FILE"
        if file := environment.get(variable):
            try:
                values[name] = Path(file).read_text().strip()
            except OSError as error:
                raise ConfigError(f"{variable} cannot be read: {error.strerror}") from None
    for name in _READERS:
        text = environment.get(ENV_PREFIX + name.upper())
        if text:
            values[name] = read(name, text, ENV_PREFIX + name.upper())
    return values


def read(name: str, text: str, where: str) -> Any:
    """The value of one setting from its text. Raises ConfigError."""
    try:
        value = _READERS[name](text)
    except ValueError:
        words = "a number, or auto" if name == "workers" else "a number"
        raise ConfigError(f"{where} must be {words}") from None
    if isinstance(value, int | float) and value < 0:
        raise ConfigError(f"{where} must not be negative")
    return value
