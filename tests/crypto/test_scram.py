"""SCRAM's keys against the RFC's numbers and PostgreSQL's own verifiers; SASLprep against RFC 4013."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.crypto.saslprep import saslprep
from pgcrypt_proxy.crypto.scram import ClientKeys, Verifier, decode_base64, stored_key
from tests.helpers.servers import PostgresServer

# RFC 7677, section 3
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
AUTH_MESSAGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_rfc_7677() -> None:
    keys = ClientKeys.derive("pencil", SALT, 4096)
    assert keys.proof(AUTH_MESSAGE) == PROOF
    assert keys.is_signature(SIGNATURE, AUTH_MESSAGE)
    verifier = Verifier.make("pencil", salt=SALT)
    assert verifier.server_signature(AUTH_MESSAGE) == SIGNATURE
    assert verifier.recover_client_key(PROOF, AUTH_MESSAGE) == keys.client_key
    assert stored_key(keys.client_key) == verifier.stored_key


@given(st.binary(min_size=0, max_size=64))
def test_no_other_proof_passes(proof: bytes) -> None:
    assert proof == PROOF or Verifier.make("pencil", salt=SALT, iterations=1).recover_client_key(proof, b"m") is None


def test_the_servers_own_verifiers(postgres: PostgresServer) -> None:
    for password in ("pencil", "a b,c=d$e:f", "Schlüssel", "\u2168 IX", "x" * 200):
        with postgres.connect() as connection:
            connection.execute("SET password_encryption = 'scram-sha-256'")
            connection.execute("DROP ROLE IF EXISTS scram_verified")
            escaped = password.replace("'", "''")
            connection.execute(f"CREATE ROLE scram_verified PASSWORD '{escaped}'".encode())
            row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_verified'").fetchone()
            connection.execute("DROP ROLE scram_verified")
        assert row is not None
        verifier = Verifier.parse(row[0])
        assert verifier is not None
        assert verifier.text() == row[0]
        assert Verifier.make(password, salt=verifier.salt, iterations=verifier.iterations) == verifier


GOOD = Verifier.make("x", salt=b"salt", iterations=2).text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "md5d41d8cd98f00b204e9800998ecf8427e",
        "plain",
        GOOD + "\n",
        GOOD.replace("256$2:", "256$0:"),
        GOOD.replace("256$2:", "256$-2:"),
        GOOD.replace("256$2:", "256$3000000000:"),
        GOOD.replace("SHA-256", "SHA-1"),
        GOOD[:-1],
        GOOD.rsplit(":", 1)[0] + ":AAAA",
        "SCRAM-SHA-256$2:$AAAA:AAAA",
    ],
)
def test_what_is_no_verifier(text: str) -> None:
    assert Verifier.parse(text) is None


def test_a_mock_is_always_the_same_and_opens_to_nobody() -> None:
    one, two = Verifier.mock(b"secret", "ghost"), Verifier.mock(b"secret", "ghost")
    assert (one.salt, one.iterations) == (two.salt, two.iterations)
    assert len(one.salt) == 16
    assert one.stored_key != two.stored_key
    assert Verifier.mock(b"other", "ghost").salt != one.salt != Verifier.mock(b"secret", "host").salt
    Verifier.mock(b"secret", "\udcff")  # a name that is no UTF-8


def test_secrets_do_not_show() -> None:
    verifier = Verifier.make("x")
    for shown in (repr(verifier), repr(ClientKeys.derive("x", b"s", 1))):
        assert "\\x" not in shown
        assert "key=" not in shown


def test_base64_is_strict() -> None:
    assert decode_base64(b"AAAA") == b"\0\0\0"
    for text in (b"AAA", b"A A A", b"AA-_", b"====", b"AAAA\n"):
        assert decode_base64(text) is None


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("user", "user"),
        ("USER", "USER"),
        ("I\u00adX", "IX"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0007", "\u0007"),  # forbidden: as it is
        ("\u06271", "\u06271"),  # badly mixed directions: as it is
        ("\u00ad", "\u00ad"),  # nothing is left: as it is
        ("\u0627\u0628", "\u0627\u0628"),
        ("", ""),
    ],
)
def test_saslprep(password: str, prepared: str) -> None:
    assert saslprep(password) == prepared
