"""The files that say who may log in: verifiers of users, users of certificates, and secrets alone in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pgcrypt_proxy.crypto.scram import Verifier
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server.tls import check_private

MAX_FILE_BYTES = 16 << 20


def read_users(path: Path) -> dict[str, Verifier]:
    """`user verifier` for each line, the user in double quotes if need be. Raises ConfigError naming the line.

    The file must be private: a verifier lets guess its password, and act as the server towards its user.
    """
    text = _read(path, "the users file", is_private=True)
    users: dict[str, Verifier] = {}
    for number, line in _lines(text):
        name, rest = _name(line)
        verifier = Verifier.parse(rest.strip().strip('"'))
        if not name or verifier is None:
            raise ConfigError(
                f"{path}:{number}: not a user and a SCRAM verifier",
                hint="The form is: user SCRAM-SHA-256$..., as in pg_authid or from: pgcrypt-proxy verifier.",
            )
        if name in users:
            raise ConfigError(f"{path}:{number}: this user stands twice in the file")
        users[name] = verifier
    return users


def read_certificate_users(path: Path) -> Mapping[str, frozenset[str]]:
    """`CN=name user` (or DNS=, EMAIL=, URI=) for each line. Raises ConfigError naming the line."""
    found: dict[str, set[str]] = {}
    for number, line in _lines(_read(path, "the certificate users file", is_private=False)):
        name, user = _name(line)
        user = _name(user.strip())[0]
        if name.partition("=")[0] not in ("CN", "DNS", "EMAIL", "URI") or not name.partition("=")[2] or not user:
            raise ConfigError(f"{path}:{number}: not a certificate's name and a user", hint="The form is: CN=name user")
        found.setdefault(name, set()).add(user)
    return {name: frozenset(users) for name, users in found.items()}


def read_secret(path: Path, what: str) -> str:
    """A file's text without the end of line. Raises ConfigError."""
    text = _read(path, what, is_private=True).rstrip("\r\n")
    if not text:
        raise ConfigError(f"{what} {path} is empty")
    return text


def _read(path: Path, what: str, *, is_private: bool) -> str:
    try:
        if is_private:
            check_private(path, what)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{what} {path} is longer than {MAX_FILE_BYTES} bytes")
        return path.read_text()
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{what} {path} is not UTF-8") from None


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in numbered if line and not line.startswith(("#", ";"))]


def _name(line: str) -> tuple[str, str]:
    """The first word, in double quotes (a quote inside is doubled) or not, and what follows."""
    if not line.startswith('"'):
        word, _, rest = line.partition(" ") if "\t" not in line else line.replace("\t", " ").partition(" ")
        return word, rest
    at, name = 1, []
    while (end := line.find('"', at)) >= 0:
        name.append(line[at:end])
        if line[end + 1 : end + 2] != '"':
            return '"'.join(name), line[end + 1 :]
        at = end + 2
    return "", ""
