"""A small Vault: the HTTP API of the transit engine and of three ways to log in, as Vault's documentation has it.

Knows paths, status codes and JSON bodies; keys are real AES-256-GCM with
versions and, for derived ones, HKDF over the context. Listens on loopback.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Body = dict[str, Any]


class Refused(Exception):
    """An answer with a status code and Vault's `errors`."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status = status
        self.errors = list(errors)


@dataclass
class TransitKey:
    derived: bool = False
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])

    def cipher(self, version: int, body: Body) -> AESGCM:
        root = self.versions[version - 1]
        if not self.derived:
            return AESGCM(root)
        if not body.get("context"):
            raise Refused(400, "missing 'context' for key derivation; the key was created using a derived key")
        return AESGCM(HKDF(SHA256(), 32, None, base64.b64decode(body["context"])).derive(root))


@dataclass
class FakeVault:
    """`down`: every request gets 503, as a sealed Vault's. `tokens`: token to the time at which it ends."""

    namespace: str = ""
    token_ttl_s: float = 3600.0
    clock: Callable[[], float] = time.monotonic
    keys: dict[str, TransitKey] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    approles: dict[str, str] = field(default_factory=dict)
    kubernetes: dict[str, str] = field(default_factory=dict)
    down: bool = False
    delay_s: float = 0.0
    seen: list[str] = field(default_factory=list)

    # -- life

    def start(self, certificate: Path | None = None, private_key: Path | None = None) -> None:
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # one packet for each answer

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            do_PUT = do_POST

            def _answer(self, method: str) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    status, answer = 200, vault.handle(method, self.path, headers, json.loads(raw) if raw else {})
                except Refused as refused:
                    status, answer = refused.status, {"errors": refused.errors}
                body = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # the client gave up waiting

            def log_message(self, *_: Any) -> None:
                """Nothing on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        scheme = "http"
        if certificate is not None and private_key is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, private_key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.address = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def make_token(self) -> str:
        token = "hvs." + secrets.token_hex(12)
        self.tokens[token] = self.clock() + self.token_ttl_s
        return token

    # -- requests

    def handle(self, method: str, path: str, headers: dict[str, str], body: Body) -> Body:
        self.seen.append(f"{method} {path}")
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.down:
            raise Refused(503, "Vault is sealed")
        if headers.get("x-vault-namespace", "") != self.namespace:
            raise Refused(404)
        parts = path.removeprefix("/v1/").split("/")
        if parts == ["auth", "approle", "login"]:
            return self._login(self.approles.get(str(body.get("role_id"))), body.get("secret_id"))
        if parts == ["auth", "kubernetes", "login"]:
            return self._login(self.kubernetes.get(str(body.get("role"))), body.get("jwt"))
        token = headers.get("x-vault-token", "")
        if self.tokens.get(token, float("-inf")) <= self.clock():
            raise Refused(403, "permission denied", "invalid token")
        if parts == ["auth", "token", "lookup-self"]:
            return {"data": {"ttl": int(self.tokens[token] - self.clock()), "renewable": True}}
        if parts == ["auth", "token", "renew-self"]:
            self.tokens[token] = self.clock() + self.token_ttl_s
            return self._auth(token)
        if len(parts) == 3 and parts[0] == "transit":
            return self._transit(method, parts[1], parts[2], body)
        raise Refused(404)

    def _login(self, expected: str | None, given: object) -> Body:
        if expected is None or given != expected:
            raise Refused(400, "invalid role or secret ID")
        return self._auth(self.make_token())

    def _auth(self, token: str) -> Body:
        return {"auth": {"client_token": token, "lease_duration": int(self.token_ttl_s), "renewable": True}}

    def _transit(self, method: str, action: str, name: str, body: Body) -> Body:
        key = self.keys.get(name)
        if action == "keys" and method == "GET":
            if key is None:
                raise Refused(404)
            latest = len(key.versions)
            return {"data": {"name": name, "type": "aes256-gcm96", "derived": key.derived, "latest_version": latest}}
        if key is None:
            raise Refused(400, "encryption key not found")
        if action == "encrypt":
            return {"data": {"ciphertext": self._sealed(key, base64.b64decode(body["plaintext"]), body)}}
        if action == "decrypt":
            return {"data": {"plaintext": base64.b64encode(self._opened(key, body)).decode()}}
        if action == "rewrap":
            return {"data": {"ciphertext": self._sealed(key, self._opened(key, body), body)}}
        raise Refused(404)

    def _sealed(self, key: TransitKey, plaintext: bytes, body: Body) -> str:
        version, nonce = len(key.versions), os.urandom(12)
        sealed = key.cipher(version, body).encrypt(nonce, plaintext, None)
        return f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}"

    def _opened(self, key: TransitKey, body: Body) -> bytes:
        prefix, _, rest = str(body.get("ciphertext", "")).partition(":")
        version, _, text = rest.partition(":")
        if prefix != "vault" or not version[1:].isdigit() or not 0 < int(version[1:]) <= len(key.versions):
            raise Refused(400, "invalid ciphertext: no prefix")
        try:
            raw = base64.b64decode(text, validate=True)
            return key.cipher(int(version[1:]), body).decrypt(raw[:12], raw[12:], None)
        except (ValueError, InvalidTag):
            raise Refused(400, "cipher: message authentication failed") from None
