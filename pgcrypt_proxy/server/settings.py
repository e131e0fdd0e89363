"""What `serve` is told: from a YAML file, then PGCRYPT_* environment variables, then the command line.

docs/settings.md describes every one.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.policy import document

ENV_PREFIX = "PGCRYPT_"
TLS_MODES = ("off", "allow", "require")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of `serve`. Hosts that begin with `/` are folders of Unix sockets."""

    database_url: str  # the proxy's own connection; its host and port are where clients are led, too
    rules: tuple[Path, ...]
    listen_host: str = "127.0.0.1"
    listen_port: int = 6432
    unix_socket_dir: Path | None = None
    tls: str = "off"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_connections: int = 1000
    authentication_timeout_s: float = 60.0
    connect_timeout_s: float = 10.0
    drain_timeout_s: float = 30.0
    catalog_poll_s: float = 30.0
    key_ttl_s: float = 300.0
    max_statement_bytes: int = 1 << 20
    max_message_bytes: int = 0x3FFFFFFF
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9187
    log_level: str = "info"

    def __post_init__(self) -> None:
        if self.tls not in TLS_MODES:
            raise ConfigError(f'tls is "{self.tls}"', hint=document.nearest(self.tls, list(TLS_MODES)))
        if self.tls != "off" and (self.tls_certificate is None or self.tls_key is None):
            raise ConfigError(f"tls is {self.tls} but no certificate is named", hint="Set tls_certificate and tls_key.")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(
                f'log_level is "{self.log_level}"', hint=document.nearest(self.log_level, list(LOG_LEVELS))
            )
        if not self.rules:
            raise ConfigError("no rule file is named", hint="Give --rules FILE, or set PGCRYPT_RULES.")
        if not 0 < self.key_ttl_s <= 300:
            raise ConfigError("key_ttl_s must be over 0 and at most 300 seconds")
        _check_upstream(self.upstream[0])

    @property
    def upstream(self) -> tuple[str, int]:
        """(host or socket folder, port) of PostgreSQL, from `database_url`."""
        parts = _conninfo(self.database_url)
        host = str(parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "/var/run/postgresql")
        return host, int(str(parts.get("port") or os.environ.get("PGPORT") or 5432))

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


def _check_upstream(host: str) -> None:
    """Authentication is relayed: that is sound only where nobody can listen in or stand between."""
    if host.startswith("/") or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise ConfigError(
        f'the database host "{host}" is neither loopback nor a Unix socket',
        detail="This version relays clients' authentication over an unencrypted connection to PostgreSQL.",
        hint="Run the proxy on the database's host, or give it the server's Unix socket folder.",
    )


_READERS: dict[str, Callable[[str], Any]] = {
    "database_url": str,
    "rules": lambda text: tuple(Path(part) for part in text.split(os.pathsep) if part),
    "listen_host": str,
    "listen_port": int,
    "unix_socket_dir": Path,
    "tls": str,
    "tls_certificate": Path,
    "tls_key": Path,
    "max_connections": int,
    "authentication_timeout_s": float,
    "connect_timeout_s": float,
    "drain_timeout_s": float,
    "catalog_poll_s": float,
    "key_ttl_s": float,
    "max_statement_bytes": int,
    "max_message_bytes": int,
    "metrics_host": str,
    "metrics_port": int,
    "log_level": str,
}
assert set(_READERS) == {f.name for f in fields(Settings)}


def load(
    path: Path | None = None, environment: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings from a file, the environment and `overrides` (None values count as not given).

    Raises ConfigError that names the file and line, or the variable.
    """
    values: dict[str, Any] = {}
    if path is not None:
        known = [name for name in _READERS if name != "database_url"]
        for name, node in document.mapping(path, document.read(path), known, "the settings file").items():
            if name == "rules" and hasattr(node, "value") and isinstance(node.value, list):
                values[name] = tuple(path.parent / document.text(path, item, "a rule file") for item in node.value)
                continue
            values[name] = _read(name, document.text(path, node, name), f"{path}:{document.place(node)}: {name}")
    values.update(_from_environment(os.environ if environment is None else environment))
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    if "database_url" not in values:
        raise ConfigError(
            "the database URL is not set",
            hint="Set PGCRYPT_DATABASE_URL, or PGCRYPT_DATABASE_URL_FILE to a file that holds it.",
        )
    values.setdefault("rules", ())
    return Settings(**values)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    secret = environment.get(ENV_PREFIX + "DATABASE_URL_FILE")
    if secret:
        try:
            values["database_url"] = Path(secret).read_text().strip()
        except OSError as error:
            raise ConfigError(f"PGCRYPT_DATABASE_URL_FILE cannot be read: {error.strerror}") from None
    for name in _READERS:
        text = environment.get(ENV_PREFIX + name.upper())
        if text:
            values[name] = _read(name, text, ENV_PREFIX + name.upper())
    return values


def _read(name: str, text: str, where: str) -> Any:
    try:
        value = _READERS[name](text)
    except ValueError:
        raise ConfigError(f"{where} must be a number") from None
    if isinstance(value, int | float) and value < 0:
        raise ConfigError(f"{where} must not be negative")
    return value
