"""SCRAM as server and client: the two understand each other, and nothing that is out of form or order passes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgcrypt_proxy.crypto.scram import ClientKeys, Verifier
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.scram import ChannelBinding, KnownKeys, LoginRefused, Password, ScramClient, ScramServer
from pgcrypt_proxy.wire.sasl import SCRAM_SHA_256, SCRAM_SHA_256_PLUS, InitialResponse

VERIFIER = Verifier.make("pencil", iterations=4096)
BINDING = b"b" * 32


def server(binding: bytes | None = None, *, is_mock: bool = False) -> ScramServer:
    return ScramServer(VERIFIER, is_mock=is_mock, binding=binding, nonce=b"server")


def client(binding: bytes | None = None, policy: ChannelBinding = ChannelBinding.PREFER) -> ScramClient:
    return ScramClient(Password("pencil"), binding=binding, policy=policy, nonce=b"client")


def exchange(ours: ScramServer, theirs: ScramClient) -> object:
    final = theirs.final(ours.first(theirs.first(ours.mechanisms)))
    proven = ours.final(final)
    if proven is not None:
        theirs.check(proven.server_final)
    return proven


@pytest.mark.parametrize("binding", [None, BINDING])
def test_a_login(binding: bytes | None) -> None:
    proven = exchange(server(binding), client(binding))
    assert proven is not None
    assert proven.keys == ClientKeys.derive("pencil", VERIFIER.salt, 4096)
    # and what was proven logs in again, elsewhere
    theirs = ScramClient(KnownKeys(proven.keys, VERIFIER), binding=None)
    assert exchange(server(), theirs) is not None


def test_the_mechanism_follows_what_both_can() -> None:
    both = (SCRAM_SHA_256_PLUS, SCRAM_SHA_256)
    assert client(BINDING).first(both).data == b"p=tls-server-end-point,,n=,r=client"
    assert client(BINDING).first((SCRAM_SHA_256,)).data == b"y,,n=,r=client"
    assert client(None).first(both).data == b"n,,n=,r=client"
    assert client(BINDING, ChannelBinding.DISABLE).first(both).data == b"n,,n=,r=client"
    for binding, offered in ((BINDING, (SCRAM_SHA_256,)), (None, both)):
        with pytest.raises(LoginRefused, match="channel binding is required"):
            client(binding, ChannelBinding.REQUIRE).first(offered)
    with pytest.raises(LoginRefused, match="none of the server's"):
        client().first(("SCRAM-SHA-1", "GS2-KRB5"))


def test_a_stripped_offer_is_found_out() -> None:
    with pytest.raises(LoginRefused, match="negotiation error"):
        server(BINDING).first(client(BINDING).first((SCRAM_SHA_256,)))
    # but where it was never made, "y" is right
    assert exchange(server(None), client(BINDING)) is not None


def test_binding_to_another_certificate() -> None:
    with pytest.raises(LoginRefused, match="channel binding check failed"):
        exchange(server(BINDING), client(b"other" * 6))


def test_a_mock_fails_with_the_right_password_too() -> None:
    assert exchange(server(is_mock=True), client()) is None


def test_a_wrong_password() -> None:
    assert exchange(server(), ScramClient(Password("pen"), binding=None)) is None


def test_a_captured_exchange_cannot_be_replayed() -> None:
    theirs = client()
    first = theirs.first((SCRAM_SHA_256,))
    final = theirs.final(server().first(first))
    again = ScramServer(VERIFIER, is_mock=False, binding=None)
    again.first(first)
    with pytest.raises(PgcryptError, match="invalid SCRAM response"):
        again.final(final)


@pytest.mark.parametrize(
    ("mechanism", "data", "sqlstate"),
    [
        ("SCRAM-SHA-1", b"n,,n=,r=a", "08P01"),
        (SCRAM_SHA_256_PLUS, b"n,,n=,r=a", "08P01"),
        (SCRAM_SHA_256, None, "08P01"),
        (SCRAM_SHA_256, b"", "08P01"),
        (SCRAM_SHA_256, b"n,", "08P01"),
        (SCRAM_SHA_256, b"n,,", "08P01"),
        (SCRAM_SHA_256, b"x,,n=,r=a", "08P01"),
        (SCRAM_SHA_256, b"p=tls-server-end-point,,n=,r=a", "08P01"),
        (SCRAM_SHA_256, b"n,a=root,n=,r=a", "0A000"),
        (SCRAM_SHA_256, b"n,,m=x,n=,r=a", "0A000"),
        (SCRAM_SHA_256, b"n,,r=a,n=", "08P01"),
        (SCRAM_SHA_256, b"n,,n=,r=", "08P01"),
        (SCRAM_SHA_256, b"n,,n=,r=\xc3\xa4", "08P01"),
        (SCRAM_SHA_256, b"n,,n=,r=a\0", "08P01"),
        (SCRAM_SHA_256, b"N,,N=,R=a", "08P01"),
    ],
)
def test_malformed_first_messages(mechanism: str, data: bytes | None, sqlstate: str) -> None:
    with pytest.raises(PgcryptError) as caught:
        server().first(InitialResponse(mechanism, data))
    assert caught.value.code == sqlstate


def test_other_bindings_are_refused() -> None:
    for flag in (b"p=tls-unique", b"p=tls-exporter", b"p=TLS-SERVER-END-POINT"):
        with pytest.raises(PgcryptError, match="unsupported SCRAM channel-binding type"):
            server(BINDING).first(InitialResponse(SCRAM_SHA_256_PLUS, flag + b",,n=,r=a"))
    with pytest.raises(PgcryptError, match="contradict"):
        server(BINDING).first(InitialResponse(SCRAM_SHA_256_PLUS, b"n,,n=,r=a"))


PROOF = base64.b64encode(b"p" * 32)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "malformed"),
        (b"c=biws,r=aserver", "malformed"),
        (b"c=biws,r=aserver,p=", "malformed"),
        (b"c=biws,r=aserver,p=AAA", "malformed"),
        (b"c=eSws,r=aserver,p=" + PROOF, "channel binding check failed"),
        (b"c=biws,r=a,p=" + PROOF, "invalid SCRAM response"),
        (b"c=biws,r=aserver2,p=" + PROOF, "invalid SCRAM response"),
        (b"r=aserver,c=biws,p=" + PROOF, "malformed"),
        (b"c=biws,r=aserver,p=" + PROOF + b"\0", "malformed"),
    ],
)
def test_malformed_final_messages(data: bytes, message: str) -> None:
    ours = server()
    ours.first(InitialResponse(SCRAM_SHA_256, b"n,,n=,r=a"))
    with pytest.raises(PgcryptError, match=message):
        ours.final(data)


def test_a_proof_of_another_length_is_wrong() -> None:
    ours = server()
    ours.first(InitialResponse(SCRAM_SHA_256, b"n,,n=,r=a"))
    assert ours.final(b"c=biws,r=aserver,p=AAAA") is None


def test_every_step_once_and_in_order() -> None:
    first = InitialResponse(SCRAM_SHA_256, b"n,,n=,r=a")
    with pytest.raises(PgcryptError, match="unexpected final"):
        server().final(b"c=biws,r=a,p=" + PROOF)
    ours = server()
    ours.first(first)
    with pytest.raises(PgcryptError, match="unexpected first"):
        ours.first(first)
    ours.final(b"c=biws,r=aserver,p=" + PROOF)
    with pytest.raises(PgcryptError, match="unexpected final"):
        ours.final(b"c=biws,r=aserver,p=" + PROOF)
    with pytest.raises(PgcryptError, match="malformed"):
        client().final(b"r=clientx,s=AAAA,i=1")
    with pytest.raises(PgcryptError, match="malformed"):
        client().check(b"v=AAAA")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"", "malformed"),
        (b"e=other-error", "malformed"),
        (b"r=clientx,s=AAAA", "malformed"),
        (b"r=clientx,s=AAA,i=4096", "malformed"),
        (b"r=clientx,s=,i=4096", "malformed"),
        (b"r=clientx,s=AAAA,i=0", "malformed"),
        (b"r=clientx,s=AAAA,i=-1", "malformed"),
        (b"r=clientx,s=AAAA,i=99999999999", "malformed"),
        (b"r=clientx,s=AAAA,i=100001", "more than 100000"),
        (b"r=client,s=AAAA,i=1", "nonce mismatch"),
        (b"r=other,s=AAAA,i=1", "nonce mismatch"),
        (b"m=x,r=clientx,s=AAAA,i=1", "malformed"),
    ],
)
def test_malformed_replies_of_a_server(reply: bytes, message: str) -> None:
    theirs = client()
    theirs.first((SCRAM_SHA_256,))
    with pytest.raises(PgcryptError, match=message):
        theirs.final(reply)


@pytest.mark.parametrize("final", [b"", b"e=no", b"v=", b"v=AAA", b"v=AAAA", b"x" * 60_000])
def test_a_server_must_sign(final: bytes) -> None:
    theirs = client()
    theirs.final(server().first(theirs.first((SCRAM_SHA_256,))))
    with pytest.raises(PgcryptError, match=r"malformed|incorrect server signature"):
        theirs.check(final)


def test_known_keys_are_good_for_their_salt_only() -> None:
    keys = KnownKeys(ClientKeys.derive("pencil", VERIFIER.salt, 4096), VERIFIER)
    assert keys.keys_for(VERIFIER.salt, 4096) is keys.keys
    for salt, iterations in ((b"other", 4096), (VERIFIER.salt, 4095)):
        with pytest.raises(LoginRefused, match="not the one that the proxy was given"):
            keys.keys_for(salt, iterations)


def test_a_passwords_keys_are_made_once() -> None:
    password = Password("pencil")
    assert password.keys_for(b"salt", 10) is password.keys_for(b"salt", 10)
    assert password.keys_for(b"salt", 11) is not password.keys_for(b"salt", 10)
    assert "pencil" not in repr(password)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_an_error_of_ours_or_no_login(first: bytes, final: bytes) -> None:
    for one in (first, b"n,,n=," + first, b"n,,n=,r=a"):
        ours = server()
        try:
            ours.first(InitialResponse(SCRAM_SHA_256, one))
            assert ours.final(final) is None
        except PgcryptError as error:
            assert error.severity == "FATAL"
    theirs = client()
    theirs.first((SCRAM_SHA_256,))
    with pytest.raises(PgcryptError):
        theirs.final(final)
