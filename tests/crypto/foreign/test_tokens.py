"""Fernet, and SQLAlchemy-Utils' engines as the library itself makes their values."""

from __future__ import annotations

import base64

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy_utils.types.encrypted import encrypted_type as library

from pgcrypt_proxy.crypto.foreign import UnreadableValue, forms
from pgcrypt_proxy.crypto.foreign.sqlalchemy_utils import PADDINGS
from pgcrypt_proxy.errors import ConfigError

SECRET = b"a secret of the application"
#: PostgreSQL's text has no NUL.
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))


def engine_of(form: str, padding: str | None = None) -> library.EncryptionDecryptionBaseEngine:
    kinds = {
        forms.SQLALCHEMY_AES: library.AesEngine,
        forms.SQLALCHEMY_AES_GCM: library.AesGcmEngine,
        forms.SQLALCHEMY_FERNET: library.FernetEngine,
    }
    engine = kinds[form]()
    if form == forms.SQLALCHEMY_AES:
        engine._set_padding_mechanism(padding)
    engine._update_key(SECRET.decode())
    return engine


class TestFernet:
    def test_any_of_several_keys_opens(self) -> None:
        keys = [Fernet.generate_key() for _ in range(3)]
        cipher = forms.make(forms.FERNET, b"\n".join(keys) + b"\n")
        for key in keys:
            assert cipher.open(Fernet(key).encrypt(b"planted-f")) == b"planted-f"

    def test_another_key_and_damage(self) -> None:
        key = Fernet.generate_key()
        token = Fernet(key).encrypt(b"planted-f")
        cipher = forms.make(forms.FERNET, key)
        for stored in (Fernet(Fernet.generate_key()).encrypt(b"planted-f"), token[:-9], b"", b"planted-f", b"\xff\x00"):
            with pytest.raises(UnreadableValue, match="does not open") as caught:
                cipher.open(stored)
            assert "planted" not in str(caught.value)

    @pytest.mark.parametrize("secret", [b"short", b"x" * 44, base64.urlsafe_b64encode(bytes(32)) + b"\nshort"])
    def test_what_is_no_key(self, secret: bytes) -> None:
        with pytest.raises(ConfigError, match="no Fernet key"):
            forms.make(forms.FERNET, secret)


@pytest.mark.parametrize("form", [forms.SQLALCHEMY_AES_GCM, forms.SQLALCHEMY_FERNET])
@given(text=TEXT)
def test_authenticated_engines(form: str, text: str) -> None:
    assert forms.make(form, SECRET).open(engine_of(form).encrypt(text).encode()) == text.encode()


@pytest.mark.parametrize("form", [forms.SQLALCHEMY_AES_GCM, forms.SQLALCHEMY_FERNET])
def test_authenticated_engines_find_every_damage(form: str) -> None:
    stored = engine_of(form).encrypt("planted-g").encode()
    cipher = forms.make(form, SECRET)
    for at in range(len(stored)):
        changed = b"A" if stored[at : at + 1] != b"A" else b"B"
        damaged = stored[:at] + changed + stored[at + 1 :]
        try:
            assert cipher.open(damaged) == b"planted-g"  # bits of base64 that say nothing
        except UnreadableValue as error:
            assert "planted" not in error.message
    with pytest.raises(UnreadableValue):
        forms.make(form, b"another").open(stored)
    with pytest.raises(UnreadableValue):
        cipher.open(b"")


@pytest.mark.parametrize("padding", PADDINGS)
@given(text=TEXT)
def test_aes_engine(padding: str, text: str) -> None:
    stored = engine_of(forms.SQLALCHEMY_AES, padding).encrypt(text).encode()
    wanted = text.rstrip("*") if padding == "naive" else text  # the library loses them, too
    assert forms.make(forms.SQLALCHEMY_AES, SECRET, padding).open(stored) == wanted.encode()


def test_aes_engine_pads_with_asterisks_unless_said_otherwise() -> None:
    stored = engine_of(forms.SQLALCHEMY_AES).encrypt("planted-a").encode()
    assert forms.make(forms.SQLALCHEMY_AES, SECRET).open(stored) == b"planted-a"


@pytest.mark.parametrize("padding", PADDINGS)
def test_aes_engine_under_another_secret(padding: str) -> None:
    stored = engine_of(forms.SQLALCHEMY_AES, padding).encrypt("planted-a").encode()
    with pytest.raises(UnreadableValue, match="does not open"):
        forms.make(forms.SQLALCHEMY_AES, b"another", padding).open(stored)
    for damaged in (stored[4:], b"", b"planted-a", b"cGxhbnRlZC1h"):
        with pytest.raises(UnreadableValue) as caught:
            forms.make(forms.SQLALCHEMY_AES, SECRET, padding).open(damaged)
        assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rot13", b"x"), "there is no form"),
        (("pgp", b""), "the secret is empty"),
        (("pgp", b"x", "pkcs5"), "has no padding"),
        (("sqlalchemy-aes", b"x", "pkcs7"), "there is no padding"),
    ],
)
def test_what_cannot_be_made(arguments: tuple, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        forms.make(*arguments)
