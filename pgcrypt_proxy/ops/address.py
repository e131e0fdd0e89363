"""Where PostgreSQL is and how the way there is secured: libpq's words in the database URL and PG* variables.

The proxy's own connection (psycopg) and the clients' legs go by the same words.
libpq's fallbacks to a connection without TLS are not among them.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgcrypt_proxy.errors import ConfigError

SSLMODES = ("disable", "require", "verify-ca", "verify-full")
#: sslrootcert: the authorities that the system trusts.
SYSTEM = "system"
#: They would secure the proxy's own connection and not the clients' legs, or the other way round.
_UNSUPPORTED = ("sslcrl", "sslcrldir", "sslpassword", "service", "servicefile")
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "service": "PGSERVICE",
}
_LIBPQ_WITH_REQUIRE_AUTH = 160000
DEFAULT_SOCKET_DIR = "/var/run/postgresql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One PostgreSQL. `host` is a name or address, or a folder of Unix sockets; `hostaddr` saves looking it up."""

    host: str
    port: int
    hostaddr: str | None = None
    sslmode: str = "disable"
    sslrootcert: str | None = None
    sslcert: Path | None = None
    sslkey: Path | None = None
    is_direct_tls: bool = False
    is_tls_1_3_only: bool = False
    channel_binding: str = "prefer"

    @property
    def is_unix(self) -> bool:
        return self.host.startswith("/")

    @property
    def is_local(self) -> bool:
        """Whether nothing of the way there leaves this machine."""
        if self.is_unix or (self.host == "localhost" and self.hostaddr is None):
            return True
        try:
            return ipaddress.ip_address(self.hostaddr or self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_tls(self) -> bool:
        return self.sslmode != "disable"


def read(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """The address in a database URL. Raises ConfigError for what is unknown, or no security at all in libpq."""
    parts = _parts(url, os.environ if environment is None else environment)
    for name in _UNSUPPORTED:
        if parts.get(name):
            raise ConfigError(f"the database URL has {name}, which is not supported")
    host = parts.get("host") or parts.get("hostaddr") or DEFAULT_SOCKET_DIR
    hostaddr, port = parts.get("hostaddr") or None, parts.get("port") or "5432"
    if "," in host + (hostaddr or "") + port:
        raise ConfigError("the database URL names several hosts", hint="A proxy leads to one server.")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError("the port in the database URL is none")
    plain = Address(host=host, hostaddr=hostaddr, port=int(port))
    if plain.is_unix:
        return plain
    sslmode = _sslmode(parts.get("sslmode"), is_local=plain.is_local)
    root = _root(parts.get("sslrootcert"), sslmode)
    if (parts.get("sslcert") is None) != (parts.get("sslkey") is None):
        raise ConfigError("sslcert and sslkey belong together", hint="Give both in the database URL, or none.")
    return Address(
        host=host,
        hostaddr=hostaddr,
        port=int(port),
        sslmode=sslmode,
        sslrootcert=root,
        sslcert=Path(parts["sslcert"]) if parts.get("sslcert") else None,
        sslkey=Path(parts["sslkey"]) if parts.get("sslkey") else None,
        is_direct_tls=_is_direct(parts.get("sslnegotiation"), sslmode),
        is_tls_1_3_only=_is_tls_1_3_only(parts.get("ssl_min_protocol_version")),
        channel_binding=_one_of("channel_binding", parts.get("channel_binding"), ("prefer", "require", "disable")),
    )


def secured(url: str, environment: Mapping[str, str] | None = None) -> str:
    """The same database URL with every default written out, so that libpq reads it as `read` does."""
    address = read(url, environment)
    if address.is_unix:
        return make_conninfo(url, host=address.host, port=str(address.port))
    words: dict[str, str] = {"sslmode": address.sslmode, "gssencmode": "disable"}
    if not (address.is_tls or address.is_local) and pq.version() >= _LIBPQ_WITH_REQUIRE_AUTH:
        words["require_auth"] = "!password"
    if address.sslrootcert is not None:
        words["sslrootcert"] = address.sslrootcert
    if address.is_direct_tls:
        words["sslnegotiation"] = "direct"
    return make_conninfo(url, host=address.host, port=str(address.port), **words)


def _parts(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except Exception:
        raise ConfigError(
            "the database URL is not valid", hint="The form is postgresql://user@host:5432/database."
        ) from None
    defaults = {name: environment[variable] for name, variable in _VARIABLES.items() if environment.get(variable)}
    if "host" in given or "hostaddr" in given:
        defaults = {name: value for name, value in defaults.items() if name not in ("host", "hostaddr")}
    return {**defaults, **given}


def _sslmode(given: str | None, *, is_local: bool) -> str:
    if given in ("allow", "prefer"):
        raise ConfigError(
            f"sslmode={given} in the database URL is no security: it falls back to a connection without TLS",
            hint="Use verify-full (with sslrootcert), or disable where the way to the server is protected otherwise.",
        )
    return _one_of("sslmode", given, SSLMODES) if given else "disable" if is_local else "verify-full"


def _root(given: str | None, sslmode: str) -> str | None:
    """As in libpq, but where libpq would not find its default file the system's authorities are asked."""
    if sslmode in ("disable", "require") and given is None:
        return None
    default = Path.home() / ".postgresql" / "root.crt"
    root = given or (str(default) if default.is_file() else SYSTEM)
    if root == SYSTEM and sslmode != "verify-full":
        raise ConfigError(
            f"sslmode={sslmode} with the system's authorities would accept anybody's certificate",
            hint="Use sslmode=verify-full, or name the server's authority: sslrootcert=FILE.",
        )
    if root != SYSTEM and not Path(root).is_file():
        raise ConfigError(f"the file {root} (sslrootcert) does not exist")
    return root


def _is_direct(given: str | None, sslmode: str) -> bool:
    is_direct = _one_of("sslnegotiation", given, ("postgres", "direct")) == "direct"
    if is_direct and sslmode == "disable":
        raise ConfigError("sslnegotiation=direct needs TLS", hint="Set sslmode=verify-full.")
    return is_direct


def _is_tls_1_3_only(given: str | None) -> bool:
    return _one_of("ssl_min_protocol_version", given, ("TLSv1.2", "TLSv1.3")) == "TLSv1.3"


def _one_of(name: str, given: str | None, known: tuple[str, ...]) -> str:
    """The word, or the first of those known when none is given. Raises ConfigError."""
    if given is None or given == "":
        return known[0]
    if given not in known:
        found = difflib.get_close_matches(given, known, 1)
        raise ConfigError(
            f'{name} in the database URL is "{given}"',
            hint=f'Did you mean "{found[0]}"?' if found else f"Known: {', '.join(known)}.",
        )
    return given
