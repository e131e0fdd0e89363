"""Provider `vault`: the KEK in the transit engine of HashiCorp Vault (or OpenBao).

The wrapped key is transit's text, `vault:v1:...`. What is wrapped is the key and
a digest of the context, so that the context is bound whatever the transit key's
type; a derived key takes the context for its derivation besides.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pgcrypt_proxy.crypto.keys import KEY_LENGTH
from pgcrypt_proxy.crypto.providers.local import context_bytes
from pgcrypt_proxy.crypto.providers.options import Options
from pgcrypt_proxy.crypto.providers.retrying import Attempts, TryAgain
from pgcrypt_proxy.crypto.providers.vault_auth import AUTH_OPTIONS, Auth, make_auth
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable

OPTIONS = ("address", "key", "mount", "namespace", "ca_file", "timeout_s", "deadline_s", *AUTH_OPTIONS)
_NOT_THIS_KEY = "Use the transit key with which the keyring was made; `pgcrypt-proxy keys` shows its name."


class VaultProvider:
    """Keys wrapped by one key of a transit engine."""

    name = "vault"

    def __init__(self, client: Any, auth: Auth, mount: str, key: str, attempts: Attempts) -> None:
        self._client = client
        self._auth = auth
        self._mount = mount
        self._key = key
        self._attempts = attempts
        self._is_derived: bool | None = None

    @property
    def kek_id(self) -> str:
        """Mount and name of the transit key."""
        return f"{self._mount}/{self._key}"

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """`key` under the KEK, bound to `context`."""
        plaintext = base64.b64encode(key + _digest(context)).decode()
        data = self._ask("encrypt_data", lambda: {"plaintext": plaintext, **self._derivation(context)})
        return _ciphertext(data)

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """What `wrap` was given. Raises KeyUnavailable for another KEK, context, or damaged bytes."""
        text = wrapped.decode("ascii", "replace")
        data = self._ask("decrypt_data", lambda: {"ciphertext": text, **self._derivation(context)})
        try:
            opened = base64.b64decode(data["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            opened = b""
        key, digest = opened[:KEY_LENGTH], opened[KEY_LENGTH:]
        if len(key) != KEY_LENGTH or not hmac.compare_digest(digest, _digest(context)):
            raise KeyUnavailable("a key of the keyring does not open as what it is said to be", hint=_NOT_THIS_KEY)
        return key

    def rewrap(self, wrapped: bytes, context: Mapping[str, str], old_kek_id: str) -> bytes:
        """The same key under the transit key's newest version, without leaving Vault."""
        if old_kek_id != self.kek_id:
            raise KeyUnavailable("Vault wraps anew within one transit key only")
        text = wrapped.decode("ascii", "replace")
        return _ciphertext(self._ask("rewrap_data", lambda: {"ciphertext": text, **self._derivation(context)}))

    def _derivation(self, context: Mapping[str, str]) -> dict[str, str]:
        """A derived key needs a context; asks once whether this one is."""
        if self._is_derived is None:
            answer = self._client.secrets.transit.read_key(self._key, mount_point=self._mount)
            self._is_derived = bool(answer["data"].get("derived"))
        return {"context": base64.b64encode(context_bytes(context)).decode()} if self._is_derived else {}

    def _ask(self, operation: str, arguments: Callable[[], dict[str, str]]) -> Mapping[str, Any]:
        try:
            return self._attempts.run([lambda: self._call(operation, arguments)])
        except TryAgain as again:
            raise KeyUnavailable(
                "Vault cannot be reached, or is sealed or overloaded",
                detail=f"The last answer: {again.reason}.",
                hint="It is tried again by itself; check the network and `vault status`.",
            ) from None

    def _call(self, operation: str, arguments: Callable[[], dict[str, str]]) -> Mapping[str, Any]:
        """One call; a token that is refused is taken for an old one, once. Vault's own texts are not repeated."""
        from hvac import exceptions

        try:
            return self._call_once(operation, arguments)
        except (exceptions.Forbidden, exceptions.Unauthorized):
            self._auth.forget()
        try:
            return self._call_once(operation, arguments)
        except (exceptions.Forbidden, exceptions.Unauthorized):
            self._auth.forget()
            raise KeyUnavailable(
                "Vault denies access to the key encryption key",
                hint=f"Check the login, and that its policy allows `update` on {self._mount}/encrypt, decrypt and "
                f"rewrap/{self._key} and `read` on {self._mount}/keys/{self._key}.",
            ) from None

    def _call_once(self, operation: str, arguments: Callable[[], dict[str, str]]) -> Mapping[str, Any]:
        from hvac import exceptions
        from requests import exceptions as http

        try:
            self._auth.ensure(self._client)
            transit = self._client.secrets.transit
            answer = getattr(transit, operation)(self._key, **arguments(), mount_point=self._mount)
            data: Mapping[str, Any] = answer["data"]
            return data
        except (exceptions.Forbidden, exceptions.Unauthorized):
            raise
        except exceptions.InvalidRequest:
            raise KeyUnavailable(
                "Vault does not open a key of the keyring under this key encryption key, or refuses the login",
                hint=_NOT_THIS_KEY,
            ) from None
        except exceptions.InvalidPath:
            raise KeyUnavailable(
                f"Vault has no transit key {self.kek_id}", hint="Check address, namespace, mount and key in the rules."
            ) from None
        except (exceptions.VaultError, http.RequestException) as error:
            raise TryAgain(type(error).__name__) from None
        except (KeyError, TypeError, ValueError):  # no JSON, or not what Vault answers
            raise TryAgain("an answer that is not Vault's") from None

    def __repr__(self) -> str:
        return f"VaultProvider({self.kek_id})"


def _digest(context: Mapping[str, str]) -> bytes:
    return hashlib.sha256(b"pgcrypt vault v1\0" + context_bytes(context)).digest()


def _ciphertext(data: Mapping[str, Any]) -> bytes:
    text = data.get("ciphertext")
    if not isinstance(text, str) or not text.startswith("vault:"):
        raise KeyUnavailable("Vault gave no ciphertext")
    return text.encode()


def make(options: Mapping[str, str]) -> VaultProvider:
    """The provider with its options (docs/keys.md). Raises ConfigError."""
    given = Options("vault", options, OPTIONS)
    address, key = given.needed("address"), given.needed("key")
    _check_address(address)
    auth = make_auth(given)
    timeout_s, attempts = given.seconds("timeout_s", 2), Attempts(given.seconds("deadline_s", 8))
    try:
        import hvac
    except ModuleNotFoundError:
        raise ConfigError(
            'key provider "vault" needs the package hvac', hint="Run: pip install 'pgcrypt-proxy[vault]'"
        ) from None
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    client = hvac.Client(
        url=address,
        token="",
        verify=given.text("ca_file") or True,
        timeout=timeout_s,
        namespace=given.text("namespace") or None,
    )
    return VaultProvider(client, auth, given.text("mount", "transit"), key, attempts)


def _check_address(address: str) -> None:
    """Keys travel unwrapped inside this connection."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    is_local = host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
        raise ConfigError(
            'option "address" of key provider "vault" must begin with https://', hint="http:// is for loopback only."
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
