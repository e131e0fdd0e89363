"""The forms by name, and what a secret looks like for each."""

from __future__ import annotations

from pgcrypt_proxy.crypto.foreign import ForeignCipher
from pgcrypt_proxy.crypto.foreign.fernet import FernetTokens
from pgcrypt_proxy.crypto.foreign.openpgp import OpenPgp
from pgcrypt_proxy.crypto.foreign.sqlalchemy_utils import PADDINGS, AesEngine, AesGcmEngine, fernet_engine
from pgcrypt_proxy.errors import ConfigError

PGP, FERNET, SQLALCHEMY_AES = "pgp", "fernet", "sqlalchemy-aes"
SQLALCHEMY_AES_GCM, SQLALCHEMY_FERNET = "sqlalchemy-aes-gcm", "sqlalchemy-fernet"
FORMS = (PGP, FERNET, SQLALCHEMY_AES, SQLALCHEMY_AES_GCM, SQLALCHEMY_FERNET)


def make(form: str, secret: bytes, padding: str | None = None) -> ForeignCipher:
    """What opens values of that form. `padding` is for `sqlalchemy-aes` only. Raises ConfigError."""
    if form not in FORMS:
        raise ConfigError(f'there is no form "{form}"', hint=f"One of {', '.join(FORMS)}.")
    if padding is not None and form != SQLALCHEMY_AES:
        raise ConfigError(f"form {form} has no padding", hint=f"--padding is for {SQLALCHEMY_AES}.")
    if padding is not None and padding not in PADDINGS:
        raise ConfigError(f'there is no padding "{padding}"', hint=f"One of {', '.join(PADDINGS)}.")
    if not secret:
        raise ConfigError("the secret is empty")
    if form == PGP:
        return OpenPgp(secret)
    if form == FERNET:
        return FernetTokens(secret.split())
    if form == SQLALCHEMY_AES:
        return AesEngine(secret, padding or "naive")
    return AesGcmEngine(secret) if form == SQLALCHEMY_AES_GCM else fernet_engine(secret)
